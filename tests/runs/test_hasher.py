"""The hasher: one code for a picture whichever way it comes in, and the same hasher after a way through a folder."""

import hashlib
import io
import os

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from bitseek.errors import BitseekError, ImageError, RunError, ShapeError
from bitseek.images import Features, Paths, Pixels
from bitseek.kernels.threads import alone
from bitseek.methods import METHODS, make_head
from bitseek.metrics import bit_balance
from bitseek.models import BatchNormHead, LinearHead, build_backbone, digest_of
from bitseek.runs import (
    Hasher,
    RunConfig,
    encode,
    encode_features,
    keep_report,
    load,
    read_history,
    read_report,
)


def a_hasher(bits=16, size=24, seed=0, method="orthohash"):
    backbone = build_backbone("small-cnn", size=size, crop=0.8, seed=seed)
    recipe = METHODS[method].recipe_class()
    config = RunConfig(
        method=method, recipe=recipe.model_dump(mode="json"), bits=bits, protocol="toy", checksum="0" * 64,
        classes=("a", "b"), items=4, backbone=backbone.config, features=backbone.features,
    )  # fmt: skip
    torch.manual_seed(seed)
    head = make_head(METHODS[method], config.task, recipe)
    return Hasher(backbone, head, bits, config=config).eval()


def pictures(n=5, height=40, width=52, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (n, 5, 5, 3), np.uint8)
    return [Image.fromarray(x).resize((width, height), Image.Resampling.BICUBIC) for x in noise]


def with_orientation(path, image, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    image.save(path, exif=exif)


def test_a_picture_has_one_code_whichever_way_it_comes_in(tmp_path):
    hasher, images = a_hasher(), pictures()
    arrays = np.stack([np.asarray(image) for image in images])
    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    expected = hasher.logits(paths)
    tensors = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    for given in (
        [str(path) for path in paths], images, list(arrays), arrays, tensors, tensors.contiguous(), list(tensors),
        Pixels(arrays), Paths(tmp_path, tuple(path.name for path in paths)),
        [paths[0], images[1], arrays[2], tensors[3], io.BytesIO(paths[4].read_bytes())],
    ):  # fmt: skip
        np.testing.assert_array_equal(hasher.logits(given), expected)
    assert hasher.encode(arrays[0]) == hasher.encode(paths[0]) == hasher.encode(images[0]) == hasher.encode(tensors[0])
    assert len(hasher.encode(arrays[0])) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_one_rule(orientation, tmp_path):
    hasher, (image,) = a_hasher(), pictures(1)
    with_orientation(tmp_path / "a.png", image, orientation)
    with Image.open(tmp_path / "a.png") as opened:
        upright = ImageOps.exif_transpose(opened)
        np.testing.assert_array_equal(hasher.logits(opened), hasher.logits(upright))
    expected = hasher.logits(upright)
    np.testing.assert_array_equal(hasher.logits(tmp_path / "a.png"), expected)
    np.testing.assert_array_equal(hasher.logits(np.asarray(upright)), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16", "CMYK"])
def test_modes_are_one_rule(mode, tmp_path):
    hasher, (image,) = a_hasher(), pictures(1)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(np.tile(np.arange(52, dtype=np.uint8) * 4, (40, 1))))
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 250)
    else:
        image = image.convert(mode)
    name = "a.tif" if mode == "CMYK" else "a.png"
    image.save(tmp_path / name)
    expected = hasher.logits(tmp_path / name)
    np.testing.assert_array_equal(hasher.logits(image), expected)
    with Image.open(tmp_path / name) as opened:
        np.testing.assert_array_equal(hasher.logits(opened), expected)
    if mode in ("RGBA", "L", "I;16"):
        np.testing.assert_array_equal(hasher.logits(np.asarray(image)), expected)


def test_a_jpeg_file_and_its_picture_have_one_code(tmp_path):
    hasher, (image,) = a_hasher(), pictures(1, 600, 800)
    image.save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as opened:
        np.testing.assert_array_equal(hasher.logits(tmp_path / "a.jpg"), hasher.logits(opened))


