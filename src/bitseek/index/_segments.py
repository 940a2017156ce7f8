"""Sorted codes of an index: segments, each with the clusters of a range of ids, and how codes become one."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bitseek.index._database import Database
from bitseek.kernels.layout import MOST_CLUSTERED, Gone, Shells, Words, alive

if TYPE_CHECKING:
    from bitseek.kernels.merge import Merger


class Segment(NamedTuple):
    """The clusters of the ids `start` … `stop`; the ids in `shells` count from `start`."""

    start: int
    stop: int
    shells: Shells

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(array.nbytes for array in self.shells[1:])


class Built(NamedTuple):
    """Clusters of the first ids of an index; later ones must be scanned.

    Attributes:
        segments: each begins where the one before ends.
        gone: mask of the items that they leave out.
        items: for how many items their centres were chosen.
    """

    segments: tuple[Segment, ...]
    gone: Gone
    items: int

    @property
    def covered(self) -> int:
        """Number of ids that they cover."""
        return self.segments[-1].stop if self.segments else 0

    @property
    def centres(self) -> int:
        """Number of clusters of the largest segment."""
        return max((len(segment.shells.inner) for segment in self.segments), default=0)

    @property
    def nbytes(self) -> int:
        """Bytes of all their arrays."""
        return sum(segment.nbytes for segment in self.segments)

    def is_outgrown(self, database: Database) -> bool:
        """Whether new centres are due: the items are twice those they were chosen for, or a quarter is gone since."""
        gone_since = database.removed - int(np.bitwise_count(self.gone).sum())
        return database.alive >= 2 * self.items or 4 * gone_since > self.covered

    def centre_words(self) -> Words:
        """The centres of all segments, as rows; those that are in several of them once."""
        return np.unique(np.concatenate([segment.shells.centres.T for segment in self.segments]), axis=0)


def choose_centres(database: Database, threads: int | None) -> Words:
    """Centres for the clusters of a database, as rows, from a sample of what can be found."""
    from bitseek.kernels import cluster

    ids = cluster.sample(database.size)
    return cluster.centres(database.rows(ids[alive(database.gone, ids)]), database.bits, database.alive, threads)


def ranges(start: int, stop: int) -> list[tuple[int, int]]:
    """Ranges of ids that a segment can cover."""
    return [(at, min(at + MOST_CLUSTERED, stop)) for at in range(start, stop, MOST_CLUSTERED)]


def sort(database: Database, start: int, stop: int, centres: Words, threads: int | None) -> Segment:
    """A segment of the ids `start` … `stop`, in memory."""
    from bitseek.kernels import cluster

    parts = []
    for first, words in database.pieces(start, stop):
        found = database.is_alive(first, first + len(words))
        shells = cluster.sort(words, database.bits, centres, found, threads=threads)
        parts.append(Segment(first, first + len(words), shells))
    return parts[0] if len(parts) == 1 else merge(parts, threads)


def merger(segments: list[Segment]) -> "Merger":
    """What makes one of segments whose ids follow on each other."""
    from bitseek.kernels.merge import Merger

    return Merger([(segment.start - segments[0].start, segment.shells) for segment in segments])


def merge(segments: list[Segment], threads: int | None) -> Segment:
    """Segments whose ids follow on each other as one, in memory."""
    return Segment(segments[0].start, segments[-1].stop, merger(segments).merged(threads))
