"""The folders that the images of a collection lie in, kept so that both may move, together or the collection alone.

A root is of one of four kinds. `folder`: all images below it belong to the collection. `files`: only those that were
given by name do. `import`: its items came with their codes, and nobody looks at their files. `forgotten`: all of its
items were removed, but readers of an earlier update may still ask where they were; it goes with the last of them, so
that no other root gets its number before. Roots of the kind `folder` do not lie in each other: a sub-folder of one is a
part of it, and a parent takes up what the others hold below it.
"""

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from bitseek._files import FilePath, user_path
from bitseek.errors import BitseekError, ImageError, RunError
from bitseek.images import printable

Kind = Literal["folder", "files", "import", "forgotten"]


class Root(NamedTuple):
    """One folder.

    Attributes:
        id: its number.
        kind: see above.
        folder: where it is, absolute; or where it was.
        there: whether it is there.
    """

    id: int
    kind: str
    folder: bytes
    there: bool

    def file(self, path: bytes) -> bytes:
        """The absolute path of a file below it."""
        return os.path.join(self.folder, path)  # noqa: PTH118  # bytes

    def relative(self, path: bytes) -> bytes | None:
        """A path relative to this folder; None if it is not in it, b"" for the folder itself."""
        if path == self.folder:
            return b""
        start = self.folder.rstrip(b"/") + b"/"
        return path[len(start) :] if path.startswith(start) else None

    def without_place(self, path: bytes, sentence: str) -> str:
        """A sentence about a file below it, to be kept: without the absolute path, as the folder may move."""
        return sentence.replace(printable(self.file(path)), _ITSELF)

    def told(self, path: bytes, sentence: str) -> tuple[str, str]:
        """The absolute path that a file has now, and such a sentence with it."""
        file = self.file(path)
        return os.fsdecode(file), sentence.replace(_ITSELF, printable(file))


_ITSELF = "\x1a"
"""Stands for a file in a sentence about it: ASCII's SUBSTITUTE, which no printable path contains."""


_ANY = "SELECT 1 FROM items WHERE removed_in IS NULL LIMIT 1"

_SAMPLED = 8
"""Items that are looked for in each of two folders that a root may be."""


class Scope(NamedTuple):
    """What an update looks at: a root, or one file or folder of it (`part`, relative, not empty)."""

    root: Root
    part: bytes = b""


def roots_of(connection: sqlite3.Connection, collection: Path) -> list[Root]:
    """All roots; each where it lies relative to the collection, or else where it was when it was last seen.

    Where there is a folder in both places, it is the one that has more of a few of its items: if the collection alone
    was moved, its surroundings are others.
    """
    here = os.path.realpath(os.fsencode(collection))
    found = []
    for number, kind, relative, absolute in connection.execute("SELECT id, kind, relative, absolute FROM roots"):
        places = [absolute] if relative is None else [os.path.normpath(os.path.join(here, relative)), absolute]  # noqa: PTH118
        there = [place for place in places if os.path.isdir(place)]  # noqa: PTH112
        if len({os.path.realpath(place) for place in there}) > 1:
            some = _paths(connection, number).fetchmany(_SAMPLED)
            there.sort(key=lambda place: -sum(_is_in(place, path) for path in some))  # it is stable
        found.append(Root(number, kind, there[0] if there else absolute, bool(there)))
    return found


def meant(roots: Iterable[Root], folder: FilePath) -> list[Root]:
    """The roots that are in a folder that a user names.

    Raises:
        BitseekError: no such folder was indexed; which ones were.
    """
    wanted = os.fsencode(os.path.realpath(user_path(folder)))
    known = [root for root in roots if root.kind != "forgotten"]
    found = [root for root in known if wanted in (root.folder, os.path.realpath(root.folder))]
    if not found:
        names = ", ".join(printable(root.folder) for root in known) or "none"
        raise BitseekError(f"the folder {printable(wanted)} was not indexed; those that were are {names}")
    return found


