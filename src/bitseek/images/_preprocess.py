"""From the pixels of an image to the square that a backbone sees. The values travel with the model.

There is one resize for files, pictures and arrays alike, Pillow's on 8 bits a colour, which needs no torch: so the
hasher that was trained, its export, and whoever calls either give a picture the same square, bit for bit.
"""

from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pydantic import BeforeValidator, Field

from bitseek._values import Value

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def _triple(value: Any) -> Any:
    """One number stands for all three colours."""
    return (value,) * 3 if isinstance(value, int | float) and not isinstance(value, bool) else value


Positive = Annotated[float, Field(gt=0)]


class Preprocess(Value):
    """Resize the central square of an image to `size / crop`, cut the central square of `size`, normalise.

    Attributes:
        size: side of the square that the backbone sees, in pixels.
        crop: share of the resized side that is kept, in (0, 1]; 1 keeps all of it.
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
        """Side to which the central square of an image is resized before the cut, in pixels."""
        return round(self.size / self.crop)

    @property
    def min_side(self) -> int:
        """No side of a JPEG is decoded to fewer pixels than this: twice the input, so that resizing still averages."""
        return 2 * self.size

    def resize(self, image: UInt8[np.ndarray, "h w 3"] | Image.Image) -> UInt8[np.ndarray, "r r 3"]:
        """The central square of an image, resized to `resized`: what training cuts from at random.

        Args:
            image: an array, which is returned as it is, not copied, if it is such a square already; or the same as a
                PIL image in RGB.
        """
        side = self.resized
        if isinstance(image, np.ndarray):
            if image.shape[:2] == (side, side):
                return image
            # Cut before, not by Pillow's `box`: which axis it resizes first, and so how it rounds, depends on the
            # shape of the whole, in some of its versions.
            down, across = _central_square(*image.shape[:2])
            square = Image.fromarray(image[down, across])
        else:
            down, across = _central_square(image.height, image.width)
            is_square = image.width == image.height
            square = image if is_square else image.crop((across.start, down.start, across.stop, down.stop))
        return np.asarray(square.resize((side, side), _FILTERS[self.interpolation]))

    def square(self, image: UInt8[np.ndarray, "h w 3"] | Image.Image) -> UInt8[np.ndarray, "s s 3"]:
        """The pixels that the backbone sees in evaluation, before normalisation: the central `size` of `resize`.

        A view, perhaps of the image itself.
        """
        cut = central(self.resized, self.size)
        return self.resize(image)[cut, cut]


def _central_square(height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the largest square in the middle."""
    short = min(height, width)
    return central(height, short), central(width, short)


def central(side: int, part: int) -> slice:
    """The pixels of the central `part` of a side; where one more remains on one end, round decides, as in torchvision.

    >>> central(256, 224)
    slice(16, 240, None)
    """
    start = round((side - part) / 2)
    return slice(start, start + part)
