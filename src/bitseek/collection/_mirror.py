"""A collection that is kept elsewhere, as a folder for the time of one change.

What finds, compares, decodes and encodes images works on a `Collection`, and need not know where its items are kept.
Here they are brought into a folder, changed there, and triggers note which rows are others then.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bitseek.codes import Codes
from bitseek.collection import _items
from bitseek.collection._collection import Collection
from bitseek.collection._connections import Connections, transaction
from bitseek.collection._items import BLOCK_BYTES, DATABASE, Meta
from bitseek.collection._published import codes_file
from bitseek.collection._thumbnails import Thumbnails

_AT_ONCE = 1 << 16

_JOURNAL = """
CREATE TABLE journal (number INTEGER PRIMARY KEY, id INTEGER NOT NULL);
CREATE TRIGGER note_added AFTER INSERT ON items BEGIN INSERT INTO journal (id) VALUES (NEW.id); END;
CREATE TRIGGER note_changed AFTER UPDATE ON items BEGIN INSERT INTO journal (id) VALUES (NEW.id); END;
"""

_CHANGED = """
SELECT id, code, root, path, size, mtime_ns, hash, label, width, height, removed_in FROM items
WHERE id IN (SELECT id FROM journal WHERE number > ? AND number <= ?) ORDER BY id
"""

RootRow = tuple[int, str, bytes]
"""Number, kind and absolute path of a folder that was indexed."""

IgnoredRow = tuple[int, bytes, int, int, str, bool]
"""A file that is left out: root, path, size and time of change, reason, whether it was removed by hand."""


class StoredItem(NamedTuple):
    """One item, as another store keeps it.

    Attributes:
        id: its number.
        code: ceil(bits / 8) bytes, the first bit highest.
        root: number of the folder that its path is relative to; None, as `path`, if it has no file.
        path: relative to the root.
        size, mtime_ns: stamp of the file.
        hash: of the bytes of the file; None if they were never read.
        label: text, or None.
        width, height: of the image, upright; 0 if unknown.
        gone: whether it was removed; then all but the code is empty.
    """

    id: int
    code: bytes
    root: int | None = None
    path: bytes | None = None
    size: int = 0
    mtime_ns: int = 0
    hash: bytes | None = None
    label: str | None = None
    width: int = 0
    height: int = 0
    gone: bool = False


class Mirror:
    """A collection in a folder, of items that are kept elsewhere.

    Args:
        folder: which is empty, and only the mirror's.
        bits: of the codes.
        fingerprint: of the model.
        thumbnails: whether thumbnails are kept.
        size: number of ids that were given.
        roots: all of them.
        ignored: all files that are left out.
        items: all that can be found, by id.

    Attributes:
        collection: to be changed; it has no copy of the model, and only the thumbnails that are made now.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bits: int,
        fingerprint: str,
        thumbnails: bool,
        size: int,
        roots: Sequence[RootRow],
        ignored: Iterable[IgnoredRow],
        items: Iterable[StoredItem],
    ) -> None:
        _items.create(folder / DATABASE, Meta(bits, fingerprint, 0, 0, int(thumbnails), 0, size))
        self._items = Connections(folder / DATABASE)
        self._thumbnails = Thumbnails(folder / "thumbnails.sqlite")
        self._bits, self._seen = bits, 0
        with self._items.writing() as connection:
            connection.execute("PRAGMA synchronous = OFF")  # it is made again, not repaired
            with transaction(connection):
                connection.executemany("INSERT INTO roots VALUES (?, ?, NULL, ?)", roots)
                connection.executemany("INSERT INTO ignored VALUES (?, ?, ?, ?, ?, ?)", ignored)
                words, alive = self._fill(connection, iter(items), size)
                _put_gone(connection, ~alive)
                _items.put_meta(connection, {"items": int(alive.sum())})
                connection.execute(
                    "INSERT INTO labels SELECT label, count(*) FROM items WHERE label NOT NULL GROUP BY label"
                )
            connection.executescript(_JOURNAL)
        codes_file(folder, bits).write(0, words.tobytes())
        self.collection = Collection.open(folder)

    def close(self) -> None:
        """Close the files."""
        self.collection.close()
        self._items.close()
        self._thumbnails.close()

    def changed(self) -> Iterator[StoredItem]:
        """The items that were added, changed or removed since this was called last, by id, read as they are taken."""
        with self._items.reading() as connection:
            (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM journal").fetchone()
            cursor = connection.execute(_CHANGED, (self._seen, last))
            while rows := cursor.fetchmany(_AT_ONCE):
                words = np.frombuffer(b"".join(row[1] for row in rows), "<u8").reshape(len(rows), -1)
                packed = Codes(words, self._bits).to_packed("big")
                for (id, _, *rest, removed_in), code in zip(rows, packed, strict=True):
                    item = StoredItem(id, code.tobytes(), *rest)
                    yield item if removed_in is None else StoredItem(id, item.code, gone=True)
        self._seen = last

    def roots(self) -> list[RootRow]:
        """The folders that are indexed now."""
        with self._items.reading() as connection:
            return connection.execute("SELECT id, kind, absolute FROM roots").fetchall()

    def ignored(self) -> list[IgnoredRow]:
        """The files that are left out now."""
        with self._items.reading() as connection:
            rows = connection.execute("SELECT root, path, size, mtime_ns, reason, removed FROM ignored")
            return [(*row[:5], bool(row[5])) for row in rows]

    def thumbnail(self, hash: bytes) -> bytes | None:
        """A thumbnail that was made here, by the hash of the image's file."""
        return self._thumbnails.get(hash)

    def _fill(
        self, connection: sqlite3.Connection, items: Iterator[StoredItem], size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Write the rows of items; the codes of all ids, (size, words), and which ids have one."""
        words = np.zeros((size, -(-self._bits // 64)), "<u8")
        alive = np.zeros(size, np.bool_)
        while batch := list(islice(items, _AT_ONCE)):
            ids = np.array([item.id for item in batch])
            packed = np.frombuffer(b"".join(item.code for item in batch), np.uint8).reshape(len(batch), -1)
            words[ids] = Codes.from_packed(packed, self._bits, "big").words
            alive[ids] = True
            codes = [row.tobytes() for row in words[ids]]
            rows = (
                (item.id, *item[2:10], code, _items.checksum(code), None)
                for item, code in zip(batch, codes, strict=True)
            )
            _items.add(connection, rows)
        return words, alive


def _put_gone(connection: sqlite3.Connection, gone: np.ndarray) -> None:
    """Write the mask of the ids that cannot be found."""
    mask = np.packbits(gone, bitorder="little").tobytes()
    blocks = [mask[start : start + BLOCK_BYTES].ljust(BLOCK_BYTES, b"\0") for start in range(0, len(mask), BLOCK_BYTES)]
    connection.executemany("INSERT INTO gone VALUES (?, ?)", list(enumerate(blocks)))
