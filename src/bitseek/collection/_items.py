"""The items of a collection on disk: one SQLite file with a row an item.

Paths are stored as bytes, because names of files are bytes. A batch is written in one transaction, so a kill leaves all
of it or nothing. Every error of SQLite becomes a `RunError` that says what to do.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from bitseek._files import atomic
from bitseek.errors import RunError

FORMAT = "2"
Stamp = tuple[int, int]
"""Size in bytes and time of change in ns; a file with another stamp is encoded again."""

_SCHEMA = """
BEGIN;
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE items (
    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    code BLOB NOT NULL
);
COMMIT;
"""
_PUT_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_PUT = """
INSERT INTO items (path, size, mtime_ns, code) VALUES (?, ?, ?, ?) ON CONFLICT (path)
DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, code = excluded.code
"""


class Items:
    """The items in a file that `create` made.

    Attributes:
        file: where they are.
        meta: what is recorded of the whole collection: format, bits, model, fingerprint.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with _sentences(file):
            self._connection = sqlite3.connect(file)
        try:
            with _sentences(file):
                self.meta = {k: os.fsdecode(v) for k, v in self._connection.execute("SELECT key, value FROM meta")}
            if self.meta.get("format") != FORMAT or not {"bits", "model", "fingerprint"} <= self.meta.keys():
                raise RunError(
                    f"{file} has format {self.meta.get('format', 'unknown')}, this bitseek reads format {FORMAT}; "
                    "index the images into a new collection"
                )
        except BaseException:
            self._connection.close()
            raise

    @staticmethod
    def create(file: Path, meta: Mapping[str, str]) -> None:
        """Write a file without items, whole or not at all."""
        with atomic(file) as part, _sentences(file), closing(sqlite3.connect(part)) as connection, connection:
            connection.executescript(_SCHEMA)
            connection.executemany(_PUT_META, _encoded({"format": FORMAT, **meta}))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def stamps(self) -> dict[bytes, Stamp]:
        """The stamp of each item by its path."""
        with _sentences(self.file):
            rows = self._connection.execute("SELECT path, size, mtime_ns FROM items")
            return {path: (size, time) for path, size, time in rows}

    def codes(self) -> tuple[list[bytes], bytes]:
        """Paths of all items, and their codes one after another (little-endian words), as of one moment."""
        with _sentences(self.file):
            rows = self._connection.execute("SELECT path, code FROM items ORDER BY id").fetchall()
        return [path for path, _ in rows], b"".join(code for _, code in rows)

    def put(self, rows: Iterable[tuple[bytes, int, int, bytes]]) -> None:
        """Add items (path, *stamp, code), or replace those with the same path: all of them or, if killed, none."""
        with _sentences(self.file), self._connection:
            self._connection.executemany(_PUT, rows)

    def delete(self, paths: Iterable[bytes]) -> int:
        """Delete items; the number of those that were there."""
        with _sentences(self.file), self._connection:
            cursor = self._connection.executemany("DELETE FROM items WHERE path = ?", ((path,) for path in paths))
            return max(cursor.rowcount, 0)

    def put_meta(self, **values: str) -> None:
        """Change what is recorded of the whole collection."""
        with _sentences(self.file), self._connection:
            self._connection.executemany(_PUT_META, _encoded(values))


def _encoded(values: Mapping[str, str]) -> list[tuple[str, bytes]]:
    return [(key, os.fsencode(value)) for key, value in values.items()]


@contextmanager
def _sentences(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            message = f"the disk is full: {file} could not be changed; what was added is kept. Make room and try again"
        elif name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            message = f"another process is writing to {file}; try again when it has finished"
        elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            message = f"cannot write to {file}: {error}; see to its permissions and those of its folder"
        else:
            message = f"{file} is damaged ({error}); move it away and index the images again"
        raise RunError(message) from error
