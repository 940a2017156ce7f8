"""Random changes of training images, for a whole batch at once on the device.

All that is random is drawn from one generator on the CPU, so that a step is the same on every device, and for the whole
batch, so that it is the same on any number of processes. Grey is torchvision's; its colours and its blur have one
parameter for a whole batch, here each image has its own.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from bitseek.images import Preprocess
from bitseek.models._pixels import normalise, square


class Draws:
    """Random numbers for some images of a batch.

    Args:
        generator: on the CPU.
        total: images of the whole batch; numbers are drawn for all of them.
        own: which of them the numbers are for; all if not given.
    """

    def __init__(self, generator: Generator, total: int, own: slice | None = None) -> None:
        self.generator, self.total, self.own = generator, total, slice(None) if own is None else own

    def rand(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), of a shape for each image."""
        return torch.rand(self.total, *shape, generator=self.generator)[self.own]

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in −1 … 1."""
        return 2 * self.rand(*shape) - 1

    def chance(self, probability: float) -> Tensor:
        """(n,) bool, each True with that probability."""
        return self.rand() < probability


def augment(
    images: UInt8[Tensor, "batch 3 h w"],
    kind: str,
    preprocess: Preprocess,
    draws: Draws,
    *,
    mirror: bool = True,
) -> Float[Tensor, "batch 3 s s"]:
    """Training images, changed at random, at the size that the backbone sees, normalised.

    Args:
        images: squares of `Preprocess.resized`, or small pictures of any size, which are enlarged after.
        kind: `none`, `flip`, `crop`, `resized-crop`, `jitter`, `views` or `weak-views`; see `Recipe.augment`.
        preprocess: of the backbone.
        draws: random numbers for these images.
        mirror: whether images may be flipped.
    """
    often = 0.5 if kind == "weak-views" else 1.0
    if mirror and kind != "none":
        images = flip(images, draws, often)
    if kind in ("resized-crop", "views", "weak-views"):
        smallest = 0.08 if kind == "resized-crop" else 0.5
        pixels = random_resized_crop(images, preprocess.size, smallest, draws, often)
        if kind != "resized-crop":
            pixels = blur(colour_jitter(pixels, draws, often), draws, often)
        return normalise(pixels, preprocess)
    if kind == "crop":
        images = random_crop(images, preprocess, draws)
    pixels = square(images, preprocess)
    if kind == "jitter":
        brightness, contrast = (1 + 0.05 * draws.uniform(2)).to(pixels.device).unbind(1)
        pixels = adjust_contrast(adjust_brightness(pixels.float(), brightness), contrast)
    return normalise(pixels, preprocess)


def flip(images: Tensor, draws: Draws, often: float = 1.0) -> Tensor:
    """Left and right exchanged in half of the images, or `often` times as many."""
    turned = draws.chance(0.5 * often).view(-1, 1, 1, 1).to(images.device)
    return torch.where(turned, images.flip(-1), images)


def random_crop(images: Tensor, preprocess: Preprocess, draws: Draws) -> Tensor:
    """A square of `preprocess.size` at a random place.

    A small picture is cut to its own size, after a border of zeros of one eighth of its width was put around it.
    """
    height, width = images.shape[-2:]
    if height == width == preprocess.resized > preprocess.size:
        height = width = preprocess.size
    else:
        images = F.pad(images, 4 * [width // 8])
    room = torch.tensor([images.shape[-2] - height, images.shape[-1] - width]) + 1
    corners = (draws.rand(2) * room).long().tolist()
    cut = [image[:, y : y + height, x : x + width] for image, (y, x) in zip(images, corners, strict=True)]
    return torch.stack(cut)


def random_resized_crop(images: Tensor, size: int, smallest: float, draws: Draws, often: float = 1.0) -> Tensor:
    """A box of random area (from `smallest` to 1 of the image) and ratio (3/4 … 4/3), resized to `size`.

    The share `often` of the images is cut, the others are only resized.

    Returns:
        (b, 3, size, size) float, 0 … 255.
    """
    size_drawn, ratio_drawn, x_drawn, y_drawn = draws.rand(4).unbind(1)
    area = smallest + (1 - smallest) * size_drawn
    ratio = torch.exp((2 * ratio_drawn - 1) * math.log(4 / 3))
    if often < 1:
        cut = draws.chance(often)
        area, ratio = area.where(cut, 1.0), ratio.where(cut, 1.0)
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x, y = (2 * x_drawn - 1) * (1 - width), (2 * y_drawn - 1) * (1 - height)
    zero = torch.zeros_like(x)
    boxes = torch.stack([torch.stack([width, zero, x], 1), torch.stack([zero, height, y], 1)], 1).to(images.device)
    grid = F.affine_grid(boxes, [len(images), 3, size, size], align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def colour_jitter(pixels: Tensor, draws: Draws, often: float = 1.0) -> Tensor:
    """Brightness, contrast, saturation (by up to 40 %) and hue (10 % of the circle) in 70 % of the images.

    Then 20 % lose all colour; `often` times as many each. Hue turns the colours around the axis of grey.
    """
    strength = draws.chance(0.7 * often).view(-1, 1) * draws.uniform(4)
    brightness, contrast, saturation = (1 + 0.4 * strength[:, :3]).to(pixels.device).unbind(1)
    pixels = adjust_saturation(adjust_contrast(adjust_brightness(pixels, brightness), contrast), saturation)
    pixels = turn_hue(pixels, 0.1 * 2 * math.pi * strength[:, 3])
    return adjust_saturation(pixels, draws.chance(1 - 0.2 * often).to(pixels))


def blur(pixels: Tensor, draws: Draws, often: float = 1.0) -> Tensor:
    """A Gaussian of 3 × 3 pixels and random width (σ 0.1 … 2) over half of the images, or `often` times as many."""
    beside = torch.exp(-0.5 / (0.1 + 1.9 * draws.rand()) ** 2)
    share = (1 / (1 + 2 * beside)).where(draws.chance(0.5 * often), 1.0).to(pixels.device)
    for axis in (-2, -1):
        border = [1, 1, 0, 0] if axis == -1 else [0, 0, 1, 1]
        padded, length = F.pad(pixels, border, mode="replicate"), pixels.shape[axis]
        neighbours = (padded.narrow(axis, 0, length) + padded.narrow(axis, 2, length)).div_(2)
        pixels = blend(pixels, neighbours, share)
    return pixels


def adjust_brightness(pixels: Tensor, factor: Tensor) -> Tensor:
    """Each image times its factor."""
    return blend(pixels, pixels.new_zeros(()), factor)


def adjust_contrast(pixels: Tensor, factor: Tensor) -> Tensor:
    """Each image stretched around its mean grey by its factor."""
    return blend(pixels, grey(pixels).mean((1, 2, 3), keepdim=True), factor)


def adjust_saturation(pixels: Tensor, factor: Tensor) -> Tensor:
    """Each pixel stretched away from its own grey by the factor of its image."""
    return blend(pixels, grey(pixels), factor)


def grey(pixels: Tensor) -> Tensor:
    """(b, 1, s, s): the brightness of each pixel."""
    from torchvision.transforms.v2.functional import rgb_to_grayscale  # here: importing torchvision takes seconds

    brightness: Tensor = rgb_to_grayscale(pixels)
    return brightness


def turn_hue(pixels: Tensor, angle: Tensor) -> Tensor:
    """Each image's RGB turned around the axis of grey by its angle in radians (Rodrigues' formula)."""
    axis = torch.ones(3) / 3**0.5
    cross = torch.linalg.cross(axis.expand(3, 3), torch.eye(3)).T
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    rotation = cosine * torch.eye(3) + sine * cross + (1 - cosine) * torch.outer(axis, axis)
    return torch.einsum("bij,bjhw->bihw", rotation.to(pixels), pixels).clamp_(0, 255)


def blend(pixels: Tensor, base: Tensor, factor: Tensor) -> Tensor:
    """Images as base + factor · (pixels − base), one factor an image, within 0 … 255; a factor of 1 changes nothing."""
    return torch.lerp(base, pixels, factor.view(-1, 1, 1, 1)).clamp_(0, 255)
