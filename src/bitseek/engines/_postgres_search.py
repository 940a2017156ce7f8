"""Searches in PostgreSQL: exact by a scan, or approximate through pgvector's HNSW index, whose recall is measured."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, LiteralString, NamedTuple

import numpy as np
from jaxtyping import Int64
from psycopg import errors, sql

from bitseek.codes import Codes
from bitseek.engines._postgres_code import as_sent, received
from bitseek.engines._postgres_server import Connection
from bitseek.engines._postgres_tables import Meta, Tables
from bitseek.errors import BitseekError, RunError

Where = Mapping[str, Any]
"""What items must have: a value by the name of a column; or a list of values; or a tuple (least, most), with None."""

_EXACT: LiteralString = """
SELECT id, (code {distance} %(code)s)::integer AS distance FROM {schema}.items WHERE NOT gone AND {where}
ORDER BY distance, id LIMIT %(k)s
"""
"""The order is not by the operator itself, so an HNSW index, which could only give some of the ties, is never used."""

_APPROXIMATE: LiteralString = """
SELECT id, (code {distance} %(code)s)::integer FROM {schema}.items WHERE NOT gone AND {where}
ORDER BY code {distance} %(code)s LIMIT %(k)s
"""

_WITHIN: LiteralString = """
SELECT id, (code {distance} %(code)s)::integer AS distance FROM {schema}.items
WHERE NOT gone AND {where} AND code {distance} %(code)s <= %(radius)s ORDER BY distance, id
"""

_THROUGH_THE_INDEX = """
SELECT set_config('hnsw.ef_search', %s, true), set_config('enable_seqscan', 'off', true),
set_config('hnsw.iterative_scan', 'strict_order', true), set_config('plan_cache_mode', 'force_custom_plan', true)
"""
"""For the rest of a transaction. The scan goes on where a filter leaves few hits; every plan is one that knows k."""

_INDEX: LiteralString = "CREATE INDEX by_code ON {schema}.items USING hnsw (code {operators}) WHERE NOT gone"

_WITH_MEMORY = """
SELECT set_config('maintenance_work_mem', greatest(setting::bigint, %s)::text || 'kB', true),
set_config('max_parallel_maintenance_workers', coalesce(%s, current_setting('max_parallel_maintenance_workers')), true)
FROM pg_settings WHERE name = 'maintenance_work_mem'
"""
"""For the rest of a transaction: at least so many kB for a build, and so many workers, or as many as the server has."""

_BYTES_OF_NODE = 1 << 10
"""Of an item in the graph while it is built, beside its code: mostly the links to 32 neighbours."""

MOST_MEMORY = 1 << 30
"""Bytes of the server that a build takes by itself. Where the graph does not fit, pgvector goes on in its file, and
each further item takes many times as long."""

_HAS_INDEX: LiteralString = """
SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = 'by_code' AND i.indisvalid
"""

_FILTERED = ("label", "width", "height", "size", "mtime_ns")

_SAMPLE = 32
"""Queries by which recall is measured."""

_K = 10

Found = Int64[np.ndarray, "hits 2"]
"""The hits of one query: ids and distances, sorted by (distance, id)."""


class Recall(NamedTuple):
    """How much of the exact answer approximate searches find: measured, not promised.

    Attributes:
        share: mean share of the k hits that are no farther away than the k-th exact one, 0 … 1.
        k: hits of each query.
        effort: `hnsw.ef_search`.
        queries: how many, drawn from the items, each with a sixteenth of its bits flipped.
        generation: number of the update after which it was measured.
    """

    share: float
    k: int
    effort: int
    queries: int
    generation: int

    @classmethod
    def read(cls, text: str) -> "Recall | None":
        """What `str(json)` of one is; None if there is none."""
        return cls(**json.loads(text)) if text else None

    def written(self) -> str:
        """As it is recorded."""
        return json.dumps(self._asdict())


class Search:
    """Searches by one connection, as of one moment.

    Args:
        connection: to the server, in a transaction.
        tables: of the collection.
    """

    def __init__(self, connection: Connection, tables: Tables) -> None:
        self._connection, self._tables = connection, tables
        self._vector = tables.vector(connection)

    def nearest(self, codes: Codes, k: int, where: Where | None = None, effort: int | None = None) -> list[Found]:
        """The k nearest items of each query, or all if there are fewer.

        Args:
            codes: the queries.
            k: how many hits.
            where: what items must have.
            effort: candidates of an approximate search; None for the exact one.

        Raises:
            BitseekError: there is no column of a name in `where`, or no index for an approximate search.
        """
        if effort is None:
            return list(self._answers(_EXACT, codes, where, k=k))
        self._set_effort(max(k, effort))
        near = [_sorted(found) for found in self._answers(_APPROXIMATE, codes, where, k=k)]
        short = [i for i, found in enumerate(near) if len(found) < k]  # it gives up after 20,000 items, if few fit
        for i, found in zip(short, self._answers(_EXACT, codes[np.array(short, np.int64)], where, k=k), strict=True):
            near[i] = found
        return near

    def within(self, codes: Codes, radius: int, where: Where | None = None) -> list[Found]:
        """All items at most so many bits away from each query."""
        return list(self._answers(_WITHIN, codes, where, radius=radius))

    def _answers(self, statement: LiteralString, codes: Codes, where: Where | None, **values: int) -> Iterator[Found]:
        """The answers to some queries, which are sent together."""
        condition, filtered = condition_of(where)
        wanted = self._tables.named(statement, distance=self._vector.distance, where=condition)
        with self._connection.cursor(binary=True) as cursor:
            parameters = [{**filtered, **values, "code": code} for code in as_sent(codes)]
            if not parameters:
                return
            cursor.executemany(wanted, parameters, returning=True)
            while True:
                yield np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
                if not cursor.nextset():
                    return

    def _set_effort(self, effort: int) -> None:
        """Have the rest of the transaction go through the index."""
        if not has_index(self._connection, self._tables):
            shown = self._tables.address.shown
            raise RunError(f"there is no HNSW index at {shown}; make it with: bitseek index '{shown}'")
        self._connection.execute(_THROUGH_THE_INDEX, (str(min(effort, 1000)),))


def has_index(connection: Connection, tables: Tables) -> bool:
    """Whether there is an HNSW index, and it is whole."""
    return connection.execute(_HAS_INDEX, (tables.address.collection,)).fetchone() is not None


def build_index(connection: Connection, tables: Tables, meta: Meta) -> None:
    """Build the HNSW index, unless it is there (PostgreSQL keeps it up to date), and measure and record its recall.

    It is built in memory, up to `MOST_MEMORY` or what the server allows itself for such work if that is more, by the
    workers that the server allows.

    Args:
        connection: of the writer.
        tables: of the collection.
        meta: what is recorded of it.

    Raises:
        RunError: pgvector is too old.
    """
    if not has_index(connection, tables):
        try:
            _create_index(connection, tables, meta)
        except errors.DiskFull:  # or what workers share: in a container that is 64 MB, if nobody has changed it
            _create_index(connection, tables, meta, workers="0")
    with connection.transaction():
        found = recall(connection, tables, meta, tables.address.effort)
        tables.put_meta(connection, {"recall": found.written()})


def _create_index(connection: Connection, tables: Tables, meta: Meta, workers: str | None = None) -> None:
    memory = min(meta.items * (_BYTES_OF_NODE + meta.bits // 8), MOST_MEMORY)
    with connection.transaction():
        connection.execute(_WITH_MEMORY, (memory >> 10, workers))
        connection.execute(tables.named(_INDEX, operators=tables.vector(connection).operators))


def recall(connection: Connection, tables: Tables, meta: Meta, effort: int) -> Recall:
    """Measure how much of the exact answer the HNSW index finds; in a transaction of the caller's.

    The queries are items of which a sixteenth of the bits are flipped: near to items as real queries are, and none of
    them an item itself, which is found too easily.
    """
    rng = np.random.default_rng(0)
    ids = rng.integers(0, max(meta.size, 1), 4 * _SAMPLE)
    codes = codes_of(connection, tables, np.unique(ids), meta.bits)
    codes = codes[np.sort(rng.permutation(len(codes))[:_SAMPLE])]
    flipped = Codes.from_bits(codes.to_bits() ^ (rng.random((len(codes), meta.bits)) < 1 / 16))
    search = Search(connection, tables)
    exact = search.nearest(flipped, _K)
    near = search.nearest(flipped, _K, effort=effort)
    shares = [np.mean(some[:, 1] <= best[-1, 1]) for some, best in zip(near, exact, strict=True) if len(best)]
    share = float(np.mean(shares)) if shares else 1.0
    return Recall(share, _K, effort, len(shares), meta.generation)


def codes_of(connection: Connection, tables: Tables, ids: Int64[np.ndarray, " n"], bits: int) -> Codes:
    """Codes of the items with these ids, removed or not, in this order; of an id without one, zeros."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(
            tables.named("SELECT id, code FROM {schema}.items WHERE id = ANY(%s)"), (np.unique(ids).tolist(),)
        )
        found: dict[int, bytes] = dict(cursor.fetchall())
    none = bytes(-(-bits // 8))
    return received([found.get(id, none) for id in ids.tolist()], bits)


def condition_of(where: Where | None) -> tuple[sql.Composable, dict[str, Any]]:
    """A condition of the items, with names of values in it, and the values: no value is ever part of a statement.

    Raises:
        BitseekError: there is no column of a name.
    """
    parts: list[sql.Composable] = [sql.SQL("true")]
    values: dict[str, Any] = {}
    for name, wanted in (where or {}).items():
        if name not in _FILTERED:
            raise BitseekError(f"items have no {name!r:.80} to choose them by; they have {', '.join(_FILTERED)}")
        column, key = sql.Identifier(name), f"where_{name}"
        if wanted is None:
            parts.append(sql.SQL("{} IS NULL").format(column))
            continue
        bounds: list[tuple[LiteralString, Any]] = [("= ANY" if isinstance(wanted, list) else "=", wanted)]
        if isinstance(wanted, tuple):
            least, most = wanted
            bounds = [(relation, value) for relation, value in ((">=", least), ("<=", most)) if value is not None]
        for number, (relation, value) in enumerate(bounds):
            parts.append(sql.SQL("{} {} ({})").format(column, sql.SQL(relation), sql.Placeholder(f"{key}_{number}")))
            values[f"{key}_{number}"] = value
        if name == "label" and isinstance(wanted, str):  # of which there is an index by the first letters
            parts.append(sql.SQL("left(label, 100) = left({}::text, 100)").format(sql.Placeholder(f"{key}_0")))
    return sql.SQL(" AND ").join(parts), values


def _sorted(found: Found) -> Found:
    return found[np.lexsort(found.T)]
