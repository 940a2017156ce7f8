"""Augmentation: right sizes, real pixels, the same from one generator; each operation against torchvision or a loop."""

import math

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from bitseek.images import Preprocess
from bitseek.models import Draws, augment, normalise
from bitseek.models import _augment as A

KINDS = ["none", "flip", "crop", "resized-crop", "jitter", "views"]


def images(n=16, side=32):
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def draws(n, seed=1):
    return Draws(generator(seed), n)


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size, crop", [(28, 0.875), (32, 1.0), (40, 1.0)])
def test_shape_and_determinism(kind, size, crop):
    preprocess = Preprocess(size=size, crop=crop)
    a, b, c = (augment(images(), kind, preprocess, draws(len(images()), seed)) for seed in (1, 1, 2))
    assert a.shape == (16, 3, size, size) and a.dtype == torch.float32
    assert torch.isfinite(a).all() and torch.equal(a, b)
    assert torch.equal(a, c) == (kind == "none")


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_pixel_and_the_default_generator_is_not_used(kind):
    preprocess, state, threads = Preprocess(size=64, crop=1.0), torch.get_rng_state(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = augment(images(side=64), kind, preprocess, draws(len(images())))
        torch.set_num_threads(4)
        four = augment(images(side=64), kind, preprocess, draws(len(images())))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, four) and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_of_a_batch_has_its_own_randomness(kind):
    same = images(1).expand(24, -1, -1, -1)
    made = augment(same, kind, Preprocess(size=32, crop=1.0), draws(len(same)))
    different = {image.numpy().tobytes() for image in made}
    assert len(different) == 1 if kind == "none" else len(different) == 2 if kind == "flip" else len(different) > 8
    assert torch.equal(same, images(1).expand(24, -1, -1, -1)), "the images that were given are left as they are"


@pytest.mark.parametrize("size, crop, levels", [(24, 0.875, 1), (28, 0.875, 0), (32, 1.0, 0)])
def test_none_is_what_evaluation_sees_but_for_the_rounding_of_a_resize(size, crop, levels):
    preprocess = Preprocess(size=size, crop=crop, std=1 / 255)
    pixels = np.stack([preprocess.square(image.permute(1, 2, 0).numpy()) for image in images()])
    expected = normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2), preprocess)
    made = augment(images(), "none", preprocess, draws(len(images())))
    assert float((made - expected).abs().max()) <= levels * 1.001


@pytest.mark.parametrize("kind", KINDS)
def test_without_mirror_a_wedge_keeps_its_direction(kind):
    wedge = torch.arange(32, dtype=torch.uint8).mul(8).expand(16, 3, 32, 32)
    preprocess = Preprocess(size=32, crop=1.0)
    kept = augment(wedge, kind, preprocess, draws(len(wedge)), mirror=False)
    centre = kept[:, :, 8:24, 8:24]
    assert (centre[..., -1] >= centre[..., 0]).all()
    flipped = augment(wedge, "flip", preprocess, draws(len(wedge)))
    assert 0 < int((flipped[:, 0, 16, -1] < flipped[:, 0, 16, 0]).sum()) < 16


def test_crops_are_cut_from_the_image():
    source = images(n=40, side=40)
    cut = A.random_crop(source, Preprocess(size=35, crop=0.875), draws(len(source)))
    places = set()
    for one, whole in zip(cut, source, strict=True):
        found = [
            (y, x) for y in range(6) for x in range(6) if torch.equal(one, whole[:, y : y + 35, x : x + 35])
        ]  # fmt: skip
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 15


@pytest.mark.parametrize("height, width", [(32, 32), (24, 40)])
def test_small_pictures_are_shifted_within_a_border_of_zeros(height, width):
    source = torch.randint(1, 256, (30, 3, height, width), dtype=torch.uint8, generator=generator())
    cut, border = A.random_crop(source, Preprocess(size=96, crop=1.0), draws(len(source))), width // 8
    assert cut.shape == source.shape
    shifts = set()
    for one, whole in zip(cut, source, strict=True):
        padded = torch.nn.functional.pad(whole, (border,) * 4)
        shifts |= {
            (y, x)
            for y in range(2 * border + 1)
            for x in range(2 * border + 1)
            if torch.equal(one, padded[:, y : y + height, x : x + width])
        }
    assert len(shifts) > 10


