"""HammingIndex: exact search, by whichever of two plans is the quicker."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from bitseek import kernels
from bitseek.codes import Codes
from bitseek.errors import BitseekError, CodeWidthError, ShapeError
from bitseek.index import plans, rerank, store
from bitseek.index.clusters import Built, Clusters
from bitseek.index.database import Database
from bitseek.index.hits import Hits, RaggedHits, ScoredHits, split
from bitseek.index.planner import Explanation, Plan, Planner, Used, kind


class HammingIndex:
    """Exact search by Hamming distance: the same items as a brute-force scan, ties to the lowest id.

    An item's id is its place in the database; it stays the same when other items are added or removed. Two plans give
    the same answers: *scan* looks at every code, *pruned* rules most of them out by clusters and the triangle
    inequality (see `bitseek.kernels.pruned`), which is far quicker if the codes lie in clusters, and slower if not.
    With the plan `auto`, clusters are built in the background once a large enough index is searched, both plans are
    tried out on the first queries, and the quicker one is taken. Searches may run in several threads at once.

    Args:
        codes: the database; kept, not copied, so it may be memory-mapped.
        plan: `auto`, `scan` or `pruned`.
        threads: at most so many for a search; as many as there are processors if None (see `BITSEEK_THREADS`).

    >>> codes = Codes.from_bits([[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]])
    >>> index = HammingIndex(codes)
    >>> hits = index.nearest(codes[0], k=3)
    >>> hits.ids, hits.distances
    (array([[0, 3, 2]]), array([[0, 0, 2]], dtype=int32))
    >>> index.within(codes[1:3], radius=2)[0]
    (array([1, 2]), array([0, 2], dtype=int32))
    """

    def __init__(self, codes: Codes, *, plan: Plan = "auto", threads: int | None = None) -> None:
        self._start(Database.of(np.ascontiguousarray(codes.words), codes.bits), plan, threads)

    def _start(self, database: Database, plan: Plan, threads: int | None) -> None:
        _known(plan)
        if threads is not None and threads < 1:
            raise BitseekError(f"a search uses at least 1 thread, got threads={threads}")
        self._database = database
        self._plan: Plan = plan
        self._threads = threads
        self._clusters = Clusters()
        self._planner = Planner()
        self._change = threading.Lock()

    # --- what is in it ----------------------------------------------------------------------------------------

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self._database.bits

    def __len__(self) -> int:
        """Number of items that can be found."""
        return self._database.alive

    @property
    def size(self) -> int:
        """Number of ids given so far: items that can be found and items that were removed."""
        return self._database.size

    def codes(self, ids: Any = None) -> Codes:
        """Codes of the items with these ids (removed or not); of all if None."""
        database = self._database
        if ids is None:
            return Codes(database.whole(), database.bits)
        return Codes(database.rows(_ids(ids, database.size)), database.bits)

    def add(self, codes: Codes) -> Int64[np.ndarray, " n"]:
        """Put more items into the index.

        Returns:
            Their ids, which follow on those given so far.

        Raises:
            CodeWidthError: codes of another length.
        """
        self._check(codes)
        with self._change:
            first = self._database.size
            self._database = self._database.added(codes.words)
            return np.arange(first, self._database.size)

    def remove(self, ids: Any) -> int:
        """Take items out of the index; their ids are not given again.

        Args:
            ids: some ids; those of items that are already removed are ignored.

        Returns:
            How many were removed.

        Raises:
            BitseekError: an id that was never given.
        """
        with self._change:
            before = self._database
            self._database = before.without(_ids(ids, before.size))
            return before.alive - self._database.alive

    # --- search -----------------------------------------------------------------------------------------------

    def nearest(self, codes: Codes, k: int = 10, *, plan: Plan | None = None) -> Hits:
        """The k nearest items of each query.

        Args:
            codes: the queries.
            k: how many, 1 or more; all there are if there are fewer.
            plan: for this call only.

        Returns:
            min(k, items) hits a query, sorted by (distance, id).

        Raises:
            CodeWidthError: codes of another length.
            BitseekError: k is less than 1.
        """
        self._check(codes)
        if k < 1:
            raise BitseekError(f"at least 1 neighbour must be asked for, got k={k}")
        asked, built = self._prepare(plan)
        database = self._database
        k = min(k, database.alive)
        if not len(codes) or not k:
            return Hits(np.zeros((len(codes), k), np.int64), np.zeros((len(codes), k), np.int32))

        def search(queries: np.ndarray, used: Used) -> plans.Found:
            return plans.nearest(database, built if used == "pruned" else None, queries, k, self._threads)

        found = self._answer(codes.words, kind("nearest", k, len(codes)), asked, built is not None, search)
        return Hits(*split(np.concatenate([part.keys for part in found])))

    def within(self, codes: Codes, radius: int, *, plan: Plan | None = None) -> RaggedHits:
        """All items at a distance of at most `radius` from each query.

        Args:
            codes: the queries.
            radius: 0 or more, in bits.
            plan: for this call only.

        Raises:
            CodeWidthError: codes of another length.
            BitseekError: the radius is negative.
        """
        self._check(codes)
        if radius < 0:
            raise BitseekError(f"a radius is 0 or more, got {radius}")
        asked, built = self._prepare(plan)
        database = self._database
        radius = min(radius, database.bits)
        if not len(codes) or not database.alive:
            return RaggedHits(np.zeros(len(codes) + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32))

        def search(queries: np.ndarray, used: Used) -> plans.Found:
            return plans.within(database, built if used == "pruned" else None, queries, radius, self._threads)

        found = self._answer(codes.words, kind("within", radius, len(codes)), asked, built is not None, search)
        counts = np.concatenate([np.diff(part.offsets) for part in found if part.offsets is not None])
        ids, distances = split(np.concatenate([part.keys for part in found]))
        return RaggedHits(np.concatenate([[0], np.cumsum(counts)]), ids, distances)

    def nearest_by_logits(self, logits: Float[np.ndarray, "q bits"], k: int = 10) -> ScoredHits:
        """The k items whose codes, as ±1, have the greatest inner product with real-valued queries.

        The logits say how sure the hasher is of each bit, which a query's code forgets; the database stays as it is.
        Exact: every code is looked at.

        Args:
            logits: the queries, before they become bits.
            k: how many, 1 or more; all there are if there are fewer.

        Returns:
            min(k, items) hits a query, sorted by (score from high to low, id).

        Raises:
            CodeWidthError: not as many logits as bits.
            ShapeError: logits that are NaN or infinite.
            BitseekError: k is less than 1.
        """
        if k < 1:
            raise BitseekError(f"at least 1 neighbour must be asked for, got k={k}")
        database = self._database
        values = rerank.finite_logits(logits, database.bits)
        k = min(k, database.alive)
        if not len(values) or not k:
            return ScoredHits(np.zeros((len(values), k), np.int64), np.zeros((len(values), k)))
        parts = [
            kernels.lookup.nearest(words, values, k, gone=database.gone, offset=first, threads=self._threads)
            for first, words in database.pieces()
        ]
        ids, scores = kernels.lookup.best(
            np.concatenate([part[0] for part in parts], axis=1), np.concatenate([part[1] for part in parts], axis=1), k
        )
        return ScoredHits(ids, scores)

    def rerank(
        self,
        hits: Hits,
        *,
        logits: Any = None,
        query_features: Any = None,
        features: Any = None,
        k: int | None = None,
    ) -> ScoredHits:
        """Put the hits of a search into a better order, by what costs too much to search all items with.

        Args:
            hits: candidates, as `nearest` gives them.
            logits: (q, bits), to score each candidate's code as `nearest_by_logits` does; or
            query_features: (q, d) and
            features: (size, d), row = id, perhaps memory-mapped: to score by the inner product of the two. Normalise
                both for the cosine.
            k: how many of the candidates to keep; all if None.

        Returns:
            Hits sorted by (score from high to low, id).
        """
        if (logits is None) == (query_features is None) or (query_features is None) != (features is None):
            raise BitseekError("re-ranking needs either logits, or both query_features and features")
        if k is not None and k < 1:
            raise BitseekError(f"at least 1 neighbour must be asked for, got k={k}")
        database = self._database
        _ids(hits.ids.reshape(-1), database.size)
        if logits is not None:
            scores = rerank.by_logits(database, hits.ids, rerank.finite_logits(logits, database.bits))
        else:
            scores = rerank.by_features(hits.ids, query_features, features, database.size)
        keep = hits.ids.shape[1] if k is None else k
        return ScoredHits(*kernels.lookup.best(hits.ids, scores, keep))

    # --- plans ------------------------------------------------------------------------------------------------

    def build(self, *, wait: bool = True) -> None:
        """Sort the codes into clusters now, for the pruned plan.

        Args:
            wait: whether to return only when they are there; if not, they are built in the background.
        """
        self._clusters.build(self._database, self._threads, wait=wait)

    def explain(self) -> Explanation:
        """How this index answers, and why; `print` it."""
        database, clusters = self._database, self._clusters
        width = database.base.shape[1]
        return Explanation(
            items=database.alive,
            removed=database.removed,
            bits=database.bits,
            plan=self._plan,
            clusters=clusters.state(database),
            centres=clusters.centres,
            covered=clusters.covered,
            bytes_per_code=(8.0 * width, clusters.nbytes / max(1, clusters.covered)),
            threads=kernels.threads.thread_count() if self._threads is None else self._threads,
            compiled=kernels.jit.COMPILED,
            choices=self._planner.choices(),
        )

    def _prepare(self, plan: Plan | None) -> tuple[Plan, Built | None]:
        """The plan that is asked for, and the clusters, made ready if it needs them.

        To be called before the database is looked up: so it can only be later than what the clusters were made of, and
        lack nothing that is in them and not gone.
        """
        asked: Plan = self._plan if plan is None else _known(plan)
        if asked == "pruned":
            self._clusters.build(self._database, self._threads, wait=True, again=False)
        elif asked == "auto":
            self._clusters.build_if_due(self._database)
        return asked, self._clusters.built

    def _answer(
        self, queries: np.ndarray, search: str, asked: Plan, clustered: bool, run: Callable[[Any, Used], plans.Found]
    ) -> list[plans.Found]:
        """The answers for the queries, in one or two pieces, by the plan that is asked for or the quicker one."""
        if asked != "auto":
            return [run(queries, asked)]
        return self._planner.answer(queries, search, run) if clustered else [run(queries, "scan")]

    # --- on disk ----------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a folder, atomically: codes, removed items, and the clusters if they are built.

        Raises:
            BitseekError: the folder cannot be written.
        """
        with self._change:
            shells, covered = self._clusters.built or (None, 0)
            database = self._database
            store.save(Path(path), database.bits, database.whole(), database.gone, shells, covered)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        plan: Plan = "auto",
        threads: int | None = None,
        verify: bool = False,
    ) -> "HammingIndex":
        """Open what `save` wrote, memory-mapped.

        Args:
            path: the folder.
            plan: as for a new index.
            threads: as for a new index.
            verify: whether to read all files and compare all checksums; otherwise a part of them, in well under a
                second (see `bitseek.index.store`).

        Raises:
            RunError: no index is there, or its codes are damaged. Damaged clusters are built again when needed.
        """
        stored = store.open_folder(Path(path), verify)
        index = cls.__new__(cls)
        database = Database.of(stored.words, stored.bits)
        removed = int(np.bitwise_count(stored.gone).sum())
        index._start(
            Database(stored.bits, database.base, database.tail, database.room, stored.gone, removed), plan, threads
        )
        if stored.shells is not None:
            index._clusters.take(stored.shells, stored.covered)
        return index

    def __repr__(self) -> str:
        return f"HammingIndex({len(self)} × {self.bits} bits, plan {self._plan})"

    def _check(self, codes: Codes) -> None:
        if codes.bits != self.bits:
            raise CodeWidthError(
                f"this index holds codes of {self.bits} bits, got codes of {codes.bits} bits; "
                "use the same hasher for both"
            )


def _known(plan: Plan) -> Plan:
    if plan not in ("auto", "scan", "pruned"):
        raise BitseekError(f"a plan is 'auto', 'scan' or 'pruned', got {plan!r}")
    return plan


def _ids(ids: Any, size: int) -> Int64[np.ndarray, " some"]:
    """Ids from what a user gave, checked."""
    given = np.atleast_1d(np.asarray(ids))
    if given.ndim != 1 or (given.size and not np.issubdtype(given.dtype, np.integer)):
        raise ShapeError(f"ids are whole numbers in one row, got {given.shape} {given.dtype}")
    given = given.astype(np.int64)
    if given.size and (given.min() < 0 or given.max() >= size):
        bad = given[(given < 0) | (given >= size)][:5].tolist()
        raise BitseekError(f"there are no items with the ids {bad}; ids of this index are 0 to {size - 1}")
    return given
