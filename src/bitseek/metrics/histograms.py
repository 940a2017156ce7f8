"""How many items, and how many relevant ones, lie at each distance from a query: what every Hamming metric needs.

The two counts do not depend on the order of the database, so neither do the metrics. They take O(bits) memory a query,
and are made without sorting.
"""

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from bitseek.codes import Codes
from bitseek.errors import CodeWidthError, ShapeError
from bitseek.metrics.labels import Labels

_MOST_BITS = 32_000  # twice a distance, and one more, fits into 16 bits in the kernels


@dataclass(frozen=True, eq=False)
class Histograms:
    """Counts by distance, for q queries.

    Attributes:
        total: number of database items at distance 0 … bits from each query.
        relevant: how many of those are relevant to it.
        database: number of items in the database, before anything was left out.
        excluded: number of (query, item) pairs left out, because they are the same item or are to be ignored.
    """

    total: Int64[np.ndarray, "q bins"]
    relevant: Int64[np.ndarray, "q bins"]
    database: int
    excluded: int = 0

    @property
    def bits(self) -> int:
        """Length of a code."""
        return int(self.total.shape[1]) - 1

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len(self.total)


def histograms(
    query_codes: Codes,
    database_codes: Codes,
    query_labels: Shaped[np.ndarray, "q ..."],
    database_labels: Shaped[np.ndarray, "n ..."],
    query_ids: Shaped[np.ndarray, " q"] | None = None,
    database_ids: Shaped[np.ndarray, " n"] | None = None,
) -> Histograms:
    """Count the database by distance and relevance, for each query.

    Memory beyond codes, labels (8 bytes an item for each 64 classes) and counts does not grow with the database.

    Args:
        query_codes: codes of the queries.
        database_codes: codes of the database, of the same number of bits.
        query_labels: (q,) integers, −1 for none, relevant if equal; or (q, C) multi-hot, relevant if one is shared.
        database_labels: (n,) or (n, C), in the same form.
        query_ids: names or numbers of the items; with `database_ids`, a query is not compared with itself.
        database_ids: names or numbers of the items in the database.

    Raises:
        CodeWidthError: codes of different length.
        ShapeError: as many labels or ids as codes were expected, or labels in two forms, or one side without ids.

    >>> codes = Codes.from_bits([[0, 0], [0, 1], [1, 1]])
    >>> counts = histograms(codes[0], codes, np.array([7]), np.array([7, 7, 8]))
    >>> counts.total, counts.relevant
    (array([[1, 1, 1]]), array([[1, 1, 0]]))
    """
    labels = Labels.of(query_labels, database_labels)
    excluded = same_items(query_codes, database_codes, query_ids, database_ids)
    return _histograms(query_codes, database_codes, labels, excluded)


def histograms_of_lists(
    query_codes: Codes,
    database_codes: Codes,
    positives: Sequence[Any],
    ignored: Sequence[Any] | None = None,
) -> Histograms:
    """Count the database by distance and relevance, where each query lists its relevant items.

    Args:
        query_codes: codes of the q queries.
        database_codes: codes of the database, of the same number of bits.
        positives: for each query, the places in the database of its relevant items.
        ignored: for each query, the places of items that are removed from the ranking; none if not given.

    Raises:
        CodeWidthError: codes of different length.
        ShapeError: not one list a query, a place outside the database, twice, or both relevant and ignored.
    """
    n, queries = len(database_codes), len(query_codes)
    wanted = _places(positives, queries, n, "positives")
    unwanted = _places(ignored if ignored is not None else [()] * queries, queries, n, "ignored")
    for query, (good, junk) in enumerate(zip(wanted, unwanted, strict=True)):
        if len(both := np.intersect1d(good, junk)):
            raise ShapeError(f"item {both[0]} is both relevant to query {query} and ignored")
    nothing = Labels.of(np.full(queries, -1), np.full(n, -1))
    offsets = np.cumsum([0, *map(len, unwanted)])
    counts = _histograms(query_codes, database_codes, nothing, (offsets, np.concatenate([*unwanted, np.zeros(0, int)])))
    relevant = np.zeros_like(counts.total)
    for query, places in enumerate(wanted):
        differing = database_codes.words[places] ^ query_codes.words[query]
        distances = np.bitwise_count(differing).sum(axis=1, dtype=np.int64)
        relevant[query] = np.bincount(distances, minlength=counts.bits + 1)
    return Histograms(counts.total, relevant, counts.database, counts.excluded)


