"""Random changes of training images, for a whole batch at once on the device.

All randomness comes from one generator on the CPU, so that a step is the same on every device.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from bitseek.models.transform import Transform

LUMA = (0.299, 0.587, 0.114)


def augment(
    images: UInt8[Tensor, "batch 3 h w"],
    kind: str,
    transform: Transform,
    generator: Generator,
    *,
    mirror: bool = True,
) -> Float[Tensor, "batch 3 s s"]:
    """Training images, changed at random, at the size that the backbone sees, normalised.

    Args:
        images: squares of `Transform.resized`, or small pictures of any size, which are enlarged after.
        kind: see `Recipe.augment`.
        transform: of the backbone.
        generator: on the CPU.
        mirror: whether images may be flipped.
    """
    if mirror and kind != "none":
        images = flip(images, generator)
    if kind in ("resized-crop", "views"):
        smallest = 0.08 if kind == "resized-crop" else 0.5
        pixels = random_resized_crop(images, transform.size, smallest, generator)
        if kind == "views":
            pixels = blur(colour_jitter(pixels, generator), generator)
        return transform.normalise(pixels)
    if kind == "crop":
        images = random_crop(images, transform, generator)
    pixels = transform.square(images)
    if kind == "jitter":
        brightness, contrast = _around_one((len(images), 2), 0.05, generator, pixels).unbind(1)
        pixels = adjust_contrast(adjust_brightness(pixels.float(), brightness), contrast)
    return transform.normalise(pixels)


def flip(images: Tensor, generator: Generator) -> Tensor:
    """Left and right exchanged in half of the images."""
    which = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
    return torch.where(which[:, None, None, None], images.flip(-1), images)


def random_crop(images: Tensor, transform: Transform, generator: Generator) -> Tensor:
    """A square of `transform.size` at a random place.

    A small picture is cut to its own size, after a border of zeros of one eighth of its side was put around it.
    """
    side = images.shape[-1]
    if images.shape[-2:] == (transform.resized, transform.resized) and transform.resized > transform.size:
        target = transform.size
    else:
        images, target = F.pad(images, (side // 8,) * 4), side
    room = torch.tensor([images.shape[-2] - target, images.shape[-1] - target]) + 1
    corner = (torch.rand(len(images), 2, generator=generator) * room).long().to(images.device)
    steps = torch.arange(target, device=images.device)
    rows, columns = (corner[:, :1] + steps)[:, :, None], (corner[:, 1:] + steps)[:, None, :]
    item = torch.arange(len(images), device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[item, rows, columns].permute(0, 3, 1, 2)


def random_resized_crop(images: Tensor, size: int, smallest: float, generator: Generator) -> Tensor:
    """A box of random area (from `smallest` to 1 of the image) and ratio (3/4 … 4/3), resized to `size`.

    Returns:
        (b, 3, size, size) float, 0 … 255.
    """
    uniform = torch.rand(len(images), 4, generator=generator)
    area = smallest + (1 - smallest) * uniform[:, 0]
    ratio = torch.exp((2 * uniform[:, 1] - 1) * math.log(4 / 3))
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x, y = (2 * uniform[:, 2] - 1) * (1 - width), (2 * uniform[:, 3] - 1) * (1 - height)
    zero = torch.zeros_like(x)
    boxes = torch.stack([torch.stack([width, zero, x], 1), torch.stack([zero, height, y], 1)], 1).to(images.device)
    grid = F.affine_grid(boxes, [len(images), 3, size, size], align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def colour_jitter(pixels: Tensor, generator: Generator) -> Tensor:
    """Brightness, contrast, saturation (by up to 40 %) and hue (10 % of the circle) in 70 % of the images.

    Then 20 % lose all colour. Hue turns the colours around the axis of grey.
    """
    n = len(pixels)
    jittered = pixels
    brightness, contrast, saturation = _around_one((n, 3), 0.4, generator, pixels).unbind(1)
    jittered = adjust_contrast(adjust_brightness(jittered, brightness), contrast)
    grey = _grey(jittered)
    jittered = (grey + (jittered - grey) * saturation[:, None, None, None]).clamp(0, 255)
    angle = (2 * torch.rand(n, generator=generator) - 1) * 0.1 * 2 * math.pi
    jittered = torch.einsum("bij,bjhw->bihw", _hue_rotation(angle).to(pixels), jittered).clamp(0, 255)
    chance = torch.rand(n, 2, generator=generator).to(pixels.device)
    pixels = torch.where((chance[:, 0] < 0.7)[:, None, None, None], jittered, pixels)
    return torch.where((chance[:, 1] < 0.2)[:, None, None, None], _grey(pixels), pixels)


def blur(pixels: Tensor, generator: Generator) -> Tensor:
    """A Gaussian of 3 × 3 pixels and random width (σ 0.1 … 2) over half of the images."""
    n, _, height, width = pixels.shape
    sigma = 0.1 + 1.9 * torch.rand(n, generator=generator)
    side = torch.exp(-0.5 / sigma**2)
    weights = torch.stack([side, torch.ones(n), side], 1).to(pixels)
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(3, 0)
    planes = F.pad(pixels, (1, 1, 1, 1), mode="replicate").reshape(1, 3 * n, height + 2, width + 2)
    planes = F.conv2d(planes, weights[:, None, None, :], groups=3 * n)
    planes = F.conv2d(planes, weights[:, None, :, None], groups=3 * n)
    which = (torch.rand(n, generator=generator) < 0.5).to(pixels.device)
    return torch.where(which[:, None, None, None], planes.reshape(n, 3, height, width), pixels)


def adjust_brightness(pixels: Tensor, factor: Tensor) -> Tensor:
    """Each image times its factor, within 0 … 255."""
    return (pixels * factor[:, None, None, None]).clamp(0, 255)


def adjust_contrast(pixels: Tensor, factor: Tensor) -> Tensor:
    """Each image stretched around its mean grey by its factor, within 0 … 255."""
    mean = _grey(pixels).mean((1, 2, 3), keepdim=True)
    return (mean + (pixels - mean) * factor[:, None, None, None]).clamp(0, 255)


def _grey(pixels: Tensor) -> Tensor:
    luma = torch.tensor(LUMA, device=pixels.device).view(1, 3, 1, 1)
    return (pixels * luma).sum(1, keepdim=True).expand(-1, 3, -1, -1)


def _around_one(shape: tuple[int, ...], width: float, generator: Generator, like: Tensor) -> Tensor:
    return (1 + width * (2 * torch.rand(shape, generator=generator) - 1)).to(like.device)


def _hue_rotation(angle: Tensor) -> Tensor:
    """(b,) radians → (b, 3, 3): rotations of RGB around the axis of grey (Rodrigues' formula)."""
    axis = torch.ones(3) / 3**0.5
    cross = torch.linalg.cross(axis.expand(3, 3), torch.eye(3)).T
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    rotation: Tensor = cosine * torch.eye(3) + sine * cross + (1 - cosine) * torch.outer(axis, axis)
    return rotation
