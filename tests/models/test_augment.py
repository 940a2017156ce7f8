"""Augmentation: right sizes, real pixels, the same from the same generator."""

import pytest
import torch

from bitseek.models import augment as A
from bitseek.models.transform import Transform

KINDS = ["none", "flip", "crop", "resized-crop", "jitter", "views"]


def images(n=16, side=32):
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transform", [Transform(size=28), Transform(size=32, crop=1.0), Transform(size=40, crop=1.0)])
def test_shape_and_determinism(kind, transform):
    a, b, c = (A.augment(images(), kind, transform, generator(seed)) for seed in (1, 1, 2))
    assert a.shape == (16, 3, transform.size, transform.size) and a.dtype == torch.float32
    assert torch.isfinite(a).all() and torch.equal(a, b)
    assert torch.equal(a, c) == (kind == "none")


def test_none_is_what_evaluation_sees():
    transform = Transform(size=24)
    assert torch.equal(
        A.augment(images(), "none", transform, generator()), transform.normalise(transform.square(images()))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_without_mirror_a_wedge_keeps_its_direction(kind):
    wedge = torch.arange(32, dtype=torch.uint8).mul(8).expand(16, 3, 32, 32)
    transform = Transform(size=32, crop=1.0)
    kept = A.augment(wedge, kind, transform, generator(), mirror=False)
    centre = kept[:, :, 8:24, 8:24]
    assert (centre[..., -1] >= centre[..., 0]).all()
    flipped = A.augment(wedge, "flip", transform, generator())
    assert 0 < int((flipped[:, 0, 16, -1] < flipped[:, 0, 16, 0]).sum()) < 16


def test_crops_are_cut_from_the_image():
    source = images(n=40, side=40)
    cut = A.random_crop(source, Transform(size=35, crop=0.875), generator())
    places = set()
    for one, whole in zip(cut, source, strict=True):
        found = [
            (y, x) for y in range(6) for x in range(6) if torch.equal(one, whole[:, y : y + 35, x : x + 35])
        ]  # fmt: skip
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 15


def test_small_pictures_are_shifted_within_a_border_of_zeros():
    source = images(n=30, side=32).clamp(min=1)
    cut = A.random_crop(source, Transform(size=96, crop=1.0), generator())
    assert cut.shape == source.shape
    assert (cut == 0).any() and any(not torch.equal(a, b) for a, b in zip(cut, source, strict=True))


def test_resized_crop_of_everything_is_a_resize():
    source = images(n=2, side=32)
    whole = A.random_resized_crop(source, 32, 1.0, generator())
    assert whole.shape == source.shape and whole.min() >= 0 and whole.max() <= 255


def test_hue_keeps_grey_and_lightness_of_colour():
    grey = torch.full((4, 3, 5, 5), 90.0)
    assert torch.allclose(A.blur(grey, generator()), grey, atol=1e-4)
    rotated = A._hue_rotation(torch.tensor([0.0, 0.4, 2.0]))
    assert torch.allclose(rotated[0], torch.eye(3), atol=1e-6)
    assert torch.allclose(rotated @ torch.ones(3), torch.ones(3), atol=1e-5)
    assert torch.allclose(rotated @ rotated.transpose(1, 2), torch.eye(3).expand(3, 3, 3), atol=1e-5)