def test_head_and_backbone_have_no_helpers_where_the_thread_is_alone():
    hasher, seen = a_hasher(), []
    for part in (hasher.backbone, hasher.head):
        part.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with alone():
            hasher.logits_of(np.zeros((2, hasher.preprocess.size, hasher.preprocess.size, 3), np.uint8))
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]


def test_a_code_hardly_depends_on_its_batch_or_the_order():
    hasher, images = a_hasher(), pictures(9)
    together = hasher.logits(images)
    one_by_one = np.concatenate([hasher.logits([image], batch_size=1) for image in images])
    assert np.allclose(together, one_by_one, atol=1e-5)
    np.testing.assert_allclose(hasher.logits(images[::-1], batch_size=4)[::-1], together, atol=1e-5)
    assert len(hasher.encode([])) == 0 and hasher.encode([]).bits == 16


def test_odd_input_is_refused_with_a_sentence(tmp_path):
    hasher = a_hasher()
    for bad in (
        np.zeros((3, 40, 40), np.float32), np.zeros((2, 2, 2, 2, 2), np.uint8), 7, [None], np.zeros(5, np.uint8),
        torch.zeros(1, 3, 9, 9),
    ):  # fmt: skip
        with pytest.raises(BitseekError):
            hasher.encode(bad)
    with pytest.raises(ImageError, match=r"absent\.png"):
        hasher.encode([tmp_path / "absent.png"])
    with pytest.raises(ShapeError, match="features of length 256, got 3"):
        hasher.encode(np.zeros((2, 3), np.float32))
    with pytest.raises(BitseekError, match="batch_size=0"):
        hasher.encode(pictures(1), batch_size=0)


def test_features_of_its_backbone_go_straight_to_the_head():
    hasher, images = a_hasher(), pictures(7)
    features = encode_features(hasher.backbone, Pixels(np.stack([np.asarray(i) for i in images])))
    assert features.features.shape == (7, 256) and features.ids.tolist() == list(range(7))
    np.testing.assert_allclose(hasher.logits(features.features), hasher.logits(images), atol=1e-6)
    np.testing.assert_array_equal(
        encode(hasher, Features((features.features,)), np.array([3, 1])).logits,
        hasher.logits(features.features[[3, 1]]),
    )


def test_a_head_on_bare_features_says_why_it_takes_no_images():
    config = a_hasher().config.changed(backbone=None, features=12)
    hasher = Hasher(None, BatchNormHead(12, 8), 8, config=config)
    assert len(hasher.encode(np.ones((3, 12), np.float32))) == 3
    with pytest.raises(BitseekError, match=r"takes features, not images.*bitseek features"):
        hasher.encode(pictures(1))
    with pytest.raises(ShapeError, match="length 12, got 5"):
        hasher.encode(np.ones((3, 5), np.float32))
    assert repr(hasher) == "Hasher(orthohash on toy, features → 8 bits, cpu)"


def test_squares_go_through_the_whole_network():
    hasher, images = a_hasher(), pictures(6)
    squares = np.stack([hasher.preprocess.square(np.asarray(image)) for image in images])
    logits, features = hasher.train().logits_of(squares), hasher.features_of(squares)
    assert not hasher.training and logits.dtype == features.dtype == np.float32
    np.testing.assert_array_equal(logits, hasher.logits(images))
    np.testing.assert_allclose(hasher.logits_of(features), logits, atol=1e-6)
    np.testing.assert_array_equal(hasher.features_of(features), features)
    by_hand = torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (hasher.preprocess.mean, hasher.preprocess.std))
    with torch.inference_mode():
        expected = hasher((by_hand - mean) / std)
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-5)
    squares.flags.writeable = False
    np.testing.assert_array_equal(hasher.logits_of(squares[::-1])[::-1], logits)
    assert hasher.logits_of(squares[:0]).shape == (0, 16) and hasher.features_of(squares[:0]).shape == (0, 256)


