"""The k nearest codes, and all codes within a radius, by looking at every code.

For many queries the database passes by in tiles that fit the processor's second cache, each turned into aligned planes
once and then read by all queries. For a few queries it is read in place, and shared out between the threads.
"""

import numpy as np
from jaxtyping import Int64, UInt64

from bitseek.kernels import plain
from bitseek.kernels.distance import BLOCK, measure, next_block
from bitseek.kernels.jit import COMPILED, inner, njit
from bitseek.kernels.nearest import ID_BITS, LIMIT, NOTHING, begin, finish, is_gone, keep, more_room
from bitseek.kernels.threads import spread, thread_count

Words = UInt64[np.ndarray, "_ words"]
Queries = UInt64[np.ndarray, "q words"]
Gone = UInt64[np.ndarray, " mask"]

NOTHING_GONE = np.zeros(0, np.uint64)
_TILE_WORDS = 1 << 15
_QUERIES_AT_ONCE = 256
_ROOM = 1 << 22
_PLANES_FROM = 4

SAMPLED_FROM = 64
"""From this k on a sample of the database pays."""


def nearest(
    words: Words,
    queries: Queries,
    k: int,
    bits: int,
    *,
    gone: Gone = NOTHING_GONE,
    sample: Words | None = None,
    offset: int = 0,
    threads: int | None = None,
) -> Int64[np.ndarray, "q k"]:
    """The k nearest codes of each query.

    Args:
        words: the database; row + offset = id. Any memory map that is C-contiguous is read in place.
        queries: as many words a code.
        k: how many; 1 or more.
        bits: length of the codes.
        gone: bit i % 64 of word i // 64 is set if code i is not to be found; empty if all are.
        sample: a random sample of the rows, which makes a large k quicker.
        offset: id of the first row.
        threads: at most so many; see `threads.thread_count`.

    Returns:
        Keys (see `nearest.py`), ascending; `NOTHING` where there are fewer than k codes.
    """
    if not COMPILED:
        return plain.nearest(words, queries, k, gone, offset)
    flat, queries = flat_words(words), frozen(queries)
    count = len(queries)
    limits = np.full(count, bits + 1, np.int64)
    if sample is not None and k >= SAMPLED_FROM and len(sample) < len(words) // 8:
        limits = likely_limits(sample, queries, k / max(1, len(words)), bits)
    keys = _spread_nearest(flat, len(words), queries, k, bits, gone, offset, limits, threads)
    missed = np.flatnonzero((keys[:, -1] == NOTHING) & (limits <= bits))
    if len(missed):  # the sample promised too much, or the database is smaller than k
        limits = np.full(len(missed), bits + 1, np.int64)
        keys[missed] = _spread_nearest(
            flat, len(words), frozen(queries[missed]), k, bits, gone, offset, limits, threads
        )
    return keys


def within(
    words: Words,
    queries: Queries,
    radius: int,
    *,
    gone: Gone = NOTHING_GONE,
    offset: int = 0,
    threads: int | None = None,
) -> tuple[Int64[np.ndarray, " offsets"], Int64[np.ndarray, " hits"]]:
    """All codes at a distance of at most `radius`.

    Args:
        words: the database; row + offset = id.
        queries: as many words a code.
        radius: 0 or more.
        gone: as for `nearest`.
        offset: id of the first row.
        threads: at most so many.

    Returns:
        Offsets and keys: the hits of query i are `keys[offsets[i] : offsets[i + 1]]`, ascending.
    """
    if not COMPILED:
        return plain.within(words, queries, radius, gone, offset)
    flat, queries = flat_words(words), frozen(queries)
    parts: list[tuple[int, np.ndarray, np.ndarray]] = []
    lots, shards = _shares(len(queries), len(words), threads)

    def work(start: int, stop: int) -> None:
        for lot in range(start, stop):
            (a, b), (first, last) = lots[lot // len(shards)], shards[lot % len(shards)]
            parts.append((lot, *_within(flat, first, last, queries[a:b], radius, gone, offset, a)))

    spread(work, len(lots) * len(shards), threads=threads)
    parts.sort(key=lambda part: part[0])
    empty = np.zeros(0, np.int64)
    owners = np.concatenate([part[1] for part in parts]) if parts else empty
    keys = np.concatenate([part[2] for part in parts]) if parts else empty
    return by_query(owners, keys, len(queries))


def likely_limits(sample: Words, queries: Queries, share: float, bits: int) -> Int64[np.ndarray, " q"]:
    """For each query a distance below which at least a `share` of the database lies, in all likelihood.

    Three standard deviations above what the sample promises; whoever uses it must count what was found.
    """
    expected = share * len(sample)
    wanted = int(expected + 3 * expected**0.5 + 2)
    limits = np.empty(len(queries), np.int64)
    _quantiles(flat_words(sample), queries, wanted, np.zeros(bits + 1, np.int64), limits)
    return limits


def by_query(
    owners: Int64[np.ndarray, " hits"], keys: Int64[np.ndarray, " hits"], queries: int
) -> tuple[Int64[np.ndarray, " offsets"], Int64[np.ndarray, " hits"]]:
    """Hits in any order, as offsets and keys: by query, then ascending."""
    offsets = np.zeros(queries + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=queries), out=offsets[1:])
    keys = keys[np.argsort(owners, kind="stable")]
    for i in np.flatnonzero(np.diff(offsets) > 1):
        keys[offsets[i] : offsets[i + 1]].sort()
    return offsets, keys


def frozen(array: np.ndarray) -> np.ndarray:
    """The array, unwritable and without a copy where it is contiguous: so a kernel is compiled for one type only."""
    view = np.ascontiguousarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view


def flat_words(words: np.ndarray) -> np.ndarray:
    """The words in one row, not copied where they lie so; never writable, so that one compiled kernel serves all."""
    return frozen(words).reshape(-1)


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


def _spread_nearest(
    flat: np.ndarray,
    codes: int,
    queries: np.ndarray,
    k: int,
    bits: int,
    gone: np.ndarray,
    offset: int,
    limits: np.ndarray,
    threads: int | None,
) -> np.ndarray:
    lots, shards = _shares(len(queries), codes, threads)
    k = min(k, max(codes, 1))
    room = min(2 * k + 64, codes + 1)
    at_once = max(1, _ROOM // room)
    found = np.full((len(shards), len(queries), k), NOTHING, np.int64)

    def work(start: int, stop: int) -> None:
        for lot in range(start, stop):
            (a, b), shard = lots[lot // len(shards)], lot % len(shards)
            for c in range(a, b, at_once):
                d = min(b, c + at_once)
                _nearest(
                    flat, *shards[shard], queries[c:d], k, bits, gone, offset, limits[c:d], room, found[shard, c:d]
                )

    spread(work, len(lots) * len(shards), threads=threads)
    keys = found[0] if len(shards) == 1 else np.concatenate(found, axis=1)
    keys.sort(axis=1)
    return keys[:, :k]


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
