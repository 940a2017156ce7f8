"""Linear codes as columns: a code of dimension k and length n is n numbers 0 < c < 2^k.

Bit j of the word of message u is the parity of u & c_j. The sum of two words is the word of the sum of their messages,
so the distances of the code are its weights, and all 2^k weights come at once from one Walsh–Hadamard transform of the
histogram of the columns: weight(u) = (n − Σ_c count(c)·(−1)^(u·c)) / 2. The cost does not depend on n.
"""

import numpy as np
from jaxtyping import Int64

from bitseek.codes import Codes


def walsh(values: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Σ_c values[c]·(−1)^(u·c) for every u; n a power of two. Exact integers.

    >>> walsh(np.array([1, 2, 3, 4]))
    array([10, -2, -4,  0])
    """
    half = 1
    while half < len(values):
        pairs = values.reshape(-1, 2, half)
        values = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
        half *= 2
    return values


def weights(columns: Int64[np.ndarray, " bits"], dimension: int) -> Int64[np.ndarray, " messages"]:
    """The weight of the word of every message, (2^dimension,) int64; that of message 0 is 0."""
    histogram = np.bincount(columns, minlength=1 << dimension).astype(np.int64)
    return (len(columns) - walsh(histogram)) // 2


def least_weight(columns: Int64[np.ndarray, " bits"], dimension: int) -> int:
    """The minimum distance of the linear code; 0 if two messages have the same word."""
    return int(weights(columns, dimension)[1:].min())


def encode(columns: Int64[np.ndarray, " bits"], dimension: int, messages: Int64[np.ndarray, " n"]) -> Codes:
    """The words of the given messages 0 … 2^dimension − 1."""
    generator = Codes.from_bits((columns[None, :] >> np.arange(dimension)[:, None] & 1).astype(np.bool_))
    words = np.zeros((len(messages), generator.words.shape[1]), np.uint64)
    for row in range(dimension):
        words[(messages >> row & 1).astype(np.bool_)] ^= generator.words[row]
    return Codes(words, generator.bits)


def shorten(columns: Int64[np.ndarray, " bits"], dimension: int) -> tuple[Int64[np.ndarray, " fewer"], int]:
    """The words that are 0 in the last column, without it: one bit and one dimension less, no distance lost.

    Returns:
        The columns and the dimension of the shorter code.
    """
    pivot = int(columns[-1])
    top = pivot.bit_length() - 1
    rest = columns[:-1].copy()
    rest[(rest >> top & 1).astype(np.bool_)] ^= pivot
    low = rest & ((1 << top) - 1)
    return (rest >> (top + 1) << top) | low, dimension - 1
