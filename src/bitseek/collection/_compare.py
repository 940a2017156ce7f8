"""What has changed on the disk since the last update: the files that are there, compared with the items.

Both sides are sets of rows, so SQLite compares them, in temporary tables: the memory is bounded, whatever their number.

    found    files that are there: root, path, size, mtime_ns, label
    wanted   those that must be looked at: new ones, other stamps, other labels; with the id of their item
    missing  ids of the items whose file is gone
    closed   what cannot be looked at: a path, and all below it, is as it was
    listed   what a labels.csv names
"""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import PIL

from bitseek.collection._connections import transaction
from bitseek.collection._labels import FolderLabels
from bitseek.collection._roots import Root, Scope
from bitseek.images import IMAGE_EXTENSIONS, printable, stamp, walk

_PAGE = 1000

_TABLES = """
DROP TABLE IF EXISTS temp.scope; DROP TABLE IF EXISTS temp.found; DROP TABLE IF EXISTS temp.wanted;
DROP TABLE IF EXISTS temp.missing; DROP TABLE IF EXISTS temp.reused; DROP TABLE IF EXISTS temp.closed;
DROP TABLE IF EXISTS temp.listed;
CREATE TEMP TABLE scope (root INTEGER, low BLOB, high BLOB);
CREATE TEMP TABLE found (
    root INTEGER, path BLOB, size INTEGER, mtime_ns INTEGER, label TEXT, PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE TEMP TABLE wanted (
    number INTEGER PRIMARY KEY, root INTEGER, path BLOB, label TEXT, id INTEGER, hash BLOB, same INTEGER
);
CREATE TEMP TABLE missing (id INTEGER PRIMARY KEY);
CREATE TEMP TABLE reused (id INTEGER PRIMARY KEY);
CREATE TEMP TABLE closed (root INTEGER, low BLOB, high BLOB);
CREATE TEMP TABLE listed (root INTEGER, path BLOB, PRIMARY KEY (root, path)) WITHOUT ROWID;
"""

_FOUND = "INSERT OR IGNORE INTO found VALUES (?, ?, ?, ?, ?)"

_UNLISTED = """
SELECT t.root, t.path FROM scope s CROSS JOIN {table} t ON t.root = s.root AND t.path >= s.low AND t.path < s.high
WHERE {alive} NOT EXISTS (SELECT 1 FROM found f WHERE f.root = t.root AND f.path = t.path)
"""

_WANTED = """
INSERT INTO wanted (root, path, label, id, hash, same)
SELECT f.root, f.path, f.label, i.id, i.hash, i.size = f.size AND i.mtime_ns = f.mtime_ns
FROM found f
LEFT JOIN items i ON i.root = f.root AND i.path = f.path AND i.removed_in IS NULL
LEFT JOIN ignored g ON g.root = f.root AND g.path = f.path
WHERE CASE WHEN i.id IS NOT NULL THEN i.size <> f.size OR i.mtime_ns <> f.mtime_ns OR i.label IS NOT f.label
      ELSE g.path IS NULL OR g.size <> f.size OR g.mtime_ns <> f.mtime_ns END
ORDER BY f.root, f.path
"""

_CLOSED = "EXISTS (SELECT 1 FROM closed c WHERE c.root = {0}.root AND {0}.path >= c.low AND {0}.path < c.high)"

_MISSING = f"""
INSERT OR IGNORE INTO missing
SELECT i.id FROM scope s CROSS JOIN items i ON i.root = s.root AND i.path >= s.low AND i.path < s.high
WHERE i.removed_in IS NULL AND NOT EXISTS (SELECT 1 FROM found f WHERE f.root = i.root AND f.path = i.path)
AND NOT {_CLOSED.format("i")}
"""

_UNIGNORED = f"""
DELETE FROM ignored WHERE EXISTS (SELECT 1 FROM scope s WHERE ignored.root = s.root AND path >= s.low AND path < s.high)
AND NOT EXISTS (SELECT 1 FROM found f WHERE f.root = ignored.root AND f.path = ignored.path)
AND NOT {_CLOSED.format("ignored")}
"""

_UNNAMED = f"""
SELECT l.root, count(*), min(l.path) FROM scope s CROSS JOIN listed l
ON l.root = s.root AND l.path >= s.low AND l.path < s.high
WHERE NOT EXISTS (SELECT 1 FROM found f WHERE f.root = l.root AND f.path = l.path) AND NOT {_CLOSED.format("l")}
GROUP BY l.root
"""

