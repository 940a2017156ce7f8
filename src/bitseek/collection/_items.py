"""The items of a collection: one SQLite file, the truth from which all other files but the features can be made again.

An update adds rows (ids grow and are never given twice) and marks rows as removed in it; publishing it is one
transaction that raises `generation` and `size`. So what a reader sees is defined by these two numbers: rows whose id is
below its `size`, and that are not removed up to its `generation`. Rows removed in one update are deleted by the next;
until then readers of the update before still find them. What must be known on opening is kept in small tables: the
counts, and a mask of the ids that are gone.

Paths are bytes, because names of files are bytes.
"""

import os
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from bitseek.collection._connections import transaction
from bitseek.collection._sentences import sentences
from bitseek.errors import RunError
from bitseek.images import printable

DATABASE = "items.sqlite"
FORMAT = 3
BLOCK = 1 << 16
"""Ids in one block of the mask of gone ids."""

BLOCK_BYTES = BLOCK // 8

AGAIN = -1
"""Date of a file that no file has: that of an item that the next update encodes again."""

AT_ONCE = 500
"""Items that are asked for in one statement."""

_SCHEMA = """
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE roots (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, relative BLOB, absolute BLOB NOT NULL);
CREATE TABLE items (
    id INTEGER PRIMARY KEY, root INTEGER, path BLOB, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, hash BLOB,
    label TEXT, width INTEGER NOT NULL, height INTEGER NOT NULL, code BLOB NOT NULL, crc INTEGER NOT NULL,
    features_crc INTEGER, removed_in INTEGER
);
CREATE UNIQUE INDEX by_path ON items (root, path) WHERE removed_in IS NULL AND path IS NOT NULL;
CREATE INDEX by_hash ON items (hash) WHERE hash IS NOT NULL;
CREATE INDEX by_label ON items (label) WHERE label IS NOT NULL;
CREATE INDEX by_removal ON items (removed_in) WHERE removed_in IS NOT NULL;
CREATE TABLE gone (block INTEGER PRIMARY KEY, mask BLOB NOT NULL);
CREATE TABLE labels (label TEXT PRIMARY KEY, items INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE ignored (
    root INTEGER NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, reason TEXT NOT NULL,
    removed INTEGER NOT NULL, PRIMARY KEY (root, path)
) WITHOUT ROWID;
COMMIT;
"""

_DROP_ROOTS = """
DELETE FROM roots WHERE kind = 'forgotten'
AND NOT EXISTS (SELECT 1 FROM items WHERE items.removed_in NOT NULL AND items.root = roots.id)
"""

_ADD = f"INSERT INTO items VALUES ({', '.join('?' * 12)}, NULL)"


class Row(NamedTuple):
    """One item, as it is stored.

    Attributes:
        id: place of its code in the file of codes.
        root: number of the folder that its path is relative to; None, as `path`, if it was imported without a path.
        path: relative to the root, with slashes.
        size, mtime_ns: stamp of the file; one with another stamp is looked at again.
        hash: BLAKE2b of the bytes of the file, 16 bytes; None if they were never read.
        label: text, or None.
        width, height: of the image, upright; 0 if unknown.
        code: little-endian words.
        crc: CRC-32 of the code.
        features_crc: CRC-32 of its features; None if it has none.
    """

    id: int
    root: int | None
    path: bytes | None
    size: int
    mtime_ns: int
    hash: bytes | None
    label: str | None
    width: int
    height: int
    code: bytes
    crc: int
    features_crc: int | None


COLUMNS = ", ".join(Row._fields)


class Meta(NamedTuple):
    """What is recorded of the whole collection.

    Attributes:
        bits: length of the codes.
        fingerprint: of the model.
        features: 1 if features are kept, else 0.
        dimensions: length of a feature; 0 as long as there is none.
        thumbnails: 1 if thumbnails are kept, else 0.
        generation: number of the last update that was published.
        size: number of ids that were given up to then.
        items: number of items that can be found.
    """

    bits: int
    fingerprint: str
    features: int
    dimensions: int
    thumbnails: int
    generation: int = 0
    size: int = 0
    items: int = 0


def create(file: Path, meta: Meta, made_with: str | None = None) -> None:
    """Write a file without items; `made_with` is JSON, see `get_made_with`."""
    with sentences(file), closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        connection.execute("INSERT INTO meta VALUES ('format', ?)", (FORMAT,))
        put_meta(connection, meta._asdict() | ({} if made_with is None else {"made_with": made_with}))


