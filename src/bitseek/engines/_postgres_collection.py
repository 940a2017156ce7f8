"""A collection in PostgreSQL: the words of `Collection`, for items, codes, thumbnails and a model in tables."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from psycopg import sql

from bitseek._checks import as_ids
from bitseek._files import FilePath
from bitseek.codes import Codes
from bitseek.collection import REMOVED, AnyEncoder, Encoder, Progress, Update, meant
from bitseek.engines._postgres_address import parse
from bitseek.engines._postgres_contents import PostgresContents
from bitseek.engines._postgres_items import roots_of
from bitseek.engines._postgres_model import parts_of
from bitseek.engines._postgres_search import build_index
from bitseek.engines._postgres_server import Connection, Server
from bitseek.engines._postgres_tables import Meta, Tables, writer
from bitseek.engines._postgres_update import Change, change
from bitseek.errors import BitseekError, UnsupportedError


class PostgresCollection(PostgresContents):
    """A collection in PostgreSQL; see `Collection`. It always shows the last update, not that of when it was opened.

    It keeps neither features nor `made_with`: `create` refuses both. What `Collection` calls a folder is the address.

    Args:
        address: see `bitseek.engines._postgres_address`.

    Attributes:
        address: as it was read.
        bits: length of its codes.
        fingerprint: of the model that made them; empty if it has none.

    Raises:
        BitseekError: there is no collection, or the server cannot be reached.
    """

    @staticmethod
    def _make(
        folder: FilePath, hasher: Encoder, *, features: bool, thumbnails: bool, made_with: Mapping[str, Any] | None
    ) -> str:
        """Make the tables of an empty collection, with a copy of the hasher's files.

        Raises:
            BitseekError: something is there, the server cannot be reached, it has no pgvector, or the hasher cannot
                be saved; features are kept in folders only, and so is what `bitseek open` records in `made_with`.
        """
        address = _text(folder)
        place = parse(address)
        if features:
            raise UnsupportedError("a collection in PostgreSQL keeps no features; leave --features out")
        if made_with is not None:
            raise UnsupportedError("a collection in PostgreSQL does not record what it was made with; leave that out")
        with tempfile.TemporaryDirectory(prefix="bitseek-") as model, closing(Server(place)) as server:
            hasher.save(Path(model) / "model")
            with server.writing(wait=0.0) as connection:
                meta = Meta(hasher.bits, hasher.fingerprint, int(thumbnails))
                Tables(place).create(connection, meta, parts_of(Path(model) / "model"))
        return address

    @classmethod
    def open(cls, folder: FilePath, *, index: Any = None) -> "PostgresCollection":
        """Open a collection.

        Args:
            folder: the address.
            index: must be None; the server searches.

        Raises:
            BitseekError: there is none, or the server cannot be reached.
        """
        if index is not None:
            raise UnsupportedError("a collection in PostgreSQL is searched there, and takes no index")
        return cls(_text(folder))

    @staticmethod
    def exists(folder: FilePath) -> bool:
        """Whether there is a collection at an address.

        Raises:
            BitseekError: the server cannot be reached, or a schema of this name is none.
        """
        place = parse(_text(folder))
        with closing(Server(place)) as server, server.reading() as connection:
            return Tables(place).exist(connection)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._is_new and error is not None:
            with suppress(BitseekError), writer(self._server, self._tables, 0.0) as connection:
                if not self._tables.meta(connection).size:
                    self._tables.drop(connection)
        self.close()

    # --- changed ----------------------------------------------------------------------------------------------

    def update(
        self,
        folders: FilePath | Iterable[FilePath] | None = None,
        *,
        hasher: AnyEncoder | None = None,
        threads: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        wait: float = 0.0,
    ) -> Update:
        """Encode the images of this machine that are new or were changed; see `Collection.update`.

        The rows of all items are brought to this machine for that. What is done is staged on the server every few
        seconds, and published at the end.
        """

        def tell(now: Progress) -> None:
            self._now = now
            if progress is not None:
                progress(now)

        with self._changing(wait) as one:
            given = self.encoder if hasher is None else hasher
            done = one.collection.update(folders, hasher=given, threads=threads, progress=one.staging(tell))
            return done._replace(missing={name: one.named(words) for name, words in done.missing.items()})

    def add_codes(
        self,
        codes: Codes | FilePath,
        *,
        paths: Sequence[FilePath | None] | None = None,
        labels: Sequence[str | None] | None = None,
        root: FilePath = ".",
        progress: Callable[[Progress], None] | None = None,
        wait: float = 0.0,
    ) -> Update:
        """Add codes that were made elsewhere: all of them or, if it fails, none; see `Collection.add_codes`."""
        with self._changing(wait) as one:
            return one.collection.add_codes(codes, paths=paths, labels=labels, root=root, progress=progress)

    def remove(self, ids: Any, *, wait: float = 0.0) -> int:
        """Take items out of the collection; see `Collection.remove`."""
        with self._connection(wait) as connection, connection.transaction():
            gone = as_ids(ids, self._tables.meta(connection).size, of="this collection").tolist()
            given = {"ids": gone, "reason": REMOVED}
            which = sql.SQL("id = ANY(%(ids)s)")
            self._tables.leave_out(connection, which, given)
            count = self._tables.stage_removal(connection, which, given)
            self._tables.publish(connection)
        return count

    def forget(self, folder: FilePath, *, wait: float = 0.0) -> int:
        """Take a folder that was indexed out of the collection; see `Collection.forget`."""
        with self._connection(wait) as connection, connection.transaction():
            root = meant(roots_of(connection, self._tables), folder)[0]
            count = self._tables.stage_removal(connection, sql.SQL("root = %(root)s"), {"root": root.id})
            self._tables.drop_root(connection, root.id)
            self._tables.publish(connection)
        return count

    def export(self, file: FilePath) -> Path:
        """Write the items and their codes to a file for other programs; see `Collection.export`."""
        with self._connection(0.0) as connection, change(connection, self._tables) as one:
            return one.collection.export(file)

    # --- inside -----------------------------------------------------------------------------------------------

    @contextmanager
    def _connection(self, wait: float) -> Iterator[Connection]:
        """The connection of the one writer, in a block; what it did is shown by this object."""
        try:
            with writer(self._server, self._tables, wait) as connection:
                yield connection
        finally:
            with suppress(BitseekError):
                self.refresh()

    @contextmanager
    def _changing(self, wait: float) -> Iterator[Change]:
        """A change in a mirror; with `search=hnsw` in the address, the index is built after it."""
        try:
            with self._connection(wait) as connection:
                with change(connection, self._tables) as one:
                    yield one
                if self.address.approximate:
                    self._now = Progress(0, 0, 0.0, None, "sorting")
                    build_index(connection, self._tables, self._tables.meta(connection))
        finally:
            self._now = None


def _text(address: FilePath) -> str:
    if not isinstance(address, str):
        raise BitseekError(f"an address is text, such as postgresql://USER@HOST/DATABASE, got {type(address).__name__}")
    return address
