"""Is everything as it was written? Every checksum of a collection is compared, and what can be repaired is.

A code stands in two places, its row and the file of codes, with one checksum: of the three, two that agree are right.
What is lost in both is taken out, and the next update encodes the image again.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitseek.collection import _items, _published
from bitseek.collection._by_id import ById
from bitseek.collection._connections import transaction
from bitseek.collection._items import AGAIN, BLOCK, Meta, checksum
from bitseek.collection._roots import roots_of
from bitseek.collection._thumbnails import SIDE, Thumbnails, thumbnail_of
from bitseek.errors import BitseekError, RunError
from bitseek.images import decode, stamp
from bitseek.index import HammingIndex

_AT_ONCE = BLOCK


class Finding(NamedTuple):
    """Something that is not as it was written.

    Attributes:
        part: `items`, `codes`, `features`, `clusters`, `thumbnails` or `model`.
        problem: what is wrong, and what was or can be done.
        mended: whether it is right now, or will be after the next update.
    """

    part: str
    problem: str
    mended: bool


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    Attributes:
        items: number of items that can be found.
        findings: what was wrong; nothing, one hopes.
        gone: number of items whose file is not there now: the next update takes them out, unless a disk is missing.
        changed: number of items whose file is another one now: the next update encodes them again.
    """

    items: int
    findings: tuple[Finding, ...]
    gone: int
    changed: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, or all of it was mended."""
        return all(finding.mended for finding in self.findings)


class Verifier:
    """Checks one collection.

    Args:
        folder: of the collection.
        connection: to its items; that of the writer if `repair`.
        thumbnails: in it.
        fingerprint: of the model in it, found out by loading it; raises if that cannot be done.
        repair: whether to write.
    """

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        thumbnails: Thumbnails,
        fingerprint: Callable[[], str],
        *,
        repair: bool,
    ) -> None:
        self._folder, self._connection, self._thumbnails = folder, connection, thumbnails
        self._fingerprint, self._repair = fingerprint, repair
        self._meta: Meta = _items.get_meta(connection, folder / _items.DATABASE)
        self._codes = _published.codes_file(folder, self._meta.bits)
        self._findings: list[Finding] = []

    def run(self) -> Verification:
        """Check all parts, in an order by which one that is repaired serves to repair the next."""
        self._check_database()
        self._check_codes()
        self._check_counts()
        self._check_features()
        self._check_clusters()
        self._check_thumbnails()
        self._check_model()
        gone, changed = self._look_at_files()
        (items,) = self._connection.execute("SELECT count(*) FROM items WHERE removed_in IS NULL").fetchone()
        return Verification(items, tuple(self._findings), gone, changed)

    def _tell(self, part: str, problem: str, mended: bool | None = None) -> None:
        self._findings.append(Finding(part, problem, self._repair if mended is None else mended))

    def _check_database(self) -> None:
        """The pages of items.sqlite, and its indexes, which can be made again from the rows."""
        wrong = self._integrity()
        if not wrong:
            return
        mended = False
        if self._repair:
            with suppress(sqlite3.Error):
                self._connection.execute("REINDEX")
                mended = not self._integrity()
        self._tell(
            "items",
            f"items.sqlite is damaged: {wrong}. "
            + ("its indexes were made again" if mended else "index the images into a new folder"),
            mended,
        )

    def _integrity(self) -> str:
        try:
            lines = [line for (line,) in self._connection.execute("PRAGMA integrity_check(5)")]
        except sqlite3.Error as error:
            return str(error)
        return "" if lines == ["ok"] else "; ".join(lines)

    def _check_codes(self) -> None:
        """Rows against their checksums and against the file of codes."""
        size = _items.next_id(self._connection, self._meta.size)
        counts = Counter[str]()
        for first, chunk in self._chunks("id, code, crc", "(removed_in IS NULL OR hash NOT NULL)"):
            counts += self._check_some(first, chunk)
        if counts["row"]:
            self._tell("items", f"the codes of {counts['row']} items did not fit their checksums; codes.bin has them")
        if counts["lost"]:
            self._tell("items", f"the codes of {counts['lost']} items are lost; the next update encodes them again")
        if counts["file"]:
            self._tell(
                "codes", f"codes.bin lacked or garbled the codes of {counts['file']} items; items.sqlite has them"
            )
        if self._repair and _published.mend_words(self._connection, self._codes, size, everything=True):
            self._renew()
        self._check_length(size)

    def _check_some(self, first: int, chunk: list[tuple[int, bytes, int]]) -> Counter[str]:
        """How many codes are wrong in their row, in the file, or in both, of a block of ids from `first` on."""
        row = self._codes.row
        raw = self._codes.read(first, first + _AT_ONCE)
        counts = Counter[str]()
        mended, lost = [], []
        for id, code, crc in chunk:
            stored = raw[(id - first) * row : (id - first + 1) * row]
            sound = len(code) == row and checksum(code) == crc
            if sound and code == stored:
                continue
            if sound:
                counts["file"] += 1
            elif len(stored) == row and (checksum(stored) == crc or stored == code):
                mended.append((stored, checksum(stored), id))
            else:
                lost.append((self._meta.generation, id))
        if self._repair and (mended or lost):
            with transaction(self._connection):
                self._connection.executemany("UPDATE items SET code = ?, crc = ? WHERE id = ?", mended)
                # Taken out of the update that is published already, so that no reader finds them again.
                self._connection.executemany("UPDATE items SET hash = NULL, removed_in = ? WHERE id = ?", lost)
        return counts + Counter(row=len(mended), lost=len(lost))

    def _check_length(self, size: int) -> None:
        there = self._codes.file.stat().st_size if self._codes.file.exists() else 0
        if there > size * self._codes.row:
            self._tell(
                "codes", f"codes.bin is {there - size * self._codes.row} bytes too long: a killed update left them"
            )
            if self._repair:
                os.truncate(self._codes.file, size * self._codes.row)

    def _check_counts(self) -> None:
        """The small tables that spare reading all rows on opening."""
        size, there = self._meta.size, f"(removed_in IS NULL OR removed_in > {self._meta.generation})"
        gone = np.ones(-(-size // BLOCK) * BLOCK, np.uint8)
        gone[size:] = 0
        for _, chunk in self._chunks("id", there):
            gone[[id for (id,) in chunk if id < size]] = 0
        mask = np.packbits(gone, bitorder="little")
        alive = size - int(gone.sum())
        counted = self._connection.execute(
            f"SELECT label, count(*) FROM items WHERE {there} AND label NOT NULL AND id < ? GROUP BY label",
            (size,),
        )
        labels = dict(counted)
        known = dict(self._connection.execute("SELECT label, items FROM labels"))
        same = np.array_equal(mask, _published.read_gone(self._connection, size))
        if same and alive == self._meta.items and labels == known:
            return
        self._tell("items", "the counts of items and labels were not those of the rows")
        if self._repair:
            with transaction(self._connection):
                self._connection.execute("DELETE FROM gone")
                blocks = mask.reshape(-1, BLOCK // 8)
                filled = ((i, block.tobytes()) for i, block in enumerate(blocks) if block.any())
                self._connection.executemany("INSERT INTO gone VALUES (?, ?)", filled)
                self._connection.execute("DELETE FROM labels")
                self._connection.executemany("INSERT INTO labels VALUES (?, ?)", labels.items())
                self._meta = self._meta._replace(items=alive)
                self._renew()

    def _check_features(self) -> None:
        if not self._meta.dimensions:
            return
        file: ById = _published.features_file(self._folder, self._meta.dimensions)
        wrong: list[tuple[int]] = []
        for first, chunk in self._chunks("id, features_crc", "features_crc NOT NULL AND removed_in IS NULL"):
            raw = file.read(first, first + _AT_ONCE)
            for id, crc in chunk:
                row = raw[(id - first) * file.row : (id - first + 1) * file.row]
                if len(row) < file.row or checksum(row) != crc:
                    wrong.append((id,))
        if wrong:
            self._tell("features", f"the features of {len(wrong)} items are lost; the next update computes them again")
            if self._repair:
                with transaction(self._connection):
                    self._connection.executemany(
                        f"UPDATE items SET features_crc = NULL, mtime_ns = {AGAIN} WHERE id = ?", wrong
                    )
                file.grow(self._meta.size)

    def _check_clusters(self) -> None:
        folder = self._folder / _published.CLUSTERS
        if not folder.is_dir() or not self._meta.size:
            return
        published = _published.load(self._folder, self._connection)
        if HammingIndex(published.codes, gone=published.gone).load_clusters(folder, verify=True):
            return
        self._tell("clusters", "the clusters of the search are damaged, or of other codes; searches scan without them")
        if self._repair:
            index = HammingIndex(published.codes, gone=published.gone)
            index.build()
            index.save_clusters(folder)
            self._renew()

    def _renew(self) -> None:
        """Make what was repaired another update, so that readers that refresh take it over."""
        self._meta = self._meta._replace(generation=self._meta.generation + 1)
        _items.put_meta(self._connection, {"items": self._meta.items, "generation": self._meta.generation})

    def _check_thumbnails(self) -> None:
        if not self._meta.thumbnails:
            return
        try:
            stored = self._thumbnails.hashes()
        except RunError as error:  # nothing is repaired that may be sound
            self._tell("thumbnails", str(error), False)
            return
        if stored is None and self._thumbnails.file.exists():
            self._tell("thumbnails", "thumbnails.sqlite is damaged; they are made again")
            if self._repair:
                self._thumbnails.forget()
        known = {key for (key,) in self._connection.execute("SELECT hash FROM items WHERE hash NOT NULL")}
        if stored and (unused := stored - known):
            self._tell("thumbnails", f"{len(unused)} thumbnails are of no item")
            if self._repair:
                self._thumbnails.delete(unused)
        missing = known - (stored or set())
        if stored is not None and missing:
            self._tell("thumbnails", f"the thumbnails of {len(missing)} images are lost; they are made from the images")
        if self._repair:
            self._make_thumbnails(missing)

    def _make_thumbnails(self, missing: set[bytes]) -> None:
        made: list[tuple[bytes, bytes]] = []
        for path, (key, size, mtime_ns) in self._files("hash, size, mtime_ns"):
            with suppress(OSError, BitseekError):
                status = os.stat(path)  # noqa: PTH116
                if key in missing and stamp(status) == (size, mtime_ns):
                    made.append((key, thumbnail_of(decode(path, min_side=SIDE))))
                    missing.discard(key)
            if len(made) >= 256:
                self._thumbnails.put(made)
                made = []
        self._thumbnails.put(made)

    def _check_model(self) -> None:
        try:
            found = self._fingerprint()
        except BitseekError as error:
            self._tell("model", f"the model cannot be loaded: {error}", False)
            return
        if found != self._meta.fingerprint:
            self._tell("model", f"the model is {found}, the codes were made by {self._meta.fingerprint}", False)

    def _look_at_files(self) -> tuple[int, int]:
        """How many items have no file any more, and how many another one."""
        gone = changed = 0
        for path, (size, mtime_ns) in self._files("size, mtime_ns"):
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:
                gone += 1
            else:
                changed += mtime_ns != AGAIN and stamp(status) != (size, mtime_ns)
        return gone, changed

    def _files(self, columns: str) -> Iterator[tuple[bytes, tuple[object, ...]]]:
        """Absolute paths of the items that were indexed, and more of each."""
        roots = {root.id: root for root in roots_of(self._connection, self._folder) if root.kind != "import"}
        for _, chunk in self._chunks(f"id, root, path, {columns}", "removed_in IS NULL AND path NOT NULL"):
            for _, number, path, *rest in chunk:
                if number in roots:
                    yield roots[number].file(path), tuple(rest)

    def _chunks(self, columns: str, where: str = "1") -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
        """Rows in blocks of ids, each with the first id of its block."""
        last = -1
        while rows := self._connection.execute(
            f"SELECT {columns} FROM items WHERE id > ? AND {where} ORDER BY id LIMIT {_AT_ONCE}", (last,)
        ).fetchall():
            last = rows[-1][0]
            for block, chunk in groupby(rows, lambda row: row[0] // _AT_ONCE):
                yield block * _AT_ONCE, list(chunk)
