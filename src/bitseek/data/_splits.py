"""Seeded draws: the same on every machine, with every version of NumPy, in whatever order the items come."""

import numbers
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64

from bitseek._checks import whole_number
from bitseek.errors import DataError


def shuffled(items: Int64[np.ndarray, " n"], seed: SupportsIndex, stream: int = 0) -> Int64[np.ndarray, " n"]:
    """The items in a random order that depends on their set, the seed and the stream only.

    The order is that of the raw numbers of PCG64, whose stream NumPy promises to keep; how a `Generator` shuffles
    may change between versions.

    Args:
        items: (n,) int64, any order.
        seed: 0 or more.
        stream: 0 or more; draws from different streams are independent. The class, as a rule.

    >>> shuffled(np.arange(5), seed=0)
    array([3, 2, 1, 0, 4])
    """
    sequence = np.random.SeedSequence([whole_number(seed, "seed", 0), stream])
    return np.sort(items)[np.argsort(np.random.PCG64(sequence).random_raw(len(items)), kind="stable")]


def draw_per_class(
    labels: Int64[np.ndarray, " n"], sizes: Sequence[Any], seed: SupportsIndex, *, classes: Sequence[str]
) -> list[Int64[np.ndarray, " _"]]:
    """Cut every class, shuffled, into consecutive parts.

    Args:
        labels: (n,) int64 class indices; items with −1 are a class of their own.
        sizes: for each part, how many items of every class: a count (any kind of integer), or a share (a float of at
            least 0 and below 1; rounded down, but at least one item and never all of them).
        seed: 0 or more.
        classes: names, for messages.

    Returns:
        one array of indices for each size, and a last one with the items that are left; each ascending.

    Raises:
        DataError: a size is neither a count nor a share, or a class has too few items.
    """
    wanted = [_size(size) for size in sizes]
    parts: list[list[np.ndarray]] = [[] for _ in range(len(sizes) + 1)]
    for label in np.unique(labels).tolist():
        members = np.flatnonzero(labels == label)
        counts = [_count(size, len(members)) for size in wanted]
        if sum(counts) > len(members):
            name = repr(classes[label]) if label >= 0 else "of the items without a label"
            raise DataError(f"the class {name} has {len(members)} items, fewer than the {sum(counts)} to be drawn")
        cut = np.split(shuffled(members, seed, label + 1), np.cumsum(counts))
        for part, piece in zip(parts, cut, strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(part)) if part else np.empty(0, np.int64) for part in parts]


def _size(size: Any) -> int | float:
    """A count as an int, of any kind of integer; a share as a float."""
    if type(size) is not bool:
        if isinstance(size, numbers.Integral) and int(size) >= 0:
            return int(size)
        if isinstance(size, numbers.Real) and not isinstance(size, numbers.Integral) and 0 <= float(size) < 1:
            return float(size)
    raise DataError(f"a size is a number of items of each class, or a share of them below 1, got {size!r}")


def _count(size: int | float, members: int) -> int:
    if isinstance(size, int) or size == 0:
        return int(size)
    return min(max(1, int(size * members)), members - 1)
