"""First bits without torch: the same as the hasher's, exported whole or cut, and a file that is still one of ONNX."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from tests.runs.harness import a_hasher, pictures

from bitseek.errors import BitseekError, CodeWidthError
from bitseek.images import Preprocess
from bitseek.portable import LOGIT_BOUND, OnnxHasher, export_onnx, load, quantise, same_codes
from bitseek.portable._onnx_file import Metadata, graph_of, read_onnx, write_onnx


@pytest.fixture(scope="module")
def hasher():
    return a_hasher()


@pytest.fixture(scope="module")
def whole(hasher, tmp_path_factory):
    return export_onnx(hasher, tmp_path_factory.mktemp("nested") / "whole.onnx")


def alike(onnx_hasher, hasher, images):
    expected = hasher.logits(images)
    np.testing.assert_allclose(onnx_hasher.logits(images), expected, rtol=0, atol=LOGIT_BOUND * np.abs(expected).mean())


@pytest.mark.parametrize("bits", [8, 16])
def test_first_bits_of_the_whole_file(bits, hasher, whole):
    model, images = OnnxHasher(whole), pictures()
    first = model.prefix(bits)
    assert model.lengths == hasher.lengths and first.lengths == hasher.prefix(bits).lengths
    assert (first.bits, model.bits, first.config["bits"], first.config["prefix_of"]) == (bits, 24, bits, 24)
    alike(first, hasher.prefix(bits), images)
    logits = model.logits(images)
    np.testing.assert_array_equal(first.logits(images), logits[:, :bits])
    np.testing.assert_array_equal(model.logits(images, bits=bits), logits[:, :bits])
    np.testing.assert_array_equal(first.logits_and_features_of(images)[0], logits[:, :bits])
    assert model.encode(images, bits=bits) == first.encode(images) == model.encode(images).prefix(bits)
    assert first.logits([]).shape == (0, bits) and model.prefix(24).metadata == model.metadata
    assert (
        first.fingerprint == f"{hasher.fingerprint}:{bits}+onnx" and model.fingerprint == f"{hasher.fingerprint}+onnx"
    )


def test_a_file_of_the_first_bits_alone(hasher, whole, tmp_path):
    cut = OnnxHasher(export_onnx(hasher.prefix(16), tmp_path / "cut.onnx"))
    assert cut.fingerprint == OnnxHasher(whole).prefix(16).fingerprint and cut.lengths == (8, 16)
    alike(cut, hasher.prefix(16), pictures())
    output = next(each for each in onnx.load(tmp_path / "cut.onnx").graph.output if each.name == "logits")
    assert output.type.tensor_type.shape.dim[1].dim_value == 16
    alike(cut.prefix(8), hasher.prefix(8), pictures())


def test_only_the_same_length_may_be_mixed(hasher, whole):
    model, first = OnnxHasher(whole), hasher.prefix(16)
    assert same_codes(first.fingerprint, model.prefix(16).fingerprint)
    for other in (hasher, model, hasher.prefix(8), model.prefix(8)):
        assert not same_codes(first.fingerprint, other.fingerprint)
        assert not same_codes(model.prefix(16).fingerprint, other.fingerprint)


def test_a_length_that_was_not_trained_is_refused(whole, tmp_path):
    model = OnnxHasher(whole)
    for call in (
        model.prefix,
        lambda bits: model.encode(pictures(), bits=bits),
        lambda bits: model.logits([], bits=bits),
    ):
        with pytest.raises(CodeWidthError, match="8 or 16 or 24 bits, not of 12"):
            call(12)
    plain = OnnxHasher(export_onnx(a_hasher(lengths=()), tmp_path / "plain.onnx"))
    assert plain.lengths == (24,)
    with pytest.raises(CodeWidthError, match="codes of 24 bits, not of 16"):
        plain.prefix(16)


def test_saved_and_loaded_it_is_the_same(hasher, whole, tmp_path):
    first = OnnxHasher(whole).prefix(16)
    first.save(tmp_path / "model")
    back = load(tmp_path / "model")
    assert back.metadata == first.metadata and back.fingerprint == first.fingerprint
    np.testing.assert_array_equal(back.logits(pictures()), first.logits(pictures()))
    back.save(tmp_path / "again")
    back.prefix(8).save(tmp_path / "shorter")
    again, shorter = ((tmp_path / name / "model.onnx").read_bytes() for name in ("again", "shorter"))
    assert again == (tmp_path / "model" / "model.onnx").read_bytes()
    assert load(tmp_path / "shorter").fingerprint == f"{hasher.fingerprint}:8+onnx" and shorter != again
    model = onnx.load(tmp_path / "model" / "model.onnx")
    onnx.checker.check_model(model)
    names = [entry.key for entry in model.metadata_props]
    assert sorted(names) == sorted({*Metadata.model_fields, "digest"})  # each once
    assert json.loads(dict((e.key, e.value) for e in model.metadata_props)["bits"]) == 16


WITHOUT_ONNX = """
import sys
for name in ("torch", "onnx", "onnxscript"):
    sys.modules[name] = None
