"""A codebook: the C codewords of a task, and what they achieve."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bitseek.codebooks.bounds import upper_bound
from bitseek.codebooks.distances import column_ones, mean_distance, minimum_distance
from bitseek.codebooks.distinct import duplicates
from bitseek.codes import Codes
from bitseek.errors import BitseekError


@dataclass(frozen=True, eq=False)
class Codebook:
    """C different codewords of K bits, one for each class.

    Args:
        name: full name in `CODEBOOKS`.
        seed: what it was drawn from.
        codes: the C codewords.
        repaired: how many codewords were drawn again because they equalled an earlier one.
        guaranteed: a lower bound of the minimum distance that is proved by the construction. It only spares work.

    Raises:
        BitseekError: two codewords are equal.
    """

    name: str
    seed: int
    codes: Codes
    repaired: int = 0
    guaranteed: int = 1

    def __post_init__(self) -> None:
        repeated = duplicates(self.codes)
        if repeated.any():
            number = int(np.flatnonzero(repeated)[0])
            raise BitseekError(f"codeword {number} of codebook {self.name!r} equals an earlier one; draw it again")

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
        """Smallest Hamming distance of two codewords, exact; K for a single class. Computed when first asked for."""
        return minimum_distance(self.codes, self.guaranteed if self.classes > _COMPARE_ALL else 0)

    @cached_property
    def mean_distance(self) -> float:
        """Mean Hamming distance of two different codewords, exact; K for a single class."""
        return mean_distance(self.codes)

    @cached_property
    def upper_bound(self) -> int:
        """No C codewords of K bits have a larger minimum distance than this (Plotkin, Hamming)."""
        return upper_bound(self.classes, self.bits)

    @cached_property
    def imbalance(self) -> float:
        """Mean over the bits of |share of ones − ½|: 0 when every bit divides the classes in halves."""
        uneven = np.abs(2 * column_ones(self.codes) - self.classes)
        return int(uneven.sum()) / (2 * self.classes * self.bits)

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with any bit of any codeword."""
        digest = hashlib.sha256(f"bitseek codebook {self.classes} x {self.bits}\n".encode())
        digest.update(np.ascontiguousarray(self.codes.words, "<u8").tobytes())
        return digest.hexdigest()[:32]

    def describe(self) -> dict[str, Any]:
        """What there is to report, ready for JSON."""
        return {
            "name": self.name,
            "classes": self.classes,
            "bits": self.bits,
            "seed": self.seed,
            "minimum_distance": self.minimum_distance,
            "mean_distance": round(self.mean_distance, 6),
            "upper_bound": self.upper_bound,
            "imbalance": round(self.imbalance, 6),
            "repaired": self.repaired,
            "fingerprint": self.fingerprint,
        }


_COMPARE_ALL = 4096  # up to so many classes all pairs are compared, whatever the construction promises
