"""Which blocks to put side by side to fill K bits with the largest sum of distances: a knapsack."""

from collections.abc import Sequence

import numpy as np


def best_juxtaposition(sizes: Sequence[tuple[int, int]], bits: int, longest: int) -> tuple[list[int], int]:
    """Blocks, each as often as one likes, whose lengths together reach `bits`, or pass it by a little.

    Every bit beyond `bits` must be dropped and may cost 1 of the distance; a missing bit is filled with anything.

    Args:
        sizes: (length, distance) of every block.
        bits: K.
        longest: the largest total length that is looked at.

    Returns:
        The numbers of the chosen blocks, and the distance that they promise on `bits` bits.

    >>> best_juxtaposition([(18, 10), (22, 12), (11, 6)], 64, 70)  # Levenshtein's 10 words of 64 bits
    ([0, 0, 0, 2], 35)
    """
    lengths = np.array([length for length, _ in sizes], np.int64)
    distances = np.array([distance for _, distance in sizes], np.int64)
    reached = np.zeros(longest + 1, np.int64)
    last = np.full(longest + 1, -1, np.int64)
    for length in range(1, longest + 1):
        reached[length] = reached[length - 1]
        usable = np.flatnonzero(lengths <= length)
        if len(usable):
            totals = reached[length - lengths[usable]] + distances[usable]
            place = int(totals.argmax())
            if totals[place] > reached[length]:
                reached[length], last[length] = totals[place], usable[place]
    promised = reached[bits:] - np.arange(longest + 1 - bits)
    length = bits + int(promised.argmax())
    chosen = []
    while length:
        if last[length] < 0:
            length -= 1
        else:
            chosen.append(int(last[length]))
            length -= int(lengths[last[length]])
    return sorted(chosen), int(promised.max())
