"""Random choices that are the same on every machine: only the raw stream of PCG64, and integer arithmetic.

NumPy promises that the stream of a bit generator never changes; it makes no such promise for `Generator.integers` or
`Generator.permutation`. A codebook is part of a trained model, so it is drawn from what is promised.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from bitseek.codes import Codes, words_per_code


class Draw:
    """A stream of random integers.

    Args:
        seed: 0 or more; the same seed gives the same choices everywhere.

    >>> Draw(0).permutation(5)
    array([3, 2, 1, 0, 4])
    """

    def __init__(self, seed: int) -> None:
        self._stream: Any = np.random.PCG64(seed)

    def raw(self, *shape: int) -> UInt64[np.ndarray, "*shape"]:
        """Uniform 64-bit numbers in an array of the given shape."""
        drawn: np.ndarray = self._stream.random_raw(int(np.prod(shape)))
        return drawn.reshape(shape)

    def below(self, limit: int, count: int) -> Int64[np.ndarray, " count"]:
        """Numbers in 0 … limit − 1; the bias of the remainder is under limit / 2⁶⁴."""
        return (self.raw(count) % np.uint64(limit)).astype(np.int64)

    def permutation(self, size: int) -> Int64[np.ndarray, " size"]:
        """The numbers 0 … size − 1 in random order."""
        return np.argsort(self.raw(size), kind="stable").astype(np.int64)

    def codes(self, count: int, bits: int) -> Codes:
        """`count` codes of independent fair bits; they need not be distinct."""
        words = self.raw(count, words_per_code(bits))
        if bits % 64:
            words[:, -1] &= np.uint64((1 << bits % 64) - 1)
        return Codes(words, bits)

    def balanced_codes(self, count: int, bits: int) -> Codes:
        """`count` codes with ⌊bits / 2⌋ zeros each, every such code being equally likely."""
        if not count:
            return self.codes(0, bits)
        rows = max(1, (1 << 20) // bits)  # 8 MiB of random numbers at a time
        parts = []
        for start in range(0, count, rows):
            order = np.argsort(self.raw(min(rows, count - start), bits), axis=1, kind="stable")
            parts.append(Codes.from_bits(self._ranks_from(order) >= bits // 2))
        return Codes.concat(parts)

    @staticmethod
    def _ranks_from(order: np.ndarray) -> Int64[np.ndarray, "n bits"]:
        ranks = np.empty(order.shape, np.int64)
        np.put_along_axis(ranks, order, np.arange(order.shape[1])[None], axis=1)
        return ranks


def signs_of(bits: Bool[np.ndarray, "n bits"]) -> Float64[np.ndarray, "n bits"]:
    """Bits as −1 and +1 in float64: products are quick, and sums of whole numbers are exact in any order."""
    return bits.astype(np.float64) * 2 - 1
