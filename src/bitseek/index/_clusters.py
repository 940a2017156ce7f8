"""The clusters of an index: when they are built, in which thread, and what they cover."""

import threading

from bitseek.index import _segments
from bitseek.index._database import Database
from bitseek.index._segments import Built, Segment
from bitseek.kernels.layout import MOST_CLUSTERED

WORTH_IT = 200_000
"""From this many items on, clusters are built by themselves: below, a scan takes microseconds."""

_STALE = 0.9
"""In the background what is left is sorted in when clusters cover less than this share of the items."""

_LONGEST_TAIL = 5
"""And when they leave so many times `WORTH_IT` items to be scanned."""

_IN_MEMORY = 1 << 32
"""What would take more bytes than this is not built or merged in memory by itself (see `IndexWriter`)."""

_BYTES_OF_ID = 4


class Clusters:
    """Clusters over the first `covered` ids of an index, or none yet.

    Attributes:
        built: the clusters, if there are any. To be read once: shells and their coverage belong together.
    """

    def __init__(self) -> None:
        self.built: Built | None = None
        self._not_due: tuple[Database | None, Built | None] = (None, None)
        self._building: threading.Thread | None = None
        self._failed: Exception | None = None
        self._lock = threading.Lock()

    @property
    def covered(self) -> int:
        """Number of ids that they cover."""
        built = self.built
        return 0 if built is None else built.covered

    def build(self, database: Database, threads: int | None, *, wait: bool, again: bool = True) -> None:
        """Build the clusters of a database, or sort in what they lack.

        Args:
            database: of which they are.
            threads: at most so many; one in the background.
            wait: whether to return only when they are there.
            again: whether to build them also if there are some.

        Raises:
            Exception: what went wrong, if `wait`.
        """
        with self._lock:
            thread, built = self._building, self.built
            if built is not None and (not again or (built.covered == database.size and len(built.segments) < 2)):
                return
            if thread is None:
                if wait:
                    self._work(database, threads, in_one=True)
                    return
                self._failed = None
                thread = threading.Thread(target=self._in_background, args=(database,), daemon=True, name="clusters")
                self._building = thread
                thread.start()
        if wait:
            thread.join()
            if self._failed is not None:
                raise self._failed

    def build_if_due(self, database: Database) -> None:
        """Begin to build in the background, if the index is large and its clusters are none, or cover too little."""
        if database is self._not_due[0] and self.built is self._not_due[1]:
            return
        if not self.are_due(database):
            self._not_due = (database, self.built)
        elif self._building is None and self._failed is None:
            self.build(database, 1, wait=False)

    def are_due(self, database: Database) -> bool:
        """Whether the index is large, and its clusters are none, or cover too little."""
        left = database.size - self.covered
        bytes_needed = (left if self.covered else database.size) * (8 * database.width + _BYTES_OF_ID)
        too_little = self.covered < _STALE * database.size or left >= _LONGEST_TAIL * WORTH_IT
        return database.size >= WORTH_IT and too_little and bytes_needed <= _IN_MEMORY

    def state(self, database: Database) -> str:
        """How things stand, in words."""
        built = self.built
        if self._building is not None:
            return "being built in the background"
        if self._failed is not None:
            return f"could not be built ({self._failed})"
        if built is None:
            return "none yet" if database.size >= WORTH_IT else f"none; not worth it below {WORTH_IT} items"
        parts = f" in {len(built.segments)} segments" if len(built.segments) > 1 else ""
        return f"{built.centres}{parts}, covering {built.covered} of {database.size} ids"

    def _in_background(self, database: Database) -> None:
        try:
            self._work(database, 1, in_one=False)
        except Exception as error:
            self._failed = error
        finally:
            self._building = None

    def _work(self, database: Database, threads: int | None, in_one: bool) -> None:
        built = self.built
        if built is None or not built.segments or built.is_outgrown(database):
            centres, segments, items = _segments.choose_centres(database, threads), [], database.alive
        else:
            centres, segments, items = built.centre_words(), list(built.segments), built.items
        for start, stop in _segments.ranges(segments[-1].stop if segments else 0, database.size):
            segments.append(_segments.sort(database, start, stop, centres, threads))
        while len(segments) > 1 and _belong_together(segments[-2], segments[-1], in_one):
            segments[-2:] = [_segments.merge(segments[-2:], threads)]
        self.built = Built(tuple(segments), database.gone, items)


def _belong_together(one: Segment, other: Segment, in_one: bool) -> bool:
    """Whether two segments are to be merged: if all shall be one, or, so that they stay few, if they are alike."""
    alike = 2 * (other.stop - other.start) >= one.stop - one.start
    fit = one.nbytes + other.nbytes <= _IN_MEMORY and other.stop - one.start <= MOST_CLUSTERED
    return (in_one or alike) and fit
