"""Kerdock codes: 4^m words of 2^m bits (m even, 4 or more), farther apart than any known linear code so large.

The minimum distance is 2^(m−1) − 2^(m/2−1): 6 of 16 bits for 256 words, 28 of 64 for 4096, 120 of 256 for 65,536.
The code is linear over Z4, from where Gray's map (0 → 00, 1 → 01, 2 → 11, 3 → 10) takes distances to Hamming's.

Sources: Kerdock (1972); Hammons, Kumar, Calderbank, Sloane & Solé, "The Z4-linearity of Kerdock, Preparata, Goethals,
and related codes" (1994), section IV.
"""

import numpy as np
from jaxtyping import Bool, Int64

from bitseek.codebooks.galois import lifted_powers

_GRAY = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.bool_)
_BLOCK = 8192


def kerdock_distance(m: int) -> int:
    """The minimum distance of the code of length 2^m."""
    return (1 << (m - 1)) - (1 << (m // 2 - 1))


def kerdock_words(m: int, messages: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, "n bits"]:
    """The words of the given messages 0 … 4^m − 1, (n, 2^m) bool; those of i and i + 2 are complements if i % 4 < 2."""
    points = lifted_powers(m - 1)
    columns = np.zeros((m, 1 << (m - 1)), np.float32)
    columns[0] = 1
    columns[1:, 1:] = points.T
    words = np.empty((len(messages), 1 << m), np.bool_)
    for start in range(0, len(messages), _BLOCK):
        block = messages[start : start + _BLOCK]
        digits = (block[:, None] >> (2 * np.arange(m)) & 3).astype(np.float32)
        quaternary = (digits @ columns).astype(np.int64) % 4  # sums of m products under 9: exact in float32
        words[start : start + _BLOCK] = _GRAY[quaternary].reshape(len(block), 1 << m)
    return words
