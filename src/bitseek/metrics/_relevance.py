"""Which items of a database are relevant to which queries, and which are left out of a query's ranking."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from bitseek._checks import as_array, is_tensor, whole_number
from bitseek.errors import ShapeError
from bitseek.labels import NONE, Labels


@dataclass(frozen=True, eq=False)
class Lists:
    """A list of places in the database for each of q queries: that of query i is `items[offsets[i]:offsets[i + 1]]`."""

    offsets: Int64[np.ndarray, " bounds"]
    items: Int64[np.ndarray, " e"]

    @classmethod
    def of(cls, lists: Any, database: int, name: str) -> "Lists":
        """One array from several lists of different places.

        Raises:
            ShapeError: not a list of lists, a place outside the database, or twice in one list.
        """
        if not isinstance(lists, Iterable):
            raise ShapeError(f"{name} are a list of places for each query, got {type(lists).__name__}")
        arrays = [as_array(places, f"the {name} of query {i}").reshape(-1) for i, places in enumerate(lists)]
        for query, places in enumerate(arrays):
            if len(places) and not (places.dtype.kind in "iu" and 0 <= places.min() <= places.max() < database):
                raise ShapeError(f"the {name} of query {query} are not all places 0 to {database - 1} in the database")
            if len(np.unique(places)) < len(places):
                raise ShapeError(f"the {name} of query {query} name an item twice")
        items = np.concatenate([np.zeros(0, np.int64), *(places.astype(np.int64) for places in arrays)])
        return cls(np.cumsum([0, *map(len, arrays)], dtype=np.int64), items)

    @classmethod
    def empty(cls, queries: int) -> "Lists":
        """An empty list for each query."""
        return cls(np.zeros(queries + 1, np.int64), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, query: int) -> Int64[np.ndarray, " m"]:
        return self.items[self.offsets[query] : self.offsets[query + 1]]

    def rows(self, rows: slice) -> "Lists":
        """The lists of consecutive queries."""
        offsets = self.offsets[rows.start : rows.stop + 1]
        return Lists(offsets - offsets[0], self.items[offsets[0] : offsets[-1]])


@dataclass(frozen=True, eq=False)
class Relevance:
    """What is relevant to each of q queries among n database items; `from_labels` or `from_lists` make it.

    Attributes:
        queries: q.
        database: n.
        labels: of the queries and of the database, where relevance is to share a class; None where it is listed.
        positives: the relevant items of each query, where they are listed.
        removed: the items that are left out of each query's ranking: later items move up.
    """

    queries: int
    database: int
    labels: tuple[Labels, Labels] | None
    positives: Lists
    removed: Lists

    @classmethod
    def from_labels(cls, query: Any, database: Any, *, query_ids: Any = None, database_ids: Any = None) -> "Relevance":
        """An item is relevant to the queries that it shares a class with; one without a label to none.

        Args:
            query: labels of the queries, in any form that `Labels.of` takes: (q,) integers, or (q, C) multi-hot.
            database: labels of the database, in the same form.
            query_ids: (q,) names or numbers of the items; with `database_ids`, a query is left out of its own ranking.
            database_ids: (n,) names or numbers of the items in the database.

        Raises:
            ShapeError: labels of two forms, not one id for each item, ids on one side only, or ids that cannot be
                compared.

        >>> Relevance.from_labels([7, 8], [7, 7, 9]).relevant(0)
        array([ True,  True, False])
        """
        mine, theirs = Labels.of(query), Labels.of(database)
        mine.check_comparable(theirs)
        removed = Lists.empty(len(mine))
        if query_ids is not None or database_ids is not None:
            removed = _same_items(_ids(query_ids), _ids(database_ids), len(mine), len(theirs))
        return cls(len(mine), len(theirs), (mine, theirs), Lists.empty(len(mine)), removed)

    @classmethod
    def from_lists(cls, positives: Sequence[Any], junk: Sequence[Any] | None = None, *, database: int) -> "Relevance":
        """Each query lists its relevant items, and those that are neither right nor wrong.

        Args:
            positives: for each query, the places in the database of its relevant items.
            junk: for each query, the places of items that are removed from its ranking; none if not given.
            database: n, the number of items in the database.

        Raises:
            ShapeError: not one list a query, a place outside the database, twice, or both relevant and junk.

        >>> relevance = Relevance.from_lists([[2]], [[0]], database=3)
        >>> relevance.relevant(0), relevance.left_out(0)
        (array([False, False,  True]), array([ True, False, False]))
        """
        database = whole_number(database, "database", 0)
        wanted = Lists.of(positives, database, "positives")
        queries = len(wanted)
        removed = Lists.empty(queries) if junk is None else Lists.of(junk, database, "junk")
        if len(removed) != queries:
            raise ShapeError(
                f"there is one list of positives and one of junk for a query, got {queries} and {len(removed)}"
            )
        for query in range(queries):
            if len(both := np.intersect1d(wanted[query], removed[query])):
                raise ShapeError(f"item {both[0]} is both relevant to query {query} and junk")
        return cls(queries, database, None, wanted, removed)

    def __repr__(self) -> str:
        by = "lists" if self.labels is None else "labels"
        return f"Relevance({self.queries} queries × {self.database} items, by {by})"

    @property
    def known(self) -> bool:
        """Whether anything can be relevant: there is a label on both sides, or an item in a list."""
        if self.labels is None:
            return len(self.positives.items) > 0
        return all(bool(side.any.any()) for side in self.labels)

    def left_out(self, query: SupportsIndex) -> Bool[np.ndarray, " n"]:
        """Which items are left out of the ranking of one query."""
        out = np.zeros(self.database, np.bool_)
        out[self.removed[range(self.queries)[query]]] = True
        return out

    def relevant(self, query: SupportsIndex) -> Bool[np.ndarray, " n"]:
        """Which items are relevant to one query, without those that are left out."""
        row = range(self.queries)[query]
        if self.labels is None:
            relevant = np.zeros(self.database, np.bool_)
            relevant[self.positives[row]] = True
        else:
            relevant = self.labels[0][row].shared_with(self.labels[1])
        relevant[self.removed[row]] = False
        return relevant

    def words(self) -> Iterator[tuple[slice, UInt64[np.ndarray, "m w"], UInt64[np.ndarray, "n w"], bool]]:
        """Relevance as words of 64 bits that kernels compare, for consecutive queries at a time.

        An item is relevant to a query if their words share a bit; for single labels, if they are equal. Lists become
        such words, too: bit i of an item's word says whether it is relevant to query i of 64.

        Yields:
            which queries, their words, the words of the database, and whether these are single labels.
        """
        if self.labels is not None:
            mine, theirs = self.labels
            # A query without a single label must equal nothing, not even an item without one.
            words = np.where(mine.words == NONE, NONE - np.uint64(1), mine.words) if mine.single else mine.words
            yield slice(0, self.queries), words, theirs.words, mine.single
            return
        for start in range(0, self.queries, 64):
            rows = slice(start, min(start + 64, self.queries))
            bits = np.uint64(1) << np.arange(rows.stop - start, dtype=np.uint64)
            words = np.zeros((self.database, 1), np.uint64)
            for query, bit in zip(range(rows.start, rows.stop), bits, strict=True):
                words[self.positives[query], 0] |= bit
            yield rows, bits[:, None], words, False


def check_relevance(given: Any) -> None:
    """Refuse what is no `Relevance`, labels for example.

    Raises:
        ShapeError: it is something else.
    """
    if not isinstance(given, Relevance):
        raise ShapeError(
            "relevance is what Relevance.from_labels(query_labels, database_labels) or Relevance.from_lists gives, got "
            f"{type(given).__name__}"
        )


def _ids(ids: Any) -> np.ndarray:
    return as_array(ids, "ids") if is_tensor(ids) else np.asarray(ids)


def _same_items(query_ids: np.ndarray, database_ids: np.ndarray, queries: int, database: int) -> Lists:
    """The places in the database of each query itself, by id; an id may be there several times."""
    if query_ids.shape != (queries,) or database_ids.shape != (database,):
        raise ShapeError(
            "to leave a query out of its own ranking, give query_ids and database_ids, one for each item: expected "
            f"shapes ({queries},) and ({database},), got {query_ids.shape} and {database_ids.shape}"
        )
    kinds = {query_ids.dtype.kind, database_ids.dtype.kind}
    try:
        if len(kinds) > 1:  # NumPy would make float64 of int64 and uint64, and text of numbers; Python compares exactly
            if kinds & set("mM"):
                raise TypeError("a date is no number")
            query_ids, database_ids = query_ids.astype(object), database_ids.astype(object)
        order = np.argsort(database_ids, kind="stable")
        ordered = database_ids[order]
        first, last = (np.searchsorted(ordered, query_ids, side) for side in ("left", "right"))
    except TypeError as error:
        raise ShapeError(f"query_ids and database_ids are of one kind, which can be ordered: {error}") from error
    offsets = np.concatenate([[0], np.cumsum(last - first)])
    places = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], last - first)
    return Lists(offsets, order[places])
