"""On tensors: the square of evaluation within the rounding of another resize, in every layout; and normalisation."""

import numpy as np
import pytest
import torch

from bitseek.images import Preprocess
from bitseek.models import _pixels as P
from bitseek.models import as_tensor, colours, normalise


def pictures(n, height, width, seed=0):
    """Smooth images: noise enlarged."""
    noise = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)
    return (smooth * 255).round().to(torch.uint8)


@pytest.mark.parametrize("side", [17, 32, 33, 131])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_within_one_grey_level_of_evaluation(side, interpolation):
    preprocess = Preprocess(size=28, crop=0.875, interpolation=interpolation)
    images = pictures(3, side, side)
    ours = P.square(images, preprocess).permute(0, 2, 3, 1).numpy()
    expected = np.stack([preprocess.square(image.permute(1, 2, 0).contiguous().numpy()) for image in images])
    assert ours.shape == expected.shape and np.abs(ours.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("height, width", [(40, 61), (61, 40), (32, 47)])
def test_the_central_square_is_cut_where_evaluation_cuts_it(height, width):
    preprocess = Preprocess(size=28, crop=0.875)
    images = pictures(2, height, width)
    ours = P.square(images, preprocess).permute(0, 2, 3, 1).numpy()
    expected = np.stack([preprocess.square(image.permute(1, 2, 0).contiguous().numpy()) for image in images])
    assert np.abs(ours.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [17, 40, 131])
def test_the_layout_of_the_memory_and_the_batch_do_not_matter(side, interpolation):
    preprocess = Preprocess(size=24, crop=0.9, interpolation=interpolation)
    images = pictures(5, side, side + 9)
    expected = torch.cat([P.square(image[None].contiguous(), preprocess) for image in images])
    assert torch.equal(P.square(images, preprocess), expected)
    assert torch.equal(P.square(images.contiguous(memory_format=torch.channels_last), preprocess), expected)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(P.square(grey, preprocess)[:, 0], P.square(grey.contiguous(), preprocess)[:, 2])


def test_images_of_the_right_size_are_left_as_they_are():
    images = pictures(1, 32, 32)
    assert P.resize(images, Preprocess(size=32, crop=1.0)).data_ptr() == images.data_ptr()
    assert torch.equal(P.square(images, Preprocess(size=28, crop=0.875)), images[..., 2:30, 2:30])


def test_normalise():
    preprocess = Preprocess(size=1, crop=1.0, mean=0.5, std=(0.25, 0.5, 1.0))
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    assert normalise(pixels, preprocess).flatten().tolist() == pytest.approx([-2.0, 1.0, -0.3])


def test_arrays_as_tensors_with_colours_first():
    array = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    assert as_tensor(array).data_ptr() == array.ctypes.data
    np.testing.assert_array_equal(colours(as_tensor(array)).numpy(), np.moveaxis(array, 3, 1))
    array.flags.writeable = False  # of which torch would warn
    np.testing.assert_array_equal(as_tensor(array[::-1]).numpy(), array[::-1])
    grey = colours(as_tensor(array[..., 0]))
    assert grey.shape == (2, 3, 4, 5) and all(np.array_equal(grey[:, c].numpy(), array[..., 0]) for c in range(3))
