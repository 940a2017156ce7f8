"""What a search finds: ids and distances, or ids and scores, of items, as a sequence by query."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, overload

import numpy as np
from jaxtyping import Float64, Int32, Int64

from bitseek.errors import ShapeError


class Hit(NamedTuple):
    """The hits of one query, nearest first: `ids, distances = hits[0]`."""

    ids: Int64[np.ndarray, " k"]
    distances: Int32[np.ndarray, " k"]


class ScoredHit(NamedTuple):
    """The hits of one query, best first: `ids, scores = hits[0]`."""

    ids: Int64[np.ndarray, " k"]
    scores: Float64[np.ndarray, " k"]


Row = TypeVar("Row", Hit, ScoredHit)
Some = TypeVar("Some", bound="ByQuery[Any]")


class ByQuery(Generic[Row]):
    """A sequence by query, kept in arrays of one row a query.

    A number gives the hits of one query (IndexError if there is no such query); a slice, a mask or an array of numbers
    gives the hits of some queries, in the same form.
    """

    _row: ClassVar[type[NamedTuple]] = Hit

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    @overload
    def __getitem__(self, queries: int | np.integer) -> Row: ...
    @overload
    def __getitem__(self: Some, queries: slice | list[int] | np.ndarray) -> Some: ...
    def __getitem__(self, queries: Any) -> Any:
        """The hits of one query, or of some."""
        if isinstance(queries, int | np.integer):
            return self._one(range(len(self))[queries])
        chosen = np.arange(len(self))[queries]
        if chosen.ndim != 1:
            raise ShapeError(f"queries are chosen by a number, a slice, a mask or a row of numbers, got {queries!r}")
        return self._some(chosen)

    def __iter__(self) -> Iterator[Row]:
        return (self._one(query) for query in range(len(self)))

    def _one(self, query: int) -> Any:
        return self._row(*(array[query] for array in vars(self).values()))

    def _some(self: Some, queries: Int64[np.ndarray, " q"]) -> Some:
        return type(self)(*(array[queries] for array in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Hits(ByQuery[Hit]):
    """The k nearest items of each of q queries, sorted by (distance, id).

    Attributes:
        ids: position of the items in the database.
        distances: Hamming distances to the query, 0 … bits.

    >>> hits = Hits(np.array([[4, 7], [1, 0]]), np.array([[0, 3], [1, 1]], np.int32))
    >>> [ids.tolist() for ids, distances in hits]
    [[4, 7], [1, 0]]
    >>> hits[-1].distances, hits[:1]
    (array([1, 1], dtype=int32), Hits(1 queries × 2 items))
    """

    ids: Int64[np.ndarray, "q k"]
    distances: Int32[np.ndarray, "q k"]

    def __repr__(self) -> str:
        return f"Hits({len(self)} queries × {self.ids.shape[1]} items)"


@dataclass(frozen=True, eq=False)
class ScoredHits(ByQuery[ScoredHit]):
    """The k best items of each of q queries, sorted by (score from high to low, id).

    Attributes:
        ids: position of the items in the database.
        scores: the higher the more similar.
    """

    _row = ScoredHit

    ids: Int64[np.ndarray, "q k"]
    scores: Float64[np.ndarray, "q k"]

    def __repr__(self) -> str:
        return f"ScoredHits({len(self)} queries × {self.ids.shape[1]} items)"


@dataclass(frozen=True, eq=False)
class RaggedHits(ByQuery[Hit]):
    """All items within a radius of each of q queries, as many as there are, sorted by (distance, id).

    Attributes:
        offsets: the hits of query i are at `offsets[i] : offsets[i + 1]`.
        ids: position of the items in the database.
        distances: Hamming distances to the query, 0 … radius.

    >>> hits = RaggedHits(np.array([0, 2, 2]), np.array([4, 7]), np.array([0, 3], np.int32))
    >>> [ids.tolist() for ids, distances in hits]
    [[4, 7], []]
    """

    offsets: Int64[np.ndarray, " offsets"]
    ids: Int64[np.ndarray, " hits"]
    distances: Int32[np.ndarray, " hits"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Int64[np.ndarray, " q"]:
        """Number of hits of each query."""
        return np.diff(self.offsets)

    def _one(self, query: int) -> Hit:
        part = slice(int(self.offsets[query]), int(self.offsets[query + 1]))
        return Hit(self.ids[part], self.distances[part])

    def _some(self, queries: Int64[np.ndarray, " q"]) -> "RaggedHits":
        counts = self.counts[queries]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[queries] - offsets[:-1], counts)
        return RaggedHits(offsets, self.ids[places], self.distances[places])

    def __repr__(self) -> str:
        return f"RaggedHits({len(self)} queries, {len(self.ids)} items)"
