"""The k nearest seen so far, kept without a heap.

A found code is one number, its *key*: `distance << 40 | id`, so that the order of keys is the order of hits, by
distance and then by id. Keys are appended; a count of the distances seen gives the *limit*, the distance of the k-th
nearest so far, which only falls. When the room is full, the k smallest keys are brought to its front (quickselect).

numba's cache asks for the date of one file only, so `jit` puts the text of this one, too, into the name of the cache.
"""

import numpy as np

from bitseek.kernels.jit import inner, njit

ID_BITS = 40
NOTHING = (1 << 62) - 1
"""A key greater than that of any code: fills the places of hits that are not there."""

COUNT, LIMIT, BELOW, CEILING = range(4)
"""Fields of the state: keys kept; limit; keys kept with a distance below the limit; least key that is of no use."""


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
    """Take one code into the k nearest of a query, if it belongs there.

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
