"""A codebook, its exact distances, and the bounds that no codebook can exceed."""

import hashlib
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from bitseek.codes import Codes, hamming_distances
from bitseek.errors import BitseekError

_ALL_PAIRS = 2048  # up to so many classes one table of all distances is quicker than the search index
_QUERIES = 512  # codewords that the index looks up at a time


@dataclass(frozen=True, eq=False)
class Codebook:
    """C different codewords of K bits, one for each class.

    Args:
        name: full name in `CODEBOOKS`.
        seed: of the random choices.
        codes: the C codewords.
        repaired: how many codewords were drawn again because they equalled an earlier one.
        guaranteed: a lower bound of the minimum distance, proved by the construction; it shortens the exact scan.

    Raises:
        BitseekError: two codewords are equal.
    """

    name: str
    seed: int
    codes: Codes
    repaired: int = 0
    guaranteed: int = 1

    def __post_init__(self) -> None:
        repeated = np.flatnonzero(duplicates(self.codes))
        if len(repeated):
            raise BitseekError(f"codeword {repeated[0]} of codebook {self.name!r} equals an earlier one; draw it again")

    @property
    def classes(self) -> int:
        """The number of codewords C."""
        return len(self.codes)

    @property
    def bits(self) -> int:
        """The length K of a codeword."""
        return self.codes.bits

    @cached_property
    def minimum_distance(self) -> int:
        """Smallest Hamming distance of two codewords, exact; K for a single class. Computed at the first access."""
        smallest = self.bits
        if self.classes <= _ALL_PAIRS:
            distances = hamming_distances(self.codes, self.codes)
            np.fill_diagonal(distances, smallest)
            return int(distances.min())
        from bitseek.index import HammingIndex  # here, since its compiler takes half a second to import

        index = HammingIndex(self.codes, plan="scan")
        for start in range(0, self.classes, _QUERIES):
            hits = index.nearest(self.codes[start : start + _QUERIES], k=2)  # the first is the codeword itself
            smallest = min(smallest, int(hits.distances[:, 1].min()))
            if smallest <= self.guaranteed:
                break
        return smallest

    @cached_property
    def mean_distance(self) -> float:
        """Mean Hamming distance of two different codewords, exact; K for a single class."""
        pairs = comb(self.classes, 2)
        return total_distance(self.codes) / pairs if pairs else float(self.bits)

    @cached_property
    def upper_bound(self) -> int:
        """No C codewords of K bits have a larger minimum distance (Plotkin, Hamming)."""
        return upper_bound(self.classes, self.bits)

    @cached_property
    def imbalance(self) -> float:
        """Mean over the bits of |share of ones − ½|: 0 when every bit is 1 for half of the classes."""
        uneven = np.abs(2 * column_ones(self.codes) - self.classes)
        return int(uneven.sum()) / (2 * self.classes * self.bits)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with any bit of any codeword."""
        digest = hashlib.sha256(f"bitseek codebook {self.classes} x {self.bits}\n".encode())
        digest.update(np.ascontiguousarray(self.codes.words, "<u8").tobytes())
        return digest.hexdigest()[:32]

    def describe(self) -> dict[str, Any]:
        """All figures of the codebook, ready for JSON."""
        exact = ("name", "classes", "bits", "seed", "minimum_distance", "upper_bound", "repaired", "fingerprint")
        means = {"mean_distance": round(self.mean_distance, 6), "imbalance": round(self.imbalance, 6)}
        return {name: getattr(self, name) for name in exact} | means


# --- distances ------------------------------------------------------------------------------------------------------


def duplicates(codes: Codes) -> Bool[np.ndarray, " n"]:
    """Which codes equal an earlier one.

    >>> duplicates(Codes.from_bits([[1, 0], [0, 1], [1, 0]]))
    array([False, False,  True])
    """
    _, first = np.unique(codes.words, axis=0, return_index=True)
    repeated = np.ones(len(codes), np.bool_)
    repeated[first] = False
    return repeated


def column_ones(codes: Codes) -> Int64[np.ndarray, " bits"]:
    """How many codes have a 1 at each bit."""
    ones = np.zeros(codes.bits, np.int64)
    for start in range(0, len(codes), 4096):
        ones += codes[start : start + 4096].to_bits().sum(axis=0, dtype=np.int64)
    return ones


def total_distance(codes: Codes) -> int:
    """The sum of the distances of all pairs: in every column, the number of ones times the number of zeros."""
    ones = column_ones(codes)
    return int((ones * (len(codes) - ones)).sum())


# --- bounds ---------------------------------------------------------------------------------------------------------


def upper_bound(classes: int, bits: int) -> int:
    """The largest minimum distance that C codewords of K bits may have by the bounds of Plotkin and Hamming.

    Sources: Plotkin (1960) and Hamming (1950), as in MacWilliams & Sloane, "The theory of error-correcting codes",
    chapters 1 and 2. Delsarte's linear programming bound is tighter for some sizes and needs a solver.

    >>> upper_bound(10, 64), upper_bound(80, 16), upper_bound(2, 7)
    (35, 6, 7)
    """
    if classes < 2:
        return bits
    return max(1, bisect_left(range(1, bits + 1), True, key=lambda distance: most_words(bits, distance) < classes))


def most_words(bits: int, distance: int) -> int:
    """An upper bound of A(bits, distance), the largest number of words of `bits` bits that are `distance` apart.

    >>> most_words(16, 8), most_words(8, 5), most_words(3, 1)
    (32, 4, 8)
    """
    if distance > bits:
        return 1
    if distance % 2:  # a parity bit makes the distance even: A(n, 2t − 1) = A(n + 1, 2t)
        bits, distance = bits + 1, distance + 1
    sphere = sum(comb(bits - 1, radius) for radius in range(distance // 2))
    hamming = (1 << bits - 1) // sphere
    if 2 * distance > bits:
        return min(hamming, 2 * (distance // (2 * distance - bits)))  # Plotkin; and below
    return min(hamming, 4 * distance << (bits - 2 * distance))  # A(n, d) ≤ 2 A(n − 1, d), down to n = 2d with A ≤ 4d


def griesmer_distance(dimension: int, bits: int) -> int:
    """The largest d with Σ_{i<k} ⌈d / 2^i⌉ ≤ K: no linear code of dimension k is farther apart (Griesmer 1960).

    >>> griesmer_distance(5, 16), griesmer_distance(12, 24)
    (8, 8)
    """
    return bisect_left(
        range(1, bits + 1), True, key=lambda distance: sum(-(-distance >> i) for i in range(dimension)) > bits
    )
