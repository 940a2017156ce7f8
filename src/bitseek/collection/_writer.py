"""The one writer of a collection: adds items, takes them out, and publishes what it did.

Every step is on the disk before the next one begins, in an order by which a kill at any moment leaves only what is
whole: first thumbnails, codes and features by id, then the rows, in one transaction a batch. Rows that a killed writer
left are published by whoever opens the collection next.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bitseek.collection import _items, _published
from bitseek.collection._by_id import ById
from bitseek.collection._connections import Connections, transaction
from bitseek.collection._items import Meta, Row
from bitseek.collection._lock import Progress, WriterLock
from bitseek.collection._thumbnails import Thumbnails
from bitseek.errors import BitseekError
from bitseek.index import HammingIndex


class New(NamedTuple):
    """An item that is about to be added; the fields are those of `Row`, with the features (float16) themselves."""

    root: int | None
    path: bytes | None
    size: int
    mtime_ns: int
    hash: bytes | None
    label: str | None
    width: int
    height: int
    code: bytes
    features: bytes | None = None


class Writer:
    """What `writer` gives.

    Attributes:
        connection: to the items; in a transaction only within a call.
        meta: of the last update.
        lock: to tell the progress.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, thumbnails: Thumbnails, lock: WriterLock) -> None:
        self.folder, self.connection, self.thumbnails, self.lock = folder, connection, thumbnails, lock
        self.meta: Meta = _items.get_meta(connection, folder / _items.DATABASE)
        self.codes: ById = _published.codes_file(folder, self.meta.bits)
        self.next_id = _items.next_id(connection, self.meta.size)
        self.has_mended = False
        """Whether codes were written again, so that clusters may be of others."""
        self._has_published = False

    @property
    def generation(self) -> int:
        """Number of the update that is being written."""
        return self.meta.generation + 1

    def add(self, items: Sequence[New], *, instead_of: Sequence[int] = ()) -> range:
        """Add items, for good, in the place of others; their ids."""
        first = self.next_id
        ids = range(first, first + len(items))
        if items:
            self.codes.write(first, b"".join(item.code for item in items))
            self._write_features(first, items)
            if self.meta.dimensions:
                self.features.grow(ids.stop)
        rows = [
            Row(
                id,
                *item[:9],
                _items.checksum(item.code),
                None if item.features is None else _items.checksum(item.features),
            )
            for id, item in zip(ids, items, strict=True)
        ]
        with transaction(self.connection):
            _items.remove(self.connection, instead_of, self.generation)
            _items.add(self.connection, rows)
        self.next_id = ids.stop
        return ids

    def remove(self, ids: Sequence[int]) -> int:
        """Take items out, in one step; how many there were."""
        with transaction(self.connection):
            return _items.remove(self.connection, ids, self.generation)

    def publish(self) -> bool:
        """Make what was written visible to readers; whether there was anything."""
        if not _items.is_pending(self.connection, self.meta):
            return False
        self.meta, hashes = _items.publish(self.connection, self.folder / _items.DATABASE)
        self._has_published = True
        self._drop_thumbnails(hashes)
        return True

    def discard_import(self) -> None:
        """Take back codes that were imported but not to the end: there shall be all of them or none."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = 'importing'").fetchone()
        if row is not None:
            with transaction(self.connection):
                self.connection.execute("DELETE FROM items WHERE id >= ?", row)
                self.connection.execute("UPDATE items SET removed_in = NULL WHERE removed_in = ?", (self.generation,))
                self.connection.execute("DELETE FROM meta WHERE key = 'importing'")
            self.next_id = _items.next_id(self.connection, self.meta.size)

    def keep_clusters(self) -> None:
        """Build the clusters of the search again and store them, if they lack many codes, or have others."""
        if not self._has_published and not self.has_mended:
            return
        self.lock.tell(Progress(0, 0, 0.0, None, "sorting"))
        published = _published.load(self.folder, self.connection)
        folder = self.folder / _published.CLUSTERS
        index = HammingIndex(published.codes, gone=published.gone)
        are_others = folder.is_dir() and not index.load_clusters(folder, verify=self.has_mended)
        if are_others or index.build_is_due:
            index.build()
            index.save_clusters(folder)

    @property
    def features(self) -> ById:
        """Where the features lie, once there are any."""
        return _published.features_file(self.folder, self.meta.dimensions)

    def _write_features(self, first: int, items: Sequence[New]) -> None:
        given = next((item.features for item in items if item.features is not None), None)
        if given is None:
            return
        if not self.meta.dimensions:
            self.meta = self.meta._replace(dimensions=len(given) // 2)
            with transaction(self.connection):
                _items.put_meta(self.connection, {"dimensions": self.meta.dimensions})
        row = 2 * self.meta.dimensions
        if any(item.features is not None and len(item.features) != row for item in items):
            raise BitseekError(f"features of this collection have {self.meta.dimensions} dimensions, got others")
        self.features.write(first, b"".join(item.features or bytes(row) for item in items))

    def _drop_thumbnails(self, hashes: Sequence[bytes]) -> None:
        unused = "SELECT NOT EXISTS (SELECT 1 FROM items WHERE hash = ?)"
        with suppress(BitseekError):  # what is left costs room, and is dropped by verify
            self.thumbnails.delete([key for key in hashes if self.connection.execute(unused, (key,)).fetchone()[0]])


@contextmanager
def writer(
    folder: Path, items: Connections, thumbnails: Thumbnails, *, wait: float, mend: bool = True
) -> Iterator[Writer]:
    """The one writer of a collection, in a block; what another one left when it was killed is published first.

    Args:
        folder: of the collection.
        items: in it.
        thumbnails: in it.
        wait: seconds to wait for another writer.
        mend: whether to write again what the file of codes lacks at its end.

    Raises:
        RunError: another writer is at it, or nothing can be written.
    """
    with WriterLock(folder).held(wait) as lock, items.writing() as connection:
        one = Writer(folder, connection, thumbnails, lock)
        one.discard_import()
        if mend:
            one.has_mended = _published.mend_words(connection, one.codes, one.next_id) > 0
        one.publish()
        yield one


def features_of(rows: np.ndarray) -> np.ndarray:
    """Features as they are kept: of length 1, (n, D) float16, so that their inner product is the cosine."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype("<f2")
