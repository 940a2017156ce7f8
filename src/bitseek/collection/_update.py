"""An update: find → compare → known by its hash, or decode and encode in pieces → append → commit → publish."""

import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import Any, NamedTuple

from bitseek._files import FilePath
from bitseek.collection._compare import Comparison, retry_what_another_pillow_refused
from bitseek.collection._connections import Connections, transaction
from bitseek.collection._encoder import Encoder
from bitseek.collection._items import checksum, rows_of
from bitseek.collection._lock import Progress
from bitseek.collection._prepare import Claims, Coded, Prepared, Preparer
from bitseek.collection._roots import scopes_of
from bitseek.collection._writer import New, Writer
from bitseek.errors import BitseekError, RunError
from bitseek.images import BATCH, in_pieces, printable

MOST_ROWS, MOST_SECONDS = 1024, 1.0
"""Items, and time, between two commits; a kill loses at most the work on so many."""

_WINDOW = 20.0
"""Seconds over which the rate is taken."""


class Update(NamedTuple):
    """What an update did.

    Attributes:
        added: number of items that are new or whose file was changed.
        moved: number of items that kept their code under another path or another label.
        unchanged: number of items that are as they were.
        removed: number of items that were taken out, because their file is gone or cannot be decoded any more.
        unreadable: reason for each image that is there but not in the collection, by its absolute path; and for each
            folder that cannot be read, whose items stay as they are.
        missing: what to do about each folder of the collection that is not there, by its absolute path; its items stay
            as they are.
        unmatched: how many paths name no image, of each labels.csv where some do not, by its absolute path.
    """

    added: int
    moved: int
    unchanged: int
    removed: int
    unreadable: dict[str, str]
    missing: dict[str, str]
    unmatched: dict[str, str]


class _Known(NamedTuple):
    """What is stored of a content."""

    id: int | None
    width: int
    height: int
    code: bytes
    features: bytes | None


