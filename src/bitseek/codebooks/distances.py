"""How far apart the codewords of a codebook are, exactly."""

from math import comb

import numpy as np
from jaxtyping import Int64

from bitseek import kernels
from bitseek.codes import Codes

_FEW = 2048  # up to so many codes NumPy is quicker than to wait for compiled loops
_BLOCK = 1 << 22  # words compared at a time: 32 MiB
_QUERIES = 512


def nearest_distances(codes: Codes, others: Codes) -> Int64[np.ndarray, " n"]:
    """Distance of each code to the nearest of `others`, (n,) int64; bits + 1 where there are no others."""
    nearest = np.full(len(codes), codes.bits + 1, np.int64)
    step = max(1, _BLOCK // max(1, codes.words.size))
    for start in range(0, len(others), step):
        distances = _all_distances(codes, others[start : start + step])
        nearest = np.minimum(nearest, distances.min(axis=1))
    return nearest


def minimum_distance(codes: Codes, at_least: int = 0) -> int:
    """The smallest distance between two of the codes; the number of bits if there is only one code.

    Args:
        codes: n codes, all different.
        at_least: a lower bound that is proved elsewhere. The scan stops once a pair attains it, for then it cannot
            fall further; 0 compares all pairs.
    """
    if len(codes) < 2:
        return codes.bits
    if len(codes) <= _FEW:
        distances = _all_distances(codes, codes)
        np.fill_diagonal(distances, np.iinfo(distances.dtype).max)
        return int(distances.min())
    from bitseek.kernels.nearest import ID_BITS  # here, since numba takes half a second that most codebooks do not need

    smallest = codes.bits
    for start in range(0, len(codes), _QUERIES):
        keys = kernels.scan.nearest(codes.words, codes.words[start : start + _QUERIES], 2, codes.bits)
        smallest = min(smallest, int(keys[:, 1].min() >> ID_BITS))  # the first is the code itself
        if smallest <= at_least:
            break
    return smallest


def _all_distances(codes: Codes, others: Codes) -> Int64[np.ndarray, "n m"]:
    distances = np.zeros((len(codes), len(others)), np.int64)
    for word in range(codes.words.shape[1]):
        distances += np.bitwise_count(codes.words[:, word, None] ^ others.words[None, :, word])
    return distances


def total_distance(codes: Codes) -> int:
    """The sum of the distances of all pairs: in every column, the ones times the zeros."""
    ones = column_ones(codes)
    return int((ones * (len(codes) - ones)).sum())


def column_ones(codes: Codes) -> Int64[np.ndarray, " bits"]:
    """How many codes have a 1 at each bit."""
    ones = np.zeros(codes.bits, np.int64)
    for start in range(0, len(codes), 4096):
        ones += codes[start : start + 4096].to_bits().sum(axis=0, dtype=np.int64)
    return ones


def mean_distance(codes: Codes) -> float:
    """The mean distance of two different codes; the number of bits if there is only one code.

    >>> mean_distance(Codes.from_bits([[0, 0, 0], [0, 1, 1], [1, 1, 0]]))
    2.0
    """
    pairs = comb(len(codes), 2)
    return total_distance(codes) / pairs if pairs else float(codes.bits)