def forget(connection: sqlite3.Connection, root: Root, generation: int) -> int:
    """Remove all items of a root in an update, and the root; how many items it had. To be called in a transaction."""
    removed = connection.execute(
        "UPDATE items SET removed_in = ? WHERE root = ? AND removed_in IS NULL AND path NOT NULL", (generation, root.id)
    ).rowcount
    connection.execute("DELETE FROM ignored WHERE root = ?", (root.id,))
    connection.execute("UPDATE roots SET kind = 'forgotten' WHERE id = ?", (root.id,))
    return removed


def record(connection: sqlite3.Connection, collection: Path, root: Root) -> None:
    """Write down where a root is."""
    here = os.path.realpath(os.fsencode(collection))
    try:
        relative = os.path.relpath(root.folder, here)
    except ValueError:  # on another drive
        relative = None
    values = (root.id, root.kind, relative, root.folder)
    connection.execute("INSERT OR REPLACE INTO roots VALUES (?, ?, ?, ?)", values)


def scopes_of(
    connection: sqlite3.Connection, collection: Path, paths: Iterable[FilePath] | FilePath | None
) -> tuple[list[Scope], dict[str, str]]:
    """What an update of some files and folders, or of all roots, has to look at; new roots are written down.

    To be called in a transaction.

    Returns:
        the scopes; and, of all roots, those that are not there, by their absolute paths, with what to do.

    Raises:
        ImageError: a path is not there, and never was.
        RunError: a root that was asked for is not there any more, or none of all, or there is nothing to update.
    """
    roots = roots_of(connection, collection)
    if paths is None:
        scopes = [Scope(root) for root in roots if root.kind in ("folder", "files")]
        if not scopes and not connection.execute(_ANY).fetchone():
            raise RunError(f"no folder was ever indexed into {printable(collection)}; say which one")
    else:
        if not isinstance(paths, str | bytes | os.PathLike | Iterable):
            raise BitseekError(f"an update takes a path, several of them, or None for all folders; got {paths!r:.80}")
        listed = [paths] if isinstance(paths, str | bytes | os.PathLike) else list(paths)
        scopes = [_scope(connection, collection, os.fsencode(user_path(path, resolve=True))) for path in listed]
        merged = {root.id: root for root in roots_of(connection, collection)}
        scopes = [  # a later path may have taken up the root of an earlier one
            _scope(connection, collection, scope.root.file(scope.part).rstrip(b"/") or b"/")
            if scope.root.id not in merged
            else scope._replace(root=merged[scope.root.id])
            for scope in scopes
        ]
    missing: dict[str, str] = {}
    for scope in scopes:
        try:
            _check_there(connection, collection, scope)
        except RunError as error:
            if paths is not None or len(missing) + 1 == len(scopes):
                raise
            missing[os.fsdecode(scope.root.folder)] = str(error)
        else:
            record(connection, collection, scope.root)
    return _without_parts([scope for scope in scopes if os.fsdecode(scope.root.folder) not in missing]), missing


def _scope(connection: sqlite3.Connection, collection: Path, path: bytes) -> Scope:
    roots = roots_of(connection, collection)
    is_folder, is_there = os.path.isdir(path), os.path.exists(path)  # noqa: PTH110, PTH112
    for root in roots:
        part = root.relative(path)
        if (
            root.kind == "folder"
            and part is not None
            and (is_there or not root.there or _knows(connection, root, part))
        ):
            return Scope(root, part)
    parent = os.path.dirname(path)  # noqa: PTH120
    files = next(
        (root for root in roots if root.kind == "files" and root.folder == (path if is_folder else parent)), None
    )
    if not is_there:
        if files is not None and _knows(connection, files, os.path.basename(path)):  # noqa: PTH119
            return Scope(files, os.path.basename(path))  # noqa: PTH119
        raise ImageError(f"there is no file or folder {printable(path)}")
    make = _new_folder if is_folder else _new_file
    return make(connection, collection, path, roots, files)


