"""A protocol: a data set, and which of its items are for training, are queries, and are searched."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int64

from bitseek._checks import as_array, whole_number
from bitseek._files import parse, write_json
from bitseek.data._pool import Pool, encoded
from bitseek.errors import DataError, ShapeError
from bitseek.metrics import Denominator, Relevance

ROLES = ("train", "query", "database")


@dataclass(frozen=True, eq=False)
class RelevanceLists:
    """Relevance that is listed for each query, where labels do not say it.

    Args:
        positives: for each level (some of `easy`, `medium`, `hard`; or `all` alone), for each query in the order of
            `Protocol.query`, the pool indices of the relevant items.
        junk: the same for items that are taken out of the ranking before it is measured.
        ap: `standard`, or `trapezoid` for the average precision of revisited Oxford and Paris.
    """

    positives: Mapping[str, tuple[Int64[np.ndarray, " _"], ...]]
    junk: Mapping[str, tuple[Int64[np.ndarray, " _"], ...]]
    ap: Literal["standard", "trapezoid"] = "standard"


@dataclass(frozen=True, eq=False)
class Protocol:
    """A named split of a pool into train, query and database.

    A database item is relevant to a query if they share a label (an item without labels to nothing), unless there
    are `lists`. The id of an item is its index into the pool: a query that is also in the database is left out of its
    own ranking by id.

    Args:
        name: as `load_protocol` takes it.
        pool: every item.
        train: (m,) indices into the pool, kept as int64; none for a protocol that only measures.
        query: as train; no query may be in train.
        database: as train.
        k: the cut-off of mAP@k; None for all of the database.
        seed: what the split was drawn from; None if nothing was drawn.
        denominator: of AP, as the protocol's own papers have it; see `bitseek.metrics`.
        lists: relevance by lists instead of labels.
        origin: the `Origin` by which `load_protocol` makes it again; None for a protocol made in Python.

    Raises:
        DataError: an index outside of the pool or twice in a role, no queries or no database, queries among the
            training items (with their number), lists of other levels or lengths, or another value out of range.
    """

    name: str
    pool: Pool
    train: np.ndarray
    query: np.ndarray
    database: np.ndarray
    k: int | None = None
    seed: int | None = None
    denominator: Denominator = "retrieved"
    lists: RelevanceLists | None = None
    origin: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DataError(f"the name of a protocol is text, got {self.name!r:.80}")
        for role in ROLES:
            self._keep(role, self._role(role))
        leaks = np.intersect1d(self.query, self.train)
        if len(leaks):
            raise DataError(
                f"{self.name}: {len(leaks)} of {len(self.query)} queries are training items, the first is "
                f"{self.pool.key(leaks[0])!r}; a measurement on them would say nothing, so take them out of one "
                "of the two"
            )
        for field, least in (("k", 1), ("seed", 0)):
            if (value := getattr(self, field)) is not None:
                try:
                    self._keep(field, whole_number(value, field, least))
                except ShapeError as error:
                    raise DataError(f"{self.name}: {error}; None for no {field}") from error
        if self.denominator not in get_args(Denominator):
            raise DataError(f"{self.name}: the denominator is retrieved, relevant or min, got {self.denominator!r}")
        if self.lists is not None:
            self._keep("lists", self._checked(self.lists))

    def _keep(self, field: str, value: Any) -> None:
        object.__setattr__(self, field, value)

    def _indices(self, what: str, given: Any) -> Int64[np.ndarray, " _"]:
        """Indices into the pool, as int64."""
        try:
            ids = as_array(given, what)
        except ShapeError as error:
            raise DataError(f"{self.name}: {error}") from error
        if ids.ndim != 1 or (len(ids) and ids.dtype.kind not in "iu"):
            raise DataError(f"{self.name}: {what} is whole numbers (m,), got {ids.shape} {ids.dtype}")
        if len(ids) and not (ids.min() >= 0 and ids.max() < len(self.pool)):
            raise DataError(f"{self.name}: {what} has indices outside of the pool of {len(self.pool)} items")
        return ids.astype(np.int64, copy=False)

    def _checked(self, lists: RelevanceLists) -> RelevanceLists:
        levels = tuple(lists.positives)
        if levels != ("all",) and not (levels and {*levels} <= {"easy", "medium", "hard"}):
            got = ", ".join(map(str, levels)) or "none"
            raise DataError(f"{self.name}: the levels of lists are all, or some of easy, medium and hard, got {got}")
        if lists.ap not in ("standard", "trapezoid"):
            raise DataError(f"{self.name}: the ap of lists is standard or trapezoid, got {lists.ap!r}")
        found: dict[str, dict[str, Any]] = {"positives": {}, "junk": {}}
        for level in levels:
            for what, checked in found.items():
                rows = getattr(lists, what).get(level, ())
                if len(rows) != len(self.query):
                    raise DataError(f"{self.name}: {level} needs one list of positives and one of junk for each query")
                checked[level] = tuple(self._indices(f"the {what} of {level}", ids) for ids in rows)
        return RelevanceLists(found["positives"], found["junk"], lists.ap)

    def _role(self, role: str) -> Int64[np.ndarray, " m"]:
        ids = self._indices(role, getattr(self, role))
        if twice := len(ids) - len(np.unique(ids)):
            raise DataError(f"{self.name}: {twice} items are in {role} more than once")
        if not len(ids) and role != "train":
            raise DataError(f"{self.name}: there are no items in {role}")
        return ids

    @property
    def multi_label(self) -> bool:
        """Whether an item may have several labels."""
        return self.pool.multi_label

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels of difficulty at which relevance is known: `all`, or `easy`, `medium` and `hard`."""
        return ("all",) if self.lists is None else tuple(self.lists.positives)

    def relevance(
        self, query_ids: Int64[np.ndarray, " q"], database_ids: Int64[np.ndarray, " n"], level: str = "all"
    ) -> Relevance:
        """Which items of a database are relevant to which queries.

        Args:
            query_ids: pool indices of the queries: some or all of `query`, those that could be read.
            database_ids: pool indices of the database, likewise.
            level: one of `levels`.

        Raises:
            DataError: there is no such level, or no list for one of the queries.
        """
        if level not in self.levels:
            raise DataError(f"{self.name} has no level {level!r}; it has {', '.join(self.levels)}")
        if self.lists is None:
            labels = self.pool.labels
            return Relevance.from_labels(
                labels[query_ids], labels[database_ids], query_ids=query_ids, database_ids=database_ids
            )
        rows = {query: row for row, query in enumerate(self.query.tolist())}
        if strangers := [query for query in query_ids.tolist() if query not in rows]:
            raise DataError(f"{self.name} has no list for the item {self.pool.key(strangers[0])!r}")
        place = np.full(len(self.pool), -1, np.int64)
        place[database_ids] = np.arange(len(database_ids))

        def places(items: np.ndarray) -> np.ndarray:
            found: np.ndarray = place[items]
            return found[found >= 0]

        positives, junk = [], []
        for query in query_ids.tolist():
            left_out = np.append(self.lists.junk[level][rows[query]], query)
            junk.append(places(np.unique(left_out)))
            positives.append(places(np.setdiff1d(self.lists.positives[level][rows[query]], left_out)))
        return Relevance.from_lists(positives, junk, database=len(database_ids))

    @cached_property
    def queries_in_database(self) -> int:
        """How many queries are also in the database, and so are left out of their own ranking by id."""
        return len(np.intersect1d(self.query, self.database))

    @cached_property
    def role_checksums(self) -> dict[str, str]:
        """For each of train, query and database: sha256 over the sorted lines `key TAB labels` of its items.

        Labels are written as the class index, or as the multi-hot row packed to hexadecimal digits.
        """
        labels = self.pool.labels
        digests = {}
        for role in ROLES:
            ids = getattr(self, role)
            if labels.single:
                words = [str(label) for label in labels.numbers[ids].tolist()]
            else:
                words = [row.tobytes().hex() for row in np.packbits(labels.multi_hot(ids), axis=1)]
            keys = self.pool.keys_of(ids)
            digests[role] = _digest(sorted(f"{key}\t{word}\n" for key, word in zip(keys, words, strict=True)))
        return digests

    @cached_property
    def checksum(self) -> str:
        """sha256 over all that says what is right, the same on every machine and in every order.

        That is the items of the three roles with their labels, and what is listed, if relevance is.
        """
        parts = self.role_checksums if self.lists is None else {**self.role_checksums, "lists": self._lists_checksum()}
        return _digest(f"{part} {digest}\n" for part, digest in parts.items())

    def _lists_checksum(self) -> str:
        """sha256 over the sorted lines `positives or junk TAB level TAB query TAB item`, by keys, and one for `ap`."""
        assert self.lists is not None
        lines = {f"ap\t{self.lists.ap}\n"}
        for what in ("positives", "junk"):
            for level, rows in getattr(self.lists, what).items():
                queries = self.pool.keys_of(np.repeat(self.query, [len(row) for row in rows]))
                items = self.pool.keys_of(np.concatenate(rows))
                lines |= {f"{what}\t{level}\t{query}\t{item}\n" for query, item in zip(queries, items, strict=True)}
        return _digest(sorted(lines))

    def describe(self) -> dict[str, Any]:
        """What a report says about the split; ready for JSON."""
        labelled = self.pool.labels.any
        return {
            "name": self.name,
            "classes": len(self.pool.classes),
            "multi_label": self.multi_label,
            "train": len(self.train),
            "query": len(self.query),
            "database": len(self.database),
            "unlabelled": {role: int((~labelled[getattr(self, role)]).sum()) for role in ROLES},
            "queries_in_database": self.queries_in_database,
            "train_in_database": len(np.intersect1d(self.train, self.database)),
            "k": self.k,
            "denominator": self.denominator,
            "seed": self.seed,
            "checksum": self.checksum,
        }

    def save_split(self, path: str | os.PathLike[str]) -> None:
        """Write the split (not the data) as JSON: name, cut-off, denominator, seed, checksum and three index lists.

        Raises:
            DataError: a protocol with relevance lists.
            BitseekError: the file cannot be written.
        """
        if self.lists is not None:
            raise DataError(f"{self.name} has relevance lists, which the file of a split cannot hold")
        split: dict[str, Any] = {name: getattr(self, name) for name in ("name", "k", "denominator", "seed", "checksum")}
        write_json(path, split | {role: getattr(self, role).tolist() for role in ROLES})


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256(encoded("".join(lines))).hexdigest()


def load_split(path: str | os.PathLike[str], pool: Pool) -> Protocol:
    """The protocol that `Protocol.save_split` wrote, on the same pool.

    Raises:
        BitseekError: no such file, or another kind of file.
        DataError: indices or values that are none, or a pool that does not give the checksum stored.
    """

    def parsed(path: Path) -> tuple[Protocol, str]:
        split = json.loads(path.read_text(encoding="utf-8"))
        fields = {name: split[name] for name in ("name", "k", "seed", "denominator")}
        fields |= {role: np.asarray(split[role]) for role in ROLES}
        return Protocol(pool=pool, **fields), split["checksum"]

    try:
        loaded, stored = parse(path, "a split that save_split wrote", parsed)
    except DataError as error:
        raise DataError(f"{os.fspath(path)} does not fit the data: {error}") from error
    if loaded.checksum != stored:
        raise DataError(
            f"{os.fspath(path)} was drawn from other data: its checksum is {stored}, this pool gives {loaded.checksum}"
        )
    return loaded
