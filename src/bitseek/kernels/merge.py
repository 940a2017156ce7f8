"""Sorted codes brought together: several `Shells` become one, cluster by cluster, so that memory may be short.

A shell of the whole is that of the first part, then that of the second, and so on: runs of codes, copied as they are.
So codes are sorted a block at a time, and what was added later is sorted in without sorting the rest again. `Shells`
promise that no centre is nearer to a code than its own: so every code must have been compared with the centres of all
parts, which is so if each was sorted around the centres that the parts before it have, or around the same as these.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bitseek.kernels.jit import njit
from bitseek.kernels.layout import Shells, flat, frozen, shell_bounds
from bitseek.kernels.threads import spread


class Merger:
    """Several sorted databases on the way to one.

    Args:
        parts: what to add to the ids of each, and its shells, `frozen`; the ids of a later one are greater.
    """

    def __init__(self, parts: Sequence[tuple[int, Shells]]) -> None:
        self._bits, self._words = parts[0][1].bits, len(parts[0][1].planes)
        self._parts = [(shift, shells) for shift, shells in parts if len(shells.ids)]
        rows = np.concatenate([np.zeros((0, self._words), np.uint64), *(part.centres.T for _, part in self._parts)])
        centres, numbers = np.unique(rows, axis=0, return_inverse=True) if len(rows) else (rows, np.zeros(0, np.int64))
        self._targets, done = [], 0
        counts = np.zeros((len(centres), self._bits + 1), np.int64)
        for _, shells in self._parts:
            target = numbers.reshape(-1)[done : done + len(shells.inner)]
            done += len(target)
            self._targets.append(target)
            owner = np.repeat(np.arange(len(target)), np.diff(shells.first))  # of each bound
            shell = np.arange(len(owner)) - shells.first[owner] + shells.inner[owner]
            begins = np.flatnonzero(np.diff(owner) == 0)  # the others are the ends of clusters
            np.add.at(counts, (target[owner[begins]], shell[begins]), np.diff(shells.starts)[begins])
        self._places, used, self._first, self._inner, self._starts = shell_bounds(counts)
        self._centres = centres[used].T
        self.size = int(counts.sum())

    @property
    def clusters(self) -> int:
        """Number of clusters to copy, some of which may have no code."""
        return len(self._places)

    def portions(self, codes: int, start: int = 0) -> Iterator[tuple[int, int]]:
        """Ranges of clusters from `start` on, of at most so many codes each, unless a single cluster has more."""
        bounds = np.append(self._places[:, 0], self.size)
        while start < self.clusters:
            stop = max(start + 1, int(np.searchsorted(bounds, bounds[start] + codes, side="right")) - 1)
            yield start, stop
            start = stop

    def copy(self, start: int, stop: int, planes: np.ndarray, ids: np.ndarray, threads: int | None = None) -> None:
        """Copy the codes of some clusters to where they belong.

        Args:
            start: the first cluster.
            stop: the end of the clusters.
            planes: (words, size) uint64, C-contiguous, for all codes.
            ids: (size,) uint32.
            threads: at most so many.
        """
        to_planes, to_ids = planes.view(np.ndarray).reshape(-1), ids.view(np.ndarray)
        places = self._places[start:stop, :-1].copy()
        inputs = []
        for (shift, shells), target in zip(self._parts, self._targets, strict=True):
            order = np.argsort(target, kind="stable")
            inputs.append((shift, shells, order, target[order]))

        def work(a: int, b: int) -> None:
            for shift, shells, order, sorted_targets in inputs:
                low, high = np.searchsorted(sorted_targets, [start + a, start + b])
                chosen, to = frozen(order[low:high]), frozen(sorted_targets[low:high] - start)
                _copy(shells, flat(shells.planes), shift, chosen, to, places, to_planes, to_ids)

        spread(work, stop - start, threads=threads, grain=16)

    def shells(self, planes: np.ndarray, ids: np.ndarray) -> Shells:
        """The whole, once all clusters have been copied to these arrays."""
        bounds = self._first, self._inner, self._starts
        return Shells(self._bits, self._centres, *bounds, planes, ids).frozen()

    def merged(self, threads: int | None = None) -> Shells:
        """The whole, in memory."""
        planes, ids = np.empty((self._words, self.size), np.uint64), np.empty(self.size, np.uint32)
        self.copy(0, self.clusters, planes, ids, threads)
        return self.shells(planes, ids)


@njit
def _copy(
    shells: Shells,
    planes: np.ndarray,
    shift: int,
    clusters: np.ndarray,
    targets: np.ndarray,
    places: np.ndarray,
    to_planes: np.ndarray,
    to_ids: np.ndarray,
) -> None:
    """Copy the runs of some clusters of one part; `places` says where each shell goes on, and is moved along."""
    ids = shells.ids
    width = planes.size // ids.size
    for i in range(clusters.size):
        c, t = clusters[i], targets[i]
        at, inner = shells.first[c], shells.inner[c]
        for s in range(shells.first[c + 1] - at - 1):
            start, size = shells.starts[at + s], shells.starts[at + s + 1] - shells.starts[at + s]
            to = places[t, inner + s]
            places[t, inner + s] = to + size
            for j in range(np.uint64(size)):
                to_ids[np.uint64(to) + j] = ids[np.uint64(start) + j] + shift
            for w in range(width):
                source, target = np.uint64(start + w * ids.size), np.uint64(to + w * to_ids.size)
                for j in range(np.uint64(size)):
                    to_planes[target + j] = planes[source + j]
