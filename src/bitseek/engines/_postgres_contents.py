"""Contents of a collection in PostgreSQL: everything that only reads."""

import os
import tempfile
import threading
from pathlib import Path
from typing import Any, Literal, LiteralString, NoReturn, cast

import numpy as np

from bitseek._checks import whole_number
from bitseek._files import FilePath, user_path
from bitseek.codes import Codes
from bitseek.collection import (
    AnyEncoder,
    Collection,
    Hit,
    Item,
    Limits,
    Model,
    Progress,
    Queries,
    as_label,
    candidates,
    no_such_label,
)
from bitseek.engines._postgres_address import parse
from bitseek.engines._postgres_code import received
from bitseek.engines._postgres_items import LABELLED, items_by_id, items_of, roots_of
from bitseek.engines._postgres_model import write_parts
from bitseek.engines._postgres_search import Recall, Search, Where, recall
from bitseek.engines._postgres_server import Server
from bitseek.engines._postgres_tables import TABLES, Tables
from bitseek.errors import BitseekError, UnsupportedError

_SAMPLED = 100_000
"""Codes by which the balance of the bits is told."""

_SIZES = """
SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY(%s) ORDER BY 1
"""

_COPY = (
    "for that, index the images into a folder, or take the codes there: bitseek export ADDRESS codes.npz, then "
    "bitseek index FOLDER --codes codes.npz --model MODEL"
)


