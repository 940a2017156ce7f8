"""Two classes with the same codeword cannot be told apart: find such codewords and draw them again."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool

from bitseek.codebooks.draw import Draw
from bitseek.codes import Codes

_LIST_ALL = 20  # up to so many bits the words not yet used are listed; above, a redraw hits one of them soon
_ROUNDS = 20


def duplicates(codes: Codes) -> Bool[np.ndarray, " n"]:
    """Which codes equal an earlier one.

    >>> duplicates(Codes.from_bits([[1, 0], [0, 1], [1, 0]]))
    array([False, False,  True])
    """
    _, first = np.unique(codes.words, axis=0, return_index=True)
    repeated = np.ones(len(codes), np.bool_)
    repeated[first] = False
    return repeated


def repair(codes: Codes, draw: Draw, redraw: Callable[[int, int], Codes] | None = None) -> tuple[Codes, int]:
    """Replace every code that equals an earlier one by a new draw, until all are distinct.

    Args:
        codes: n codes of K bits, n ≤ 2^K.
        draw: where the new codes come from.
        redraw: draws (count, bits) new codes in the law of the codebook; uniform bits if not given. After 20 rounds
            the words that are still missing are taken uniformly, so that the repair ends even where that law has
            no unused word left.

    Returns:
        The codes, and how many of them were replaced.
    """
    pending = np.flatnonzero(duplicates(codes))
    repaired = len(pending)
    words = codes.words.copy()
    rounds = 0
    while len(pending):
        kept = np.delete(words, pending, axis=0)
        if rounds >= _ROUNDS and codes.bits <= _LIST_ALL:
            unused = np.setdiff1d(np.arange(1 << codes.bits, dtype=np.uint64), kept[:, 0])
            drawn = unused[draw.permutation(len(unused))[: len(pending)], None]
        elif redraw is not None and rounds < _ROUNDS:
            drawn = redraw(len(pending), codes.bits).words
        else:
            drawn = draw.codes(len(pending), codes.bits).words
        words[pending] = drawn
        again = duplicates(Codes(np.concatenate([kept, drawn]), codes.bits))  # the first of equals is a kept one
        pending = pending[again[len(kept) :]]
        rounds += 1
    return Codes(words, codes.bits), repaired
