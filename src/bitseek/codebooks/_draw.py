"""Random choices that are the same on every machine: only the raw stream of PCG64, and integer arithmetic.

NumPy promises that the stream of a bit generator never changes; it makes no such promise for `Generator.integers` or
`Generator.permutation`. A codebook is part of a trained model, so it depends only on the stream.
"""

from typing import Any

import numpy as np
from jaxtyping import Int64, UInt64

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
        """Uniform 64-bit integers in an array of the given shape."""
        drawn: np.ndarray = self._stream.random_raw(int(np.prod(shape)))
        return drawn.reshape(shape)

    def below(self, limit: int, count: int) -> Int64[np.ndarray, " count"]:
        """Integers in 0 … limit − 1; the bias of the remainder is under limit / 2⁶⁴."""
        return (self.raw(count) % np.uint64(limit)).astype(np.int64)

    def permutation(self, size: int) -> Int64[np.ndarray, " size"]:
        """The integers 0 … size − 1 in random order."""
        return np.argsort(self.raw(size), kind="stable").astype(np.int64)

    def codes(self, count: int, bits: int) -> Codes:
        """`count` codes of independent fair bits, not necessarily distinct."""
        words = self.raw(count, words_per_code(bits))
        if bits % 64:
            words[:, -1] &= np.uint64((1 << bits % 64) - 1)
        return Codes(words, bits)

    def balanced_codes(self, count: int, bits: int) -> Codes:
        """`count` codes with ⌊bits / 2⌋ zeros each, every such code being equally likely."""
        rows = max(1, (1 << 20) // bits)  # 8 MiB of random integers at a time
        parts = [self.codes(0, bits)]
        for start in range(0, count, rows):
            order = np.argsort(self.raw(min(rows, count - start), bits), axis=1, kind="stable")
            ones = np.ones(order.shape, np.bool_)
            np.put_along_axis(ones, order[:, : bits // 2], False, axis=1)
            parts.append(Codes.from_bits(ones))
        return Codes.concat(parts)
