"""Codes that were made elsewhere become items: all of them or, if it fails or is killed, none.

They may be many millions, so they are written batch by batch. Where the hash of an image is known, an update that meets
the image takes its code instead of encoding it.
"""

import operator
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bitseek._files import FilePath, user_path
from bitseek.codes import Codes, check_codes
from bitseek.collection import _items
from bitseek.collection._batch import Batch
from bitseek.collection._connections import transaction
from bitseek.collection._labels import as_label
from bitseek.collection._lock import Progress
from bitseek.collection._roots import Root, free_id, record, roots_of
from bitseek.collection._writer import Writer
from bitseek.errors import BitseekError, ShapeError

_TOP = os.path.abspath(os.sep).encode()  # noqa: PTH100

_ITEM = "SELECT 1 FROM items WHERE root = ? AND path = ? AND removed_in IS NULL"

_TAKEN_IN = """
DELETE FROM ignored WHERE EXISTS (
    SELECT 1 FROM items i WHERE i.root = ignored.root AND i.path = ignored.path AND i.removed_in IS NULL AND i.id >= ?)
"""
"""What was left out, or removed by hand, and is an item again; only at the end, as an import may be taken back."""

AT_ONCE = 1 << 17
"""Codes that are written in one transaction."""


def batches_of(
    codes: Codes, paths: Sequence[FilePath | None] | None, labels: Sequence[str | None] | None
) -> Iterator[Batch]:
    """Codes in memory as batches.

    Raises:
        BitseekError: not one path and one label for each code, or what is no path.
    """
    for what, column in (("paths", paths), ("labels", labels)):
        if column is not None and (given := operator.length_hint(column, -1)) != len(codes):
            said = f"{given}" if given >= 0 else f"{column!r:.80}"
            raise ShapeError(f"there is one of the {what} for each of the {len(codes)} codes, got {said}")
    for start in range(0, len(codes), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        some = codes[part]
        nothing: list[Any] = [None] * len(some)
        zeros = np.zeros(len(some), np.int64)
        named = nothing if paths is None else [None if path is None else _bytes(path) for path in paths[part]]
        texts = nothing if labels is None else list(labels[part])
        ids = np.arange(start, start + len(some))
        yield Batch(ids, some, named, texts, zeros, zeros, zeros, zeros, nothing)


def _bytes(path: FilePath) -> bytes:
    try:
        return os.fsencode(path)
    except (TypeError, UnicodeEncodeError) as error:
        raise BitseekError(f"a path is text or bytes, got {path!r:.80}") from error


def add_codes(
    writer: Writer, batches: Iterable[Batch], root: FilePath, progress: Callable[[Progress], None] | None, total: int
) -> int:
    """Add codes as items.

    Args:
        writer: of the collection.
        batches: the codes, and what is known of each.
        root: folder of the paths that are relative; absolute paths that are not below it are kept as they are.
        progress: called with the progress.
        total: number of codes, for the progress.

    Returns:
        how many there were.

    Raises:
        BitseekError: codes of another length, a path that comes twice, or nothing can be written.
    """
    connection, first, began = writer.connection, writer.next_id, time.monotonic()
    connection.execute("INSERT INTO meta VALUES ('importing', ?)", (first,))  # taken back if it is not finished
    try:
        places = _Places(writer, user_path(root, resolve=True))
        for batch in batches:
            _add(writer, batch, places)
            done, seconds = writer.next_id - first, time.monotonic() - began
            rate = done / max(seconds, 1e-9)
            writer.lock.tell(told := Progress(done, max(total, done), rate, max(0, total - done) / rate, "importing"))
            if progress is not None:
                progress(told)
    except BaseException:
        writer.discard_import()
        raise
    with transaction(connection):
        connection.execute(_TAKEN_IN, (first,))
        connection.execute("DELETE FROM meta WHERE key = 'importing'")
    return writer.next_id - first


def _add(writer: Writer, batch: Batch, places: "_Places") -> None:
    """Write some codes."""
    check_codes(batch.codes, bits=writer.meta.bits, of="this collection")
    first, row = writer.next_id, writer.codes.row
    raw = np.ascontiguousarray(batch.codes.words, "<u8").tobytes()
    writer.codes.write(first, raw)
    known = [(None, None) if path is None else places.of(path) for path in batch.paths]
    columns = (batch.sizes, batch.modified, batch.widths, batch.heights)
    rows = (
        (id, root, path, size, time_ns, key, _label(label), width, height, code, _items.checksum(code), None)
        for id, (root, path), size, time_ns, width, height, key, label, code in zip(
            range(first, first + len(batch)),
            known,
            *(column.tolist() for column in columns),
            batch.hashes,
            batch.labels,
            (raw[start : start + row] for start in range(0, len(raw), row)),
            strict=True,
        )
    )
    with transaction(writer.connection):
        if not places.are_new:
            writer.connection.executemany(
                "UPDATE items SET removed_in = ? WHERE root = ? AND path = ? AND removed_in IS NULL AND id < ?",
                ((writer.generation, *place, places.first) for place in known),
            )
        try:
            _items.add(writer.connection, rows)
        except sqlite3.IntegrityError as error:
            raise BitseekError("a path comes twice among the codes that are imported; an image has one code") from error
    writer.next_id = first + len(batch)
    if writer.meta.dimensions:
        writer.features.grow(writer.next_id)


def _label(label: str | None) -> str | None:
    return None if label is None or label == "" else as_label(label)


class _Places:
    """Where paths that are imported belong.

    To the root through which they are items already, or else to the folder that is indexed and holds them, or else to
    a root for imports.
    """

    def __init__(self, writer: Writer, root: Path) -> None:
        self._writer = writer
        self._folder = os.fsencode(root)
        self._roots = roots_of(writer.connection, writer.folder)
        self.are_new = not self._roots
        """Whether no item had a path before."""
        self.first = writer.next_id

    def of(self, name: bytes) -> tuple[int, bytes]:
        """Number of the root, and the path relative to it."""
        if not name or b"\0" in name:
            raise BitseekError(f"a path is not empty and has no NUL, got {name!r:.80}")
        path = os.path.normpath(os.path.join(self._folder, name))  # noqa: PTH118
        places = [(root, below) for root in self._roots if (below := root.relative(path))]
        if not self.are_new:
            for root, below in sorted(places, key=lambda place: -len(place[0].folder)):
                if self._writer.connection.execute(_ITEM, (root.id, below)).fetchone():
                    return root.id, below
        for root, below in places:
            if root.kind == "folder":
                return root.id, below
        inside = Root(0, "import", self._folder, True).relative(path)
        root = self._root(self._folder if inside else _TOP)
        return root.id, inside or os.path.relpath(path, _TOP)

    def _root(self, folder: bytes) -> Root:
        found = next((root for root in self._roots if root.kind == "import" and root.folder == folder), None)
        if found is None:
            found = Root(free_id(self._roots), "import", folder, True)
            record(self._writer.connection, self._writer.folder, found)
            self._roots.append(found)
        return found