def _new_file(
    connection: sqlite3.Connection, collection: Path, path: bytes, roots: list[Root], files: Root | None
) -> Scope:
    """A file that is in no folder of the collection: one of the root `files`, or of a new one."""
    parent, name = os.path.split(path)
    root = files or Root(free_id(roots), "files", parent, True)
    if files is None:
        record(connection, collection, root)
    for other in roots:
        if other.kind == "import" and (part := other.relative(path)):
            _take_up_part(connection, root, other, len(part) - len(name), part, part + b"\0")
    return Scope(root, name)


def _new_folder(
    connection: sqlite3.Connection, collection: Path, path: bytes, roots: list[Root], files: Root | None
) -> Scope:
    """A folder that is in none of the collection; it takes up what other roots hold below it."""
    if files:
        _check_place(connection, collection, files)
    root = files._replace(kind="folder") if files else Root(free_id(roots), "folder", path, True)
    record(connection, collection, root)
    for other in roots:
        inside, below = root.relative(other.folder), other.relative(root.folder)
        if inside or (inside is not None and other.kind == "import"):
            _check_place(connection, collection, other)
            _take_up(connection, root, other, inside + b"/" if inside else b"")
        elif below and other.kind == "import":
            _take_up_part(connection, root, other, len(below) + 1, below + b"/", below + b"0")
    return Scope(root)


def _take_up(connection: sqlite3.Connection, root: Root, other: Root, prefix: bytes) -> None:
    """Make all items of another root items of this one; their absolute paths stay the same."""
    _remove_doubles(connection, root, other, "CAST(:change || other.path AS BLOB)", prefix, b"", None)
    for or_else, table, where in (
        ("ABORT", "items", "removed_in IS NULL AND path NOT NULL"),
        ("ABORT", "items", "removed_in NOT NULL"),
        ("REPLACE", "ignored", "1"),
    ):
        connection.execute(
            f"UPDATE OR {or_else} {table} SET root = ?, path = CAST(? || path AS BLOB) WHERE root = ? AND {where}",
            (root.id, prefix, other.id),
        )
    connection.execute("DELETE FROM roots WHERE id = ?", (other.id,))


def _take_up_part(connection: sqlite3.Connection, root: Root, other: Root, cut: int, low: bytes, high: bytes) -> None:
    """Make the items of another root from the path `low` to before `high` items of this one, without `cut` bytes."""
    _remove_doubles(connection, root, other, "substr(other.path, :change)", cut + 1, low, high)
    connection.execute(
        "UPDATE items SET root = ?, path = substr(path, ?) "
        "WHERE removed_in IS NULL AND root = ? AND path >= ? AND path < ?",
        (root.id, cut + 1, other.id, low, high),
    )


def _remove_doubles(
    connection: sqlite3.Connection,
    root: Root,
    other: Root,
    path: str,
    change: bytes | int,
    low: bytes,
    high: bytes | None,
) -> None:
    """Mark the older of two items as removed where one of another root would get the path of one of this root."""
    connection.execute(
        f"""
        UPDATE items SET removed_in = (SELECT value + 1 FROM meta WHERE key = 'generation') WHERE id IN (
            SELECT min(own.id, other.id) FROM items AS other JOIN items AS own ON own.root = :root AND own.path = {path}
            WHERE other.root = :other AND other.path >= :low AND (:high IS NULL OR other.path < :high)
            AND other.removed_in IS NULL AND other.path IS NOT NULL
            AND own.removed_in IS NULL AND own.path IS NOT NULL)
        """,
        {"root": root.id, "other": other.id, "change": change, "low": low, "high": high},
    )


