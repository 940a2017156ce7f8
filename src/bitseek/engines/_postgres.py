"""`postgresql://`: codes in PostgreSQL, compared by pgvector, exactly or through its HNSW index."""

from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64
from psycopg import sql

from bitseek._checks import as_ids, whole_number
from bitseek.codes import Codes, check_codes
from bitseek.collection import StoredItem
from bitseek.engines._postgres_address import parse
from bitseek.engines._postgres_collection import PostgresCollection
from bitseek.engines._postgres_search import Found, Search, Where, codes_of
from bitseek.engines._postgres_server import Server
from bitseek.engines._postgres_tables import Meta, Tables, writer
from bitseek.index import Hits, RaggedHits


class PostgresEngine:
    """The codes of a collection in PostgreSQL; see `Engine`. What is added and removed stays so for everybody.

    Args:
        address: `postgresql://USER@HOST/DATABASE?collection=NAME`; with `&search=hnsw`, `nearest` is approximate.

    Raises:
        BitseekError: there is no collection, or the server cannot be reached.
    """

    def __init__(self, address: str) -> None:
        self.address = parse(address)
        self._server, self._tables = Server(self.address), Tables(self.address)
        try:
            with self._server.reading() as connection:
                self._bits = self._tables.meta(connection).bits
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, address: str, *, bits: SupportsIndex) -> "PostgresEngine":
        """Make an empty collection for codes without images and without a model.

        Args:
            address: where there is none yet.
            bits: length of the codes.

        Raises:
            BitseekError: something is there, the server cannot be reached, or it has no pgvector.
        """
        place, length = parse(address), whole_number(bits, "bits")
        server = Server(place)
        with server.writing(wait=0.0) as connection:
            Tables(place).create(connection, Meta(length, "", 0))
        return cls(address)

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self._bits

    def __len__(self) -> int:
        return self._meta().items

    @property
    def size(self) -> int:
        """Number of ids given so far: items that can be found and items that were removed."""
        return self._meta().size

    def nearest(self, codes: Codes, k: SupportsIndex = 10, *, where: Where | None = None) -> Hits:
        """The k nearest items of each query, sorted by (distance, id).

        Args:
            codes: the queries.
            k: how many hits.
            where: what items must have, by the name of a column (label, width, height, size, mtime_ns): a value, a list
                of values, or a tuple (least, most) in which None is no limit.

        Raises:
            BitseekError: codes of another length, no such column, or the server cannot be reached.
        """
        wanted = whole_number(k, "k")
        check_codes(codes, bits=self._bits, of="this engine")
        with self._server.reading() as connection:
            effort = self.address.effort if self.address.approximate else None
            found = Search(connection, self._tables).nearest(codes, wanted, where, effort)
            none = 0 if found else min(wanted, self._tables.meta(connection).items)
        table = np.stack(found) if found else np.zeros((0, none, 2), np.int64)
        return Hits(table[..., 0], table[..., 1].astype(np.int32))

    def within(self, codes: Codes, radius: SupportsIndex, *, where: Where | None = None) -> RaggedHits:
        """All items at a distance of at most `radius` from each query, sorted by (distance, id); always exact.

        Args:
            codes: the queries.
            radius: 0 or more, in bits.
            where: as for `nearest`.

        Raises:
            BitseekError: codes of another length, no such column, or the server cannot be reached.
        """
        limit = whole_number(radius, "radius", least=0)
        check_codes(codes, bits=self._bits, of="this engine")
        with self._server.reading() as connection:
            found = Search(connection, self._tables).within(codes, min(limit, self._bits), where)
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in found], dtype=np.int64)])
        table: Found = np.concatenate([np.zeros((0, 2), np.int64), *found])
        return RaggedHits(offsets, table[:, 0], table[:, 1].astype(np.int32))

    def codes(self, ids: Any = None) -> Codes:
        """Codes of the items with these ids, removed or not; of all if None.

        Raises:
            BitseekError: an id that was never given.
        """
        with self._server.reading() as connection:
            size = self._tables.meta(connection).size
            wanted = np.arange(size) if ids is None else as_ids(ids, size)
            return codes_of(connection, self._tables, wanted, self._bits)

    def add(self, codes: Codes) -> Int64[np.ndarray, " n"]:
        """Put more items in, by COPY, for good: all of them or, if it fails, none.

        Returns:
            their ids, which follow on those given so far.

        Raises:
            BitseekError: codes of another length, another program is writing, or the server cannot be reached.
        """
        check_codes(codes, bits=self._bits, of="this engine")
        with writer(self._server, self._tables, 0.0) as connection, connection.transaction():
            first = self._tables.meta(connection).size
            items = (StoredItem(id, row.tobytes()) for id, row in enumerate(codes.to_packed("big"), first))
            self._tables.stage(connection, items, self._bits)
            self._tables.publish(connection)
        return np.arange(first, first + len(codes))

    def remove(self, ids: Any) -> int:
        """Take items out, for ever; how many. Those that are removed already are ignored.

        Raises:
            BitseekError: an id that was never given, another program is writing, or the server cannot be reached.
        """
        with writer(self._server, self._tables, 0.0) as connection, connection.transaction():
            gone = as_ids(ids, self._tables.meta(connection).size)
            count = self._tables.stage_removal(connection, sql.SQL("id = ANY(%(ids)s)"), {"ids": gone.tolist()})
            self._tables.publish(connection)
        return count

    def close(self) -> None:
        """Close the connections. It cannot be searched after that."""
        self._server.close()

    def __repr__(self) -> str:
        return f"PostgresEngine({self.address.shown!r})"

    def _meta(self) -> Meta:
        with self._server.reading() as connection:
            return self._tables.meta(connection)


connect = PostgresEngine
"""What `bitseek.engines.connect` calls with an address of this scheme; the others are those of the same names there."""

open_collection = PostgresCollection.open
create_collection = PostgresCollection.create
collection_exists = PostgresCollection.exists
