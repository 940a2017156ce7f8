"""A prefix of a hasher is a hasher: the first bits, a name of its own, and the same after a way through a folder."""

import copy
import json

import numpy as np
import pytest
import torch
from PIL import Image
from tests.runs.harness import a_config, a_hasher, pictures

from bitseek.errors import BitseekError, CodeWidthError, RunError
from bitseek.images import Pixels
from bitseek.runs import Hasher, RunConfig, encode, keep_report, load


@pytest.mark.parametrize("bits", [8, 16, np.int64(16), 24])
def test_its_codes_are_the_first_bits(bits):
    hasher, images = a_hasher(), pictures()
    first, logits = hasher.prefix(bits), hasher.logits(images)
    np.testing.assert_array_equal(first.logits(images), logits[:, :bits])
    np.testing.assert_array_equal(hasher.logits(images, bits=bits), logits[:, :bits])
    assert first.encode(images) == hasher.encode(images, bits=bits) == hasher.encode(images).prefix(bits)
    np.testing.assert_array_equal(first.features_of(images), hasher.features_of(images))
    np.testing.assert_array_equal(first.logits_and_features_of(images)[0], logits[:, :bits])
    with torch.inference_mode():
        features = torch.from_numpy(hasher.features_of(images))
        assert torch.equal(first(features), hasher(features)[:, :bits])
    encoded = encode(first, Pixels(images))
    np.testing.assert_array_equal(encoded.logits, encode(hasher, Pixels(images)).prefix(int(bits)).logits)
    assert encoded.codes.bits == bits and encode(first, Pixels(images[:0])).logits.shape == (0, bits)


def test_it_shares_the_weights_and_knows_what_it_is():
    hasher = a_hasher()
    first = hasher.prefix(16)
    assert first.head is hasher.head and first.backbone is hasher.backbone and first.preprocess == hasher.preprocess
    assert hasher.lengths == (8, 16, 24) and first.lengths == (8, 16) and hasher.prefix(8).lengths == (8,)
    assert hasher.prefix(24) is hasher and first.prefix(16) is first
    assert first.bits == first.config.bits == 16 and first.config.prefix_of == 24
    assert first.config.task.bits == 24 and "16 bits" in repr(first) and "16-bit codes" in first.config.title
    np.testing.assert_array_equal(first.train_items, hasher.train_items)
    assert hasher.config.prefix_of is None and hasher.bits == 24


def test_it_has_a_name_of_its_own_whichever_way_it_was_made():
    hasher = a_hasher()
    name = hasher.fingerprint
    assert hasher.prefix(16).fingerprint == f"{name}:16" and hasher.prefix(8).fingerprint == f"{name}:8"
    assert hasher.prefix(16).prefix(8).fingerprint == hasher.prefix(8).fingerprint
    assert hasher.fingerprint == name


def test_a_length_that_was_not_trained_is_refused():
    hasher, images = a_hasher(), pictures()
    for call in (hasher.prefix, lambda bits: hasher.encode(images, bits=bits), hasher.prefix(16).prefix):
        with pytest.raises(CodeWidthError, match=r"trained to give codes of 8 or 16( or 24)? bits, not of 12"):
            call(12)
    with pytest.raises(CodeWidthError, match="8 or 16 bits, not of 24"):
        hasher.prefix(16).encode(images, bits=24)
    plain = a_hasher(lengths=())
    with pytest.raises(CodeWidthError, match=r"codes of 24 bits, not of 16; .* --set lengths=16"):
        plain.encode(images, bits=16)
    assert plain.lengths == (24,) and plain.encode(images, bits=24) == plain.encode(images)
    without_run = Hasher(None, torch.nn.Linear(8, 8), 8)
    assert without_run.lengths == (8,) and without_run.prefix(8) is without_run
    with pytest.raises(CodeWidthError, match="codes of 8 bits, not of 4"):
        without_run.prefix(4)


def test_the_same_after_a_way_through_a_folder(tmp_path):
    hasher, images = a_hasher(), pictures()
    first = hasher.prefix(16)
    first.save(tmp_path / "first")
    back = load(tmp_path / "first")
    assert back.fingerprint == first.fingerprint == f"{hasher.fingerprint}:16" and back.bits == 16
    assert back.encode(images) == hasher.encode(images, bits=16) and back.lengths == (8, 16)
    assert back.prefix(8).fingerprint == hasher.prefix(8).fingerprint
    assert "bits: 16, the first of 24; the first 8 are codes" in (tmp_path / "first" / "README.md").read_text()
    back.prefix(8).save(tmp_path / "again")
    assert load(tmp_path / "again").encode(images) == hasher.encode(images, bits=8)
    hasher.save(tmp_path / "whole")
    with pytest.raises(RunError, match="holds another run"):
        hasher.prefix(16).save(tmp_path / "whole")
    assert load(tmp_path / "whole").fingerprint == hasher.fingerprint
    config = json.loads((tmp_path / "first" / "config.json").read_text())
    (tmp_path / "first" / "config.json").write_text(json.dumps(config | {"bits": 8}))
    with pytest.raises(RunError, match="of two trainings"):
        load(tmp_path / "first")


def test_batch_norm_that_is_estimated_anew():
    hasher, images = a_hasher(), Pixels(pictures(40))
    whole, first = hasher.adapted(images), hasher.prefix(8).adapted(images)
    np.testing.assert_array_equal(encode(first, images).logits, encode(whole, images).logits[:, :8])
    assert first.fingerprint == whole.prefix(8).fingerprint != hasher.prefix(8).fingerprint


@pytest.mark.parametrize("changed", [{"bits": 12}, {"bits": 24}, {"bits": 32}, {"prefix_of": 15}])
def test_a_configuration_of_a_prefix_that_cannot_be(changed):
    assert a_config(bits=16, prefix_of=24).lengths == (8, 16)
    with pytest.raises(BitseekError):
        a_config(**{"bits": 16, "prefix_of": 24, **changed})


def test_a_configuration_of_before(tmp_path):
    config = a_config()
    config.write(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["prefix_of"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert RunConfig.read(tmp_path) == config


def test_the_card_has_a_line_for_every_length(tmp_path):
    hasher = a_hasher()
    hasher.save(tmp_path)
    level = {"figure": "mAP@all", "mAP": 0.5, "mAP_worst": 0.4, "mAP_best": 0.6, "queries": 3, "database": 9}
    report = {"levels": {"all": level}, "prefixes": {"8": {"levels": {"all": {**level, "mAP": 0.25}}}}}
    keep_report(tmp_path, {**report, "fingerprint": hasher.fingerprint})
    card = (tmp_path / "README.md").read_text()
    assert "- bits: 24; the first 8, 16 are codes in their own right" in card
    assert "| mAP@all | 0.5000 |" in card and "| the first 8 bits: mAP@all | 0.2500 |" in card


def test_a_copy_and_images_of_files(tmp_path):
    hasher = copy.deepcopy(a_hasher().prefix(8))
    Image.fromarray(pictures()[0]).save(tmp_path / "a.png")
    assert hasher.encode(tmp_path / "a.png") == a_hasher().encode(pictures()[0]).prefix(8)