Excluded = tuple[np.ndarray, np.ndarray]
"""offsets (q + 1,) and items: what is left out for query i is items[offsets[i]:offsets[i + 1]]."""


def same_items(
    queries: Sized,
    database: Sized,
    query_ids: Shaped[np.ndarray, " q"] | None,
    database_ids: Shaped[np.ndarray, " n"] | None,
) -> Excluded | None:
    """The places in the database of each query itself, by id; None if there are no ids."""
    if query_ids is None and database_ids is None:
        return None
    if query_ids is None or database_ids is None:
        raise ShapeError("to leave a query out of its own results, give both query_ids and database_ids")
    if len(query_ids) != len(queries) or len(database_ids) != len(database):
        raise ShapeError(
            f"there are {len(query_ids)} query ids and {len(database_ids)} database ids for {len(queries)} queries "
            f"and {len(database)} items; each needs one"
        )
    order = np.argsort(database_ids, kind="stable")
    ordered = database_ids[order]
    first = np.searchsorted(ordered, query_ids, "left")
    last = np.searchsorted(ordered, query_ids, "right")
    offsets = np.concatenate([[0], np.cumsum(last - first)])
    places = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], last - first)
    return offsets, order[places]


def task_of(query_codes: Codes, database_codes: Codes, labels: Labels, excluded: Excluded | None) -> Any:
    """What the kernels compare, after checking that its parts fit together."""
    from bitseek.kernels.histogram import Task  # numba takes half a second, and the closed forms need none

    if query_codes.bits != database_codes.bits:
        raise CodeWidthError(
            f"queries have {query_codes.bits} bits and the database {database_codes.bits}; encode both with one model"
        )
    if query_codes.bits > _MOST_BITS:
        raise CodeWidthError(f"metrics count distances of up to {_MOST_BITS} bits, got codes of {query_codes.bits}")
    for what, codes, own in (("query", query_codes, labels.query), ("database", database_codes, labels.database)):
        if len(codes) != len(own):
            raise ShapeError(f"there are {len(codes)} {what} codes and {len(own)} {what} labels; they belong in pairs")
    offsets, items = excluded if excluded is not None else (np.zeros(len(query_codes) + 1), np.zeros(0))
    return Task(
        query_codes.words,
        database_codes.words,
        query_codes.bits,
        labels.query,
        labels.database,
        labels.single,
        offsets.astype(np.int64),
        items.astype(np.int64),
    )


def _histograms(query_codes: Codes, database_codes: Codes, labels: Labels, excluded: Excluded | None) -> Histograms:
    from bitseek.kernels.histogram import distance_histograms

    task = task_of(query_codes, database_codes, labels, excluded)
    total, relevant = distance_histograms(task)
    return Histograms(total, relevant, len(database_codes), len(task.excluded))


def _places(lists: Sequence[Any], queries: int, n: int, name: str) -> list[np.ndarray]:
    if len(lists) != queries:
        raise ShapeError(f"{name} holds one list for each of {queries} queries, got {len(lists)} lists")
    arrays = []
    for query, places in enumerate(lists):
        array = np.asarray(places, np.int64).reshape(-1)
        if len(array) and (array.min() < 0 or array.max() >= n):
            raise ShapeError(f"{name} of query {query} name places outside the database of {n} items")
        if len(np.unique(array)) < len(array):
            raise ShapeError(f"{name} of query {query} name an item twice")
        arrays.append(array)
    return arrays