def test_resized_crop_shows_a_box_of_the_drawn_size():
    """On a ramp of x the first and last pixel of a crop tell where it begins and ends."""
    ramp = torch.arange(256.0).expand(200, 3, 256, 256).to(torch.uint8)
    cut = A.random_resized_crop(ramp, 64, 0.08, draws(len(ramp)))
    assert cut.shape == (200, 3, 64, 64) and cut.min() >= 0 and cut.max() <= 255
    width = (cut[:, 0, 0, -1] - cut[:, 0, 0, 0]) / 63 * 64 / 256  # share of the image's width
    assert width.min() > math.sqrt(0.08 * 3 / 4) - 0.02 and width.max() < 1.001
    whole = A.random_resized_crop(images(n=2), 32, 1.0, draws(2))
    assert whole.shape == (2, 3, 32, 32)


def test_colours_are_those_of_torchvision_image_by_image():
    pixels, factor = images(6).float() / 255, torch.tensor([0.0, 0.6, 0.9, 1.0, 1.3, 1.4])
    for ours, theirs in (
        (A.adjust_brightness, TF.adjust_brightness),
        (A.adjust_contrast, TF.adjust_contrast),
        (A.adjust_saturation, TF.adjust_saturation),
    ):
        slow = torch.stack([theirs(image, float(f)) for image, f in zip(pixels, factor, strict=True)])
        assert torch.allclose(ours(pixels * 255, factor), slow * 255, atol=2e-3), ours.__name__
        assert torch.equal(ours(pixels * 255, torch.ones(6)), pixels * 255), "a factor of 1 changes nothing"


def test_a_turned_hue_keeps_grey_and_comes_back():
    grey = torch.full((3, 3, 5, 5), 90.0)
    angle = torch.tensor([0.0, 0.4, 2.0])
    assert torch.allclose(A.turn_hue(grey, angle), grey, atol=1e-3)
    pixels = 100 + 20 * torch.rand(3, 3, 8, 8, generator=generator())
    there = A.turn_hue(pixels, angle)
    assert torch.equal(there[0], pixels[0]) and not torch.allclose(there[1], pixels[1], atol=0.5)
    assert torch.allclose(A.turn_hue(there, -angle), pixels, atol=1e-3)
    assert torch.allclose(there.sum(1), pixels.sum(1), atol=1e-2)
    third = A.turn_hue(pixels, torch.full((3,), 2 * math.pi / 3))
    assert torch.allclose(third, pixels[:, [2, 0, 1]], atol=1e-3), "a third of the circle exchanges the colours"


def test_blur_is_a_gaussian_of_three_by_three_in_about_half_of_the_images():
    pixels = images(40).float()
    blurred = A.blur(pixels, draws(len(pixels)))
    same = generator()
    sigma = 0.1 + 1.9 * torch.rand(40, generator=same)
    chosen = torch.rand(40, generator=same) < 0.5
    assert 10 < int(chosen.sum()) < 30
    for i in range(40):
        expected = pixels[i]
        if chosen[i]:
            padded = torch.nn.functional.pad(pixels[i : i + 1], (1, 1, 1, 1), mode="replicate")[0]
            expected = TF.gaussian_blur(padded, [3, 3], [float(sigma[i])] * 2)[:, 1:-1, 1:-1]
        assert torch.allclose(blurred[i], expected, atol=1e-2)


def test_jitter_leaves_some_images_alone_and_takes_all_colour_from_others():
    pixels = images(300).float()
    jittered = A.colour_jitter(pixels, draws(len(pixels)))
    grey = (jittered.amax(1) - jittered.amin(1)).amax((1, 2)) < 1e-3
    same = (jittered == pixels).all(dim=3).all(dim=2).all(dim=1)
    assert 0.12 < grey.float().mean() < 0.28 and 0.16 < same.float().mean() < 0.32  # 0.2, and 0.3 × 0.8
    assert jittered.min() >= 0 and jittered.max() <= 255
    small = A.augment(
        torch.full((64, 3, 16, 16), 100, dtype=torch.uint8), "jitter", Preprocess(size=16, crop=1.0), draws(64)
    )
    assert len(small.flatten(1).mean(1).unique()) > 1 and abs(float(small.mean()) - float(normalise(
        torch.full((1, 3, 1, 1), 100), Preprocess()).mean())) < 0.1  # fmt: skip