def _knows(connection: sqlite3.Connection, root: Root, part: bytes) -> bool:
    """Whether a file or folder of a root is, or contains, an item or an image that is left out."""
    for table in ("items WHERE removed_in IS NULL AND", "ignored WHERE"):
        for low, high in ((part, part + b"\0"), (part + b"/", part + b"0")):
            statement = f"SELECT 1 FROM {table} root = ? AND path >= ? AND path < ? LIMIT 1"
            if connection.execute(statement, (root.id, low, high)).fetchone():
                return True
    return not part


def _check_there(connection: sqlite3.Connection, collection: Path, scope: Scope) -> None:
    """Refuse a root that is gone, or is an empty folder in the place of what was there, as of a disk that is out."""
    root, name = scope.root, printable(scope.root.folder)
    if not root.there:
        raise RunError(
            f"the folder {name} is not there; if it is on another disk, put that in. {_forget(collection, root)}"
        )
    _check_place(connection, collection, root)
    if root.kind == "folder" and not scope.part:
        try:
            with os.scandir(root.folder) as entries:
                empty = all(entry.name.startswith(b".") for entry in entries)
        except OSError as error:
            raise RunError(f"cannot read the folder {name}: {error.strerror or error}") from error
        if empty and (items := _lost(connection, root)):
            raise RunError(
                f"the folder {name} is empty, but {items} images of the collection were in it; if it is on another "
                f"disk, put that in. {_forget(collection, root)}"
            )


def _forget(collection: Path, root: Root) -> str:
    """What to do where the images of a folder are gone for good."""
    name = printable(root.folder)
    return (
        f"If its images are gone for good, say so: bitseek remove {_quoted(printable(collection))} {_quoted(name)}, or "
        f"in Python collection.forget({name!r})"
    )


def _quoted(name: str) -> str:
    """A name as a word of a shell's command, whatever is put in its place."""
    return "'" + name.replace("'", "'\\''") + "'"


def _check_place(connection: sqlite3.Connection, collection: Path, root: Root) -> None:
    """Refuse a folder that has none of the items, and is not where they were: the collection alone was moved."""
    stored = connection.execute("SELECT absolute FROM roots WHERE id = ?", (root.id,)).fetchone()
    if root.kind == "import" or not root.there or stored is None:
        return
    (absolute,) = stored
    if os.path.realpath(absolute) != os.path.realpath(root.folder) and (items := _lost(connection, root)):
        here, before = printable(root.folder), printable(absolute)
        raise RunError(
            f"none of the {items} images that were in {before} is in {here}, where they should be now by the place of "
            "the collection; move the collection back, or put the images into one of the two folders. "
            f"{_forget(collection, root)}"
        )


def _lost(connection: sqlite3.Connection, root: Root) -> int:
    """The number of items of a root if the file of none of them is there; otherwise 0."""
    count = 0
    for path in _paths(connection, root.id):
        if _is_in(root.folder, path):
            return 0
        count += 1
    return count


def _paths(connection: sqlite3.Connection, root: int) -> sqlite3.Cursor:
    """The paths of the items of a root."""
    cursor = connection.cursor()
    cursor.row_factory = lambda _, row: row[0]
    return cursor.execute("SELECT path FROM items WHERE root = ? AND removed_in IS NULL AND path NOT NULL", (root,))


def _is_in(folder: bytes, path: bytes) -> bool:
    return os.path.lexists(os.path.join(folder, path))  # noqa: PTH118


def _without_parts(scopes: list[Scope]) -> list[Scope]:
    """The scopes without those that lie in others."""
    kept: list[Scope] = []
    for scope in sorted(set(scopes), key=lambda scope: (scope.root.id, scope.part)):
        if not any(
            other.root.id == scope.root.id
            and (other.part in (b"", scope.part) or scope.part.startswith(other.part + b"/"))
            for other in kept
        ):
            kept.append(scope)
    return kept


def free_id(roots: list[Root]) -> int:
    """A number that no root has."""
    return 1 + max((root.id for root in roots), default=0)
