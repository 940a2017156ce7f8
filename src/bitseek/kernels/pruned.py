"""Exact search in clusters: most of the codes are ruled out by the triangle inequality, unseen.

Codes are sorted by their nearest *centre*, then by the distance to it: a *shell* is what lies at one distance from one
centre. With D the distance of the k-th nearest code so far, a code in shell s of centre c can only be as near as D if
|d(query, c) - s| <= D. So of each cluster a contiguous range of codes is looked at, and of most clusters none.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt32, UInt64

from bitseek.kernels import plain
from bitseek.kernels.distance import BLOCK, measure, next_block
from bitseek.kernels.jit import COMPILED, njit
from bitseek.kernels.jit import inner as leaf
from bitseek.kernels.nearest import ID_BITS, LIMIT, NOTHING, begin, finish, is_gone, keep, more_room
from bitseek.kernels.scan import (
    NOTHING_GONE,
    SAMPLED_FROM,
    Gone,
    Queries,
    Words,
    by_query,
    flat_words,
    frozen,
    likely_limits,
)
from bitseek.kernels.threads import spread


class Shells(NamedTuple):
    """Codes sorted by centre and distance to it."""

    bits: int
    """Length of the codes."""
    centres: UInt64[np.ndarray, "words centres"]
    """The centres, as planes."""
    first: Int64[np.ndarray, " starts"]
    """Where the shells of each centre begin in `starts`."""
    inner: Int64[np.ndarray, " centres"]
    """Distance of the innermost shell of each centre."""
    starts: Int64[np.ndarray, " shells"]
    """Where each shell begins in `planes`, and after the outermost of each centre where it ends."""
    planes: UInt64[np.ndarray, "words n"]
    """The codes."""
    ids: UInt32[np.ndarray, " n"]
    """Their ids; ascending within a shell."""


def nearest(
    shells: Shells,
    queries: Queries,
    k: int,
    *,
    gone: Gone = NOTHING_GONE,
    sample: Words | None = None,
    threads: int | None = None,
) -> tuple[Int64[np.ndarray, "q k"], Int64[np.ndarray, " q"]]:
    """The k nearest codes of each query: the same keys as `scan.nearest`, and how many codes were looked at.

    Args:
        shells: the database.
        queries: as many words a code.
        k: how many; 1 or more.
        gone: see `scan.nearest`.
        sample: see `scan.nearest`.
        threads: at most so many; they share out the queries.
    """
    if not COMPILED:
        return plain.nearest_in_shells(shells, queries, k, gone)
    queries = frozen(queries)
    count, n = len(queries), len(shells.ids)
    k = min(k, max(n, 1))
    keys = np.full((count, k), NOTHING, np.int64)
    looked = np.zeros(count, np.int64)
    limits = np.full(count, shells.bits + 1, np.int64)
    if sample is not None and k >= SAMPLED_FROM and len(sample) < n // 8:
        limits = likely_limits(sample, queries, k / n, shells.bits)
    _spread_nearest(shells, queries, k, gone, limits, keys, looked, threads)
    missed = np.flatnonzero((keys[:, -1] == NOTHING) & (limits <= shells.bits))
    if len(missed):  # the sample promised too much, or the database is smaller than k
        limits = np.full(len(missed), shells.bits + 1, np.int64)
        again, more = keys[missed], looked[missed]
        _spread_nearest(shells, frozen(queries[missed]), k, gone, limits, again, more, threads)
        keys[missed], looked[missed] = again, more
    return keys, looked


def within(
    shells: Shells, queries: Queries, radius: int, *, gone: Gone = NOTHING_GONE, threads: int | None = None
) -> tuple[Int64[np.ndarray, " offsets"], Int64[np.ndarray, " hits"], Int64[np.ndarray, " q"]]:
    """All codes at a distance of at most `radius`: offsets and keys as from `scan.within`, and how many were looked at.

    Args:
        shells: the database.
        queries: as many words a code.
        radius: 0 or more.
        gone: see `scan.nearest`.
        threads: at most so many; they share out the queries.
    """
    if not COMPILED:
        return plain.within_shells(shells, queries, radius, gone)
    queries = frozen(queries)
    looked = np.zeros(len(queries), np.int64)
    parts: list[tuple[int, np.ndarray, np.ndarray]] = []

    centres, first, inner, starts, planes, ids = _arrays(shells)
    bits = shells.bits

    def work(start: int, stop: int) -> None:
        some, seen = queries[start:stop], looked[start:stop]
        hits = _within(centres, first, inner, starts, planes, ids, some, radius, bits, gone, start, seen)
        parts.append((start, *hits))

    spread(work, len(queries), threads=threads, grain=8)
    parts.sort(key=lambda part: part[0])
    empty = np.zeros(0, np.int64)
    owners = np.concatenate([empty, *(part[1] for part in parts)])
    keys = np.concatenate([empty, *(part[2] for part in parts)])
    return *by_query(owners, keys, len(queries)), looked


def _arrays(shells: Shells) -> tuple[np.ndarray, ...]:
    """The shells as the kernels take them; all unwritable, so that one compiled kernel serves all."""
    return tuple(
        flat_words(array)
        for array in (shells.centres, shells.first, shells.inner, shells.starts, shells.planes, shells.ids)
    )


def _spread_nearest(
    shells: Shells,
    queries: np.ndarray,
    k: int,
    gone: np.ndarray,
    limits: np.ndarray,
    keys: np.ndarray,
    looked: np.ndarray,
    threads: int | None,
) -> None:
    centres, first, inner, starts, planes, ids = _arrays(shells)

    def work(start: int, stop: int) -> None:
        part = slice(start, stop)
        _nearest(
            centres,
            first,
            inner,
            starts,
            planes,
            ids,
            queries[part],
            k,
            shells.bits,
            gone,
            limits[part],
            keys[part],
            looked[part],
        )

    spread(work, len(queries), threads=threads, grain=8)
    keys.sort(axis=1)


@njit
def _nearest(
    centres: np.ndarray,
    first: np.ndarray,
    inner: np.ndarray,
    starts: np.ndarray,
    planes: np.ndarray,
    ids: np.ndarray,
    queries: np.ndarray,
    k: int,
    bits: int,
    gone: np.ndarray,
    limits: np.ndarray,
    found: np.ndarray,
    looked: np.ndarray,
) -> None:
    """The k nearest, in no order, one query after the other."""
    clusters = inner.size
    away = np.empty(clusters, np.int64)
    unsorted, order = np.empty(clusters, np.int64), np.empty(clusters, np.int64)
    places = np.empty(bits + 2, np.int64)
    keys = np.empty((1, min(2 * k + 64, ids.size + 1)), np.int64)
    seen = np.empty((1, bits + 1), np.int64)
    state = np.empty((1, 4), np.int64)
    sums = np.empty(BLOCK, np.int64)
    for i in range(queries.shape[0]):
        begin(seen, state, 0, limits[i])
        measure(centres, 0, 1, clusters, queries, i, away, clusters)
        own = _least(away)
        for turn in range(2):  # first the nearest cluster, which sets the limit for the others
            reached = 1
            if turn == 1:
                reached = _in_reach(away, first, inner, state[0, LIMIT], own, unsorted, order, places)
            for at in range(reached):
                c = order[at] if turn else own
                limit = state[0, LIMIT] + 1  # ids come in no order: one at the limit may have a lower id than one kept
                start, stop = _range(away[c], first[c], first[c + 1], inner[c], starts, limit - 1)
                looked[i] += stop - start
                j, some = next_block(planes, start, 1, ids.size, 0, stop - start, queries, i, limit, sums)
                while some > 0:
                    for e in range(some):
                        if sums[e] < limit:
                            item = np.int64(ids[start + j + e])
                            if not is_gone(gone, item):
                                keep(keys, seen, state, 0, k, sums[e], item)
                                limit = state[0, LIMIT] + 1
                    j, some = next_block(planes, start, 1, ids.size, j + some, stop - start, queries, i, limit, sums)
        finish(keys, state, 0, k, found, i)


@njit
def _within(
    centres: np.ndarray,
    first: np.ndarray,
    inner: np.ndarray,
    starts: np.ndarray,
    planes: np.ndarray,
    ids: np.ndarray,
    queries: np.ndarray,
    radius: int,
    bits: int,
    gone: np.ndarray,
    number: int,
    looked: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Owner (a query's number, from `number` on) and key of every hit."""
    clusters = inner.size
    away = np.empty(clusters, np.int64)
    unsorted, order = np.empty(clusters, np.int64), np.empty(clusters, np.int64)
    places = np.empty(bits + 2, np.int64)
    owners = np.empty(1024, np.int64)
    keys = np.empty(1024, np.int64)
    hits = 0
    sums = np.empty(BLOCK, np.int64)
    for i in range(queries.shape[0]):
        measure(centres, 0, 1, clusters, queries, i, away, clusters)
        for at in range(_in_reach(away, first, inner, radius, -1, unsorted, order, places)):
            c = order[at]
            start, stop = _range(away[c], first[c], first[c + 1], inner[c], starts, radius)
            looked[i] += stop - start
            j, some = next_block(planes, start, 1, ids.size, 0, stop - start, queries, i, radius + 1, sums)
            while some > 0:
                for e in range(some):
                    if sums[e] <= radius:
                        item = np.int64(ids[start + j + e])
                        if not is_gone(gone, item):
                            if hits == keys.size:
                                owners, keys = more_room(owners), more_room(keys)
                            owners[hits] = number + i
                            keys[hits] = (sums[e] << ID_BITS) | item
                            hits += 1
                j, some = next_block(planes, start, 1, ids.size, j + some, stop - start, queries, i, radius + 1, sums)
    return owners[:hits], keys[:hits]


