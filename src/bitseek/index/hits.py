"""What a search answers: ids and distances, or ids and scores, of the items found."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64


@dataclass(frozen=True, eq=False)
class Hits:
    """The k nearest items of each of q queries, sorted by (distance, id).

    Attributes:
        ids: position of the items in the database.
        distances: Hamming distances to the query, 0 … bits.
    """

    ids: Int64[np.ndarray, "q k"]
    distances: Int32[np.ndarray, "q k"]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, query: int | slice) -> "Hits":
        """The hits of one query, or of some; always `Hits`."""
        part = slice(query, query + 1 or None) if isinstance(query, int) else query
        return type(self)(self.ids[part], self.distances[part])

    def __repr__(self) -> str:
        return f"Hits({len(self)} queries × {self.ids.shape[1]} items)"


@dataclass(frozen=True, eq=False)
class RaggedHits:
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

    def __getitem__(self, query: int) -> tuple[Int64[np.ndarray, " h"], Int32[np.ndarray, " h"]]:
        """Ids and distances of the hits of one query."""
        query = range(len(self))[query]
        part = slice(int(self.offsets[query]), int(self.offsets[query + 1]))
        return self.ids[part], self.distances[part]

    def __iter__(self) -> Iterator[tuple[Int64[np.ndarray, " h"], Int32[np.ndarray, " h"]]]:
        return (self[i] for i in range(len(self)))

    @property
    def counts(self) -> Int64[np.ndarray, " q"]:
        """Number of hits of each query."""
        return np.diff(self.offsets)

    def __repr__(self) -> str:
        return f"RaggedHits({len(self)} queries, {len(self.ids)} items)"


@dataclass(frozen=True, eq=False)
class ScoredHits:
    """The k best items of each of q queries, sorted by (score from high to low, id).

    Attributes:
        ids: position of the items in the database.
        scores: the higher the more similar.
    """

    ids: Int64[np.ndarray, "q k"]
    scores: Float64[np.ndarray, "q k"]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"ScoredHits({len(self)} queries × {self.ids.shape[1]} items)"


def split(keys: Int64[np.ndarray, "*shape"]) -> tuple[Int64[np.ndarray, "*shape"], Int32[np.ndarray, "*shape"]]:
    """Ids and distances from keys."""
    from bitseek.kernels.nearest import ID_BITS  # numba takes half a second: not before the first search

    return keys & ((1 << ID_BITS) - 1), (keys >> ID_BITS).astype(np.int32)
