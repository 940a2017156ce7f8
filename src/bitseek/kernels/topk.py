"""Candidates of a search: the k nearest codes so far without a heap, all within a radius, and limits from a sample.

Keys (see `layout`) are appended; a count of the distances seen gives the *limit*, the distance of the k-th nearest so
far, which only falls. When the room is full, the k smallest keys are brought to its front (quickselect). A large k
starts better from the limit that a random sample of the database promises; what that misses is searched again.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from bitseek.kernels.distance import measure
from bitseek.kernels.jit import inner, njit
from bitseek.kernels.layout import ID_BITS, NOTHING, KeyRows, Queries, Vector, Words, by_query, flat, frozen

SAMPLED_FROM = 64
"""From this k on a sample of the database pays."""

COUNT, LIMIT, BELOW, CEILING = range(4)
"""Fields of the state: keys kept; limit; keys kept with a distance below the limit; least key that is of no use."""


def nearest_from_sample(
    search: Callable[[Any, Queries, Vector], KeyRows],
    queries: Queries,
    k: int,
    bits: int,
    codes: int,
    sample: Words | None,
    known: Vector | None = None,
) -> KeyRows:
    """Keys of the k nearest of each query, found below a limit that a sample promises where it pays.

    Args:
        search: gives keys for some rows of the queries, these queries, and a limit for each: ascending, `NOTHING` where
            fewer codes are nearer than the limit.
        queries: the queries.
        k: how many are wanted.
        bits: length of the codes.
        codes: size of the database.
        sample: a random sample of it.
        known: for each query a distance beyond which nothing is wanted, since k as near are known; none if None.
    """
    beyond = np.full(len(queries), bits + 1, np.int64) if known is None else np.minimum(known, bits + 1)
    limits = beyond.copy()
    if sample is not None and k >= SAMPLED_FROM and len(sample) < codes // 8:
        expected = k / codes * len(sample)
        wanted = int(expected + 3 * expected**0.5 + 2)  # three standard deviations more
        _quantiles(flat(sample), queries, wanted, np.zeros(bits + 1, np.int64), limits)
    limits = np.minimum(limits, beyond)
    keys = search(slice(None), queries, limits)
    missed = np.flatnonzero((keys[:, -1] == NOTHING) & (limits < beyond))
    if len(missed):  # the sample promised too much, or the database is smaller than k
        keys[missed] = search(missed, frozen(queries[missed]), beyond[missed])
    return keys


def in_order(parts: list[tuple[Vector, Vector]], queries: int) -> tuple[Vector, Vector]:
    """Offsets and keys of hits that were found in parts, each with the owners (numbers of queries) and keys of some."""
    empty = np.zeros(0, np.int64)
    owners = np.concatenate([empty, *(part[0] for part in parts)])
    return by_query(owners, np.concatenate([empty, *(part[1] for part in parts)]), queries)


@inner
def begin(seen: np.ndarray, state: np.ndarray, row: int, limit: int) -> None:
    """Nothing is kept yet, and only distances below `limit` (or equal, where ids come in no order) are of use."""
    for bits in range(seen.shape[1]):
        seen[row, bits] = 0
    state[row, COUNT] = 0
    state[row, LIMIT] = min(limit, seen.shape[1])
    state[row, BELOW] = 0
    state[row, CEILING] = NOTHING


@inner
def keep(
    keys: np.ndarray, seen: np.ndarray, state: np.ndarray, row: int, k: int, distance: int, item: int | np.int64
) -> None:
    """Take one code into the k nearest of a query (number `row`), if it belongs there.

    Args:
        keys: (q, room) int64, more than k.
        seen: (q, bits + 1) int64, how often each distance was kept.
        state: (q, 4) int64, see above.
        row: which query.
        k: how many are wanted.
        distance: of the code found.
        item: its id.
    """
    key = (distance << ID_BITS) | item
    if key >= state[row, CEILING]:
        return
    count = state[row, COUNT]
    if count == keys.shape[1]:
        select(keys, row, count, k)
        count = k
        state[row, CEILING] = 0
        for i in range(k):
            state[row, CEILING] = max(state[row, CEILING], keys[row, i])
        if key >= state[row, CEILING]:
            state[row, COUNT] = count
            return
    keys[row, count] = key
    state[row, COUNT] = count + 1
    seen[row, distance] += 1
    if distance < state[row, LIMIT]:
        state[row, BELOW] += 1
        while state[row, BELOW] >= k:
            state[row, LIMIT] -= 1
            state[row, BELOW] -= seen[row, state[row, LIMIT]]


@inner
def finish(keys: np.ndarray, state: np.ndarray, row: int, k: int, found: np.ndarray, to: int) -> None:
    """Write the k smallest keys of a query, in no order, to a row of `found`; fewer if there are not so many."""
    count = state[row, COUNT]
    if count > k:
        select(keys, row, count, k)
        count = k
    for i in range(count):
        found[to, i] = keys[row, i]


@inner
def select(keys: np.ndarray, row: int, count: int, k: int) -> None:
    """Bring the k smallest of `count` keys to the front, in no order (Hoare's quickselect; keys are distinct)."""
    low, high = 0, count - 1
    while low < high:
        a, b, c = keys[row, low], keys[row, (low + high) // 2], keys[row, high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while keys[row, i] < pivot:
                i += 1
            while keys[row, j] > pivot:
                j -= 1
            if i <= j:
                keys[row, i], keys[row, j] = keys[row, j], keys[row, i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            return


@inner
def is_gone(gone: np.ndarray, item: int | np.int64) -> bool | np.bool:
    """Whether the item's bit is set in the mask; an empty mask has none."""
    word = item >> 6
    return word < gone.size and (gone[word] >> np.uint64(item & 63)) & np.uint64(1) != 0


@njit
def more_room(values: np.ndarray) -> np.ndarray:
    """The same values at the front of an array of twice the size."""
    larger = np.empty(2 * values.size, np.int64)
    for i in range(values.size):
        larger[i] = values[i]
    return larger


@njit
def _quantiles(words: np.ndarray, queries: np.ndarray, wanted: int, seen: np.ndarray, limits: np.ndarray) -> None:
    """For each query the least limit that `wanted` of the codes are below; bits + 1 if there are not so many."""
    width = queries.shape[1]
    count = words.size // width
    sums = np.empty(count, np.int64)
    for i in range(queries.shape[0]):
        measure(words, 0, width, 1, queries, i, sums, count)
        for bits in range(seen.size):
            seen[bits] = 0
        for j in range(count):
            seen[sums[j]] += 1
        limit, below = 0, 0
        while limit < seen.size and below < wanted:
            below += seen[limit]
            limit += 1
        limits[i] = limit
