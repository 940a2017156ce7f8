"""Exact search in clusters: most of the codes are ruled out by the triangle inequality, unseen.

Codes are sorted by their nearest *centre*, then by the distance to it: a *shell* is what lies at one distance from one
centre. With D the distance of the k-th nearest code so far, a code in shell s of centre c can only be as near as D if
|d(query, c) - s| <= D. So of each cluster a contiguous range of codes is looked at, and of most clusters none.
"""

from typing import Any

import numpy as np

from bitseek.kernels import plain
from bitseek.kernels.distance import BLOCK, measure, next_block
from bitseek.kernels.jit import COMPILED, inner, njit
from bitseek.kernels.layout import ID_BITS, NOTHING, NOTHING_GONE, Gone, KeyRows, Queries, Shells, Vector, Words, frozen
from bitseek.kernels.threads import spread
from bitseek.kernels.topk import LIMIT, begin, finish, in_order, is_gone, keep, more_room, nearest_from_sample


def nearest(
    shells: Shells,
    queries: Queries,
    k: int,
    *,
    gone: Gone = NOTHING_GONE,
    sample: Words | None = None,
    threads: int | None = None,
) -> tuple[KeyRows, Vector]:
    """The k nearest codes of each query: the same keys as `scan.nearest`, and how many codes were looked at.

    Arguments as of `scan.nearest`, but the shells must be `frozen`, and threads share out the queries.
    """
    n = len(shells.ids)
    if not COMPILED or n == 0:  # without clusters there is no nearest one to begin with
        return plain.nearest(shells.planes.T, queries, k, gone, shells.ids), np.full(len(queries), n)
    k = min(k, max(n, 1))
    looked = np.zeros(len(queries), np.int64)

    def search(rows: Any, queries: Queries, limits: Vector) -> KeyRows:
        keys = np.full((len(queries), k), NOTHING, np.int64)
        seen = np.zeros(len(queries), np.int64)

        def work(start: int, stop: int) -> None:
            part = slice(start, stop)
            _nearest(shells, queries[part], k, gone, limits[part], keys[part], seen[part])

        spread(work, len(queries), threads=threads, grain=8)
        looked[rows] += seen
        keys.sort(axis=1)
        return keys

    return nearest_from_sample(search, frozen(queries), k, shells.bits, n, sample), looked


def within(
    shells: Shells, queries: Queries, radius: int, *, gone: Gone = NOTHING_GONE, threads: int | None = None
) -> tuple[Vector, Vector, Vector]:
    """Offsets and keys of all codes within a radius, as from `scan.within`, and how many codes were looked at."""
    if not COMPILED:
        found = plain.within(shells.planes.T, queries, radius, gone, shells.ids)
        return *found, np.full(len(queries), len(shells.ids))
    queries = frozen(queries)
    looked = np.zeros(len(queries), np.int64)
    parts: list[tuple[Vector, Vector]] = []

    def work(start: int, stop: int) -> None:
        parts.append(_within(shells, queries[start:stop], radius, gone, start, looked[start:stop]))

    spread(work, len(queries), threads=threads, grain=8)
    return *in_order(parts, len(queries)), looked


@njit
def _nearest(
    shells: Shells,
    queries: np.ndarray,
    k: int,
    gone: np.ndarray,
    limits: np.ndarray,
    found: np.ndarray,
    looked: Vector,
) -> None:
    """The k nearest, in no order, one query after the other."""
    bits, _, first, inner, starts, _, ids = shells
    centres, planes = shells.centres.reshape(shells.centres.size), shells.planes.reshape(shells.planes.size)
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
    shells: Shells, queries: np.ndarray, radius: int, gone: np.ndarray, number: int, looked: Vector
) -> tuple[np.ndarray, np.ndarray]:
    """Owner (a query's number, from `number` on) and key of every hit."""
    bits, _, first, inner, starts, _, ids = shells
    centres, planes = shells.centres.reshape(shells.centres.size), shells.planes.reshape(shells.planes.size)
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


@inner
def _least(values: np.ndarray) -> int:
    """Where the least value is, the first if there are several."""
    least = values[0]
    for i in range(values.size):
        least = min(least, values[i])
    for i in range(values.size):
        if values[i] == least:
            return i
    return 0


@inner
def _range(away: int, first: int, end: int, inner: int, starts: np.ndarray, limit: int) -> tuple[int, int]:
    """The codes of one cluster that may be as near as `limit`, by the triangle inequality; empty if there are none."""
    outer = inner + end - first - 2
    low, high = max(inner, away - limit), min(outer, away + limit)
    if low > high:
        return 0, 0
    return starts[first + low - inner], starts[first + high + 1 - inner]


@inner
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