def test_other_arrays_are_no_squares():
    hasher = a_hasher()
    for shape, dtype in (
        ((2, 24, 25, 3), np.uint8), ((2, 3, 24, 24), np.uint8), ((24, 24, 3), np.uint8), ((2, 24, 24), np.uint8),
        ((2, 24, 24, 3), np.float32), ((2, 256), np.uint8), ((2, 256), np.float64), ((256,), np.float32),
    ):  # fmt: skip
        for call in (hasher.logits_of, hasher.features_of):
            with pytest.raises(ShapeError, match=r"takes squares \(n, 24, 24, 3\) of uint8"):
                call(np.zeros(shape, dtype))
    bare = Hasher(None, BatchNormHead(12, 8), 8)
    for ask in (lambda: bare.preprocess, lambda: bare.logits_of(np.zeros((1, 24, 24, 3), np.uint8))):
        with pytest.raises(BitseekError, match=r"takes features, not images.*bitseek features"):
            ask()


def test_unreadable_images_are_reported_and_the_rest_is_encoded(tmp_path):
    hasher, images = a_hasher(), pictures(5)
    for i, image in enumerate(images):
        image.save(tmp_path / f"{i}.png")
    (tmp_path / "2.png").write_bytes(b"no")
    told = []
    encoded = encode(
        hasher, Paths(tmp_path, tuple(f"{i}.png" for i in range(5))), np.array([4, 2, 0, 1]), batch_size=2,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert encoded.ids.tolist() == [4, 0, 1] and set(encoded.unreadable) == {2} and told == [(2, 4), (4, 4)]
    np.testing.assert_allclose(encoded.logits, hasher.logits([images[4], images[0], images[1]]), atol=1e-6)
    part = encoded.part(np.array([1, 2, 4, 3]))
    assert part.ids.tolist() == [1, 4]
    np.testing.assert_array_equal(part.logits, encoded.logits[[2, 0]])
    assert encoded.part(np.array([9])).logits.shape == (0, 16)
    messages = {}
    codes = hasher.encode([tmp_path / f"{i}.png" for i in range(5)], unreadable=messages)
    assert len(codes) == 4 and set(messages) == {2} and codes[2] == hasher.encode(images[3])
    nothing = encode(hasher, Paths(tmp_path, ("2.png",)))
    assert len(nothing.ids) == 0 and nothing.part(np.array([0])).ids.tolist() == []


def test_the_same_hasher_comes_back_from_its_folder(tmp_path):
    hasher, images = a_hasher(), pictures(4)
    hasher.codewords = torch.ones(2, 16)
    hasher.train_items = np.array([2**63 + 5, 7], np.uint64)
    hasher.save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.logits(images), hasher.logits(images))
    assert loaded.fingerprint == hasher.fingerprint == loaded.config.fingerprint
    assert torch.equal(loaded.codewords, hasher.codewords) and loaded.train_items.tolist() == [2**63 + 5, 7]
    assert repr(loaded) == "Hasher(orthohash on toy, small-cnn → 16 bits, cpu)"
    loaded.save(tmp_path / "run")  # its own folder again
    assert Hasher.load(tmp_path / "run").fingerprint == hasher.fingerprint
    assert read_history(tmp_path / "run") == []


@pytest.mark.parametrize("method", list(METHODS))
def test_every_methods_head_comes_back(method, tmp_path):
    hasher = a_hasher(method=method, bits=8)
    hasher.save(tmp_path / "run")
    np.testing.assert_array_equal(load(tmp_path / "run").logits(pictures(2)), hasher.logits(pictures(2)))


def test_fingerprints_name_weights_preprocessing_and_length():
    names = {a_hasher().fingerprint, a_hasher(seed=1).fingerprint, a_hasher(size=28).fingerprint}
    assert len(names) == 3 and a_hasher().fingerprint in names
    preprocess = "Preprocess(size=24, crop=0.8, interpolation='bilinear', mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))"
    text = f"16 small-cnn {preprocess} {digest_of(a_hasher().state_dict())}"  # as in runs of every version
    assert hashlib.blake2b(text.encode(), digest_size=8).hexdigest() == a_hasher().fingerprint


