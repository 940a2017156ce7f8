"""The transform is Pillow's resize and crop, and the same for every kind of input."""

import inspect

import numpy as np
import pytest
import torch
from PIL import Image

from bitseek.errors import ShapeError
from bitseek.models.transform import Transform, to_tensor


def picture(height, width, seed=0):
    """A smooth image: noise resized."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("height, width", [(60, 90), (90, 60), (33, 33), (300, 200)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_within_one_grey_level_of_pillow(height, width, interpolation):
    pixels = picture(height, width)
    transform = Transform(size=28, crop=0.875, interpolation=interpolation)
    assert transform.resized == 32
    ours = transform.square(to_tensor(pixels)).permute(1, 2, 0).numpy()
    short = min(height, width)
    size = (int(32 * width / short), int(32 * height / short))
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling[interpolation.upper()]))
    top, left = round((size[1] - 32) / 2), round((size[0] - 32) / 2)
    theirs = resized[top : top + 32, left : left + 32][2:30, 2:30]
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def test_grey_is_three_colours_and_a_batch_is_its_images():
    grey = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    transform = Transform(size=8, crop=1.0)
    batch = transform.square(to_tensor(grey))
    assert batch.shape == (3, 3, 8, 8) and (batch[:, 0] == batch[:, 2]).all()
    for i in range(3):
        assert (batch[i] == transform.square(to_tensor(grey[i]))).all()


def test_normalise():
    transform = Transform(size=1, crop=1.0, mean=0.5, std=(0.25, 0.5, 1.0))
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    assert transform.normalise(pixels).flatten().tolist() == pytest.approx([-2.0, 1.0, -0.3])


@pytest.mark.parametrize(
    "bad", [{"size": 0}, {"crop": 0}, {"crop": 1.5}, {"std": 0}, {"mean": (1, 2)}, {"interpolation": "nearest"}]
)
def test_bad_transforms(bad):
    unchecked = inspect.unwrap(Transform.__init__)  # without the run-time type checks of the tests
    with pytest.raises(ShapeError):
        unchecked(object.__new__(Transform), **bad)
