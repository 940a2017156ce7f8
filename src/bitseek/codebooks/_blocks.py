"""Component codes of known length and distance, from which `spread` puts a codebook together side by side.

Words of several blocks side by side are as far apart as the blocks' distances together, whichever words meet.
Linear: extended BCH codes, and simplex codes less a subspace. Not linear: rows of Hadamard matrices, Kerdock codes.

Sources: Hocquenghem (1959), Bose & Ray-Chaudhuri (1960), MacDonald (1960), Levenshtein (1961), Kerdock (1972);
MacWilliams & Sloane, "The theory of error-correcting codes", chapter 9; Hammons, Kumar, Calderbank, Sloane & Solé,
"The Z4-linearity of Kerdock, Preparata, Goethals, and related codes" (1994), section IV.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial, reduce
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from bitseek.codebooks._draw import Draw
from bitseek.codebooks._hadamard import hadamard_matrix, has_hadamard_matrix
from bitseek.codebooks._linear import Columns, shorten

_LARGEST_DIMENSION = 62  # a column is one 64-bit integer
_SHORTENED = 5  # a Kerdock code has the same number of words for every value of up to 5 of its bits
_GRAY = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.bool_)
_MOST_WORDS = 2048
_SWAPS = 1000


class Block(NamedTuple):
    """A code with a promised distance, not yet built.

    Attributes:
        length: bits of a word.
        distance: a lower bound of the minimum distance.
        build: () ↦ columns of a linear code of the dimension asked for; or (draw) ↦ (classes, length) bool, words of a
            code that need not be linear, chosen so that the columns are balanced.
    """

    length: int
    distance: int
    build: Callable[..., Any]


def linear_blocks(dimension: int, longest: int) -> Iterator[Block]:
    """Linear codes of dimension k up to a length.

    Simplex codes less a subspace, [2^k − 2^u, k, 2^(k−1) − ⌊2^(u−1)⌋], and extended BCH codes, shortened where their
    dimension is larger.
    """
    size = 1 << dimension
    for inner in range(dimension):
        low = 1 << inner if inner else 1
        if size - low <= longest:
            yield Block(size - low, (size >> 1) - (1 << inner >> 1), partial(np.arange, low, size, dtype=np.int64))
    m = 1
    while (1 << m) - (_LARGEST_DIMENSION - dimension) <= longest:
        steps = [step for step in bch_steps(m) if step[0] >= dimension]
        for larger, distance in steps:
            length = (1 << m) - (larger - dimension)
            if larger <= _LARGEST_DIMENSION and length <= longest:
                yield Block(length, distance, partial(_shortened_bch, m, larger, dimension))
        above = [distance for larger, distance in steps if larger > dimension]
        if above and 1 << m <= longest:
            yield Block(1 << m, above[0], partial(bch_columns, m, dimension))
        m += 1


def word_blocks(classes: int, longest: int, complements: bool) -> Iterator[Block]:
    """Codes with `classes` words or more, up to a length: Levenshtein's from Hadamard matrices, and Kerdock codes.

    A Hadamard matrix of order n gives n words of n − 1 bits, half of which agree in one more bit, and with the
    complements 2n words of n bits; the distance is n/2 in all three. With `complements`, only blocks that hold the
    complement of every word, from which a balanced choice can be made.
    """
    for order in filter(has_hadamard_matrix, range(max(2, -(-classes // 2)), longest + 3)):
        constant = 0 if complements or classes > order else 2 if order >= 4 and 2 * classes <= order else 1
        if order - constant <= longest:
            yield Block(order - constant, order // 2, partial(_hadamard_words, order, constant, classes))
    for m in range(4, longest.bit_length() + 1, 2):
        for fewer in range(_SHORTENED + 1 if m <= 6 and not complements else 1):
            if 1 << m <= longest + fewer and classes <= 4**m >> fewer:
                yield Block((1 << m) - fewer, kerdock_distance(m), partial(_kerdock_words, m, fewer, classes))


def balanced_rows(words: Bool[np.ndarray, "n bits"], count: int, draw: Draw) -> Bool[np.ndarray, "count bits"]:
    """`count` of the words, chosen at random and then exchanged until every bit divides them nearly in halves.

    The mean distance is largest when every bit does, since a column of p ones adds p (C − p) to the sum of all
    distances. A swap of a chosen word x for another y changes Σ_j s_j², s being the column sums of the signs, by
    −2 s·x + 2 s·y + |x − y|²; the swap that lowers it most is made until none does. With more than 2048 words the
    random choice stays: its columns are balanced to about 1/√count of the classes.
    """
    words = words[draw.permutation(len(words))]
    if count == len(words) or len(words) > _MOST_WORDS:
        return words[:count]
    signs = words.astype(np.float64) * 2 - 1  # products of floats are quick, and sums of whole numbers exact
    apart = 2 * (words.shape[1] - signs @ signs.T)
    chosen = np.arange(len(words)) < count
    for _ in range(_SWAPS):
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        along = 2 * (signs @ signs[chosen].sum(axis=0))
        change = along[outside][None] - along[inside][:, None] + apart[np.ix_(inside, outside)]
        leaving, arriving = np.unravel_index(int(change.argmin()), change.shape)
        if change[leaving, arriving] >= 0:
            break
        chosen[inside[leaving]], chosen[outside[arriving]] = False, True
    return words[chosen]


def _hadamard_words(order: int, constant: int, classes: int, draw: Draw) -> Bool[np.ndarray, "classes length"]:
    """Rows that agree in the first `constant` columns, without these; with the complements if there are none."""
    rows = hadamard_matrix(order) > 0
    if constant == 2:
        rows = rows[rows[:, 1]]
    elif constant == 0:
        rows = np.concatenate([rows, ~rows])
    return balanced_rows(rows[:, constant:], classes, draw)


# --- finite fields --------------------------------------------------------------------------------------------------


@cache
def primitive(degree: int) -> tuple[int, Int64[np.ndarray, " n"]]:
    """The smallest primitive polynomial of this degree over two elements, and the powers of its root α.

    Returns:
        The polynomial, bit i being the coefficient of x^i; and α⁰, α¹, … as (2^degree − 1,) int64, each power being
        the integer of its coordinates.

    >>> [bin(primitive(m)[0]) for m in (1, 3, 4)]
    ['0b11', '0b1011', '0b10011']
    """
    for polynomial in range((1 << degree) + 1, 1 << (degree + 1), 2):
        powers, value = [1], 2
        while True:
            value ^= polynomial if value >> degree else 0
            if value == 1:
                break
            powers.append(value)
            value <<= 1
        if len(powers) == (1 << degree) - 1:
            return polynomial, np.array(powers, np.int64)
    raise AssertionError("every degree has a primitive polynomial")


def lifted_powers(degree: int) -> Int64[np.ndarray, "n degree"]:
    """ξ⁰, ξ¹, … of order 2^degree − 1 in the Galois ring of 4^degree elements: (2^degree − 1, degree) int64 in 0 … 3.

    The polynomial h of ξ is the lift of the primitive one, p, by Graeffe's method: h(x²) = ±p(x)·p(−x) modulo 4.
    """
    binary = primitive(degree)[0] >> np.arange(degree + 1) & 1
    lift = np.convolve(binary, binary * (-1) ** np.arange(degree + 1))[::2]
    lift = lift * lift[degree] % 4
    values = np.zeros(((1 << degree) - 1, degree), np.int64)
    values[0, 0] = 1
    for exponent in range(1, len(values)):
        previous = values[exponent - 1]
        values[exponent, 1:] = previous[:-1]
        values[exponent] = (values[exponent] - previous[-1] * lift[:degree]) % 4
    return values


# --- extended BCH codes ---------------------------------------------------------------------------------------------


@cache
def bch_steps(m: int) -> tuple[tuple[int, int], ...]:
    """(dimension, distance) of the nested extended BCH codes of length 2^m, from the repetition code on.

    The distance is that of the BCH bound, plus one for the parity bit.

    >>> bch_steps(5)
    ((1, 32), (6, 16), (11, 12), (16, 8), (21, 6), (26, 4), (31, 2))
    """
    dimensions = accumulate((size for _, size in _cosets(m)), initial=1)
    return tuple(zip(dimensions, [1 << m, *(leader + 1 for leader, _ in _cosets(m))], strict=True))


def bch_columns(m: int, dimension: int) -> Columns:
    """Columns of the smallest extended BCH code of length 2^m with this dimension or more, cut to it.

    Bit 0 of every column is 1, so that the word of message 1 is all ones; `dimension` is at most 62.
    """
    order = (1 << m) - 1
    powers = primitive(m)[1]
    rows = [np.ones(order + 1, np.int64)]
    for leader, size in _cosets(m):
        if len(rows) >= dimension:
            break
        exponents = -leader * np.arange(order) % order  # x ↦ x^(−leader) at x = α^t, and 0 at x = 0
        rows += _independent([np.append(powers[exponents] >> bit & 1, 0) for bit in range(m)], size)
    return sum((row << bit for bit, row in enumerate(rows[:dimension])), np.zeros(order + 1, np.int64))


def _shortened_bch(m: int, larger: int, dimension: int) -> Columns:
    return reduce(lambda columns, _: shorten(columns), range(larger - dimension), bch_columns(m, larger))


@cache
def _cosets(m: int) -> tuple[tuple[int, int], ...]:
    """(smallest member, size) of the cyclotomic cosets of 1 … 2^m − 2 under doubling, from the largest on."""
    order = (1 << m) - 1
    cosets = {frozenset(leader * 2**i % order for i in range(m)) for leader in range(1, order)}
    return tuple(sorted(((min(members), len(members)) for members in cosets), reverse=True))


def _independent(rows: list[Int64[np.ndarray, " n"]], count: int) -> list[Int64[np.ndarray, " n"]]:
    """The first `count` rows that are linearly independent over two elements."""
    kept: list[np.ndarray] = []
    reduced: list[int] = []
    for row in rows:
        rest = int.from_bytes(np.packbits(row.astype(np.bool_)).tobytes())
        for other in reduced:
            rest = min(rest, rest ^ other)  # clears the highest bit of `other`
        if rest:
            kept.append(row)
            reduced.append(rest)
    return kept[:count]


# --- Kerdock codes --------------------------------------------------------------------------------------------------


def kerdock_distance(m: int) -> int:
    """The minimum distance 2^(m−1) − 2^(m/2−1) of the code of length 2^m: 6 of 16 bits, 28 of 64, 120 of 256."""
    return (1 << (m - 1)) - (1 << (m // 2 - 1))


def kerdock_code(m: int, messages: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, "n bits"]:
    """Words of the Kerdock code: 4^m words of 2^m bits (m even, 4 or more), farther apart than in any linear code.

    The code is linear over Z4, from where Gray's map (0 → 00, 1 → 01, 2 → 11, 3 → 10) takes distances to Hamming's.
    Messages are 0 … 4^m − 1; the words of i and i + 2 are complements if i % 4 < 2.
    """
    columns = np.zeros((m, 1 << (m - 1)), np.float32)
    columns[0] = 1
    columns[1:, 1:] = lifted_powers(m - 1).T
    words = np.empty((len(messages), 1 << m), np.bool_)
    for start in range(0, len(messages), 8192):
        block = messages[start : start + 8192]
        digits = (block[:, None] >> (2 * np.arange(m)) & 3).astype(np.float32)
        quaternary = (digits @ columns).astype(np.int64) % 4  # sums of m products under 10: exact in float32
        words[start : start + 8192] = _GRAY[quaternary].reshape(len(block), 1 << m)
    return words


def _kerdock_words(m: int, fewer: int, classes: int, draw: Draw) -> Bool[np.ndarray, "classes length"]:
    """C words of the code, of those that are 0 in the first `fewer` bits, without these."""
    if fewer == 0 and 4**m > 4096:  # complementary pairs are balanced as they are
        pairs = draw.permutation(4**m >> 1)[: -(-classes // 2)]
        first = pairs % 2 + (pairs // 2 << 2)
        return kerdock_code(m, np.stack([first, first + 2], axis=1).reshape(-1)[:classes])
    every = kerdock_code(m, np.arange(4**m))
    kept = every[~every[:, :fewer].any(axis=1)]
    return balanced_rows(kept[:, fewer:], classes, draw)
