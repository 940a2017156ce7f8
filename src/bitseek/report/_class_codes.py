"""Which code stands for each class, how far its items spread around it, and how far apart the classes are.

The table by which the README of DSH's PyTorch re-implementation shows what a network has learnt on MNIST.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32, Int64

from bitseek.codes import Codes, hamming_distances
from bitseek.errors import ShapeError
from bitseek.labels import Labels
from bitseek.metrics import bit_balance


@dataclass(frozen=True, eq=False)
class ClassCodes:
    """The most frequent code of each of C classes.

    Of equally frequent codes the one nearest to the items of its class is taken, then the first in the order of the
    hexadecimal digits. An item with several labels counts for each of its classes.

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
    distances: Int32[np.ndarray, "C C"]
    mean_distances: Float64[np.ndarray, "C C"]

    def __len__(self) -> int:
        return len(self.classes)


def class_codes(codes: Codes, labels: Any, radius: int = 2, most: int | None = None) -> ClassCodes:
    """The most frequent code of each class.

    Args:
        codes: n codes.
        labels: of n items, anything that `Labels.of` takes; an item without a label is left out.
        radius: items at this distance or less count as near, in bits.
        most: at most so many classes, those with the most items; all by default.

    Raises:
        ShapeError: not as many labels as codes, or no item has a label.

    >>> table = class_codes(Codes.from_bits([[0, 0], [0, 0], [0, 1], [1, 1]]), [0, 0, 0, 1])
    >>> table.codes.hex(), table.same, table.distances.tolist()
    (['0', 'c'], array([2, 1]), [[0, 2], [2, 0]])
    """
    labels = Labels.of(labels)
    if len(labels) != len(codes):
        raise ShapeError(f"there are {len(codes)} codes and labels of {len(labels)} items; both must be the same")
    sizes = labels.counts
    chosen = np.argsort(-sizes, kind="stable")[:most]
    chosen = np.sort(chosen[sizes[chosen] > 0]).astype(np.int64)
    if not len(chosen):
        raise ShapeError("no item has a label, so no class has a code")
    rows = []
    for number in chosen.tolist():
        members = codes[labels.members(number)]
        different, counts = _counted(members)
        share = bit_balance(members)
        mode = _most_frequent(different, counts, share)
        distances = hamming_distances(mode, members)[0]
        near, same = np.count_nonzero(distances <= radius), np.count_nonzero(distances == 0)
        rows.append((mode, same, near, len(different), distances.mean(), share))
    modes, sames, nears, distincts, spreads, shares = zip(*rows, strict=True)
    found = Codes.concat(modes)
    return ClassCodes(
        classes=chosen,
        codes=found,
        items=sizes[chosen],
        same=np.array(sames, np.int64),
        near=np.array(nears, np.int64),
        distinct=np.array(distincts, np.int64),
        spread=np.array(spreads, np.float64),
        radius=radius,
        distances=hamming_distances(found, found),
        mean_distances=_mean_distances(np.array(shares), sizes[chosen]),
    )


def _counted(codes: Codes) -> tuple[Codes, np.ndarray]:
    """The different codes, in the order of their hexadecimal digits, and how often each occurs."""
    rows, counts = np.unique(codes.to_packed("big"), axis=0, return_counts=True)
    return Codes.from_packed(rows, codes.bits, "big"), counts


def _most_frequent(codes: Codes, counts: np.ndarray, share: np.ndarray) -> Codes:
    """Of the most frequent codes, the first that is nearest on average to items with these shares of ones."""
    candidates = codes[np.flatnonzero(counts == counts.max())]
    distances = np.where(candidates.to_bits(), 1 - share, share).sum(axis=1)
    return candidates[int(np.flatnonzero(distances <= distances.min() + 1e-9)[0])]


def _mean_distances(shares: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Σ_k p(1 − q) + (1 − p)q for the shares of ones p and q of two classes; within a class without i = j."""
    between: np.ndarray = shares @ (1 - shares).T + (1 - shares) @ shares.T
    within = np.full(len(items), np.nan)
    np.divide(np.diagonal(between) * items, items - 1, out=within, where=items > 1)
    np.fill_diagonal(between, within)
    return between