_LEFT_OUT = "found f JOIN ignored g USING (root, path) WHERE f.size = g.size AND f.mtime_ns = g.mtime_ns"

_IGNORED = """
SELECT g.root, g.path, g.reason FROM found f JOIN ignored g ON g.root = f.root AND g.path = f.path
WHERE NOT g.removed ORDER BY 1, 2
"""


def retry_what_another_pillow_refused(connection: sqlite3.Connection) -> None:
    """Let files be tried again that another release of Pillow could not read. To be called in a transaction.

    Which one it was is kept as SQLite's `user_version`; 0 is none.
    """
    pillow = zlib.crc32(PIL.__version__.encode()) & 0x7FFF_FFFF
    (before,) = connection.execute("PRAGMA user_version").fetchone()
    if before not in (0, pillow):
        connection.execute("UPDATE ignored SET size = -1 WHERE NOT removed")
    if before != pillow:
        connection.execute(f"PRAGMA user_version = {pillow}")


class Wanted(NamedTuple):
    """One file that must be looked at.

    Attributes:
        root: the folder.
        path: relative to it.
        label: that it has now.
        id: of the item that it was; None if it is new.
        hash: of that item.
        same: whether its stamp is that of the item, so that only its label is another.
    """

    root: Root
    path: bytes
    label: str | None
    id: int | None
    hash: bytes | None
    same: bool


