"""Sorting codes into clusters, for `pruned`: k-majority centres, nearest centre, counting sort into shells.

k-majority is k-means for bits: a centre's bit is what the majority of its codes have (Grana et al., "A fast approach
for integrating ORB descriptors in the bag of words model", SPIE 2013).
"""

import math

import numpy as np

from bitseek.kernels.distance import measure
from bitseek.kernels.jit import COMPILED, njit, popcount
from bitseek.kernels.layout import Shells, Words, distances, flat, frozen, shell_bounds
from bitseek.kernels.threads import spread

_MOST_CENTRES = 4096
_SAMPLE_PER_CENTRE = 32
_ROUNDS = 4


def build(words: Words, bits: int, alive: np.ndarray | None = None, *, threads: int | None = None) -> Shells:
    """Sort a database into clusters and shells; the same input gives the same shells.

    Args:
        words: the database; row = id. Fewer than `layout.MOST_CLUSTERED` rows.
        bits: length of the codes.
        alive: (n,) bool, which codes are to be found; all if None.
        threads: at most so many.
    """
    count = len(words) if alive is None else int(np.count_nonzero(alive))
    picked = sample(count)
    if alive is not None:
        picked = np.flatnonzero(alive)[picked]
    return sort(words, bits, centres(np.ascontiguousarray(words[picked]), bits, count, threads), alive, threads=threads)


def number_of_centres(count: int) -> int:
    """How many centres so many codes are sorted around: about twice the square root, a power of two."""
    return min(_MOST_CENTRES, 1 << max(0, round(math.log2(2 * max(count, 1) ** 0.5))))


def sample(count: int) -> np.ndarray:
    """Which of so many codes the centres are made of, ascending."""
    size = number_of_centres(count) * _SAMPLE_PER_CENTRE
    return np.arange(count) if count <= size else np.sort(np.random.default_rng(0).integers(0, count, size))


def centres(some: Words, bits: int, count: int, threads: int | None = None) -> Words:
    """Centres for so many codes, of which there are some; as rows."""
    return _centres(some, number_of_centres(count), bits, np.random.default_rng(1), threads)


def sort(
    words: Words, bits: int, centres: Words, alive: np.ndarray | None = None, *, threads: int | None = None
) -> Shells:
    """Sort codes into the clusters around given centres, and into shells; arguments as of `build`."""
    cluster, away = _assign(words, centres, threads)
    if alive is not None:
        cluster[~alive] = -1
    return _sort(words, bits, centres, cluster, away, threads)


def _centres(sample: Words, wanted: int, bits: int, rng: np.random.Generator, threads: int | None) -> Words:
    """k-majority on a sample, from distinct codes of it."""
    centres = np.unique(sample, axis=0)
    if len(centres) > wanted:
        centres = centres[np.sort(rng.choice(len(centres), wanted, replace=False))]
    for _ in range(_ROUNDS):
        cluster, _ = _assign(sample, centres, threads)
        size = np.bincount(cluster, minlength=len(centres))
        ones = _count_ones(sample, cluster, len(centres), bits)
        majority = np.zeros((len(centres), 64 * sample.shape[1]), np.uint8)
        majority[:, :bits] = 2 * ones >= size[:, None]
        moved = np.packbits(majority, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)
        empty = size == 0
        if empty.any():
            moved[empty] = sample[rng.choice(len(sample), int(empty.sum()))]
        centres = moved
    return centres


