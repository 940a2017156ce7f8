"""The searches in plain NumPy: where there is no compiler, and for the first searches of a process (see `loading`).

The same keys in the same order as from the compiled kernels; three times slower for one query, twenty for many.
"""

import numpy as np
from jaxtyping import UInt64

from bitseek.kernels.layout import ID_BITS, NOTHING, Gone, KeyRows, Queries, Vector, Words, alive, distances

_AT_ONCE = 1 << 16

Ids = np.ndarray | int
"""Id of every code, or of the first one if they follow on each other."""


def nearest(words: Words, queries: Queries, k: int, gone: Gone, ids: Ids) -> KeyRows:
    """Keys of the k nearest codes of each query, ascending; `NOTHING` where there are fewer."""
    k = min(k, max(len(words), 1))
    found = np.full((len(queries), k), NOTHING, np.int64)
    for row, query in zip(found, queries, strict=True):
        for start in range(0, len(words), _AT_ONCE):
            keys = np.concatenate((row, _keys(words, start, query, int(row[-1] >> ID_BITS), gone, ids)))
            if len(keys) > k:
                row[:] = np.sort(np.partition(keys, k - 1)[:k])
    return found


def within(words: Words, queries: Queries, radius: int, gone: Gone, ids: Ids) -> tuple[Vector, Vector]:
    """Offsets and keys of all codes at a distance of at most `radius`."""
    offsets, parts = np.zeros(len(queries) + 1, np.int64), [np.zeros(0, np.int64)]
    for i, query in enumerate(queries):
        found = [_keys(words, start, query, radius, gone, ids) for start in range(0, len(words), _AT_ONCE)]
        parts.append(np.sort(np.concatenate([parts[0], *found])))
        offsets[i + 1] = offsets[i] + len(parts[-1])
    return offsets, np.concatenate(parts)


def _keys(words: Words, start: int, query: UInt64[np.ndarray, " words"], limit: int, gone: Gone, ids: Ids) -> Vector:
    """Keys of the codes that are no farther than `limit` and not gone, among `_AT_ONCE` from `start` on."""
    away = distances(words[start : start + _AT_ONCE], query)
    near = np.flatnonzero(away <= limit)
    items = near + (ids + start) if isinstance(ids, int) else ids[start + near].astype(np.int64)
    keys: np.ndarray = (away[near] << ID_BITS) | items
    return np.asarray(keys[alive(gone, items)])
