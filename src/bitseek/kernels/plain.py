"""The searches in plain NumPy: what the compiled kernels fall back to where numba has no compiler.

The same keys in the same order, some ten times slower.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64, UInt64

from bitseek.kernels.nearest import ID_BITS, NOTHING

if TYPE_CHECKING:
    from bitseek.kernels.pruned import Shells

_AT_ONCE = 1 << 18


def nearest(
    words: UInt64[np.ndarray, "n words"],
    queries: UInt64[np.ndarray, "q words"],
    k: int,
    gone: UInt64[np.ndarray, " g"],
    offset: int,
) -> Int64[np.ndarray, "q k"]:
    """As `scan.nearest`."""
    k = min(k, max(len(words), 1))
    found = np.full((len(queries), k), NOTHING, np.int64)
    for row, query in zip(found, queries, strict=True):
        for start in range(0, len(words), _AT_ONCE):
            keys = np.concatenate((row, _keys(words, start, query, gone, offset)))
            row[:] = np.partition(keys, k - 1)[:k]
        row.sort()
    return found


def within(
    words: UInt64[np.ndarray, "n words"],
    queries: UInt64[np.ndarray, "q words"],
    radius: int,
    gone: UInt64[np.ndarray, " g"],
    offset: int,
) -> tuple[Int64[np.ndarray, " offsets"], Int64[np.ndarray, " hits"]]:
    """As `scan.within`."""
    beyond = (radius + 1) << ID_BITS
    offsets, parts = np.zeros(len(queries) + 1, np.int64), [np.zeros(0, np.int64)]
    for i, query in enumerate(queries):
        found = [_keys(words, start, query, gone, offset) for start in range(0, len(words), _AT_ONCE)]
        parts.append(np.sort(np.concatenate([parts[0], *(keys[keys < beyond] for keys in found)])))
        offsets[i + 1] = offsets[i] + len(parts[-1])
    return offsets, np.concatenate(parts)


def nearest_in_shells(
    shells: "Shells", queries: UInt64[np.ndarray, "q words"], k: int, gone: UInt64[np.ndarray, " g"]
) -> tuple[Int64[np.ndarray, "q k"], Int64[np.ndarray, " q"]]:
    """As `pruned.nearest`."""
    k = min(k, max(len(shells.ids), 1))
    found = np.full((len(queries), k), NOTHING, np.int64)
    looked = np.zeros(len(queries), np.int64)
    for i, query in enumerate(queries):
        away = distances(shells.centres.T, query)
        for c in np.argsort(away, kind="stable"):
            limit = min(int(found[i].max()) >> ID_BITS, shells.bits)
            keys, seen = _keys_in_reach(shells, query, int(c), int(away[c]), limit, gone)
            looked[i] += seen
            if len(keys):
                found[i] = np.partition(np.concatenate((found[i], keys)), k - 1)[:k]
        found[i].sort()
    return found, looked


def within_shells(
    shells: "Shells", queries: UInt64[np.ndarray, "q words"], radius: int, gone: UInt64[np.ndarray, " g"]
) -> tuple[Int64[np.ndarray, " offsets"], Int64[np.ndarray, " hits"], Int64[np.ndarray, " q"]]:
    """As `pruned.within`."""
    offsets, parts = np.zeros(len(queries) + 1, np.int64), [np.zeros(0, np.int64)]
    looked = np.zeros(len(queries), np.int64)
    for i, query in enumerate(queries):
        found = parts[:1]
        for c, away in enumerate(distances(shells.centres.T, query)):
            keys, seen = _keys_in_reach(shells, query, c, int(away), radius, gone)
            looked[i] += seen
            found.append(keys[keys < (radius + 1) << ID_BITS])
        parts.append(np.sort(np.concatenate(found)))
        offsets[i + 1] = offsets[i] + len(parts[-1])
    return offsets, np.concatenate(parts), looked


def _keys_in_reach(
    shells: "Shells", query: np.ndarray, c: int, away: int, limit: int, gone: np.ndarray
) -> tuple[np.ndarray, int]:
    """Keys of what cluster c has within reach, and how many codes were looked at for them."""
    inner, outer = int(shells.inner[c]), int(shells.inner[c] + shells.first[c + 1] - shells.first[c] - 2)
    low, high = max(inner, away - limit), min(outer, away + limit)
    if low > high:
        return np.zeros(0, np.int64), 0
    start, stop = shells.starts[shells.first[c] - inner + np.array([low, high + 1])]
    items = shells.ids[start:stop].astype(np.int64)
    keys = (distances(shells.planes[:, start:stop].T, query) << ID_BITS) | items
    return (keys[~is_gone(gone, items)] if gone.size else keys), len(items)


def distances(words: UInt64[np.ndarray, "n words"], query: UInt64[np.ndarray, " words"]) -> Int64[np.ndarray, " n"]:
    """Hamming distance of every code to the query."""
    bits: np.ndarray = np.bitwise_count(words ^ query).sum(axis=1, dtype=np.int64)
    return bits


def _keys(words: np.ndarray, start: int, query: np.ndarray, gone: np.ndarray, offset: int) -> np.ndarray:
    """Keys of the codes from `start` on that are not gone, at most `_AT_ONCE` of them."""
    some = words[start : start + _AT_ONCE]
    items = np.arange(offset + start, offset + start + len(some))
    keys = (distances(some, query) << ID_BITS) | items
    return keys[~is_gone(gone, items)] if gone.size else keys


def is_gone(gone: UInt64[np.ndarray, " g"], items: np.ndarray) -> np.ndarray:
    """Which of the items have their bit set in the mask."""
    items = np.asarray(items)
    inside = items >> 6 < gone.size
    word = gone[np.where(inside, items >> 6, 0)] if gone.size else np.zeros(items.shape, np.uint64)
    hit: np.ndarray = inside & ((word >> (items & 63).astype(np.uint64)) & np.uint64(1)).astype(bool)
    return hit
