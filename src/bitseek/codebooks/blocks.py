"""Known codes with room for C words: the blocks that a codebook is put together from, side by side.

Words of several blocks side by side are as far apart as the blocks' distances together, whichever words meet.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from bitseek.codebooks.balance import balanced_rows
from bitseek.codebooks.bch import bch_columns, bch_steps
from bitseek.codebooks.draw import Draw
from bitseek.codebooks.hadamard_matrix import hadamard_matrix, has_hadamard_matrix
from bitseek.codebooks.kerdock import kerdock_distance, kerdock_words
from bitseek.codebooks.linear import shorten

_LARGEST_DIMENSION = 62  # a column is one 64-bit integer
_SHORTENED = 5  # a Kerdock code has the same number of words for every value of up to 5 of its bits


@dataclass(frozen=True)
class LinearBlock:
    """A linear code of the dimension asked for, as columns (see `linear`)."""

    length: int
    distance: int
    columns: Callable[[], Int64[np.ndarray, " length"]]


@dataclass(frozen=True)
class WordBlock:
    """A code that need not be linear: C of its words, chosen so that the columns are balanced."""

    length: int
    distance: int
    words: Callable[[Draw], Bool[np.ndarray, "classes length"]]


def linear_blocks(dimension: int, longest: int) -> Iterator[LinearBlock]:
    """Linear codes of dimension k up to a length.

    Simplex codes less a subspace, [2^k − 2^u, k, 2^(k−1) − ⌊2^(u−1)⌋] (MacDonald 1960), and extended BCH codes,
    shortened where their dimension is larger.
    """
    for inner in range(dimension):
        low = 1 << inner if inner else 1
        if (1 << dimension) - low <= longest:
            distance = (1 << dimension >> 1) - (1 << inner >> 1)
            yield LinearBlock((1 << dimension) - low, distance, _simplex(low, 1 << dimension))
    m = 1
    while (1 << m) - (_LARGEST_DIMENSION - dimension) <= longest:
        for larger, distance in bch_steps(m):
            length = (1 << m) - (larger - dimension)
            if dimension <= larger <= _LARGEST_DIMENSION and length <= longest:
                yield LinearBlock(length, distance, _shortened_bch(m, larger, dimension))
        above = [step for step in bch_steps(m) if step[0] > dimension]
        if above and 1 << m <= longest:
            yield LinearBlock(1 << m, above[0][1], _shortened_bch(m, dimension, dimension))
        m += 1


def word_blocks(classes: int, longest: int, complements: bool) -> Iterator[WordBlock]:
    """Codes from Hadamard matrices (Levenshtein 1961) and Kerdock codes, up to a length, with `classes` words or more.

    A Hadamard matrix of order n gives n words of n − 1 bits, half of which agree in one more bit, and with the
    complements 2n words of n bits; the distance is n/2 in all three.

    Args:
        classes: C.
        longest: no block is longer.
        complements: only blocks that hold the complement of every word, from which a balanced choice can be made.
    """
    for order in range(2, longest + 3):
        if 2 * order < classes or not has_hadamard_matrix(order):
            continue
        if complements:
            if order <= longest:
                yield WordBlock(order, order // 2, _hadamard_rows(order, 0, classes))
        elif order >= 4 and 2 * classes <= order:
            yield WordBlock(order - 2, order // 2, _hadamard_rows(order, 2, classes))
        elif classes <= order:
            yield WordBlock(order - 1, order // 2, _hadamard_rows(order, 1, classes))
        else:
            yield WordBlock(order, order // 2, _hadamard_rows(order, 0, classes))
    for m in range(4, longest.bit_length() + 1, 2):
        for fewer in range(_SHORTENED + 1 if m <= 6 and not complements else 1):
            if 1 << m <= longest + fewer and classes <= 4**m >> fewer:
                yield WordBlock((1 << m) - fewer, kerdock_distance(m), _kerdock(m, fewer, classes))


def _simplex(low: int, high: int) -> Callable[[], Int64[np.ndarray, " length"]]:
    return lambda: np.arange(low, high, dtype=np.int64)


def _shortened_bch(m: int, larger: int, dimension: int) -> Callable[[], Int64[np.ndarray, " length"]]:
    def columns() -> Int64[np.ndarray, " length"]:
        result, current = bch_columns(m, larger), larger
        while current > dimension:
            result, current = shorten(result, current)
        return result

    return columns


def _hadamard_rows(order: int, dropped: int, classes: int) -> Callable[[Draw], Bool[np.ndarray, "classes length"]]:
    def words(draw: Draw) -> Bool[np.ndarray, "classes length"]:
        rows = hadamard_matrix(order) > 0
        if dropped == 2:
            rows = rows[rows[:, 1]]
        elif dropped == 0:
            rows = np.concatenate([rows, ~rows])
        return balanced_rows(rows[:, dropped:], classes, draw)

    return words


def _kerdock(m: int, fewer: int, classes: int) -> Callable[[Draw], Bool[np.ndarray, "classes length"]]:
    def words(draw: Draw) -> Bool[np.ndarray, "classes length"]:
        if fewer == 0 and 4**m > 4096:  # complementary pairs are balanced as they are
            pairs = draw.permutation(4**m >> 1)[: -(-classes // 2)]
            first = pairs % 2 + (pairs // 2 << 2)
            return kerdock_words(m, np.stack([first, first + 2], axis=1).reshape(-1)[:classes])
        every = kerdock_words(m, np.arange(4**m))
        kept = every[~every[:, :fewer].any(axis=1)]
        return balanced_rows(kept[:, fewer:], classes, draw)

    return words
