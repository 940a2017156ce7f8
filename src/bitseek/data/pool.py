"""Every item of a data set: its image, its label, and the name by which it is known on every machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from bitseek.errors import DataError

Indices = Any
"""What NumPy takes as a choice of rows: a slice, a mask, a sequence or an array of numbers."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Images of one size, in memory.

    Args:
        array: (n, H, W) grey or (n, H, W, 3) RGB, uint8.
    """

    array: np.ndarray

    def __post_init__(self) -> None:
        shape = self.array.shape
        if self.array.dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
            raise DataError(f"pixels are (n, H, W) or (n, H, W, 3) uint8, got {shape} {self.array.dtype}")

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
        """The files at `indices`, for `bitseek.images.decode_many`."""
        return [self.root / self.relative[i] for i in np.arange(len(self))[indices]]


@dataclass(frozen=True, eq=False)
class Features:
    """Real features that a backbone or an extractor has computed before.

    Args:
        parts: arrays (n_i, D) float32 that follow on each other; memory maps stay memory maps.
    """

    parts: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        for part in self.parts:
            if part.ndim != 2 or part.dtype != np.float32 or part.shape[1] != self.parts[0].shape[1]:
                got = [f"{part.shape} {part.dtype}" for part in self.parts]
                raise DataError(f"features are (n, D) float32 with one D, got {got}")
        if not self.parts:
            raise DataError("features are at least one array (n, D) float32, got none")

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


Images = Pixels | Paths | Features


@dataclass(frozen=True, eq=False)
class Pool:
    """Every item of a data set, in an order that is the same on every machine.

    Args:
        images: n images or features.
        labels: (n,) int64 class indices, −1 for none; or (n, C) bool, multi-hot (a row of zeros is legal).
        classes: the C names.
        keys: the n names of the items, for checksums; by default the relative paths, or the numbers 0 … n − 1.
        mirror: whether a mirrored image still shows its class; not so for digits and letters.

    Raises:
        DataError: the parts do not fit together.
    """

    images: Images
    labels: np.ndarray
    classes: tuple[str, ...]
    keys: tuple[str, ...] | None = None
    mirror: bool = True

    def __post_init__(self) -> None:
        n, C, labels = len(self.images), len(self.classes), self.labels
        single = labels.shape == (n,) and labels.dtype == np.int64
        if not single and not (labels.shape == (n, C) and labels.dtype == np.bool_):
            raise DataError(
                f"labels of {n} items and {C} classes are ({n},) int64 or ({n}, {C}) bool, got {labels.shape} "
                f"{labels.dtype}"
            )
        if single and n and not (labels.min() >= -1 and labels.max() < C):
            raise DataError(f"labels of {C} classes are −1 … {C - 1}, got {labels.min()} … {labels.max()}")
        if self.keys is not None and len(self.keys) != n:
            raise DataError(f"{n} items need {n} keys, got {len(self.keys)}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def multi_label(self) -> bool:
        """Whether an item may have several labels."""
        return self.labels.ndim == 2

    @property
    def unlabelled(self) -> Bool[np.ndarray, "n"]:
        """(n,) bool: which items have no label, and so are relevant to nothing."""
        return np.asarray(~self.labels.any(axis=1) if self.multi_label else self.labels < 0)

    def multi_hot(self, indices: Indices = slice(None)) -> Bool[np.ndarray, "m C"]:
        """Labels of the items at `indices` as (m, C) bool; an item without a label is a row of zeros."""
        labels = self.labels[indices]
        if self.multi_label:
            return labels
        hot = np.zeros((len(labels), len(self.classes)), np.bool_)
        rows = np.flatnonzero(labels >= 0)
        hot[rows, labels[rows]] = True
        return hot

    def key(self, index: SupportsIndex) -> str:
        """The name of one item."""
        return self.keys_of([index.__index__()])[0]

    def keys_of(self, indices: Indices = slice(None)) -> list[str]:
        """The names of the items at `indices`."""
        numbers = np.arange(len(self))[indices].tolist()
        names = self.keys
        if names is None and isinstance(self.images, Paths):
            names = self.images.relative
        return [str(number) for number in numbers] if names is None else [names[number] for number in numbers]
