"""Images of one origin, numbered from 0: pixels or features in memory, files below a folder, or any others."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from bitseek._checks import as_array, is_tensor
from bitseek.errors import ShapeError
from bitseek.images._decode import Source

Indices = Any
"""What NumPy takes as a choice of rows: a slice, a mask, a sequence or an array of numbers."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images of one size, in memory.

    Args:
        array: (n, H, W) grey or (n, H, W, 3) RGB, uint8.

    Raises:
        ShapeError: another array.
    """

    array: np.ndarray

    def __post_init__(self) -> None:
        shape = self.array.shape
        if self.array.dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
            raise ShapeError(f"pixels are (n, H, W) or (n, H, W, 3) uint8, got {shape} {self.array.dtype}")

    def __len__(self) -> int:
        return len(self.array)

    def rows(self, indices: Indices) -> UInt8[np.ndarray, "m height width *channels"]:
        """The images at `indices`: (m, H, W) or (m, H, W, 3) uint8."""
        return self.array[indices]


@dataclass(frozen=True, eq=False)
class Paths:
    """Image files below one folder.

    Args:
        root: the folder.
        relative: path of each image below it, with forward slashes.
    """

    root: Path
    relative: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.relative)

    def rows(self, indices: Indices) -> list[Path]:
        """The files at `indices`, for `decode_many`."""
        return [self.root / self.relative[i] for i in np.arange(len(self))[indices]]


@dataclass(frozen=True, eq=False)
class Loose:
    """Images of any size and kind: whatever `decode` takes, mixed.

    Args:
        items: paths, binary files, PIL images or arrays.
    """

    items: tuple[Source, ...]

    def __len__(self) -> int:
        return len(self.items)

    def rows(self, indices: Indices) -> list[Source]:
        """The items at `indices`, for `decode_many`."""
        return [self.items[i] for i in np.arange(len(self))[indices]]


@dataclass(frozen=True, eq=False)
class Features:
    """Real features that a backbone or an extractor has computed before.

    Args:
        parts: arrays (n_i, D) float32 that follow on each other; memory maps stay memory maps.
        backbone: what computed them (the name, weights and preprocessing of a backbone), if that is known.

    Raises:
        ShapeError: no array, or another one.
    """

    parts: tuple[np.ndarray, ...]
    backbone: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for part in self.parts:
            if part.ndim != 2 or part.dtype != np.float32 or part.shape[1] != self.parts[0].shape[1]:
                got = [f"{part.shape} {part.dtype}" for part in self.parts]
                raise ShapeError(f"features are (n, D) float32 with one D, got {got}")
        if not self.parts:
            raise ShapeError("features are at least one array (n, D) float32, got none")

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def dimensions(self) -> int:
        """D, the length of one feature."""
        return int(self.parts[0].shape[1])

    @property
    def array(self) -> Float32[np.ndarray, "n D"]:
        """All of them, (n, D) float32: no copy if there is one part, in memory if there are several."""
        return self.parts[0] if len(self.parts) == 1 else np.concatenate(self.parts)

    def rows(self, indices: Indices) -> Float32[np.ndarray, "m D"]:
        """The features at `indices`, (m, D) float32; only these are read from a memory map."""
        if len(self.parts) == 1:
            return np.asarray(self.parts[0][indices])
        chosen = np.arange(len(self))[indices]
        rows = np.empty((len(chosen), self.dimensions), np.float32)
        start = 0
        for part in self.parts:
            here = (chosen >= start) & (chosen < start + len(part))
            rows[here] = part[chosen[here] - start]
            start += len(part)
        return rows


Images = Pixels | Paths | Loose | Features


def as_images(given: Any) -> Images:
    """Images in any form, as one of the four sources.

    Args:
        given: a source, which is returned as it is; one image, in any form that `decode` takes; a sequence of images;
            an array (n, H, W) or (n, H, W, 3) of uint8; features, an array (n, D) of floats; or tensors of torch with
            their channels first: one image (3, H, W), images (n, 3, H, W) or (n, H, W), features (n, D). With three
            axes, an array (H, W, C) or a tensor (C, H, W) where C = 1, 3 or 4 is one image.

    Raises:
        ShapeError: an array or tensor of another shape or type, features that are NaN or infinite, or something that
            is no image.
    """
    if isinstance(given, Images):
        return given
    if is_tensor(given):
        given = _of_tensor(given)
    if isinstance(given, np.ndarray):
        return _of_array(given)
    if _is_one(given):
        return Loose((given,))
    try:
        items = tuple(_of_tensor(item) if is_tensor(item) else item for item in given)
    except TypeError as error:
        raise ShapeError(f"images are paths, PIL images, arrays or tensors, got {type(given).__name__}") from error
    for item in items:
        if not (_is_one(item) or isinstance(item, np.ndarray)):
            raise ShapeError(f"an image is a path, a PIL image, an array or a tensor, got {type(item).__name__}")
    return Loose(items)


def _is_one(given: Any) -> bool:
    return isinstance(given, str | bytes | os.PathLike | Image.Image) or hasattr(given, "read")


def as_features(given: Any) -> Float32[np.ndarray, "n D"]:
    """Features of any floating point type as (n, D) float32.

    Raises:
        ShapeError: another shape or type, or values that are NaN or infinite as float32.
    """
    array = as_array(given, "features")
    if array.ndim != 2 or array.dtype.kind != "f":
        raise ShapeError(f"features are real numbers (n, D), got shape {array.shape} {array.dtype}")
    with np.errstate(over="ignore"):
        features = np.ascontiguousarray(array, np.float32)
    if bad := int((~np.isfinite(features)).sum()):
        raise ShapeError(f"{bad} values of the features are NaN or infinite")
    return features


def _of_tensor(tensor: Any) -> np.ndarray:
    """A tensor (…, C, H, W) as an array (…, H, W, C); (n, H, W), (H, W) and features as they are."""
    array = as_array(tensor, "images")
    if array.ndim < 3:
        return array
    first, last = (array.shape[axis] in (1, 3, 4) for axis in (-3, -1))
    if first and (array.ndim > 3 or not last):
        return np.moveaxis(array, -3, -1)
    if array.ndim > 3 or first or last:
        raise ShapeError(
            "images are tensors with channels first, (C, H, W) or (n, C, H, W) where C = 1, 3 or 4; or (n, H, W), "
            f"got shape {array.shape}, which is none or more than one of them; give a NumPy array with channels last"
        )
    return array


def _of_array(array: np.ndarray) -> Images:
    if array.ndim == 2 and np.issubdtype(array.dtype, np.floating):
        return Features((as_features(array),))
    if array.dtype.newbyteorder("=") in (np.bool_, np.uint8, np.uint16):
        if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)):
            return Loose((array,))
        if array.ndim == 4 and array.shape[3] == 1:
            array = array[..., 0]
        if array.dtype == np.uint8 and (array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)):
            return Pixels(array)
        if array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 4):
            return Loose(tuple(array))
    raise ShapeError(
        "images are (H, W), (H, W, 3), (n, H, W) or (n, H, W, 3) of uint8, 0 to 255, or features (n, D) of floats, got "
        f"an array of shape {array.shape} and type {array.dtype}"
    )