def _assign(words: Words, centres: Words, threads: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of every code, the first of equals, and the distance to it; both (n,) int32."""
    n = len(words)
    cluster, away = np.zeros(n, np.int32), np.zeros(n, np.int32)
    if not COMPILED:
        for i, centre in enumerate(centres):
            bits = distances(words, centre).astype(np.int32)
            nearer = bits < away if i else np.ones(n, bool)
            cluster[nearer], away[nearer] = i, bits[nearer]
        return cluster, away
    rows, planes = frozen(words), flat(centres.T)

    def work(start: int, stop: int) -> None:
        _nearest_centre(rows[start:stop], planes, cluster[start:stop], away[start:stop])

    spread(work, n, threads=threads, grain=256)
    return cluster, away


def _count_ones(words: Words, cluster: np.ndarray, clusters: int, bits: int) -> np.ndarray:
    """How often each bit is set in each cluster, (clusters, bits) int64."""
    ones = np.zeros((clusters, bits), np.int64)
    if COMPILED:
        _add_ones(flat(words), words.shape[1], cluster, ones)
        return ones
    raw = np.ascontiguousarray(words, "<u8").view(np.uint8)
    np.add.at(ones, cluster, np.unpackbits(raw, axis=1, count=bits, bitorder="little"))
    return ones


def _sort(
    words: Words, bits: int, centres: Words, cluster: np.ndarray, away: np.ndarray, threads: int | None
) -> Shells:
    """Codes by cluster, distance and id; clusters without a code are left out. Threads share out the clusters."""
    counts = np.zeros((len(centres), bits + 1), np.int64)
    if COMPILED:
        spread(lambda low, high: _count_shells(cluster, away, low, high, counts), len(centres), threads=threads)
    else:
        np.add.at(counts, (cluster[cluster >= 0], away[cluster >= 0]), 1)
    ends, used, first, inner, starts = shell_bounds(counts)
    planes = np.empty((words.shape[1], int(ends.max(initial=0))), np.uint64)
    ids = np.empty(planes.shape[1], np.uint32)
    if COMPILED:
        rows, places = flat(words), ends[:, :-1].copy()

        def place(low: int, high: int) -> None:
            _place(rows, cluster, away, low, high, places, planes, ids)

        spread(place, len(centres), threads=threads)
    else:
        items = np.flatnonzero(cluster >= 0)
        ids[:] = items[np.lexsort((items, away[items], cluster[items]))]
        planes[:] = words[ids].T
    return Shells(bits, centres[used].T, first, inner, starts, planes, ids).frozen()


@njit
def _nearest_centre(words: np.ndarray, centres: np.ndarray, cluster: np.ndarray, away: np.ndarray) -> None:
    """Distance and number are brought together in one number, so that its least value is found on vectors."""
    width = words.shape[1]
    count = centres.size // width
    distances = np.empty(count, np.int64)
    for i in range(cluster.size):
        least = 1 << 62
        if width > 1:
            measure(centres, 0, 1, count, words, i, distances, count)
            for j in range(np.uint64(count)):
                least = min(least, (distances[j] << 32) | np.int64(j))
        else:
            code = words[i, 0]
            for j in range(np.uint64(count)):
                least = min(least, (popcount(centres[j] ^ code) << 32) | np.int64(j))
        cluster[i] = least & 0xFFFFFFFF
        away[i] = least >> 32


@njit
def _add_ones(words: np.ndarray, width: int, cluster: np.ndarray, ones: np.ndarray) -> None:
    for i in range(cluster.size):
        row = ones[cluster[i]]
        for b in range(row.size):
            row[b] += np.int64((words[i * width + (b >> 6)] >> np.uint64(b & 63)) & np.uint64(1))


@njit
def _count_shells(cluster: np.ndarray, away: np.ndarray, low: int, high: int, counts: np.ndarray) -> None:
    for i in range(cluster.size):
        if low <= cluster[i] < high:
            counts[cluster[i], away[i]] += 1


@njit
def _place(
    words: np.ndarray,
    cluster: np.ndarray,
    away: np.ndarray,
    low: int,
    high: int,
    places: np.ndarray,
    planes: np.ndarray,
    ids: np.ndarray,
) -> None:
    width = planes.shape[0]
    for i in range(cluster.size):
        if low <= cluster[i] < high:
            place = places[cluster[i], away[i]]
            places[cluster[i], away[i]] = place + 1
            ids[place] = i
            for w in range(width):
                planes[w, place] = words[i * width + w]
