"""Preprocessing is Pillow's resize and crop, and the same for one image and for a batch, in every layout of memory."""

import numpy as np
import pytest
import torch
from PIL import Image

from bitseek.errors import BitseekError
from bitseek.models import Preprocess


def picture(height, width, seed=0):
    """A smooth image: noise resized."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.array(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def channels_first(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1)


@pytest.mark.parametrize("height, width", [(60, 90), (90, 60), (33, 33), (300, 200)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_within_one_grey_level_of_pillow(height, width, interpolation):
    pixels = picture(height, width)
    preprocess = Preprocess(size=28, crop=0.875, interpolation=interpolation)
    assert preprocess.resized == 32 and preprocess.min_side == 56
    ours = preprocess.square(channels_first(pixels)).permute(1, 2, 0).numpy()
    short = min(height, width)
    size = (int(32 * width / short), int(32 * height / short))
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling[interpolation.upper()]))
    top, left = round((size[1] - 32) / 2), round((size[0] - 32) / 2)
    theirs = resized[top : top + 32, left : left + 32][2:30, 2:30]
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [17, 40, 131])
def test_the_layout_of_the_memory_and_the_batch_do_not_matter(side, interpolation):
    preprocess = Preprocess(size=24, crop=0.9, interpolation=interpolation)
    images = torch.stack([channels_first(picture(side, side + 9, seed)) for seed in range(5)])
    expected = torch.stack([preprocess.square(image.contiguous()) for image in images])
    assert torch.equal(preprocess.square(images), expected)
    assert torch.equal(preprocess.square(images.contiguous()), expected)
    assert torch.equal(preprocess.square(images.contiguous(memory_format=torch.channels_last)), expected)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(preprocess.square(grey)[:, 0], preprocess.square(grey.contiguous())[:, 2])


def test_an_image_of_the_right_size_is_left_as_it_is():
    image = channels_first(picture(32, 32))
    assert Preprocess(size=32, crop=1.0).square(image).data_ptr() == image.data_ptr()
    assert torch.equal(Preprocess(size=28, crop=0.875).square(image), image[:, 2:30, 2:30])


def test_normalise():
    preprocess = Preprocess(size=1, crop=1.0, mean=0.5, std=(0.25, 0.5, 1.0))
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    assert preprocess.normalise(pixels).flatten().tolist() == pytest.approx([-2.0, 1.0, -0.3])


def test_json_and_back_is_the_same_value():
    preprocess = Preprocess(size=96, mean=0.5, std=[0.5, 0.25, 0.125], interpolation="bicubic")
    assert Preprocess(**preprocess.model_dump(mode="json")) == preprocess
    assert preprocess.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    "bad, field",
    [
        ({"size": 0}, "size"), ({"size": 2.5}, "size"), ({"crop": 0}, "crop"), ({"crop": 1.5}, "crop"),
        ({"std": 0}, "std"), ({"mean": (1, 2)}, "mean"), ({"mean": float("nan")}, "mean"),
        ({"interpolation": "nearest"}, "interpolation"), ({"colour": 1}, "colour"),
    ],
)  # fmt: skip
def test_values_out_of_range_name_the_field(bad, field):
    with pytest.raises(BitseekError, match=field):
        Preprocess(**bad)
