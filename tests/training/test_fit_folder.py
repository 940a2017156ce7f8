"""fit_folder: the measure by a slow loop, the choice, what is remembered, small folders, labels."""

import numpy as np
import pytest
import torch
from PIL import Image

from bitseek.codes import Codes
from bitseek.errors import BitseekError, DataError, ShapeError
from bitseek.images import Paths, batches
from bitseek.methods import METHODS
from bitseek.models import build_backbone
from bitseek.runs import load
from bitseek.training import _fit_folder, _search, fit_folder

BITS = 12


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("small-cnn", seed=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """120 pictures, coloured by their class of three, with noise."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(120):
        pixels = rng.integers(0, 60, (40, 40, 3), np.uint8)
        pixels[..., i % 3] += rng.integers(20, 140, dtype=np.uint8)
        pixels[: 4 * (i % 7)] //= 2
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def fitted(backbone, files):
    return fit_folder(backbone, files, bits=BITS, seed=1, device="cpu", threads=1)


def features_of(backbone, files):
    backbone.eval()
    with torch.inference_mode():
        hasher = fit_folder(backbone, files[:1], bits=4, device="cpu").hasher.hasher
    ids = np.arange(len(files))
    parts = batches(Paths(files[0].parent, tuple(f.name for f in files)), hasher.preprocess, ids, unreadable={})
    return np.concatenate([hasher.features_of(squares) for _, squares in parts])


def test_what_is_kept_is_the_formula_of_the_docstring(backbone, files, fitted):
    """A slow loop over queries, neighbours and ties, on the same split and codes."""
    features = features_of(backbone, files)
    rng = np.random.default_rng((1, 0xF01D))
    rng.permutation(len(files))  # fit_folder draws the sample first
    data = _fit_folder._split(features, None, "x", rng)
    assert len(data.query) == 24 and not set(data.query) & set(data.database)
    hasher = fitted.hasher.hasher
    bits = hasher.logits(features) >= 0
    total = 0.0
    for q in data.query:
        cosines = [features[q] @ features[x] / np.linalg.norm(features[q]) / np.linalg.norm(features[x])
                   for x in data.database]  # fmt: skip
        near = sorted(range(len(cosines)), key=lambda i: -cosines[i])[:10]
        distances = [(bits[q] != bits[x]).sum() for x in data.database]
        for i in near:
            below = sum(d < distances[i] for d in distances)
            same = sum(d == distances[i] for d in distances)
            total += min(1, max(0, (10 - below) / same))
    (chosen,) = [each for each in fitted.candidates if each.method == hasher.config.method]
    assert chosen.kept == pytest.approx(total / (10 * len(data.query)), abs=1e-6)


def test_the_method_that_keeps_most_is_taken(fitted):
    assert [each.method for each in fitted.candidates] == ["itq", "bihalf-unsupervised", "lsh"]
    assert all(0 < each.kept < 1 and each.mAP is None and each.reason is None for each in fitted.candidates)
    best = max(fitted.candidates, key=lambda each: each.kept)
    assert fitted.hasher.hasher.config.method == best.method and fitted.unreadable == ()


def test_it_is_a_hasher_that_can_be_saved_and_loaded(fitted, files, tmp_path):
    fitted.hasher.save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    assert loaded.fingerprint == fitted.hasher.fingerprint and loaded.bits == fitted.hasher.bits == BITS
    assert loaded.encode(files[:20]) == fitted.hasher.encode(files[:20])
    assert loaded.config.complete and loaded.config.frozen and loaded.config.backbone.name == "small-cnn"


def test_the_seed_decides(backbone, files, fitted):
    again = fit_folder(backbone, files, bits=BITS, seed=1, device="cpu")
    other = fit_folder(backbone, files, bits=BITS, seed=2, device="cpu")
    assert again.hasher.fingerprint == fitted.hasher.fingerprint and again.candidates == fitted.candidates
    assert other.hasher.fingerprint != fitted.hasher.fingerprint


def test_what_was_seen_is_not_computed_again(backbone, files):
    """The network sees each square once; what it was not shown before is computed, in the right order."""
    seen = []
    handle = backbone.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    try:
        hasher = fit_folder(backbone, files, bits=BITS, sample=50, device="cpu").hasher
        assert sum(seen) == 50
        images = Paths(files[0].parent, tuple(file.name for file in files))
        (pair,) = batches(images, hasher.preprocess, np.arange(120), batch_size=120, unreadable={})
        logits = hasher.logits_of(pair[1])
        assert sum(seen) == 120
        assert np.array_equal(hasher.logits_of(pair[1][::-1]), logits[::-1]) and sum(seen) == 120
        assert np.array_equal(hasher.logits_of(hasher.features_of(pair[1])), logits) and sum(seen) == 120
        twice = np.concatenate([pair[1][:1] ^ 1] * 2)
        assert (hasher.features_of(twice)[0] == hasher.features_of(twice)[1]).all() and sum(seen) == 121
    finally:
        handle.remove()
    np.testing.assert_allclose(logits, hasher.logits(files), atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5, 25])
def test_small_folders_get_random_projections(backbone, files, count):
    fitted = fit_folder(backbone, files[:count], bits=64, device="cpu")
    assert fitted.hasher.hasher.config.method in ("lsh", "bihalf-unsupervised")[: 1 + (count >= 20)]
    itq = fitted.candidates[0]
    assert itq.kept is None and "training items" in itq.reason
    assert all((each.kept is None) == (count < 20) for each in fitted.candidates[1:] if each.reason is None)
    assert fitted.hasher.encode(files[:count]).bits == 64


def test_more_bits_than_features(backbone, files):
    fitted = fit_folder(backbone, files[:30], bits=300, device="cpu")
    assert "as many bits as there are features" in fitted.candidates[0].reason and fitted.hasher.bits == 300


def test_labels_train_a_supervised_head_that_is_measured_beside_the_others(backbone, files):
    labels = [None if i % 10 == 9 else "abc"[i % 3] for i in range(120)]
    fitted = fit_folder(backbone, files, bits=BITS, labels=labels, method="orthohash", device="cpu", name="folder:x")
    config = fitted.hasher.hasher.config
    assert (config.method, config.classes, config.protocol) == ("orthohash", ("a", "b", "c"), "folder:x")
    mAP = {each.method: each.mAP for each in fitted.candidates}
    assert set(mAP) == {"itq", "bihalf-unsupervised", "lsh", "orthohash"} and all(0 < v <= 1 for v in mAP.values())
    assert mAP["orthohash"] > 0.8 > mAP["lsh"]
    assert isinstance(fitted.hasher.encode(files[:3]), Codes)


def test_auto_takes_the_method_that_is_best_for_the_labels(backbone, files, monkeypatch):
    monkeypatch.setattr(_fit_folder, "TRIALS", 4)
    monkeypatch.setattr(_search, "STEPS", 60)
    labels = ["abc"[i % 3] for i in range(120)]
    fitted = fit_folder(backbone, files, bits=BITS, labels=labels, method="auto", device="cpu")
    *without, chosen = fitted.candidates
    assert [each.method for each in without] == ["itq", "bihalf-unsupervised", "lsh"]
    assert chosen.method == fitted.method == fitted.hasher.hasher.config.method
    assert METHODS[fitted.method].card.labels in ("single", "multi") and chosen.mAP > 0.5
    few = fit_folder(backbone, files[:20], bits=BITS, labels=labels[:20], method="auto", device="cpu")
    assert few.method == "orthohash"


def test_instead_of_auto_where_no_labels_are_shared(backbone, files):
    labels = [str(i) for i in range(40)]
    assert fit_folder(backbone, files[:40], bits=BITS, labels=labels, method="auto", device="cpu").method == "orthohash"


def test_unreadable_images_are_left_out(backbone, files, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    fitted = fit_folder(backbone, [*files[:30], tmp_path / "bad.png"], bits=4, device="cpu")
    assert len(fitted.unreadable) == 1 and "bad.png" in fitted.unreadable[0]
    with pytest.raises(DataError, match=r"none of 1 images of x can be read; .*bad\.png"):
        fit_folder(backbone, [tmp_path / "bad.png"], name="x", device="cpu")


@pytest.mark.parametrize(
    "options, kind, message",
    [
        ({"method": "nohash"}, BitseekError, "nohash"),
        ({"method": "orthohash"}, BitseekError, "at least 2 classes"),
        ({"labels": ["a"]}, ShapeError, "30 images need 30 labels"),
        ({"bits": 0}, BitseekError, "bits"),
        ({"sample": 0}, BitseekError, "sample"),
        ({"device": "abacus"}, BitseekError, "abacus"),
    ],
)
def test_what_does_not_fit_is_refused(backbone, files, options, kind, message, unchecked):
    with pytest.raises(kind, match=message):
        fit_folder(backbone, files[:30], **{"device": "cpu", **options})


def test_a_folder_without_images_is_refused(backbone):
    with pytest.raises(DataError, match="no images in a folder"):
        fit_folder(backbone, [])
