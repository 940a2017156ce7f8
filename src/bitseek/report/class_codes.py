"""Which code stands for each class, how far its items spread around it, and how far apart the classes are.

The table by which the README of DSH's PyTorch re-implementation shows what a network has learnt on MNIST.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from bitseek.codes import Codes
from bitseek.errors import ShapeError
from bitseek.metrics import bit_balance


@dataclass(frozen=True, eq=False)
class ClassCodes:
    """The most frequent code of each of C classes.

    Of codes that are equally frequent the one nearest to the items of its class counts, then the first in the order
    of the hexadecimal digits. An item with several labels counts for each of its classes.

    Attributes:
        classes: number of each class that has items, ascending.
        codes: the most frequent code of each.
        items: number of items of each.
        same: how many of them have exactly that code.
        near: how many lie within `radius` of it.
        distinct: how many different codes they have.
        spread: mean distance of the items from it, in bits.
        radius: of `near`, in bits.
        distances: between the codes of two classes, in bits.
        mean_distances: between the items of two classes, in bits, over all pairs; within a class, over pairs of
            different items, and NaN if it has one item only.
    """

    classes: Int64[np.ndarray, " C"]
    codes: Codes
    items: Int64[np.ndarray, " C"]
    same: Int64[np.ndarray, " C"]
    near: Int64[np.ndarray, " C"]
    distinct: Int64[np.ndarray, " C"]
    spread: Float64[np.ndarray, " C"]
    radius: int
    distances: Int64[np.ndarray, "C C"]
    mean_distances: Float64[np.ndarray, "C C"]

    def __len__(self) -> int:
        return len(self.classes)


def class_codes(
    codes: Codes, labels: Shaped[np.ndarray, "n ..."], radius: int = 2, most: int | None = None
) -> ClassCodes:
    """The most frequent code of each class.

    Args:
        codes: n codes.
        labels: (n,) integers, −1 for none, or (n, C) multi-hot; an item without a label is left out.
        radius: within which items count as near, in bits.
        most: at most so many classes, those with the most items; all if not given.

    Raises:
        ShapeError: not as many labels as codes, or no item has a label.

    >>> table = class_codes(Codes.from_bits([[0, 0], [0, 0], [0, 1], [1, 1]]), np.array([0, 0, 0, 1]))
    >>> table.codes.hex(), table.same, table.distances
    (['0', 'c'], array([2, 1]), array([[0, 2], [2, 0]]))
    """
    if len(labels) != len(codes):
        raise ShapeError(f"there are {len(codes)} codes and labels of {len(labels)} items; they belong in pairs")
    sizes = class_sizes(labels)
    chosen = np.argsort(-sizes, kind="stable")[:most]
    chosen = np.sort(chosen[sizes[chosen] > 0]).astype(np.int64)
    if not len(chosen):
        raise ShapeError("no item has a label, so no class has a code")
    found, same, near, distinct, spread, shares = [], [], [], [], [], []
    for number in chosen:
        members = codes[labels == number if labels.ndim == 1 else labels[:, number] > 0]
        different, counts = _counted(members)
        share = bit_balance(members)
        mode = _most_frequent(different, counts, share)
        distances = np.bitwise_count(members.words ^ mode.words).sum(axis=1, dtype=np.int64)
        found.append(mode)
        same.append(int((distances == 0).sum()))
        near.append(int((distances <= radius).sum()))
        distinct.append(len(different))
        spread.append(float(distances.mean()))
        shares.append(share)
    modes = Codes.concat(found)
    return ClassCodes(
        classes=chosen,
        codes=modes,
        items=sizes[chosen],
        same=np.array(same, np.int64),
        near=np.array(near, np.int64),
        distinct=np.array(distinct, np.int64),
        spread=np.array(spread, np.float64),
        radius=radius,
        distances=np.bitwise_count(modes.words[:, None] ^ modes.words[None]).sum(axis=2, dtype=np.int64),
        mean_distances=_mean_distances(np.array(shares), sizes[chosen]),
    )


def class_sizes(labels: Shaped[np.ndarray, "n ..."]) -> Int64[np.ndarray, " C"]:
    """Number of items of each class, up to the last one that has any.

    >>> class_sizes(np.array([2, -1, 0, 2]))
    array([1, 0, 2])
    """
    if labels.ndim == 1:
        return np.bincount(labels[labels >= 0]).astype(np.int64)
    return np.asarray((labels > 0).sum(axis=0, dtype=np.int64))


def _counted(codes: Codes) -> tuple[Codes, np.ndarray]:
    """The different codes, in the order of their hexadecimal digits, and how often each occurs."""
    packed = codes.to_packed("big")
    rows, counts = np.unique(packed, axis=0, return_counts=True)
    return Codes.from_packed(rows, codes.bits, "big"), counts


def _most_frequent(codes: Codes, counts: np.ndarray, share: np.ndarray) -> Codes:
    """Of the most frequent ones, the first that is nearest to items with these shares of ones."""
    best = np.flatnonzero(counts == counts.max())
    bits = codes[best].to_bits()
    distances = np.where(bits, 1 - share, share).sum(axis=1)
    return codes[int(best[np.flatnonzero(distances <= distances.min() + 1e-9)[0]])]


def _mean_distances(shares: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Σ_k p(1 − q) + (1 − p)q for the shares of ones p and q of two classes; within a class without i = j."""
    between: np.ndarray = shares @ (1 - shares).T + (1 - shares) @ shares.T
    within = np.full(len(items), np.nan)
    np.divide(np.diagonal(between) * items, items - 1, out=within, where=items > 1)
    np.fill_diagonal(between, within)
    return between
