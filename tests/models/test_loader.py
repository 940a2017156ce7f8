"""Whichever way a picture comes in, the backbone sees the same pixels; what cannot be read is left out by name."""

import numpy as np
import pytest
import torch
from PIL import Image

from bitseek.images import Features, Loose, Paths, Pixels
from bitseek.models import Loader, Preprocess, in_batches

PREPROCESS = Preprocess(size=20, crop=0.8)


def pixels(n=7, height=30, width=26, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def loaded(images, preprocess=PREPROCESS, size=3, **options):
    loader = Loader(images, preprocess, **options)
    order = list(in_batches(np.arange(len(images)), size))
    parts = list(loader.batches(iter(order)))
    return np.concatenate([ids for ids, _ in parts]), torch.cat([batch for _, batch in parts]), loader


@pytest.mark.parametrize("training", [False, True])
def test_files_pictures_arrays_and_stored_pixels_give_the_same(training, tmp_path):
    array = pixels()
    if training:  # files are left at the resized side, so that augmentation can cut from them
        array = np.stack([np.asarray(Image.fromarray(a).resize((25, 25))) for a in array])
    for i, image in enumerate(array):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    names = tuple(f"{i}.png" for i in range(len(array)))
    sources = {
        "files": Paths(tmp_path, names),
        "pixels": Pixels(array),
        "arrays": Loose(tuple(array)),
        "pictures": Loose(tuple(Image.fromarray(a) for a in array)),
        "paths": Loose(tuple(str(tmp_path / name) for name in names)),
    }
    results = {name: loaded(source, training=training, threads=2) for name, source in sources.items()}
    for name, (ids, batch, loader) in results.items():
        assert ids.tolist() == list(range(7)) and not loader.unreadable, name
        assert batch.dtype == torch.uint8 and torch.equal(batch, results["files"][1]), name
    side = PREPROCESS.resized if training else PREPROCESS.size
    assert results["files"][1].shape == (7, 3, side, side)


def test_grey_pixels_are_three_equal_colours(tmp_path):
    grey = pixels()[..., 0]
    for i, image in enumerate(grey):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    _, stored, _ = loaded(Pixels(grey))
    _, files, _ = loaded(Paths(tmp_path, tuple(f"{i}.png" for i in range(len(grey)))))
    assert torch.equal(stored, files) and torch.equal(stored[:, 0], stored[:, 1])


def test_features_and_order():
    features = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    loader = Loader(Features((features[:4], features[4:])), PREPROCESS)
    order = [np.array([8, 0]), np.array([3]), np.array([], np.int64)]
    parts = list(loader.batches(order))
    assert [ids.tolist() for ids, _ in parts] == [[8, 0], [3], []]
    np.testing.assert_array_equal(np.concatenate([batch.numpy() for _, batch in parts]), features[[8, 0, 3]])


def test_what_cannot_be_read_is_left_out_by_name(tmp_path):
    for i, image in enumerate(pixels(5)):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "1.png").write_bytes(b"no image")
    (tmp_path / "3.png").unlink()
    ids, batch, loader = loaded(Paths(tmp_path, tuple(f"{i}.png" for i in range(5))), size=2)
    assert ids.tolist() == [0, 2, 4] and len(batch) == 3
    assert set(loader.unreadable) == {1, 3} and "1.png" in loader.unreadable[1]
    only = Loader(Paths(tmp_path, ("1.png",)), PREPROCESS)
    ((kept, empty),) = only.batches([np.array([0])])
    assert len(kept) == 0 and len(empty) == 0


def test_the_order_may_be_endless(tmp_path):
    Image.fromarray(pixels(1)[0]).save(tmp_path / "a.png")

    def forever():
        while True:
            yield np.array([0, 0])

    batches = Loader(Paths(tmp_path, ("a.png",)), PREPROCESS, threads=1).batches(forever())
    assert [len(next(batches)[0]) for _ in range(5)] == [2] * 5
    batches.close()


def test_large_jpegs_are_decoded_at_no_less_than_twice_the_input(tmp_path):
    smooth = Image.fromarray(pixels(1, 12, 16)[0]).resize((640, 480), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.jpg", quality=95)
    _, batch, _ = loaded(Paths(tmp_path, ("a.jpg",)))
    with Image.open(tmp_path / "a.jpg") as image:
        image.draft(None, (PREPROCESS.min_side, PREPROCESS.min_side))
        drafted = np.array(image)
    assert min(drafted.shape[:2]) >= 2 * PREPROCESS.size and drafted.shape[0] < 480
    _, expected, _ = loaded(Loose((drafted,)))
    assert torch.equal(batch, expected)
    _, whole, _ = loaded(Loose((np.array(Image.open(tmp_path / "a.jpg")),)))
    assert (batch.int() - whole.int()).abs().max() <= 12


def test_in_batches():
    assert [part.tolist() for part in in_batches(np.arange(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(in_batches(np.arange(0), 2)) == []