from bitseek.portable import load
load(sys.argv[1]).prefix(16).save(sys.argv[2])
print(load(sys.argv[2]).bits)
"""


def test_to_save_it_neither_torch_nor_the_library_of_onnx_is_needed(whole, tmp_path):
    command = [sys.executable, "-c", WITHOUT_ONNX, str(whole), str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.strip() == "16", done.stderr


def test_eight_bits_have_prefixes_too(hasher, whole, tmp_path):
    images = np.random.default_rng(5).integers(0, 256, (24, 8, 8, 3), np.uint8)
    small = OnnxHasher(quantise(whole, images, tmp_path / "small.onnx", sample=16))
    assert small.prefix(8).fingerprint == small.fingerprint.replace("+", ":8+") and small.lengths == (8, 16, 24)
    np.testing.assert_array_equal(small.prefix(8).logits(images), small.logits(images)[:, :8])
    small.prefix(8).save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").logits(images), small.logits(images)[:, :8])
    assert not same_codes(small.prefix(8).fingerprint, hasher.prefix(8).fingerprint)


def test_the_graph_is_taken_out_as_the_library_does_it(whole):
    content = read_onnx(whole)
    model = onnx.load_from_string(content)
    model.ClearField("metadata_props")
    assert onnx.load_from_string(graph_of(content)) == model


@pytest.mark.parametrize("length", [0, 1, 100, 127, 128, 129, 20_000, 70_000])
def test_metadata_of_every_length_are_read_back_by_the_library(length, tmp_path):
    preprocess = Preprocess(size=2)
    metadata = Metadata(
        bits=4, fingerprint="0123456789abcdef:4+onnx", preprocess=preprocess, config={"é": "ü" * length}
    )
    graph = onnx.helper.make_model(onnx.helper.make_graph([], "g" * (length + 1), [], [])).SerializeToString()
    file = write_onnx(tmp_path / "a.onnx", graph, metadata)
    model = onnx.load(file)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert len(found.pop("digest")) == 32 and found == metadata.to_text() and Metadata.of_text(found) == metadata
    assert graph_of(read_onnx(file)) == graph


def test_a_file_of_before_has_one_length(whole, tmp_path):
    text = OnnxHasher(whole).metadata.to_text()
    del text["lengths"], text["prefix_of"]
    assert Metadata.of_text(text).lengths == ()


def test_metadata_that_do_not_fit_the_graph(whole, tmp_path):
    metadata = OnnxHasher(whole).metadata
    for wrong in ({"bits": 16}, {"bits": 16, "prefix_of": 32}):
        file = write_onnx(tmp_path / "a.onnx", graph_of(read_onnx(whole)), metadata.changed(**wrong))
        with pytest.raises(BitseekError, match="which is not what its metadata say"):
            OnnxHasher(file)
