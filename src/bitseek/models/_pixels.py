"""From 8-bit pixels as tensors to the input of a backbone, on the device where they are.

Evaluation takes `Preprocess.square` instead, by Pillow, and of these `normalise` alone: torch's resize is of the same
kernel but rounds differently, by one level at most, and again differently by layout and device. For training that is no
matter, and pictures that are small and in memory are enlarged there, after they have been changed at random.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bitseek.images import Preprocess


def resize(images: UInt8[Tensor, "b 3 h w"], preprocess: Preprocess) -> UInt8[Tensor, "b 3 r r"]:
    """The central square of each image, resized to `Preprocess.resized`."""
    from torchvision.transforms import InterpolationMode  # here: importing torchvision takes seconds
    from torchvision.transforms.v2 import functional as TF

    short, side = min(images.shape[-2:]), preprocess.resized
    images = TF.center_crop(images, [short, short])
    if short != side:
        images = TF.resize(
            images.contiguous(memory_format=torch.channels_last),  # so that the layout changes no pixel
            [side, side],
            interpolation=InterpolationMode(preprocess.interpolation),
            antialias=True,
        )
    return images


def square(images: UInt8[Tensor, "b 3 h w"], preprocess: Preprocess) -> UInt8[Tensor, "b 3 s s"]:
    """The central square of `Preprocess.size` of what `resize` gives."""
    from torchvision.transforms.v2 import functional as TF

    cut: Tensor = TF.center_crop(resize(images, preprocess), [preprocess.size, preprocess.size])
    return cut


def normalise(images: Tensor, preprocess: Preprocess) -> Float[Tensor, "b 3 h w"]:
    """From 8-bit pixels (0 … 255, integers or floats) to the numbers that the backbone was trained on."""
    mean = torch.tensor(preprocess.mean, device=images.device).view(3, 1, 1) * 255
    std = torch.tensor(preprocess.std, device=images.device).view(3, 1, 1) * 255
    normalised: Tensor = (images.float() - mean) / std
    return normalised


def as_tensor(array: np.ndarray) -> Tensor:
    """An array as a tensor, in the same memory if that may be written to, which torch wants."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def colours(pixels: Tensor) -> Tensor:
    """(m, H, W) or (m, H, W, 3) as (m, 3, H, W), in the same memory; grey is repeated in three colours."""
    if pixels.ndim == 4:
        return pixels.permute(0, 3, 1, 2)
    return pixels.unsqueeze(1).expand(-1, 3, -1, -1)
