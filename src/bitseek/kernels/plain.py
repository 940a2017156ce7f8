"""The searches in plain NumPy, which stand in for the compiled kernels where there is no compiler.

The same keys in the same order, some ten times slower.
"""

import numpy as np

from bitseek.kernels.layout import ID_BITS, NOTHING, Gone, KeyRows, Queries, Vector, Words, alive, distances

_AT_ONCE = 1 << 18

Ids = np.ndarray | int
"""Id of every code, or of the first one if they follow on each other."""


def nearest(words: Words, queries: Queries, k: int, gone: Gone, ids: Ids) -> KeyRows:
    """Keys of the k nearest codes of each query, ascending; `NOTHING` where there are fewer."""
    k = min(k, max(len(words), 1))
    found = np.full((len(queries), k), NOTHING, np.int64)
    for row, query in zip(found, queries, strict=True):
        for start in range(0, len(words), _AT_ONCE):
            keys = np.concatenate((row, _keys(words, start, query, gone, ids)))
            row[:] = np.partition(keys, k - 1)[:k]
        row.sort()
    return found


def within(words: Words, queries: Queries, radius: int, gone: Gone, ids: Ids) -> tuple[Vector, Vector]:
    """Offsets and keys of all codes at a distance of at most `radius`."""
    beyond = (radius + 1) << ID_BITS
    offsets, parts = np.zeros(len(queries) + 1, np.int64), [np.zeros(0, np.int64)]
    for i, query in enumerate(queries):
        found = [_keys(words, start, query, gone, ids) for start in range(0, len(words), _AT_ONCE)]
        parts.append(np.sort(np.concatenate([parts[0], *(keys[keys < beyond] for keys in found)])))
        offsets[i + 1] = offsets[i] + len(parts[-1])
    return offsets, np.concatenate(parts)


def _keys(words: Words, start: int, query: np.ndarray, gone: Gone, ids: Ids) -> Vector:
    """Keys of the codes from `start` on that are not gone, at most `_AT_ONCE` of them."""
    some = words[start : start + _AT_ONCE]
    first = ids + start if isinstance(ids, int) else 0
    items = np.arange(first, first + len(some)) if isinstance(ids, int) else ids[start : start + _AT_ONCE].astype(int)
    keys: np.ndarray = (distances(some, query) << ID_BITS) | items
    return np.asarray(keys[alive(gone, items)])
