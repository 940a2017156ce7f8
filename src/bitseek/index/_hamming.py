"""HammingIndex: exact search, by whichever of two plans is the quicker."""

import os
import threading
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64

from bitseek._checks import as_ids, whole_number
from bitseek._files import user_path
from bitseek.codes import Codes, check_codes
from bitseek.errors import BitseekError, ShapeError
from bitseek.index import _on_device, _plain, _store
from bitseek.index._clusters import Clusters
from bitseek.index._database import Database
from bitseek.index._hits import Hits, RaggedHits, ScoredHits
from bitseek.index._planner import Explanation, Found, Plan, Planner, Used, Verb, as_plan
from bitseek.kernels import loading
from bitseek.kernels.layout import split


class HammingIndex:
    """Exact search by Hamming distance: the same items as a brute-force scan, ties to the lowest id.

    An item's id is its place in the database; it stays the same when other items are added or removed. Two plans give
    the same answers: *scan* looks at every code, *pruned* rules most of them out by clusters and the triangle
    inequality (see `bitseek.kernels.pruned`), which is far quicker if the codes lie in clusters, and slower if not.
    With the plan `auto`, clusters are built in the background once a large enough index is searched, both plans are
    tried out on the first queries, and the quicker one is taken; NumPy scans for the very first ones, until it pays to
    load the compiled kernels. Searches may run in several threads at once.

    On a device the codes are scanned there, through torch (see `bitseek.device`), and no clusters are built.

    Args:
        codes: the database; kept, not copied, so it may be memory-mapped.
        gone: ids of items that cannot be found, as if removed; none if None.
        plan: `auto`, `scan` or `pruned`.
        threads: at most so many for a search; as many as there are processors if None (see `BITSEEK_THREADS`).
        device: where the codes are compared, through torch: `cuda`, `cuda:1` or another of its devices; by the
            compiled kernels if None.
        memory: bytes of the device that it may take, four fifths of what is free if None; codes beyond pass by.

    >>> codes = Codes.from_bits([[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]])
    >>> index = HammingIndex(codes)
    >>> hits = index.nearest(codes[0], k=3)
    >>> hits.ids, hits.distances
    (array([[0, 3, 2]]), array([[0, 0, 2]], dtype=int32))
    >>> index.within(codes[1:3], radius=2)[0]
    Hit(ids=array([1, 2]), distances=array([0, 2], dtype=int32))
    """

    def __init__(
        self,
        codes: Codes,
        *,
        gone: Any = None,
        plan: Plan = "auto",
        threads: SupportsIndex | None = None,
        device: str | None = None,
        memory: SupportsIndex | None = None,
    ) -> None:
        check_codes(codes)
        database = Database.of(np.ascontiguousarray(codes.words), codes.bits)
        database = database if gone is None else database.without(as_ids(gone, database.size))
        self._start(database, plan, threads, device, memory)

    def _start(self, database: Database, plan: Any, threads: Any, device: Any, memory: Any) -> None:
        self._database = database
        self._plan: Plan = as_plan(plan, device is not None)
        self._device = _on_device.scan_on(device, database.bits, memory)
        self._threads = None if threads is None else whole_number(threads, "threads")
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
        return Codes(database.rows(as_ids(ids, database.size)), database.bits)

    def add(self, codes: Codes) -> Int64[np.ndarray, " n"]:
        """Put more items into the index; their ids, which follow on those given so far.

        Raises:
            CodeWidthError: codes of another length.
        """
        check_codes(codes, bits=self.bits)
        with self._change:
            first = self._database.size
            self._database = self._database.added(codes.words)
            return np.arange(first, self._database.size)

    def remove(self, ids: Any) -> int:
        """Take items out of the index, for ever; how many. Those that are already removed are ignored.

        Raises:
            BitseekError: an id that was never given.
        """
        with self._change:
            before = self._database
            self._database = before.without(as_ids(ids, before.size))
            return before.alive - self._database.alive

    # --- search: the kernels are imported by the first one, since numba takes half a second ---------------------

    def nearest(self, codes: Codes, k: SupportsIndex = 10, *, plan: Plan | None = None) -> Hits:
        """The k nearest items of each query.

        Args:
            codes: the queries.
            k: how many, 1 or more; all there are if there are fewer.
            plan: for this call only.

        Returns:
            min(k, items) hits a query, sorted by (distance, id).

        Raises:
            CodeWidthError: codes of another length.
            ShapeError: k is not a whole number of 1 or more.
        """
        found = self._find(codes, "nearest", whole_number(k, "k"), plan)
        return Hits(*split(np.concatenate([part.keys for part in found])))

    def within(self, codes: Codes, radius: SupportsIndex, *, plan: Plan | None = None) -> RaggedHits:
        """All items at a distance of at most `radius` from each query.

        Args:
            codes: the queries.
            radius: 0 or more, in bits.
            plan: for this call only.

        Raises:
            CodeWidthError: codes of another length.
            ShapeError: the radius is not a whole number of 0 or more.
        """
        found = self._find(codes, "within", whole_number(radius, "radius", least=0), plan)
        counts = np.concatenate([np.diff(part.offsets) for part in found if part.offsets is not None])
        ids, distances = split(np.concatenate([part.keys for part in found]))
        return RaggedHits(np.concatenate([[0], np.cumsum(counts)]), ids, distances)

    def nearest_by_logits(self, logits: Any, k: SupportsIndex = 10) -> ScoredHits:
        """The k items whose codes, as ±1, have the greatest inner product with real-valued queries.

        The logits say how sure the hasher is of each bit, which a query's code forgets; the database stays as it is.
        Exact: every code is looked at.

        Args:
            logits: (q, bits), the queries before they become bits; an array or a torch tensor.
            k: how many, 1 or more; all there are if there are fewer.

        Returns:
            min(k, items) hits a query, sorted by (score from high to low, id).

        Raises:
            CodeWidthError: not as many logits as bits.
            ShapeError: logits that are NaN or infinite; k is not a whole number of 1 or more.
        """
        from bitseek.index import _search

        return ScoredHits(*_search.nearest_by_logits(self._database, logits, whole_number(k, "k"), self._threads))

    def rerank(
        self,
        hits: Hits,
        *,
        logits: Any = None,
        query_features: Any = None,
        features: Any = None,
        k: SupportsIndex | None = None,
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
        if not isinstance(hits, Hits):
            raise ShapeError(f"re-ranking takes the hits of `nearest`, got {type(hits).__name__}")
        if (logits is None) == (query_features is None) or (query_features is None) != (features is None):
            raise BitseekError("re-ranking needs either logits, or both query_features and features")
        keep = hits.ids.shape[1] if k is None else whole_number(k, "k")
        database = self._database
        as_ids(hits.ids.reshape(-1), database.size)
        from bitseek.index import _search

        if logits is not None:
            return ScoredHits(*_search.by_logits(database, hits.ids, logits, keep))
        return ScoredHits(*_search.by_features(database, hits.ids, query_features, features, keep))

    # --- plans ------------------------------------------------------------------------------------------------

    def build(self, *, wait: bool = True) -> None:
        """Sort the codes into clusters now, for the pruned plan; on a device, which has no such plan, nothing is done.

        Args:
            wait: whether to return only when they are there; if not, they are built in the background.
        """
        if self._device is None:
            self._clusters.build(self._database, self._threads, wait=wait)

    @property
    def build_is_due(self) -> bool:
        """Whether clusters are worth building: the index is large, and they are none yet or cover too little of it."""
        return self._device is None and self._clusters.are_due(self._database)

    def load_kernels(self) -> None:
        """Load the compiled kernels now, as a service does before its first request; else a search does, when it pays.

        Takes a second or more: numba is imported, and the kernels are read from their cache, or compiled.
        """
        from bitseek.index import _search

        database, built = self._database, self._clusters.built
        if database.size:
            query = database.rows(np.zeros(1, np.int64))
            if self._device is not None:
                self._device.nearest(database, query, 1)
                return
            for used in [None] if built is None else [None, built]:
                _search.nearest(database, used, query, 1, self._threads)
                _search.within(database, used, query, 0, self._threads)

    def explain(self) -> Explanation:
        """How this index answers, and why; `print` it."""
        from bitseek.kernels import jit, threads

        database, clusters, built = self._database, self._clusters, self._clusters.built
        return Explanation(
            items=database.alive,
            removed=database.removed,
            bits=database.bits,
            plan=self._plan,
            clusters=clusters.state(database),
            centres=0 if built is None else built.centres,
            covered=clusters.covered,
            bytes_per_code=(8.0 * database.width, 0.0 if built is None else built.nbytes / max(1, built.covered)),
            threads=threads.thread_count() if self._threads is None else self._threads,
            compiled=jit.COMPILED,
            choices=self._planner.choices(),
            device=None if self._device is None else str(self._device),
        )

    def _find(self, codes: Any, verb: Verb, number: int, plan: Any) -> list[Found]:
        """The hits of the queries, in one or two pieces, by the plan that was chosen or by the quicker one."""
        check_codes(codes, bits=self.bits)
        here = self._device is None
        wanted: Plan = self._plan if plan is None else as_plan(plan, not here)
        in_numpy = here and wanted == "auto" and loading.numpy_suffices(len(codes), self._database.words)
        if wanted == "pruned":
            self._clusters.build(self._database, self._threads, wait=True, again=False)
        elif here and wanted == "auto" and not in_numpy:
            self._clusters.build_if_due(self._database)
        built = self._clusters.built
        database = self._database  # looked up after the clusters, so it has all that they hold and is not gone
        number = min(number, database.alive if verb == "nearest" else database.bits)
        if not len(codes) or not database.alive:
            none = np.zeros((len(codes), number) if verb == "nearest" else 0, np.int64)
            return [Found(none, np.zeros(len(codes) + 1, np.int64), 0.0)]
        if self._device is not None:
            return [_on_device.search(self._device, database, codes.words, verb, number)]
        if in_numpy:
            return [(_plain.nearest if verb == "nearest" else _plain.within)(database, codes.words, number)]
        from bitseek.index import _search

        by = _search.nearest if verb == "nearest" else _search.within

        def search(queries: np.ndarray, used: Used) -> Found:
            return by(database, built if used == "pruned" else None, queries, number, self._threads)

        if wanted != "auto" or built is None:
            return [search(codes.words, "pruned" if wanted == "pruned" else "scan")]
        return self._planner.answer(codes.words, verb, number, search)

    # --- on disk ----------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a folder, atomically: codes, removed items, and the clusters if they are built.

        Raises:
            BitseekError: the folder cannot be written, or holds files by the index's names that bitseek did not write.
        """
        with self._change:
            built, database = self._clusters.built, self._database
            blocks = [*database.blocks, database.tail]
            _store.save(user_path(path), _store.Stored(database.bits, blocks, database.gone, built))

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        plan: Plan = "auto",
        threads: SupportsIndex | None = None,
        device: str | None = None,
        memory: SupportsIndex | None = None,
        verify: bool = False,
    ) -> "HammingIndex":
        """Open what `save` wrote, memory-mapped.

        Args:
            path: the folder.
            plan: as for a new index.
            threads: as for a new index.
            device: as for a new index.
            memory: as for a new index.
            verify: whether to read all files and compare all checksums; otherwise a part of them, in well under a
                second (see docs/search.md).

        Raises:
            RunError: no index is there, or its codes are damaged. Damaged clusters are built again when needed.
        """
        stored = _store.read(user_path(path), verify)
        index = cls.__new__(cls)
        index._start(stored.database, plan, threads, device, memory)
        index._clusters.built = stored.built
        return index

    def save_clusters(self, folder: str | os.PathLike[str]) -> bool:
        """Write the clusters alone to a folder, atomically, for an index whose codes are kept elsewhere.

        Returns:
            Whether there are any (see `build`); if not, the folder stays as it is.

        Raises:
            BitseekError: the folder cannot be written, or holds files by the same names that bitseek did not write.
        """
        built = self._clusters.built
        if built is not None:
            _store.save_clusters(user_path(folder), built, self._database)
        return built is not None

    def load_clusters(self, folder: str | os.PathLike[str], *, verify: bool = False) -> bool:
        """Take over clusters that `save_clusters` wrote, memory-mapped, for an index of the same codes or more.

        They are compared with the codes by checksums. Items that were added or removed since do no harm.

        Args:
            folder: where they are.
            verify: whether to compare all checksums, of the codes too; otherwise a part, in well under a second.

        Returns:
            Whether they could be used. If they are absent, damaged, of other codes, or without items that this index
            has, a line in the log says so, and the index stays as it is.
        """
        built = _store.read_clusters(user_path(folder), self._database, verify)
        if built is not None:
            self._clusters.built = built
        return built is not None

    def close(self) -> None:
        """Nothing: memory maps end with the last array of theirs. It is there since every engine has it."""

    def __repr__(self) -> str:
        return f"HammingIndex({len(self)} × {self.bits} bits, plan {self._plan})"
