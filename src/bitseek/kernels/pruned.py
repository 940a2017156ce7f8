"""Exact search in clusters: most of the codes are ruled out by the triangle inequality, unseen.

Codes are sorted by their nearest *centre*, then by the distance to it: a *shell* is what lies at one distance from one
centre. With D the distance of the k-th nearest code so far, a code in shell s of centre c can only be as near as D if

    d(query, c) - D <= s <= d(query, o) + D    for every centre o.

The first half is the triangle inequality. So is the second: the code is no farther from c than from o, since c is its
nearest centre, and from o it is at most d(query, o) + D away. It says most for the centre that is nearest to the query.
So of each cluster a contiguous range of codes is looked at, and of most clusters none.

Within a shell ids ascend. So once one comes that loses against the k-th best so far by its id, at the same distance,
the rest of the shell is of use only where it is nearer: equal codes by the thousand cost no more than others.
"""

from typing import Any

import numpy as np

from bitseek.kernels import plain
from bitseek.kernels.distance import BLOCK, measure, next_block
from bitseek.kernels.jit import COMPILED, inner, njit
from bitseek.kernels.layout import ID_BITS, NOTHING, NOTHING_GONE, Gone, KeyRows, Queries, Shells, Vector, Words, frozen
from bitseek.kernels.threads import spread
from bitseek.kernels.topk import CEILING, LIMIT, begin, finish, in_order, is_gone, keep, more_room, nearest_from_sample


def nearest(
    shells: Shells,
    queries: Queries,
    k: int,
    *,
    gone: Gone = NOTHING_GONE,
    sample: Words | None = None,
    known: Vector | None = None,
    offset: int = 0,
    threads: int | None = None,
) -> tuple[KeyRows, Vector]:
    """The k nearest codes of each query: the same keys as `scan.nearest`, and how many codes were looked at.

    Arguments as of `scan.nearest`, but the shells must be `frozen`, `offset` is added to their ids, and threads share
    out the queries.
    """
    n = len(shells.ids)
    k = min(k, max(n, 1))
    looked = np.zeros(len(queries), np.int64)
    if not n:
        return np.full((len(queries), k), NOTHING, np.int64), looked
    if known is not None:
        known = known - 1  # here one at the limit is of use, too
    if not COMPILED:
        return plain.nearest(shells.planes.T, queries, k, gone, shells.ids.astype(np.int64) + offset), looked + n

    def search(rows: Any, queries: Queries, limits: Vector) -> KeyRows:
        keys = np.full((len(queries), k), NOTHING, np.int64)
        seen = np.zeros(len(queries), np.int64)

        def work(start: int, stop: int) -> None:
            part = slice(start, stop)
            _nearest(shells, queries[part], k, gone, offset, limits[part], keys[part], seen[part])

        spread(work, len(queries), threads=threads, grain=8)
        looked[rows] += seen
        keys.sort(axis=1)
        return keys

    return nearest_from_sample(search, frozen(queries), k, shells.bits, n, sample, known), looked


def within(
    shells: Shells,
    queries: Queries,
    radius: int,
    *,
    gone: Gone = NOTHING_GONE,
    offset: int = 0,
    threads: int | None = None,
) -> tuple[Vector, Vector, Vector]:
    """Offsets and keys of all codes within a radius, as from `scan.within`, and how many codes were looked at."""
    if not COMPILED:
        found = plain.within(shells.planes.T, queries, radius, gone, shells.ids.astype(np.int64) + offset)
        return *found, np.full(len(queries), len(shells.ids))
    queries = frozen(queries)
    looked = np.zeros(len(queries), np.int64)
    if not len(shells.ids):
        return np.zeros(len(queries) + 1, np.int64), np.zeros(0, np.int64), looked
    parts: list[tuple[Vector, Vector]] = []

    def work(start: int, stop: int) -> None:
        parts.append(_within(shells, queries[start:stop], radius, gone, offset, start, looked[start:stop]))

    spread(work, len(queries), threads=threads, grain=8)
    return *in_order(parts, len(queries)), looked