def test_damage_is_found(tmp_path):
    hasher = a_hasher()
    hasher.save(tmp_path / "run")
    path = tmp_path / "run" / "model.safetensors"
    whole = path.read_bytes()
    for start in (len(whole) // 2, len(whole) - 600, 300):  # 500 bytes zeroed anywhere
        path.write_bytes(whole[:start] + bytes(500) + whole[start + 500 :])
        with pytest.raises(RunError, match="damaged"):
            load(tmp_path / "run")
    path.write_bytes(whole[:-10])
    with pytest.raises(RunError, match="damaged"):
        load(tmp_path / "run")
    a_hasher(seed=1).save(tmp_path / "other")
    path.write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    hasher.config.changed(complete=True).write(tmp_path / "run")
    with pytest.raises(RunError, match="two trainings"):
        load(tmp_path / "run")
    path.unlink()
    with pytest.raises(RunError, match="was not finished"):
        load(tmp_path / "run")


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    hasher = a_hasher()
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="exists and is not a run"):
        hasher.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    (tmp_path / "run").mkdir()
    hasher.save(tmp_path / "run")
    card = tmp_path / "run" / "README.md"
    assert "bitseek.load('run')" in card.read_text()
    card.write_text("# My own words\n")
    hasher.save(tmp_path / "run")
    assert card.read_text() == "# My own words\n"
    bare = Hasher(None, BatchNormHead(3, 4), 4)
    with pytest.raises(RunError, match="no RunConfig"):
        bare.save(tmp_path / "bare")


def test_adapting_balances_the_bits_and_leaves_the_hasher_alone():
    torch.manual_seed(0)
    features = Features((np.random.default_rng(0).normal(2, 3, (400, 12)).astype(np.float32),))
    hasher = Hasher(None, BatchNormHead(12, 16), 16)
    hasher.head[1].running_mean.fill_(5.0)
    before = hasher.fingerprint
    adapted = hasher.adapted(features)
    assert hasher.fingerprint == before != adapted.fingerprint
    assert np.abs(bit_balance(adapted.encode(features)) - 0.5).max() < 0.1
    assert bit_balance(hasher.encode(features)).max() < 0.1


def test_adapted_to_images_in_any_form_and_only_where_there_is_batch_norm():
    rows = np.random.default_rng(0).normal(2, 3, (400, 12)).astype(np.float32)
    hasher = Hasher(None, BatchNormHead(12, 16), 16)
    hasher.report = {"fingerprint": hasher.fingerprint}
    adapted = hasher.adapted(rows, batch_size=64)
    assert adapted.fingerprint == hasher.adapted(Features((rows,)), np.arange(400)).fingerprint != hasher.fingerprint
    assert hasher.adapted(rows, np.arange(50, 90)).fingerprint == hasher.adapted(rows[50:90]).fingerprint
    before = rows @ hasher.head[0].weight.detach().numpy().T
    expected = (before - before.mean(axis=0)) / np.sqrt(before.var(axis=0, ddof=1) + hasher.head[1].eps)
    np.testing.assert_allclose(adapted.logits(rows), expected, atol=1e-3)
    assert adapted.report is None and hasher.report is not None
    with pytest.raises(BitseekError, match="does not end in batch norm"):
        Hasher(None, LinearHead(12, 16), 16).adapted(rows)
    with pytest.raises(BitseekError, match="at least 2 items, got 1"):
        hasher.adapted(rows[:1])
    for wrong in (np.ones(400, bool), [0.5, 1.2], [-1, 0], "ab", [[0, 1]]):
        with pytest.raises(BitseekError, match=r"^indices "):
            hasher.adapted(rows, wrong)
    with pytest.raises(BitseekError, match=r"^indices of these images are 0 to 399, got \[400\]$"):
        hasher.adapted(rows, [0, 400])


def test_an_image_that_cannot_be_read_does_not_drop_out_of_the_statistics_in_silence(tmp_path):
    hasher, images = a_hasher(), pictures(5)
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    paths[2].write_bytes(b"no")
    with pytest.raises(ImageError, match=r"2\.png"):
        hasher.adapted(paths)
    messages = {}
    adapted = hasher.adapted(paths, unreadable=messages)
    assert set(messages) == {2} and "2.png" in messages[2]
    assert adapted.fingerprint == hasher.adapted([image for i, image in enumerate(images) if i != 2]).fingerprint
    with pytest.raises(ImageError, match=r"2\.png"):  # nothing is left, and this is why
        hasher.adapted([paths[2]], unreadable={})


