"""The way from a decoded image to the input of a backbone; it travels with the model and is the same everywhere.

Resizing is done once, here, on 8-bit pixels: an image in memory and the same image in a file give the same code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as TF

from bitseek.errors import ShapeError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Resize the shorter side to `size / crop`, cut the central square of `size`, normalise.

    Args:
        size: side of the square that the backbone sees, in pixels.
        crop: share of the resized shorter side that is kept, in (0, 1]; 1 keeps all of it.
        interpolation: how pixels are resized, always with antialiasing.
        mean, std: of each colour, or one number for all, on a scale from 0 to 1.
    """

    size: int = 224
    crop: float = 0.875
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: float | Sequence[float] = IMAGENET_MEAN
    std: float | Sequence[float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 < self.crop <= 1:
            raise ShapeError(f"a transform has size >= 1 and 0 < crop <= 1, got size={self.size}, crop={self.crop}")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ShapeError(f"interpolation is 'bilinear' or 'bicubic', got {self.interpolation!r}")
        for name in ("mean", "std"):
            value = getattr(self, name)
            triple = (float(value),) * 3 if isinstance(value, int | float) else tuple(float(v) for v in value)
            if len(triple) != 3 or (name == "std" and min(triple) <= 0):
                raise ShapeError(f"{name} is one number or one for each of three colours, std above 0; got {value}")
            object.__setattr__(self, name, triple)

    @property
    def resized(self) -> int:
        """Side to which the shorter side of an image is resized before the crop, in pixels."""
        return round(self.size / self.crop)

    def resize(self, images: UInt8[Tensor, "*batch 3 h w"]) -> UInt8[Tensor, "*batch 3 r r"]:
        """Resize the shorter side to `resized` and cut the central square of that side: all that augmentation needs."""
        if images.shape[-2:] != (self.resized, self.resized):
            mode = InterpolationMode(self.interpolation)
            images = TF.resize(images, [self.resized], interpolation=mode, antialias=True)
            images = TF.center_crop(images, [self.resized, self.resized])
        return images

    def square(self, images: UInt8[Tensor, "*batch 3 h w"]) -> UInt8[Tensor, "*batch 3 s s"]:
        """The pixels that the backbone sees in evaluation, before normalisation."""
        square: Tensor = TF.center_crop(self.resize(images), [self.size, self.size])
        return square

    def normalise(self, images: Tensor) -> Float[Tensor, "batch 3 h w"]:
        """From 8-bit pixels (0 … 255, integers or floats) to the numbers that the backbone was trained on."""
        mean = torch.tensor(self.mean, device=images.device).view(3, 1, 1) * 255
        std = torch.tensor(self.std, device=images.device).view(3, 1, 1) * 255
        normalised: Tensor = (images.float() - mean) / std
        return normalised


def to_tensor(image: UInt8[np.ndarray, "..."]) -> UInt8[Tensor, "..."]:
    """Pixels (H, W), (n, H, W), (H, W, 3) or (n, H, W, 3) as (…, 3, H, W); grey is repeated in three colours.

    An array whose last axis is 3 is taken for colour.
    """
    tensor = torch.from_numpy(np.require(image, requirements=["C", "W"]))  # torch wants memory that it may write to
    if tensor.shape[-1] == 3 and tensor.ndim >= 3:
        return tensor.movedim(-1, -3)
    return tensor.unsqueeze(-3).expand(*tensor.shape[:-2], 3, *tensor.shape[-2:])
