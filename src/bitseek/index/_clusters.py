"""The clusters of an index: when they are built, in which thread, and what they cover."""

import threading
from typing import NamedTuple

from bitseek.index._database import Database
from bitseek.kernels.layout import MOST_CLUSTERED, Gone, Shells


class Built(NamedTuple):
    """Clusters of the first `covered` ids; later ones must be scanned. What they leave out is in the mask `gone`."""

    shells: Shells
    covered: int
    gone: Gone


WORTH_IT = 200_000
"""From this many items on, clusters are built by themselves: below, a scan takes microseconds."""

_STALE = 0.9
"""Clusters are built again, in the background, when they cover less than this share of the items."""


class Clusters:
    """Clusters over the first `covered` ids of an index, or none yet.

    Attributes:
        built: the clusters, if there are any. To be read once: shells and their coverage belong together.
    """

    def __init__(self) -> None:
        self.built: Built | None = None
        self._building: threading.Thread | None = None
        self._failed: Exception | None = None
        self._lock = threading.Lock()

    @property
    def covered(self) -> int:
        """Number of ids that they cover."""
        return 0 if self.built is None else self.built.covered

    def build(self, database: Database, threads: int | None, *, wait: bool, again: bool = True) -> None:
        """Build the clusters of a database.

        Args:
            database: of which they are.
            threads: at most so many; one in the background.
            wait: whether to return only when they are there.
            again: whether to build them also if there are some.

        Raises:
            Exception: what went wrong, if `wait`.
        """
        with self._lock:
            thread = self._building
            if self.built is not None and (not again or self.covered == database.size):
                return
            if thread is None:
                if wait:
                    self._work(database, threads)
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
        if self._building is None and self._failed is None and self.are_due(database):
            self.build(database, 1, wait=False)

    def are_due(self, database: Database) -> bool:
        """Whether the index is large, and its clusters are none, or cover too little."""
        return WORTH_IT <= database.size < MOST_CLUSTERED and self.covered < _STALE * database.size

    def state(self, database: Database) -> str:
        """How things stand, in words."""
        if self._building is not None:
            return "being built in the background"
        if self._failed is not None:
            return f"could not be built ({self._failed})"
        if self.built is None:
            return "none yet" if database.size >= WORTH_IT else f"none; not worth it below {WORTH_IT} items"
        return f"{len(self.built.shells.inner)}, covering {self.covered} of {database.size} ids"

    def _in_background(self, database: Database) -> None:
        try:
            self._work(database, 1)
        except Exception as error:
            self._failed = error
        finally:
            self._building = None

    def _work(self, database: Database, threads: int | None) -> None:
        from bitseek.kernels import cluster

        alive = database.is_alive() if database.removed else None
        shells = cluster.build(database.whole(), database.bits, alive, threads=threads)
        self.built = Built(shells, database.size, database.gone)