class PostgresContents(Collection):
    """What can be asked of a collection in PostgreSQL; arguments and attributes: see `PostgresCollection`."""

    searches_here = False

    def __init__(self, address: str) -> None:
        self.address = parse(address)
        self.folder = Path(self.address.collection)  # a name in messages; nothing lies there
        self._server, self._tables = Server(self.address), Tables(self.address)
        self._model_folder: tempfile.TemporaryDirectory[str] | None = None
        self._loaded: Model | None = None
        self._lock = threading.Lock()
        self._measured: Recall | None = None
        self._now: Progress | None = None
        try:
            with self._server.reading() as connection:
                self._meta = self._tables.meta(connection)
        except BaseException:
            self.close()
            raise
        self.bits, self.fingerprint = self._meta.bits, self._meta.fingerprint

    def close(self) -> None:
        """Close the connections, and delete the copy of the model."""
        self._server.close()
        if self._model_folder is not None:
            self._model_folder.cleanup()
            self._model_folder = None

    def __repr__(self) -> str:
        return f"PostgresCollection({self.address.shown!r}, {len(self)} items of {self.bits} bits)"

    # --- what is in it ----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._meta.items

    @property
    def generation(self) -> int:
        """Number of the last update that this object knows of; a search may show a newer one."""
        return self._meta.generation

    def items(self, *, label: str | None = None, start: int = 0, limit: int | None = None) -> list[Item]:
        """Items by id; see `Collection.items`."""
        whole_number(start, "start", 0)
        limit = None if limit is None else whole_number(limit, "limit", 0)
        values = {"label": None if label is None else as_label(label), "start": start, "limit": limit}
        which: LiteralString = ("true" if label is None else LABELLED) + " ORDER BY id OFFSET %(start)s LIMIT %(limit)s"
        with self._server.reading() as connection:
            found = items_of(connection, self._tables, self.bits, which, values)
        if label is not None and not found:
            self._check_label(label)
        return list(found.values())

    def item(self, id: int) -> Item:
        """One item; see `Collection.item`."""
        number = whole_number(id, "id", 0)
        with self._server.reading() as connection:
            found = items_by_id(connection, self._tables, self.bits, [number])
        if not found:
            raise BitseekError(f"there is no item {number} at {self.address.shown}, or it is gone")
        return found[number]

    def find(self, path: FilePath) -> Item | None:
        """The item of a file; None if it is not in the collection."""
        given = os.fsencode(user_path(path))
        places = dict.fromkeys([os.path.abspath(given), os.path.realpath(given)])  # noqa: PTH100
        with self._server.reading() as connection:
            for root in roots_of(connection, self._tables):
                for below in filter(None, map(root.relative, places)):
                    values = {"root": root.id, "path": below}
                    which: LiteralString = "root = %(root)s AND path = %(path)s"
                    for item in items_of(connection, self._tables, self.bits, which, values).values():
                        return item
        return None

    def labels(self) -> dict[str, int]:
        """How many items have each label, by label."""
        statement = self._tables.named(
            "SELECT label, count(*) FROM {schema}.items WHERE NOT gone AND label IS NOT NULL GROUP BY label"
        )
        with self._server.reading() as connection:
            return dict(sorted(connection.execute(statement).fetchall()))

    def ignored(self) -> dict[str, str]:
        """Files in the folders of the collection that are not items, by their paths, with the reason."""
        with self._server.reading() as connection:
            roots = {root.id: root for root in roots_of(connection, self._tables)}
            rows = sorted(self._tables.ignored(connection))
        return dict(roots[root].told(path, reason) for root, path, _, _, reason, _ in rows if root in roots)

    def roots(self) -> list[str]:
        """The folders that were indexed, on the machine that indexed them."""
        with self._server.reading() as connection:
            return [os.fsdecode(root.folder) for root in roots_of(connection, self._tables)]

    def statistics(self) -> dict[str, Any]:
        """Numbers about the collection; see `Collection.statistics`. Bytes are those of the tables and indexes."""
        self.refresh()
        return super().statistics()

    def progress(self) -> Progress | None:
        """How far the writer is; of one in another process, only that there is one. None if nobody writes."""
        return self._now or (Progress(0, 0, 0.0, None, "writing") if self._server.is_written() else None)

    def refresh(self) -> bool:
        """Take over the numbers of the newest update, if there is a newer one."""
        with self._server.reading() as connection:
            meta = self._tables.meta(connection)
        before, self._meta = self._meta, meta
        return meta.generation != before.generation

    @property
    def recall(self) -> Recall | None:
        """Share of the exact hits that searches find, measured on a sample; None if the address asks for exact ones."""
        if not self.address.approximate:
            return None
        for known in (self._measured, Recall.read(self._meta.recall)):
            if known and (known.generation, known.effort) == (self.generation, self.address.effort):
                return known
        with self._server.reading() as connection:
            self._meta = self._tables.meta(connection)
            self._measured = recall(connection, self._tables, self._meta, self.address.effort)
        return self._measured

    # --- search -----------------------------------------------------------------------------------------------

    def search(
        self,
        query: Any,
        *,
        k: int | None = 10,
        radius: int | None = None,
        label: str | None = None,
        rerank: Literal["logits", "features"] | None = None,
        hasher: AnyEncoder | None = None,
        where: Where | None = None,
    ) -> Any:
        """The nearest items by (distance, id); see `Collection.search`.

        Args:
            query: see there.
            k: see there. With `search=hnsw` in the address, a search by k is approximate; `recall` says how much.
            radius: see there. Without k, the search is exact whatever the address says.
            label: see there.
            rerank: logits; there are no features.
            hasher: see there.
            where: what items must have, see `PostgresEngine.nearest`.

        Raises:
            BitseekError: see there; or the server cannot be reached.
        """
        limits = Limits.of(k, radius, label, rerank)
        filters = dict(where or {}) | ({} if limits.label is None else {"label": limits.label})
        queries, single = self._queries(query, limits.rerank, hasher)
        hits = self._hits(queries, limits, filters)
        if limits.label is not None and not any(hits):
            self._check_label(limits.label)
        return hits[0] if single else hits

    # --- what only a folder can do ----------------------------------------------------------------------------

    @property
    def made_with(self) -> None:
        """None: of a collection in PostgreSQL nothing is recorded of how it was made."""
        return None

    @property
    def model(self) -> Path:
        """Refused: the model is in the tables; `encoder` loads it."""
        raise UnsupportedError("the model of a collection in PostgreSQL lies in its tables; encoder() loads it")

    @property
    def codes(self) -> Codes:
        """Refused: the codes are in the tables."""
        raise UnsupportedError(
            "the codes of a collection in PostgreSQL stay there; connect(ADDRESS).codes() brings them, or export(FILE)"
        )

    @property
    def alive(self) -> np.ndarray:
        """Refused: the ids are in the tables."""
        raise UnsupportedError("the ids of a collection in PostgreSQL stay there; items() brings the items")

    def duplicates(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: it compares all codes with all."""
        raise UnsupportedError(f"groups of duplicates are found in a folder only; {_COPY}")

    def verify(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: PostgreSQL has checksums of its own."""
        raise UnsupportedError("a collection in PostgreSQL is checked by PostgreSQL's own tools, such as pg_amcheck")

    def map(self) -> NoReturn:
        """Refused: it needs the nearest items of all items."""
        raise UnsupportedError(f"a map is made of a collection in a folder only; {_COPY}")

    def make_map(self, *_: Any, **__: Any) -> NoReturn:
        """Refused, as `map`."""
        self.map()

    # --- inside -----------------------------------------------------------------------------------------------

    def _hits(self, queries: Queries, limits: Limits, where: Where) -> list[list[Hit]]:
        """The hits of each query, with their items."""
        k, radius = limits.k, limits.radius
        with self._server.reading() as connection:
            search = Search(connection, self._tables)
            if k is None:
                assert radius is not None
                found = search.within(queries.codes, min(radius, self.bits), where)
            else:
                wanted = k if limits.rerank is None else candidates(k)
                effort = self.address.effort if self.address.approximate else None
                found = search.nearest(queries.codes, wanted, where, effort)
            ids = sorted({id for one in found for id in one[:, 0].tolist()})
            items = items_by_id(connection, self._tables, self.bits, ids)
        hits = []
        for i, one in enumerate(found):
            some = [Hit(items[id], distance, None) for id, distance in one.tolist()]
            if queries.logits is not None:
                some = _by_logits(some, queries.logits[i], self.bits)
            if radius is not None:
                some = [hit for hit in some if hit.distance <= radius]
            hits.append(some[:k])
        return hits

    def _stored_thumbnail(self, hash: bytes) -> bytes | None:
        statement = self._tables.named("SELECT jpeg FROM {schema}.thumbnails WHERE hash = %s")
        with self._server.reading() as connection:
            row = connection.execute(statement, (hash,)).fetchone()
        return None if row is None else bytes(row[0])

    def _check_label(self, label: str) -> None:
        """Raises: LabelError, no item has the label."""
        known = self.labels()
        if as_label(label) not in known:
            raise no_such_label(label, known)

    def _model_of(self) -> Model:
        """The model, copied from the server when it is first needed."""
        with self._lock:
            if self._loaded is None:
                if not self.fingerprint:
                    raise BitseekError(f"{self.address.shown} holds codes without a model; search for a code")
                self._model_folder = tempfile.TemporaryDirectory(prefix="bitseek-")
                folder = Path(self._model_folder.name)
                with self._server.reading() as connection:
                    write_parts(folder, self._tables.model(connection))
                self._loaded = Model(folder, self.bits, self.fingerprint)
            return self._loaded

    def _stored_features(self) -> NoReturn:
        raise UnsupportedError("a collection in PostgreSQL keeps no features; re-rank by logits")

    def _bytes(self) -> dict[str, int]:
        with self._server.reading() as connection:
            return dict(connection.execute(_SIZES, (self.address.collection, list(TABLES))).fetchall())

    def _bit_balance(self) -> list[float]:
        """The share of ones of each bit, of all items or of about `_SAMPLED` of them; empty if there are none."""
        every = max(1, self._meta.size // _SAMPLED)
        statement = self._tables.named("SELECT code FROM {schema}.items WHERE NOT gone AND mod(id, %s) = 0")
        with self._server.reading() as connection:
            rows = connection.cursor(binary=True).execute(statement, (every,)).fetchall()
        return received([code for (code,) in rows], self.bits).to_bits().mean(axis=0).tolist() if rows else []


def _by_logits(hits: list[Hit], logits: np.ndarray, bits: int) -> list[Hit]:
    """Hits by the inner product of the query's logits and their codes, highest first, ties to the lowest id."""
    if not hits:
        return hits
    signs = Codes.from_hex([hit.item.code for hit in hits], bits).to_signs()
    scores = signs.astype(np.float64) @ logits.astype(np.float64)
    scored = [hit._replace(score=score) for hit, score in zip(hits, scores.tolist(), strict=True)]
    return sorted(scored, key=lambda hit: (-cast(float, hit.score), hit.item.id))
