"""The k nearest codes, and all codes within a radius, by looking at every code.

For many queries the database passes by in tiles that fit the processor's second cache, each turned into aligned planes
once and then read by all queries. For a few queries it is read in place, and shared out between the threads.
"""

from typing import Any

import numpy as np

from bitseek.kernels import plain
from bitseek.kernels.distance import BLOCK, next_block
from bitseek.kernels.jit import COMPILED, inner, njit
from bitseek.kernels.layout import ID_BITS, NOTHING, NOTHING_GONE, Gone, KeyRows, Queries, Vector, Words, flat, frozen
from bitseek.kernels.threads import spread, thread_count
from bitseek.kernels.topk import LIMIT, begin, finish, in_order, is_gone, keep, more_room, nearest_from_sample

_TILE_WORDS = 1 << 15
_QUERIES_AT_ONCE = 256
_ROOM = 1 << 22
_PLANES_FROM = 4


def nearest(
    words: Words,
    queries: Queries,
    k: int,
    bits: int,
    *,
    gone: Gone = NOTHING_GONE,
    sample: Words | None = None,
    known: Vector | None = None,
    offset: int = 0,
    threads: int | None = None,
) -> KeyRows:
    """The k nearest codes of each query.

    Args:
        words: the database; row + offset = id. Any memory map that is C-contiguous is read in place.
        queries: as many words a code.
        k: how many; 1 or more.
        bits: length of the codes.
        gone: mask of the items that are not to be found.
        sample: a random sample of the rows, which makes a large k quicker.
        known: (q,) distances of the k-th nearest codes with lower ids, found elsewhere: only nearer ones are wanted.
        offset: id of the first row.
        threads: at most so many; see `threads.thread_count`.

    Returns:
        Keys (see `layout`), ascending; `NOTHING` where there are fewer than k codes, or fewer that are wanted.
    """
    if not COMPILED:
        return plain.nearest(words, queries, k, gone, offset)
    database, k = flat(words), min(k, max(len(words), 1))
    room = min(2 * k + 64, len(words) + 1)
    at_once = max(1, _ROOM // room)

    def search(_: Any, queries: Queries, limits: Vector) -> KeyRows:
        lots, shards = _shares(len(queries), len(words), threads)
        found = np.full((len(shards), len(queries), k), NOTHING, np.int64)

        def work(start: int, stop: int) -> None:
            for lot in range(start, stop):
                (a, b), shard = lots[lot // len(shards)], lot % len(shards)
                for c in range(a, b, at_once):
                    part = slice(c, min(b, c + at_once))
                    to = found[shard, part]
                    _nearest(database, *shards[shard], queries[part], k, bits, gone, offset, limits[part], room, to)

        spread(work, len(lots) * len(shards), threads=threads)
        keys = found[0] if len(shards) == 1 else np.concatenate(found, axis=1)
        keys.sort(axis=1)
        return keys[:, :k]

    return nearest_from_sample(search, frozen(queries), k, bits, len(words), sample, known)


def within(
    words: Words,
    queries: Queries,
    radius: int,
    *,
    gone: Gone = NOTHING_GONE,
    offset: int = 0,
    threads: int | None = None,
) -> tuple[Vector, Vector]:
    """All codes at a distance of at most `radius`, 0 or more; arguments as of `nearest`.

    Returns:
        Offsets and keys: the hits of query i are `keys[offsets[i] : offsets[i + 1]]`, ascending.
    """
    if not COMPILED:
        return plain.within(words, queries, radius, gone, offset)
    database, queries = flat(words), frozen(queries)
    parts: list[tuple[Vector, Vector]] = []
    lots, shards = _shares(len(queries), len(words), threads)

    def work(start: int, stop: int) -> None:
        for lot in range(start, stop):
            (a, b), shard = lots[lot // len(shards)], shards[lot % len(shards)]
            parts.append(_within(database, *shard, queries[a:b], radius, gone, offset, a))

    spread(work, len(lots) * len(shards), threads=threads)
    return in_order(parts, len(queries))


def _shares(queries: int, codes: int, threads: int | None) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Ranges of queries and ranges of codes; each pair is one piece of work. Codes are shared only by few queries."""
    threads = thread_count() if threads is None else threads
    few = queries < 8 * threads
    lot = max(1, min(_QUERIES_AT_ONCE, queries if few else -(-queries // threads)))
    shard = max(-(-codes // threads), 1 << 14) if few else max(codes, 1)
    shard = -(-shard // BLOCK) * BLOCK
    return (
        [(a, min(a + lot, queries)) for a in range(0, queries, lot)],
        [(a, min(a + shard, codes)) for a in range(0, max(codes, 1), shard)],
    )


@njit
def _nearest(
    words: np.ndarray,
    first: int,
    last: int,
    queries: np.ndarray,
    k: int,
    bits: int,
    gone: np.ndarray,
    offset: int,
    limits: np.ndarray,
    room: int,
    found: np.ndarray,
) -> None:
    """The k nearest of the codes `first` … `last`, one batch of queries, in no order."""
    count, width = queries.shape
    keys = np.empty((count, room), np.int64)
    seen = np.empty((count, bits + 1), np.int64)
    state = np.empty((count, 4), np.int64)
    for i in range(count):
        begin(seen, state, i, limits[i])
    sums = np.empty(BLOCK, np.int64)
    tile, planes, aligned = _room_for_planes(count, width)
    for start in range(first, last, tile):
        size = min(tile, last - start)
        block, base, code_step, word_step = words, start * width, width, 1
        if planes.size:
            _to_planes(words, start * width, size, width, planes, aligned, tile)
            block, base, code_step, word_step = planes, aligned, 1, tile
        for i in range(count):
            limit = state[i, LIMIT]
            j, some = next_block(block, base, code_step, word_step, 0, size, queries, i, limit, sums)
            while some > 0:
                for e in range(some):
                    # Ids ascend, so one at the limit loses to those that are there.
                    if sums[e] < limit and not is_gone(gone, offset + start + j + e):
                        keep(keys, seen, state, i, k, sums[e], offset + start + j + e)
                        limit = state[i, LIMIT]
                j, some = next_block(block, base, code_step, word_step, j + some, size, queries, i, limit, sums)
    for i in range(count):
        finish(keys, state, i, k, found, i)


@njit
def _room_for_planes(queries: int, width: int) -> tuple[int, np.ndarray, int]:
    """Codes in a tile; room for it as planes, none if few queries will read it; where its first vector begins."""
    tile = max(BLOCK, _TILE_WORDS // width // BLOCK * BLOCK)
    planes = np.empty(tile * width + 8 if queries >= _PLANES_FROM else 0, np.uint64)
    return tile, planes, (-planes.ctypes.data % 64) // 8


@inner
def _to_planes(words: np.ndarray, at: int, size: int, width: int, planes: np.ndarray, aligned: int, step: int) -> None:
    for w in range(width):
        source, target = np.uint64(at + w), np.uint64(aligned + w * step)
        for j in range(np.uint64(size)):
            planes[target + j] = words[source + j * np.uint64(width)]


@njit
def _within(
    words: np.ndarray,
    first: int,
    last: int,
    queries: np.ndarray,
    radius: int,
    gone: np.ndarray,
    offset: int,
    number: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Owner (a query's number, from `number` on) and key of every hit among the codes `first` … `last`."""
    count, width = queries.shape
    owners = np.empty(1024, np.int64)
    keys = np.empty(1024, np.int64)
    hits = 0
    sums = np.empty(BLOCK, np.int64)
    tile, planes, aligned = _room_for_planes(count, width)
    for start in range(first, last, tile):
        size = min(tile, last - start)
        block, base, code_step, word_step = words, start * width, width, 1
        if planes.size:
            _to_planes(words, start * width, size, width, planes, aligned, tile)
            block, base, code_step, word_step = planes, aligned, 1, tile
        for i in range(count):
            j, some = next_block(block, base, code_step, word_step, 0, size, queries, i, radius + 1, sums)
            while some > 0:
                for e in range(some):
                    if sums[e] <= radius and not is_gone(gone, offset + start + j + e):
                        if hits == keys.size:
                            owners, keys = more_room(owners), more_room(keys)
                        owners[hits] = number + i
                        keys[hits] = (sums[e] << ID_BITS) | (offset + start + j + e)
                        hits += 1
                j, some = next_block(block, base, code_step, word_step, j + some, size, queries, i, radius + 1, sums)
    return owners[:hits], keys[:hits]
