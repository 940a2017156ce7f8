"""Extended BCH codes: long linear codes of known minimum distance, as columns (see `linear`).

Sources: Hocquenghem (1959), Bose & Ray-Chaudhuri (1960); MacWilliams & Sloane, chapter 9. The distance is that of the
BCH bound, plus one for the parity bit.
"""

from functools import cache

import numpy as np
from jaxtyping import Int64

from bitseek.codebooks.galois import powers


@cache
def bch_steps(m: int) -> tuple[tuple[int, int], ...]:
    """(dimension, distance) of the nested extended BCH codes of length 2^m, from the repetition code on.

    >>> bch_steps(5)
    ((1, 32), (6, 16), (11, 12), (16, 8), (21, 6), (26, 4), (31, 2))
    """
    steps = [(1, 1 << m)]
    for leader, size in _cosets(m):
        steps.append((steps[-1][0] + size, leader + 1))
    return tuple(steps)


def bch_columns(m: int, dimension: int) -> Int64[np.ndarray, " bits"]:
    """Columns of the smallest extended BCH code of length 2^m with this dimension or more, cut to it.

    Bit 0 of every column is 1, so that the word of message 1 is all ones; `dimension` is at most 62.
    """
    order = (1 << m) - 1
    values = powers(m)
    rows = [np.ones(order + 1, np.int64)]
    for leader, size in _cosets(m):
        if len(rows) >= dimension:
            break
        exponents = -leader * np.arange(order) % order  # x ↦ x^(−leader) at x = α^t, and 0 at x = 0
        rows += _independent([np.append(values[exponents] >> bit & 1, 0) for bit in range(m)], size)
    return sum((row << bit for bit, row in enumerate(rows[:dimension])), np.zeros(order + 1, np.int64))


@cache
def _cosets(m: int) -> tuple[tuple[int, int], ...]:
    """(largest-first smallest member, size) of the cyclotomic cosets of 1 … 2^m − 2 under doubling."""
    order = (1 << m) - 1
    seen: set[int] = set()
    cosets = []
    for leader in range(1, order):
        if leader not in seen:
            members = {leader * 2**i % order for i in range(m)}
            seen |= members
            cosets.append((leader, len(members)))
    return tuple(reversed(cosets))


def _independent(rows: list[Int64[np.ndarray, " n"]], count: int) -> list[Int64[np.ndarray, " n"]]:
    """The first `count` rows that are linearly independent over two elements."""
    kept: list[np.ndarray] = []
    reduced: list[np.ndarray] = []
    for row in rows:
        rest = row.copy()
        for other in reduced:
            if rest[int(other.argmax())]:
                rest ^= other
        if rest.any() and len(kept) < count:
            kept.append(row)
            reduced.append(rest)
    return kept
