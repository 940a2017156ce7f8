"""Small pictures of the items, by the hash of their files. They are derived: what is lost is made again.

A store of its own, so that the items stay small. Nobody waits until it is on the disk: a thumbnail that a power failure
took is made again from its image.
"""

import io
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from bitseek.collection._sentences import sentences
from bitseek.errors import RunError

SIDE = 256
"""The longer side of a thumbnail in pixels, at most; small images keep their size."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS thumbnails (hash BLOB PRIMARY KEY, jpeg BLOB NOT NULL)"
"""With rows by number: new ones follow each other, and a hash, which is random, says where. By the hash alone, each
thumbnail would change a page of its own, and need two: a sixth of the speed, and 2.6 times the bytes."""


def thumbnail_of(image: np.ndarray | Image.Image) -> bytes:
    """A JPEG file of an image, shrunk to at most 256 px.

    Args:
        image: (h, w, 3) uint8; or a PIL image in RGB, which is shrunk itself and loses its metadata.
    """
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.info = {}  # or the comment of a file would be saved too
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=82)
    return file.getvalue()


class Thumbnails:
    """Those in a file, which need not exist. Any thread may call."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def get(self, key: bytes) -> bytes | None:
        """The thumbnail of a file by its hash; None if there is none, or the store is damaged."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._opened("rw")
                row = self._connection.execute("SELECT jpeg FROM thumbnails WHERE hash = ?", (key,)).fetchone()
            except sqlite3.Error:
                return None
        return None if row is None else bytes(row[0])

    def put(self, thumbnails: Iterable[tuple[bytes, bytes]]) -> None:
        """Store thumbnails by hash. For the one writer; a damaged store is begun anew.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        given = list(thumbnails)
        if not given:
            return
        try:
            self._write("INSERT OR IGNORE INTO thumbnails VALUES (?, ?)", given)
        except RunError as error:
            if _is_damage(error):
                self.forget()
                self._write("INSERT OR IGNORE INTO thumbnails VALUES (?, ?)", given)
            else:
                raise

    def delete(self, keys: Iterable[bytes]) -> None:
        """Delete thumbnails by hash. For the one writer."""
        given = [(key,) for key in keys]
        if given and self.file.exists():
            self._write("DELETE FROM thumbnails WHERE hash = ?", given)

    def forget(self) -> None:
        """Delete all of them. For the one writer."""
        self.close()
        for end in ("", "-journal"):
            with sentences(self.file):
                self.file.with_name(self.file.name + end).unlink(missing_ok=True)

    def hashes(self) -> set[bytes] | None:
        """The hashes of all that are whole JPEG files; None if the store is damaged or not there.

        Raises:
            RunError: it is there and may be sound, but cannot be read.
        """
        if not self.file.exists():
            return None
        try:
            with sentences(self.file), closing(self._opened("rw")) as connection:
                checked = connection.execute("PRAGMA integrity_check(1)").fetchone()
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'thumbnails'").fetchone():
                    return set()
                rows = connection.execute("SELECT hash, substr(jpeg, 1, 2), substr(jpeg, -2) FROM thumbnails")
                whole = {key for key, first, last in rows if (first, last) == (b"\xff\xd8", b"\xff\xd9")}
        except RunError as error:
            if _is_damage(error):
                return None
            raise
        return whole if checked == ("ok",) else None

    def _write(self, statement: str, values: Sequence[tuple[bytes, ...]]) -> None:
        with sentences(self.file):
            connection = self._opened("rwc")
            try:
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(_SCHEMA)
                with connection:
                    connection.executemany(statement, values)
            finally:
                connection.close()

    def _opened(self, mode: str) -> sqlite3.Connection:
        """A connection: rw to read, too, as only it can roll back what a killed writer left, or rwc to write.

        Where nothing may be written, SQLite makes `rw` a connection that only reads.
        """
        address = self.file.absolute().as_uri()
        return sqlite3.connect(f"{address}?mode={mode}", uri=True, timeout=20, check_same_thread=False)


def _is_damage(error: RunError) -> bool:
    """Whether the store is garbled, so that it is of no use; not whether it cannot be read."""
    return getattr(error.__cause__, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
