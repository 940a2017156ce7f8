"""One square for a picture, whichever way it comes in: that of an exact resampling of its central square."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bitseek.errors import BitseekError
from bitseek.images import Loose, Paths, Pixels, Preprocess, as_images, decode, squares


def picture(height, width, seed=0):
    """A smooth image: noise resized."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.array(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def kernel(x, interpolation):
    x = np.abs(x)
    if interpolation == "bilinear":
        return np.clip(1 - x, 0, None)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2  # Keys, a = −1/2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def weights(side, resized, interpolation):
    """(resized, side): how much of each pixel of a line is in each pixel of the line that was resized."""
    scale = side / resized
    places = (np.arange(resized)[:, None] + 0.5) * scale - 0.5
    raw = kernel((np.arange(side) - places) / max(scale, 1), interpolation)
    return raw / raw.sum(axis=1, keepdims=True)


def exact_square(pixels, preprocess):
    """Resampling by the definition, in real numbers within 0 … 255; of the result the central `size`."""
    short = min(pixels.shape[:2])
    top, left = (round((side - short) / 2) for side in pixels.shape[:2])
    shares = weights(short, preprocess.resized, preprocess.interpolation)
    narrow = np.einsum("sx,yxc->ysc", shares, pixels[top : top + short, left : left + short]).clip(0, 255)
    resized = np.einsum("ry,ysc->rsc", shares, narrow).clip(0, 255)
    start = round((preprocess.resized - preprocess.size) / 2)
    return resized[start : start + preprocess.size, start : start + preprocess.size]


@pytest.mark.parametrize("height, width", [(60, 90), (91, 60), (33, 33), (300, 200), (1, 1), (1, 50), (7, 300)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size, crop", [(28, 0.875), (24, 0.9), (16, 1.0)])
def test_exact_resampling_but_for_rounding(height, width, interpolation, size, crop):
    preprocess = Preprocess(size=size, crop=crop, interpolation=interpolation)
    for pixels in (picture(height, width), np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)):
        square = preprocess.square(pixels)
        assert square.shape == (size, size, 3) and square.dtype == np.uint8
        assert np.abs(square - exact_square(pixels, preprocess)).max() <= 1.25  # it rounds twice, half a level each
        np.testing.assert_array_equal(preprocess.square(Image.fromarray(pixels)), square)


def test_sides():
    preprocess = Preprocess(size=28, crop=0.875)
    assert preprocess.resized == 32 and preprocess.min_side == 56
    assert preprocess.resize(picture(50, 70)).shape == (32, 32, 3)
    np.testing.assert_array_equal(preprocess.square(picture(50, 70)), preprocess.resize(picture(50, 70))[2:30, 2:30])


def test_a_picture_of_the_right_size_is_left_as_it_is():
    image = picture(32, 32)
    assert Preprocess(size=32, crop=1.0).resize(image) is image
    np.testing.assert_array_equal(Preprocess(size=32, crop=1.0).square(image), image)
    np.testing.assert_array_equal(Preprocess(size=28, crop=0.875).square(image), image[2:30, 2:30])
    for width, left in ((40, 4), (41, 4), (43, 6)):  # cut at whole pixels, so that nothing is blurred
        wide = picture(32, width)
        np.testing.assert_array_equal(Preprocess(size=32, crop=1.0).square(wide), wide[:, left : left + 32])


def one_square(given, preprocess):
    unreadable = {}
    ((ids, batch),) = squares(given, preprocess, iter([np.array([0])]), threads=1, unreadable=unreadable)
    assert ids.tolist() == [0] and not unreadable
    return batch[0]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 2**32 - 1), size=st.integers(1, 40),
    crop=st.sampled_from([1.0, 0.95, 0.9, 0.875, 0.5]), interpolation=st.sampled_from(["bilinear", "bicubic"]),
    grey=st.booleans(), same=st.booleans(),
)  # fmt: skip
def test_every_way_gives_the_same_square(tmp_path_factory, height, width, seed, size, crop, interpolation, grey, same):
    preprocess = Preprocess(size=size, crop=crop, interpolation=interpolation)
    if same:
        height = width = preprocess.resized
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    given = rgb[..., 0] if grey else rgb
    rgb = np.repeat(rgb[..., :1], 3, axis=2) if grey else rgb
    expected = preprocess.square(rgb)
    folder = tmp_path_factory.mktemp("ways")
    image = Image.fromarray(given)
    image.save(folder / "a.png")
    contents = (folder / "a.png").read_bytes()
    first = torch.from_numpy(rgb).permute(2, 0, 1)
    ways = {
        "path": Loose((folder / "a.png",)), "below a folder": Paths(folder, ("a.png",)),
        "bytes": Loose((io.BytesIO(contents),)), "PIL": Loose((image,)),
        "PIL, not read yet": Loose((Image.open(io.BytesIO(contents)),)), "array": Loose((given,)),
        "array, turned in memory": Loose((np.asfortranarray(given),)), "stored": Pixels(given[None]),
        "stored, every second column": Pixels(np.repeat(given, 2, axis=1)[None, :, ::2]),
        "tensors": as_images(first[None]),
    }  # fmt: skip
    if width not in (1, 3, 4):
        ways["one tensor"] = as_images([first])
    for way, images in ways.items():
        np.testing.assert_array_equal(one_square(images, preprocess), expected, err_msg=way)
    np.testing.assert_array_equal(preprocess.square(decode(folder / "a.png")), expected)


def test_json_and_back_is_the_same_value_and_its_text_stays():
    preprocess = Preprocess(size=96, mean=0.5, std=[0.5, 0.25, 0.125], interpolation="bicubic")
    assert Preprocess(**preprocess.model_dump(mode="json")) == preprocess
    assert repr(preprocess) == (  # fingerprints of hashers are made from it
        "Preprocess(size=96, crop=0.875, interpolation='bicubic', mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.125))"
    )


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