@leaf
def _least(values: np.ndarray) -> int:
    """Where the least value is, the first if there are several."""
    least = values[0]
    for i in range(values.size):
        least = min(least, values[i])
    for i in range(values.size):
        if values[i] == least:
            return i
    return 0


@leaf
def _range(away: int, first: int, end: int, inner: int, starts: np.ndarray, limit: int) -> tuple[int, int]:
    """The codes of one cluster that may be as near as `limit`, by the triangle inequality; empty if there are none."""
    outer = inner + end - first - 2
    low, high = max(inner, away - limit), min(outer, away + limit)
    if low > high:
        return 0, 0
    return starts[first + low - inner], starts[first + high + 1 - inner]


@leaf
def _in_reach(
    away: np.ndarray,
    first: np.ndarray,
    inner: np.ndarray,
    limit: int,
    own: int,
    unsorted: np.ndarray,
    order: np.ndarray,
    places: np.ndarray,
) -> int:
    """Clusters but `own` that may hold a code as near as `limit`: how many; which, nearest first, in `order`."""
    reached = 0
    for start in range(0, away.size, BLOCK):
        end = min(start + BLOCK, away.size)
        signs = 0
        for c in range(np.uint64(start), np.uint64(end)):
            outer = inner[c] + first[c + np.uint64(1)] - first[c] - 2
            signs |= max(inner[c] - away[c], away[c] - outer) - limit - 1
        if signs < 0:
            for c in range(start, end):
                outer = inner[c] + first[c + 1] - first[c] - 2
                if max(inner[c] - away[c], away[c] - outer) <= limit and c != own:
                    unsorted[reached] = c
                    reached += 1
    # A counting sort by distance.
    for b in range(places.size):
        places[b] = 0
    for at in range(reached):
        places[away[unsorted[at]] + 1] += 1
    for b in range(1, places.size):
        places[b] += places[b - 1]
    for at in range(reached):
        c = unsorted[at]
        order[places[away[c]]] = c
        places[away[c]] += 1
    return reached
