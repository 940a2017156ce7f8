"""From pixels to the input of a backbone. The values travel with the model and are the same wherever it is used.

Resizing is done once, on 8-bit pixels: the same picture in memory and in a file give the same input.
"""

from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, UInt8
from pydantic import BeforeValidator, Field
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as TF

from bitseek._values import Value

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _triple(value: Any) -> Any:
    """One number stands for all three colours."""
    return (value,) * 3 if isinstance(value, int | float) and not isinstance(value, bool) else value


Positive = Annotated[float, Field(gt=0)]


class Preprocess(Value):
    """Resize the shorter side to `size / crop`, cut the central square of `size`, normalise.

    Attributes:
        size: side of the square that the backbone sees, in pixels.
        crop: share of the resized shorter side that is kept, in (0, 1]; 1 keeps all of it.
        interpolation: how pixels are resized, always with antialiasing.
        mean, std: of each colour, or one number for all, on a scale from 0 to 1.
    """

    size: int = Field(default=224, ge=1)
    crop: float = Field(default=0.875, gt=0, le=1)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: Annotated[tuple[float, float, float], BeforeValidator(_triple)] = IMAGENET_MEAN
    std: Annotated[tuple[Positive, Positive, Positive], BeforeValidator(_triple)] = IMAGENET_STD

    @property
    def resized(self) -> int:
        """Side to which the shorter side of an image is resized before the crop, in pixels."""
        return round(self.size / self.crop)

    @property
    def min_side(self) -> int:
        """No side of a JPEG is decoded to fewer pixels than this: twice the input, so that resizing still averages."""
        return 2 * self.size

    def resize(self, images: UInt8[Tensor, "*batch 3 h w"]) -> UInt8[Tensor, "*batch 3 r r"]:
        """Resize the shorter side to `resized` and cut the central square of that side: all that augmentation needs.

        The kernel that torchvision takes depends on the layout of the memory and on the device, and rounds
        differently; so the layout is made one, and evaluation calls this on the CPU.
        """
        if images.shape[-2:] != (self.resized, self.resized):
            batch = images.reshape(-1, *images.shape[-3:]).contiguous(memory_format=torch.channels_last)
            batch = TF.resize(
                batch, [self.resized], interpolation=InterpolationMode(self.interpolation), antialias=True
            )
            images = TF.center_crop(batch, [self.resized, self.resized]).reshape(
                *images.shape[:-2], self.resized, self.resized
            )
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