class Updater:
    """One update.

    Args:
        writer: of the collection.
        items: in it, to look into from several threads.
        encoder: gives the encoder; called when the first image must be encoded.
        progress: called with the progress after each commit.
        threads: how many read, decode and encode.
    """

    def __init__(
        self,
        writer: Writer,
        items: Connections,
        encoder: Callable[[], Encoder],
        progress: Callable[[Progress], None] | None,
        threads: int | None,
    ) -> None:
        self._writer, self._items, self._encoder, self._threads = writer, items, encoder, threads
        self._progress = progress
        self._claims = Claims(self._is_stored)
        self._waiting: dict[bytes, list[Prepared]] = {}
        self._fresh: dict[bytes, _Known] = {}
        self._failed: dict[bytes, Prepared] = {}
        self._new: list[New] = []
        self._instead_of: list[int] = []
        self._reused: list[int] = []
        self._thumbnails: list[tuple[bytes, bytes]] = []
        self._touched: list[tuple[int, int, int]] = []
        self._left_out: list[tuple[int, bytes, int, int, str]] = []
        self._lost: list[int] = []
        self._messages: dict[str, str] = {}
        self._added = self._relabelled = self._unchanged = self._settled = self._done = 0
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def run(self, paths: Iterable[FilePath] | FilePath | None) -> Update:
        """Bring some files and folders up to date, or all roots; what is done when an error ends it is published.

        Raises:
            BitseekError: a folder is not there, the model cannot be used, or the collection cannot be written.
        """
        writer = self._writer
        with transaction(writer.connection):
            retry_what_another_pillow_refused(writer.connection)
            scopes, missing = scopes_of(writer.connection, writer.folder, paths)
        self._comparison = Comparison(
            writer.connection, scopes, lambda found: self._tell(Progress(0, found, 0.0, None, "finding"))
        )
        self._say()
        try:
            self._encode_all()
        except BaseException:
            for rescue in (self._commit, writer.publish):
                with suppress(BitseekError, sqlite3.Error, OSError):
                    rescue()
            raise
        removed, moved = self._comparison.remove_missing(writer.generation)
        writer.publish()
        comparison = self._comparison
        return Update(
            added=self._added - moved,
            moved=moved + self._relabelled,
            unchanged=comparison.found - comparison.wanted - comparison.left_out + self._unchanged,
            removed=removed - moved,
            unreadable=self._messages | comparison.still_unreadable(),
            missing=missing,
            unmatched=comparison.unmatched,
        )

    def _encode_all(self) -> None:
        meta, files = self._writer.meta, self._comparison
        preparer = Preparer(self._encoder, self._claims, thumbnails=bool(meta.thumbnails), features=bool(meta.features))
        committed = time.monotonic()
        threads: Any = in_pieces(  # which end when it is closed
            preparer.prepared,
            preparer.coded,
            files,
            files.wanted,
            batch_size=BATCH,
            threads=self._threads,
            by_caller=preparer.by_caller,
        )
        with self._items.looking() as self._lookup, closing(threads) as pieces:
            for piece in pieces:
                for one, coded in piece:
                    self._take(one, coded)
                if len(self._new) >= MOST_ROWS or time.monotonic() - committed > MOST_SECONDS:
                    self._commit()
                    committed = time.monotonic()
        self._commit()
        assert not self._waiting

    def _take(self, one: Prepared, coded: Coded | None) -> None:
        """Sort what a thread has found out."""
        wanted, key = one.wanted, one.hash
        if coded is not None:
            self._add_coded(one, coded)
        elif wanted.same and wanted.id is not None:  # its bytes were not read, and perhaps never
            self._keep(one, wanted.id)
        elif key is None or one.reason is not None:
            self._leave_out(one)
        elif wanted.id is not None and wanted.hash == key and self._is_whole(wanted.id):
            self._keep(one, wanted.id)
        elif key in self._failed:
            self._leave_out(self._failed_too(one))
        elif (known := self._known(key)) is not None:
            self._add(one, known)
        else:
            self._waiting.setdefault(key, []).append(one)  # the thread that encodes it comes later

    def _is_whole(self, id: int) -> bool:
        """Whether an item has features, if they are kept; one that lost them gets those of its twin."""
        statement = "SELECT features_crc NOT NULL OR NOT ? FROM items WHERE id = ?"
        (whole,) = self._writer.connection.execute(statement, (self._writer.meta.features, id)).fetchone()
        return bool(whole)

    def _add_coded(self, one: Prepared, coded: Coded) -> None:
        """An item that was encoded, and those with the same content that wait for it."""
        assert one.picture is not None and one.hash is not None
        width, height, thumbnail = one.picture
        known = _Known(None, width, height, *coded)
        self._fresh[one.hash] = known
        if thumbnail is not None:
            self._thumbnails.append((one.hash, thumbnail))
        for other in (one, *self._waiting.pop(one.hash, ())):
            self._add(other, known)

    def _add(self, one: Prepared, known: _Known) -> None:
        """An item with the code of a content."""
        root, path, label, id, _, _ = one.wanted
        self._new.append(
            New(
                root.id,
                path,
                one.size,
                one.mtime_ns,
                one.hash,
                label,
                known.width,
                known.height,
                known.code,
                known.features,
            )
        )
        if id is not None:
            self._instead_of.append(id)
        if known.id is not None:
            self._reused.append(known.id)
        self._added += 1
        self._settled += 1

    def _keep(self, one: Prepared, id: int) -> None:
        """An item whose content is as it was: another time, or another label, which makes it another row."""
        row = rows_of(self._writer.connection, [id])[id]
        if checksum(row.code) != row.crc:
            raise RunError(f"{printable(self._items.file)} is damaged; bitseek verify says where, and repairs it")
        self._settled += 1
        if row.label == one.wanted.label:
            self._touched.append((one.size, one.mtime_ns, id))
            self._unchanged += 1
            return
        stamp = (row.size, row.mtime_ns) if one.wanted.same else (one.size, one.mtime_ns)
        features = self._stored_features(id) if row.features_crc is not None else None
        path, hash, label = row.path, row.hash, one.wanted.label
        self._new.append(New(row.root, path, *stamp, hash, label, row.width, row.height, row.code, features))
        self._instead_of.append(id)
        self._relabelled += 1

    def _leave_out(self, one: Prepared) -> None:
        """A file that cannot be read, now or for good."""
        wanted, reason = one.wanted, one.reason or "it cannot be read"
        self._settled += 1
        if one.hash is not None and one.hash not in self._failed:
            self._failed[one.hash] = one._replace(reason=reason)
            for other in self._waiting.pop(one.hash, ()):
                self._leave_out(self._failed_too(other))
        if one.is_gone or (one.size < 0 and wanted.id is not None):
            self._messages[os.fsdecode(wanted.root.file(wanted.path))] = reason
        else:
            self._left_out.append((wanted.root.id, wanted.path, one.size, one.mtime_ns, reason))
        if wanted.id is not None and (one.is_gone or one.size >= 0):
            self._lost.append(wanted.id)

    def _failed_too(self, one: Prepared) -> Prepared:
        """What is known of a file that has the bytes of one that cannot be read."""
        assert one.hash is not None
        first = self._failed[one.hash]
        assert first.reason is not None
        before, now = (printable(wanted.root.file(wanted.path)) for wanted in (first.wanted, one.wanted))
        size, mtime_ns = (one.size, one.mtime_ns) if first.size >= 0 else (-1, -1)
        return one._replace(size=size, mtime_ns=mtime_ns, reason=first.reason.replace(before, now))

    def _commit(self) -> None:
        """Put what is encoded on the disk, for good."""
        writer, comparison = self._writer, self._comparison
        if self._thumbnails:
            writer.thumbnails.put(self._thumbnails)
        if self._new:
            # Of two files with one content, whichever thread began with it: the first by its path gets the lower id.
            in_order_of_paths = sorted(self._new, key=lambda item: (item.root, item.path))
            writer.add(in_order_of_paths, instead_of=self._instead_of)
        with transaction(writer.connection):
            writer.connection.executemany("UPDATE items SET size = ?, mtime_ns = ? WHERE id = ?", self._touched)
            comparison.take_in((item.root, item.path) for item in self._new)
            comparison.leave_out(self._left_out)
        comparison.reuse(self._reused)
        comparison.lose(self._lost)
        self._claims.settle(set(self._fresh))
        for written in (
            self._thumbnails,
            self._new,
            self._instead_of,
            self._touched,
            self._left_out,
            self._reused,
            self._lost,
        ):
            written.clear()
        self._fresh.clear()
        self._done = self._settled
        self._say()

    def _known(self, key: bytes) -> _Known | None:
        """What is stored of a content; of several items with it, rather one whose file is gone."""
        if key in self._fresh:
            return self._fresh[key]
        rows = _with_content(self._writer.connection, key, features=bool(self._writer.meta.features))
        if not rows:
            return None
        gone = "SELECT count(*) FROM missing WHERE id = ? AND id NOT IN (SELECT id FROM reused)"
        count = self._writer.connection.execute
        id, width, height, code = next((row for row in rows if count(gone, row[:1]).fetchone()[0]), rows[0])
        return _Known(id, width, height, code, self._stored_features(id) if self._writer.meta.features else None)

    def _stored_features(self, id: int) -> bytes:
        return self._writer.features.read(id, id + 1)

    def _is_stored(self, key: bytes) -> bool:
        """Whether the code of a content is stored; threads ask one after the other."""
        return bool(_with_content(self._lookup, key, features=bool(self._writer.meta.features)))

    def _say(self) -> None:
        """Tell how far it is."""
        now, total = time.monotonic(), self._comparison.wanted
        self._marks.append((now, self._done))
        while len(self._marks) > 2 and now - self._marks[0][0] > _WINDOW:
            self._marks.popleft()
        then, before = self._marks[0]
        rate = (self._done - before) / max(now - then, 1e-9) if self._done > before else 0.0
        left = (total - self._done) / rate if rate else (None if total > self._done else 0.0)
        self._tell(Progress(self._done, total, rate, left, "encoding"))

    def _tell(self, progress: Progress) -> None:
        self._writer.lock.tell(progress)
        if self._progress is not None:
            self._progress(progress)


def _with_content(connection: sqlite3.Connection, key: bytes, *, features: bool) -> list[tuple[int, int, int, bytes]]:
    """Id, width, height and code of some rows with a content; with features, if they are wanted. None is damaged."""
    rows = connection.execute(
        "SELECT id, width, height, code, crc FROM items WHERE hash = ? AND (features_crc NOT NULL OR NOT ?) LIMIT 64",
        (key, features),
    )
    return [row[:4] for row in rows if checksum(row[3]) == row[4]]