@njit
def _nearest(
    shells: Shells,
    queries: np.ndarray,
    k: int,
    gone: np.ndarray,
    offset: int,
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
                reached = _in_reach(away, first, inner, state[0, LIMIT], own, False, unsorted, order, places)
            for at in range(reached):
                c = order[at] if turn else own
                start, stop = _range(away[c], away[own], first[c], first[c + 1], inner[c], starts, state[0, LIMIT])
                looked[i] += _look(
                    planes, ids, starts, first[c], start, stop, queries, i, gone, offset, k, keys, seen, state, sums
                )
        finish(keys, state, 0, k, found, i)


@njit
def _within(
    shells: Shells, queries: np.ndarray, radius: int, gone: np.ndarray, offset: int, number: int, looked: Vector
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
        own = _least(away)
        for at in range(_in_reach(away, first, inner, radius, own, True, unsorted, order, places)):
            c = order[at]
            start, stop = _range(away[c], away[own], first[c], first[c + 1], inner[c], starts, radius)
            looked[i] += stop - start
            j, some = next_block(planes, start, 1, ids.size, 0, stop - start, queries, i, radius + 1, sums)
            while some > 0:
                for e in range(some):
                    if sums[e] <= radius:
                        item = offset + np.int64(ids[start + j + e])
                        if not is_gone(gone, item):
                            if hits == keys.size:
                                owners, keys = more_room(owners), more_room(keys)
                            owners[hits] = number + i
                            keys[hits] = (sums[e] << ID_BITS) | item
                            hits += 1
                j, some = next_block(planes, start, 1, ids.size, j + some, stop - start, queries, i, radius + 1, sums)
    return owners[:hits], keys[:hits]


@inner
def _look(
    planes: np.ndarray,
    ids: np.ndarray,
    starts: np.ndarray,
    first: int,
    start: int,
    stop: int,
    queries: np.ndarray,
    row: int,
    gone: np.ndarray,
    offset: int,
    k: int,
    keys: np.ndarray,
    seen: np.ndarray,
    state: np.ndarray,
    sums: np.ndarray,
) -> int:
    """Keep what belongs to the k nearest of the codes `start` … `stop` of one cluster; how many were looked at."""
    looked, lost = 0, False
    while start < stop:
        # Ids come in no order: a code at the limit may have a lower id than one that is kept, …
        limit, end = state[0, LIMIT] + 1, stop
        if lost and (state[0, LIMIT] << ID_BITS) | (offset + np.int64(ids[start])) >= state[0, CEILING]:
            limit, end = limit - 1, _shell_end(starts, first, start)  # … but not in the rest of this shell.
        j, some = end - start, 0
        if limit > 0:
            j, some = next_block(planes, start, 1, ids.size, 0, end - start, queries, row, limit, sums)
            looked += j + some
        for e in range(some):
            if sums[e] < limit:
                item = offset + np.int64(ids[start + j + e])
                lost |= (sums[e] << ID_BITS) | item >= state[0, CEILING]
                if not is_gone(gone, item):
                    keep(keys, seen, state, 0, k, sums[e], item)
                    limit = min(limit, state[0, LIMIT] + 1)
        start += j + some
    return looked


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
def _range(away: int, least: int, first: int, end: int, inner: int, starts: np.ndarray, limit: int) -> tuple[int, int]:
    """The codes of one cluster that may be as near as `limit`, by the inequalities above; empty if there are none."""
    outer = inner + end - first - 2
    low, high = max(inner, away - limit), min(outer, least + limit)
    if low > high:
        return 0, 0
    return starts[first + low - inner], starts[first + high + 1 - inner]


@inner
def _shell_end(starts: np.ndarray, first: int, place: int) -> int:
    """Where the shell ends that a code lies in; `first` is where the bounds of its cluster begin."""
    bound = first + 1
    while starts[bound] <= place:
        bound += 1
    end: int = starts[bound]
    return end


@inner
def _in_reach(
    away: np.ndarray,
    first: np.ndarray,
    inner: np.ndarray,
    limit: int,
    own: int,
    with_own: bool,
    unsorted: np.ndarray,
    order: np.ndarray,
    places: np.ndarray,
) -> int:
    """Clusters that may hold a code as near as `limit`: how many; which, nearest first, in `order`.

    `own` is the one whose centre is the nearest; whether it shall be among them is for the caller to say.
    """
    reached, least = 0, away[own]
    for start in range(0, away.size, BLOCK):
        end = min(start + BLOCK, away.size)
        signs = 0
        for c in range(np.uint64(start), np.uint64(end)):
            outer = inner[c] + first[c + np.uint64(1)] - first[c] - 2
            signs |= max(max(inner[c] - least, away[c] - outer), away[c] - least - limit) - limit - 1
        if signs < 0:
            for c in range(start, end):
                outer = inner[c] + first[c + 1] - first[c] - 2
                nearest = max(max(inner[c] - least, away[c] - outer), away[c] - least - limit)
                if nearest <= limit and (with_own or c != own):
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
