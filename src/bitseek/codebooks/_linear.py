"""Linear codes as columns: a code of dimension k and length n is n numbers 0 < c < 2^k; and a search for good ones.

Bit j of the word of message u is the parity of u & c_j. The sum of two words is the word of the sum of their messages,
so the distances of the code are its weights, and all 2^k weights follow from one Walsh–Hadamard transform of the
histogram of the columns: weight(u) = (n − Σ_c count(c)·(−1)^(u·c)) / 2. The cost does not depend on n.
"""

import numpy as np
from jaxtyping import Int64

from bitseek.codebooks._draw import Draw
from bitseek.codes import Codes

_RANDOM_REMOVAL = 10  # one removal in so many is random

Columns = Int64[np.ndarray, " bits"]


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


def weights(columns: Columns, dimension: int) -> Int64[np.ndarray, " messages"]:
    """The weight of the word of every message, (2^dimension,) int64; that of message 0 is 0."""
    histogram = np.bincount(columns, minlength=1 << dimension).astype(np.int64)
    return (len(columns) - walsh(histogram)) // 2


def least_weight(columns: Columns, dimension: int) -> int:
    """The minimum distance of the linear code; 0 if two messages have the same word."""
    return int(weights(columns, dimension)[1:].min())


def encode(columns: Columns, dimension: int, messages: Int64[np.ndarray, " n"]) -> Codes:
    """The words of the given messages 0 … 2^dimension − 1."""
    generator = Codes.from_bits((columns[None, :] >> np.arange(dimension)[:, None] & 1).astype(np.bool_))
    words = np.zeros((len(messages), generator.words.shape[1]), np.uint64)
    for row in range(dimension):
        words[(messages >> row & 1).astype(np.bool_)] ^= generator.words[row]
    return Codes(words, generator.bits)


def shorten(columns: Columns) -> Int64[np.ndarray, " fewer"]:
    """The words that are 0 in the last column, without it: one bit and one dimension less, no distance lost."""
    pivot = int(columns[-1])
    top = pivot.bit_length() - 1
    rest = columns[:-1].copy()
    rest[(rest >> top & 1).astype(np.bool_)] ^= pivot
    return (rest >> (top + 1) << top) | (rest & ((1 << top) - 1))


# --- search ---------------------------------------------------------------------------------------------------------


def exchange(
    columns: Columns, dimension: int, target: int, steps: int, draw: Draw, margin: int = 2
) -> tuple[Columns, int]:
    """Local search for columns with a large minimum weight: one column out, one column in, judged by all words.

    Every word of weight w costs 3^(T − w) while w < T, with T = `margin` + the largest minimum weight so far (margins
    1, 2 and 3 succeed on different codes). The column whose removal costs least goes, and the column that saves most
    comes, chosen from all 2^k: one Walsh–Hadamard transform of the costs ranks them all, so a step costs about
    2 k 2^k additions. A new column stays for a few steps (tabu), and one removal in ten is random. The search ends
    at the weight `target`; it finds the codes [24, 12, 8] (Golay) and [32, 8, 13] in milliseconds.

    Returns:
        The best columns found, and their minimum weight (never less than that of the start).
    """
    messages = np.arange(1 << dimension)
    columns = columns.copy()
    weight = weights(columns, dimension)
    best, best_columns = int(weight[1:].min()), columns.copy()
    tabu_until = np.zeros(len(columns), np.int64)
    for step in range(steps):
        if best >= target:
            break
        chance, tie, tenure = (int(number) for number in draw.below(1 << 30, 3))
        if chance % _RANDOM_REMOVAL == 0:
            place = tie % len(columns)
        else:
            free = np.flatnonzero(tabu_until <= step)
            free = free if len(free) else np.arange(len(columns))
            place = int(free[_best_removal(columns[free], _costs(weight, best + margin), tie)])
        weight = weight - (np.bitwise_count(messages & columns[place]) & 1)
        columns[place] = _best_addition(_costs(weight, best + margin), tie, but=int(columns[place]))
        weight = weight + (np.bitwise_count(messages & columns[place]) & 1)
        tabu_until[place] = step + 3 + tenure % max(1, len(columns) // 4)
        least = int(weight[1:].min())
        if least > best:
            best, best_columns = least, columns.copy()
    return best_columns, best


def fit(columns: Int64[np.ndarray, " n"], dimension: int, bits: int, draw: Draw) -> Columns:
    """Columns dropped or added one by one, each the best single choice, until there are `bits` of them."""
    while len(columns) != bits:
        costs = _costs(weights(columns, dimension), least_weight(columns, dimension) + 3)
        tie = int(draw.below(1 << 30, 1)[0])
        if len(columns) > bits:
            columns = np.delete(columns, _best_removal(columns, costs, tie))
        else:
            columns = np.append(columns, _best_addition(costs, tie))
    return columns


def _costs(weight: Int64[np.ndarray, " messages"], aim: int) -> Int64[np.ndarray, " messages"]:
    """3^(aim − weight) where the weight is under the aim, capped so that their sum fits an integer; 0 elsewhere."""
    dimension = len(weight).bit_length() - 1
    levels = 3 ** np.arange(int((61 - dimension) / np.log2(3)), dtype=np.int64)
    levels[0] = 0
    costs: np.ndarray = levels[np.clip(aim - weight, 0, len(levels) - 1)]
    costs[0] = 0
    return costs


def _best_removal(columns: Columns, costs: Int64[np.ndarray, " messages"], tie: int) -> int:
    """The place of the column c whose removal raises the costs least: Σ_u costs[u]·(−1)^(u·c) is largest."""
    return _largest(walsh(costs)[columns], tie)


def _best_addition(costs: Int64[np.ndarray, " messages"], tie: int, but: int = 0) -> int:
    """The column 0 < c < 2^k, other than `but`, that lowers the costs most."""
    saved = -walsh(costs)
    saved[[0, but]] = np.iinfo(np.int64).min
    return _largest(saved, tie)


def _largest(values: Int64[np.ndarray, " n"], tie: int) -> int:
    """The place of a largest value; the random number `tie` decides among equals."""
    places = np.flatnonzero(values == values.max())
    return int(places[tie % len(places)])