def get_made_with(connection: sqlite3.Connection) -> str | None:
    """What was recorded of how the collection was made; None if nothing was."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'made_with'").fetchone()
    return None if row is None else str(row[0])


def get_meta(connection: sqlite3.Connection, file: Path) -> Meta:
    """What is recorded of the whole collection.

    Raises:
        RunError: the file is not that of a collection, or of one of another format.
    """
    name = printable(file)
    try:
        values = dict(connection.execute("SELECT key, value FROM meta"))
    except sqlite3.OperationalError as error:
        if not str(error).startswith("no such table"):
            raise
        values = {}
    found = values.pop("format", None)
    for other in ("importing", "made_with"):
        values.pop(other, None)
    if isinstance(found, bytes):  # as format 2 wrote it
        found = os.fsdecode(found)
    if found is None:
        raise RunError(
            f"{name} is empty, or not of a collection; restore it from a copy, or index the images into a new folder"
        )
    if str(found) != str(FORMAT):
        raise RunError(
            f"{name} has format {found}, this bitseek reads format {FORMAT}; index the images into a new "
            "folder, which takes no longer than the first time"
        )
    try:
        return Meta(**values)
    except TypeError as error:
        raise RunError(f"{name} is damaged ({error}); index the images into a new folder") from error


def put_meta(connection: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    """Change what is recorded of the whole collection."""
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))


def next_id(connection: sqlite3.Connection, size: int) -> int:
    """The first id that was not given yet; `size` is that of the last update."""
    (last,) = connection.execute("SELECT max(id) FROM items").fetchone()
    return max(size, 0 if last is None else last + 1)


def add(connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write new items, each a `Row` or a tuple of its fields.

    One with a path that another item has must come after that was removed.
    """
    connection.executemany(_ADD, rows)


def remove(connection: sqlite3.Connection, ids: Iterable[int], generation: int) -> int:
    """Mark items as removed in an update; how many were not yet."""
    statement = "UPDATE items SET removed_in = ? WHERE id = ? AND removed_in IS NULL"
    return max(connection.executemany(statement, ((generation, id) for id in ids)).rowcount, 0)


def rows_of(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, Row]:
    """Items by their ids; those that are not there any more are left out."""
    found: dict[int, Row] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        marks = ", ".join("?" * len(some))
        for row in connection.execute(f"SELECT {COLUMNS} FROM items WHERE id IN ({marks})", some):
            found[row[0]] = Row._make(row)
    return found


def is_pending(connection: sqlite3.Connection, meta: Meta) -> bool:
    """Whether something was written that is not published."""
    if next_id(connection, meta.size) > meta.size:
        return True
    statement = "SELECT 1 FROM items WHERE removed_in > ? LIMIT 1"
    return connection.execute(statement, (meta.generation,)).fetchone() is not None


def publish(connection: sqlite3.Connection, file: Path) -> tuple[Meta, list[bytes]]:
    """Make what was written since the last update the next one, in one transaction.

    Returns:
        what is recorded now, and the hashes of the rows that were deleted for good.
    """
    with transaction(connection):
        meta = get_meta(connection, file)
        generation, old = meta.generation + 1, meta.size
        size = next_id(connection, old)
        doomed = "FROM items WHERE removed_in <= ?"
        deleted = connection.execute(f"SELECT DISTINCT hash {doomed} AND +hash NOT NULL", [generation - 1])
        hashes = [key for (key,) in deleted]
        connection.execute(f"DELETE {doomed}", [generation - 1])
        connection.execute(_DROP_ROOTS)
        removed = connection.execute("SELECT id FROM items WHERE removed_in = ?", [generation])
        _mark_gone(connection, (id for (id,) in removed))
        removed_count, added_count = _count_labels(connection, generation, old)
        items = meta.items + added_count - removed_count
        meta = meta._replace(generation=generation, size=size, items=items)
        put_meta(connection, {"generation": generation, "size": size, "items": items})
    return meta, hashes


def _count_labels(connection: sqlite3.Connection, generation: int, old: int) -> tuple[int, int]:
    """Bring the counts of the labels up to date; how many items were removed and added.

    A plus before a column keeps SQLite from its index, which would spare sorting a few rows by reading all.
    """
    removed = "FROM items WHERE removed_in = :generation AND id < :old"
    added = "FROM items WHERE id >= :old AND removed_in IS NULL"
    values = {"generation": generation, "old": old}
    for part, sign in ((removed, -1), (added, 1)):
        connection.execute(
            f"INSERT INTO labels SELECT label, {sign} * count(*) {part} AND +label NOT NULL GROUP BY +label "
            "ON CONFLICT (label) DO UPDATE SET items = items + excluded.items",
            values,
        )
    connection.execute("DELETE FROM labels WHERE items <= 0")
    counts = [connection.execute(f"SELECT count(*) {part}", values).fetchone()[0] for part in (removed, added)]
    return counts[0], counts[1]


def _mark_gone(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Set the bits of some ids in the mask of those that are gone."""
    blocks: dict[int, bytearray] = {}
    for id in ids:
        block, place = divmod(id, BLOCK)
        if block not in blocks:
            stored = connection.execute("SELECT mask FROM gone WHERE block = ?", (block,)).fetchone()
            blocks[block] = bytearray(stored[0] if stored else BLOCK_BYTES)
        blocks[block][place >> 3] |= 1 << (place & 7)
    connection.executemany("INSERT OR REPLACE INTO gone VALUES (?, ?)", blocks.items())


def checksum(data: bytes) -> int:
    """CRC-32 of a code or of features."""
    return zlib.crc32(data)