def test_another_run_is_not_overwritten_and_a_card_never_shows_another_hashers_figure(tmp_path):
    first, second = a_hasher(), a_hasher(bits=8)
    first.save(tmp_path / "a")
    keep_report(tmp_path / "a", {"levels": {}, "fingerprint": first.fingerprint})
    with pytest.raises(RunError, match="holds another run"):
        second.save(tmp_path / "a")
    assert load(tmp_path / "a").fingerprint == first.fingerprint
    figure = {"figure": "mAP@all", "mAP": 0.3067, "mAP_worst": 0.3, "mAP_best": 0.4, "queries": 1, "database": 2}
    keep_report(tmp_path / "a", {"levels": {"all": figure}, "fingerprint": "of another"})
    assert "0.3067" not in (tmp_path / "a" / "README.md").read_text()
    keep_report(tmp_path / "a", {"levels": {"all": figure}, "fingerprint": first.fingerprint})
    assert "| mAP@all | 0.3067 | 0.3000 … 0.4000 | 1 | 2 |" in (tmp_path / "a" / "README.md").read_text()


def test_a_damaged_report_or_history_hurts_nobody(tmp_path):
    hasher = a_hasher()
    hasher.save(tmp_path)
    for text in ("3", "[]", "{", '{"mAP": 1}'):
        (tmp_path / "report.json").write_text(text)
        hasher.save(tmp_path)
        with pytest.raises(BitseekError, match=r"report\.json"):
            read_report(tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(b'{"epoch": 1, "loss": 2}\n\xff\xfe\n{"epo')
    assert read_history(tmp_path) == [{"epoch": 1, "loss": 2}]
    with pytest.raises(RunError, match="levels"):
        keep_report(tmp_path, {})


def test_folders_of_any_name(tmp_path):
    hasher = a_hasher()
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9\nx")
    hasher.save(folder)
    assert load(folder).fingerprint == hasher.fingerprint


def test_devices_widths_and_numbers_of_odd_kinds(tmp_path, unchecked):
    hasher = a_hasher()
    hasher.save(tmp_path)
    for device in ("x", "", 3.5, "cuda:99"):
        with pytest.raises(BitseekError, match="there is no device"):
            load(tmp_path, device=device)
    assert load(tmp_path, device=torch.device("cpu")).device.type == "cpu"
    with pytest.raises(BitseekError, match="bits is a whole number"):
        Hasher(None, BatchNormHead(3, 4), True)
    with pytest.raises(ShapeError, match="not one for each of its bits"):
        Hasher(None, BatchNormHead(3, 4), 5).encode(np.ones((2, 3), np.float32))
    with pytest.raises(ShapeError, match="does not take 7 features"):
        Hasher(None, BatchNormHead(3, 4), 4).encode(np.ones((2, 7), np.float32))
    for size in (0, 1.5, "3", None):
        with pytest.raises(BitseekError, match="batch_size"):
            hasher.encode(pictures(1), batch_size=size)


def test_weights_without_their_configuration_are_not_loaded(tmp_path):
    hasher = a_hasher()
    hasher.save(tmp_path)
    hasher.config.changed(fingerprint=None).write(tmp_path)
    with pytest.raises(RunError, match="stopped before it had weights"):
        load(tmp_path)


def test_other_weights_never_take_the_place_of_a_finished_run(tmp_path):
    trained = a_hasher()
    trained.config = trained.config.changed(complete=True)
    trained.save(tmp_path / "a")
    trained.save(tmp_path / "a")
    other = load(tmp_path / "a")
    with torch.no_grad():
        next(other.head.parameters()).add_(1.0)
    with pytest.raises(RunError, match="as it was trained"):
        other.save(tmp_path / "a")
    assert load(tmp_path / "a").fingerprint == trained.fingerprint
    other.save(tmp_path / "b")
    assert load(tmp_path / "b").fingerprint == other.fingerprint
