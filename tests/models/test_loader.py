"""However a picture comes in, training cuts from the same pixels; what cannot be read is left out by name."""

import numpy as np
import pytest
import torch
from PIL import Image

from bitseek.images import Features, Loose, Paths, Pixels, Preprocess
from bitseek.models import Loader

PREPROCESS = Preprocess(size=20, crop=0.8)


def pixels(n=7, height=30, width=26, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def saved(folder, array):
    for i, image in enumerate(array):
        Image.fromarray(image).save(folder / f"{i}.png")
    return Paths(folder, tuple(f"{i}.png" for i in range(len(array))))


def loaded(images, size=3, **options):
    loader = Loader(images, PREPROCESS, **options)
    parts = list(loader.batches(iter(np.array_split(np.arange(len(images)), -(-len(images) // size)))))
    return np.concatenate([ids for ids, _ in parts]), torch.cat([batch for _, batch in parts]), loader


@pytest.mark.parametrize("side", [25, 30])
def test_what_is_decoded_is_resized_and_what_is_stored_keeps_its_size(side, tmp_path):
    array = pixels(7, side, side)
    expected = torch.from_numpy(np.stack([PREPROCESS.resize(image) for image in array])).permute(0, 3, 1, 2)
    for source in (saved(tmp_path, array), Loose(tuple(array)), Loose(tuple(Image.fromarray(a) for a in array))):
        ids, batch, loader = loaded(source, threads=2)
        assert ids.tolist() == list(range(7)) and not loader.unreadable
        assert batch.dtype == torch.uint8 and batch.shape == (7, 3, 25, 25) and torch.equal(batch, expected)
    ids, batch, _ = loaded(Pixels(array))
    assert ids.tolist() == list(range(7)) and torch.equal(batch, torch.from_numpy(array).permute(0, 3, 1, 2))


def test_grey_pixels_are_three_equal_colours(tmp_path):
    grey = pixels(height=25, width=25)[..., 0]
    _, stored, _ = loaded(Pixels(grey))
    _, files, _ = loaded(saved(tmp_path, grey))
    assert torch.equal(stored, files) and torch.equal(stored[:, 0], stored[:, 1])


def test_pixels_too_many_for_the_device_are_the_same(monkeypatch):
    _, resident, _ = loaded(Pixels(pixels()))
    monkeypatch.setattr(Loader, "RESIDENT_BYTES", 0)
    _, sent, _ = loaded(Pixels(pixels()))
    assert torch.equal(resident, sent)


def test_features_and_order():
    features = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    loader = Loader(Features((features[:4], features[4:])), PREPROCESS)
    order = [np.array([8, 0]), np.array([3]), np.array([], np.int64)]
    parts = list(loader.batches(order))
    assert [ids.tolist() for ids, _ in parts] == [[8, 0], [3], []]
    np.testing.assert_array_equal(np.concatenate([batch.numpy() for _, batch in parts]), features[[8, 0, 3]])


def test_what_cannot_be_read_is_left_out_by_name(tmp_path):
    images = saved(tmp_path, pixels(5))
    (tmp_path / "1.png").write_bytes(b"no image")
    (tmp_path / "3.png").unlink()
    ids, batch, loader = loaded(images, size=2)
    assert ids.tolist() == [0, 2, 4] and len(batch) == 3
    assert set(loader.unreadable) == {1, 3} and "1.png" in loader.unreadable[1]
    only = Loader(Paths(tmp_path, ("1.png",)), PREPROCESS)
    ((kept, empty),) = only.batches([np.array([0])])
    assert len(kept) == 0 and len(empty) == 0
