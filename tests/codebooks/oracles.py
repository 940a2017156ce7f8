"""Slow programs that say what the codebooks' own parts should give."""

from math import comb

import numpy as np
from scipy.optimize import linprog


def smallest_distance(words: np.ndarray) -> int:
    """Brute force over all pairs of (n, K) bool; K for a single word."""
    return min(all_distances(words), default=words.shape[1])


def all_distances(words: np.ndarray) -> list[int]:
    """Of all pairs of (n, K) bool."""
    table = (words[:, None] != words[None]).sum(axis=2)
    return table[np.triu_indices(len(words), 1)].tolist()


def krawtchouk(bits: int, degree: int, weight: int) -> int:
    """The Krawtchouk polynomial K_i(w): Σ (−1)^(u·v) over all u of weight i, for any v of weight w."""
    return sum((-1) ** j * comb(weight, j) * comb(bits - weight, degree - j) for j in range(degree + 1))


def macwilliams(weights: np.ndarray) -> list[int]:
    """Weight distribution of the dual code by MacWilliams' identity, from that of a code (index: weight)."""
    bits, size = len(weights) - 1, int(weights.sum())
    total = [sum(int(weights[w]) * krawtchouk(bits, i, w) for w in range(bits + 1)) for i in range(bits + 1)]
    assert all(number % size == 0 for number in total)
    return [number // size for number in total]


def delsarte(bits: int, distance: int) -> float:
    """Delsarte's linear programming bound of A(bits, distance), for even distances after a parity bit."""
    if distance % 2:
        bits, distance = bits + 1, distance + 1
    weights = range(distance, bits + 1, 2)
    inequalities = [[-krawtchouk(bits, i, w) / comb(bits, i) for w in weights] for i in range(1, bits // 2 + 1)]
    result = linprog(-np.ones(len(weights)), A_ub=np.array(inequalities), b_ub=np.ones(len(inequalities)))
    return 1 - float(result.fun)


def span(generator: np.ndarray) -> np.ndarray:
    """All words of a linear code, (2^k, n) bool, from its (k, n) generator; row u is the message with the bits of u."""
    dimension = len(generator)
    messages = np.arange(1 << dimension)[:, None] >> np.arange(dimension) & 1
    return (messages @ generator.astype(np.int64) % 2).astype(bool)


def generator_of(columns: np.ndarray, dimension: int) -> np.ndarray:
    """(k, n) generator of a linear code that is given by its columns as numbers."""
    return np.array([[int(column) >> row & 1 for column in columns] for row in range(dimension)])


def weight_distribution(words: np.ndarray) -> np.ndarray:
    """How many words have each weight 0 … n."""
    return np.bincount(words.sum(axis=1), minlength=words.shape[1] + 1)
