"""Connections to the items of a collection: for many readers, also where nothing can be written, and for one writer."""

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from bitseek.collection._sentences import sentences
from bitseek.errors import RunError
from bitseek.images import printable

_Stamp = tuple[int, int, int]
"""Of the file of items when it was changed, and of its log the same and its size."""


class Connections:
    """Connections to the items of a collection: one for each thread that reads at a time, and one that writes."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._identity: tuple[int, int] | None = None
        self._frozen: _Stamp | None = None
        """Stamp of a file that is read as if it could not change, or from a copy, as its folder cannot be written."""

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._closed = True
            self._drop()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees the items as of one moment, for one thread, in a block.

        Raises:
            RunError: the file is damaged, or cannot be read.
        """
        with sentences(self.file):
            connection = self._taken()
            frozen = self._frozen
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
            with self._lock:
                if not self._closed and self._frozen == frozen:
                    self._idle.append(connection)
                    return
            connection.close()

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """A connection of which each statement sees the items as they are then, for one thread at a time, in a block.

        Raises:
            RunError: the file is damaged, or cannot be read.
        """
        with sentences(self.file), closing(self._taken()) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection of the one writer, in a block; what is committed is on the disk.

        Raises:
            RunError: the collection was closed, or nothing can be written.
        """
        with sentences(self.file):
            self._check()
            with closing(self._connected("rw")) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA cache_size = -65536")
                yield connection

    def _taken(self) -> sqlite3.Connection:
        with self._lock:
            self._check()
            if self._frozen is not None and self._frozen != self._stamp():
                self._drop()
            if self._idle:
                return self._idle.pop()
        try:
            connection = self._connected("rw")
            try:
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # opens the files beside it
            except BaseException:
                connection.close()
                raise
            return connection
        except sqlite3.OperationalError as error:
            kind = error.sqlite_errorname
            if not kind.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR")) or not self.file.exists():
                raise
            return self._read_only()

    def _connected(self, mode: str, file: Path | None = None) -> sqlite3.Connection:
        address = (file or self.file).absolute().as_uri()
        connection = sqlite3.connect(
            f"{address}?mode={mode}", uri=True, timeout=20, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    def _read_only(self) -> sqlite3.Connection:
        """A connection where nothing can be written; a log that was left beside the file is read from a copy."""
        log = self._log
        with self._lock:
            self._frozen = self._stamp()
            if not log.exists() or not log.stat().st_size:
                return self._connected("ro&immutable=1")
            if self._copy is None:
                self._copy = tempfile.TemporaryDirectory(prefix="bitseek-", ignore_cleanup_errors=True)
                for file in (self.file, log):
                    shutil.copyfile(file, Path(self._copy.name) / file.name)
            return self._connected("rw", Path(self._copy.name) / self.file.name)

    @property
    def _log(self) -> Path:
        return self.file.with_name(f"{self.file.name}-wal")

    def _stamp(self) -> "_Stamp":
        status = self.file.stat()
        with suppress(FileNotFoundError):
            log = self._log.stat()
            return status.st_mtime_ns, log.st_mtime_ns, log.st_size
        return status.st_mtime_ns, 0, 0

    def _check(self) -> None:
        """That this is open, and that its file is the one that it was opened with.

        Raises:
            RunError: it was closed, or another collection is in its place.
        """
        if self._closed:
            raise RunError(f"the collection in {printable(self.file.parent)} was closed")
        status = self.file.stat()
        identity = status.st_dev, status.st_ino
        if self._identity not in (None, identity):
            place = printable(self.file.parent)
            raise RunError(f"the collection in {place} was deleted, and another one made in its place; open that one")
        self._identity = identity

    def _drop(self) -> None:
        """Close the connections that nobody uses, and forget the copy that they read."""
        for connection in self._idle:
            connection.close()
        self._idle, self._frozen = [], None
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block writes, all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite has rolled back by itself
            connection.execute("ROLLBACK")
        raise