class Comparison:
    """Finds the files of some scopes and compares them.

    Args:
        connection: of the writer.
        scopes: what to look at.
        tell: called now and then with the number of files found so far.

    Attributes:
        found: number of files that are there.
        wanted: number of those that must be looked at.
        left_out: number of those that are known to be unreadable, or were removed by the user, and did not change.
        unmatched: each labels.csv that names what is not found, by its absolute path, with how much that is.

    Raises:
        BitseekError: a folder that is looked at cannot be read, or a labels.csv cannot be used.
    """

    def __init__(self, connection: sqlite3.Connection, scopes: list[Scope], tell: Callable[[int], None]) -> None:
        self._connection, self._tell = connection, tell
        self._roots = {scope.root.id: scope.root for scope in scopes}
        self._labels = {id: FolderLabels(root.folder) for id, root in self._roots.items() if root.kind == "folder"}
        self._closed: dict[str, str] = {}
        connection.executescript(_TABLES)
        connection.execute("BEGIN")  # of temporary tables alone, so nobody waits for it
        try:
            for scope in scopes:
                self._find(scope)
            for table, alive in (("items", "t.removed_in IS NULL AND"), ("ignored", "")):
                self._find_unlisted(connection.execute(_UNLISTED.format(table=table, alive=alive)).fetchall())
            connection.execute(_WANTED)
            connection.execute(_MISSING)
            self.unmatched = self._find_unmatched()
        finally:
            connection.execute("COMMIT")
        self.found, self.wanted, self.left_out = (
            connection.execute(f"SELECT count(*) FROM {counted}").fetchone()[0]
            for counted in ("found", "wanted", _LEFT_OUT)
        )

    def __iter__(self) -> Iterator[Wanted]:
        """The files that must be looked at, by root and path."""
        last = 0
        columns = "number, root, path, label, id, hash, same"
        while rows := self._connection.execute(
            f"SELECT {columns} FROM wanted WHERE number > ? ORDER BY number LIMIT {_PAGE}", (last,)
        ).fetchall():
            for last, root, path, label, id, hash, same in rows:  # noqa: B007
                yield Wanted(self._roots[root], path, label, id, hash, bool(same))

    def still_unreadable(self) -> dict[str, str]:
        """The files and folders that are there but cannot be read, by their absolute paths, with the reason."""
        rows = self._connection.execute(_IGNORED)
        return self._closed | dict(self._roots[root].told(path, reason) for root, path, reason in rows)

    def reuse(self, ids: Iterable[int]) -> None:
        """Note items whose code was taken for another file."""
        self._connection.executemany("INSERT OR IGNORE INTO reused VALUES (?)", ((id,) for id in ids))

    def leave_out(self, files: Iterable[tuple[int, bytes, int, int, str]]) -> None:
        """Remember files that cannot be read: root, path, size and time of change, reason."""
        kept = (
            (root, path, size, time_ns, self._roots[root].without_place(path, reason))
            for root, path, size, time_ns, reason in files
        )
        self._connection.executemany("INSERT OR REPLACE INTO ignored VALUES (?, ?, ?, ?, ?, 0)", kept)

    def take_in(self, files: Iterable[tuple[int | None, bytes | None]]) -> None:
        """Forget that files could not be read: root, path."""
        self._connection.executemany("DELETE FROM ignored WHERE root = ? AND path = ?", files)

    def lose(self, ids: Iterable[int]) -> None:
        """Note items whose file was found, but is gone or unreadable now."""
        self._connection.executemany("INSERT OR IGNORE INTO missing VALUES (?)", ((id,) for id in ids))

    def remove_missing(self, generation: int) -> tuple[int, int]:
        """Take out the items whose files are gone; how many, and how many of these live on under another path."""
        connection = self._connection
        with transaction(connection):
            removed = connection.execute(
                "UPDATE items SET removed_in = ? WHERE id IN (SELECT id FROM missing) AND removed_in IS NULL",
                (generation,),
            ).rowcount
            connection.execute(_UNIGNORED)
        moved = connection.execute("SELECT count(*) FROM missing JOIN reused USING (id)").fetchone()[0]
        return removed, moved

    def _find(self, scope: Scope) -> None:
        root, part = scope
        insert = self._connection.executemany
        ranges = (
            [(root.id, part, part + b"\0"), (root.id, part + b"/", part + b"0")] if part else [(root.id, b"", _LAST)]
        )
        insert("INSERT INTO scope VALUES (?, ?, ?)", ranges)
        place = root.file(part)
        if os.path.isdir(place) and root.kind == "folder":  # noqa: PTH112
            prefix = part + b"/" if part else b""
            unreadable: dict[bytes, str] = {}
            insert(_FOUND, self._rows(root, ((prefix + path, status) for path, status in walk(place, unreadable))))
            for path, reason in ((prefix + path, reason) for path, reason in unreadable.items()):
                self._closed[os.fsdecode(root.file(path))] = reason
                ranges = [(root.id, path, path + b"\0"), (root.id, path + b"/", path + b"0")]
                insert("INSERT INTO closed VALUES (?, ?, ?)", ranges)
        elif part:
            self._find_unlisted([(root.id, part)], given=True)

    def _find_unlisted(self, rows: list[tuple[int, bytes]], *, given: bool = False) -> None:
        """Files that a walk does not list, since only their names were given, or are not those of images."""
        found = []
        for id, path in rows:
            root = self._roots[id]
            if given or root.kind == "files" or not _is_listed(path):
                try:
                    status = os.stat(root.file(path))  # noqa: PTH116
                except OSError:
                    continue
                found.append((path, status, root))
        for path, status, root in found:
            self._connection.executemany(_FOUND, self._rows(root, [(path, status)]))

    def _rows(
        self, root: Root, files: Iterable[tuple[bytes, os.stat_result]]
    ) -> Iterator[tuple[int, bytes, int, int, str | None]]:
        label = self._labels.get(root.id)
        for number, (path, status) in enumerate(files):
            if number % _PAGE == 0:
                self._tell(number)
            yield root.id, path, *stamp(status), None if label is None else label(path)

    def _find_unmatched(self) -> dict[str, str]:
        """How many paths each labels.csv gives a label that no image has, as far as was looked."""
        for root, labels in self._labels.items():
            paths = ((root, path) for path in labels.listed)
            self._connection.executemany("INSERT INTO listed VALUES (?, ?)", paths)
        found = {}
        for root, count, first in self._connection.execute(_UNNAMED):
            labels = self._labels[root]
            found[str(labels.file)] = (
                f"{count} of the {len(labels.listed)} paths in {printable(labels.file)} name no image, the first is "
                f"{printable(first)!r}; a path is relative to the folder of that file, with slashes"
            )
        return found


_LAST = b"\xff" * 5000
"""Greater than any path: systems do not have paths of so many bytes."""


def _is_listed(path: bytes) -> bool:
    """Whether `walk` lists a file of this path, if it is there."""
    hidden = path.startswith(b".") or b"/." in path
    return not hidden and Path(os.fsdecode(path)).suffix.lower() in IMAGE_EXTENSIONS
