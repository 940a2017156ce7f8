"""A collection as of one published update: what searches look at, never changed, so that they need no lock."""

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol, SupportsIndex, runtime_checkable

import numpy as np
from jaxtyping import Int64

from bitseek.codes import Codes, words_per_code
from bitseek.collection._by_id import ById
from bitseek.collection._items import BLOCK_BYTES, DATABASE, Meta, checksum, get_meta
from bitseek.collection._labels import no_such_label
from bitseek.errors import ShapeError
from bitseek.index import HammingIndex, Hits, RaggedHits

CLUSTERS = "clusters"

_BALANCED = 1_000_000
_AT_ONCE = 1 << 16
_LABELS = 32
"""Labels whose codes are kept together for the next search; the least recent ones are dropped."""


@runtime_checkable
class Search(Protocol):
    """What a collection needs of the search over its codes: a `HammingIndex`, or an engine."""

    def nearest(self, codes: Codes, k: SupportsIndex = 10) -> Hits:
        """The k nearest items of each query."""

    def within(self, codes: Codes, radius: SupportsIndex) -> RaggedHits:
        """All items within a radius of each query."""

    def close(self) -> None:
        """Let go of the codes."""


MakeSearch = Callable[[Path, Codes, Int64[np.ndarray, " gone"] | None], Search]
"""Makes the search of a collection: of its folder, the codes of all ids, and the ids that cannot be found."""


class Published:
    """The codes of one update, and what is found in them.

    Attributes:
        meta: what was recorded of it.
        codes: of all ids that were given, also of those that are gone.
        labels: how many items have each label, by label.
    """

    def __init__(
        self,
        folder: Path,
        meta: Meta,
        words: np.ndarray,
        features: np.ndarray | None,
        gone: np.ndarray,
        labels: dict[str, int],
        make_search: MakeSearch | None = None,
    ) -> None:
        self.meta = meta
        self.labels = labels
        self.codes = _codes(words.astype(np.uint64, copy=False), meta.bits)
        self.features = features
        self._gone = gone
        self._folder = folder
        self._make_search = make_search
        self._labelled: OrderedDict[str, tuple[Int64[np.ndarray, " n"], HammingIndex]] = OrderedDict()
        self._lock = threading.Lock()

    @cached_property
    def alive(self) -> Int64[np.ndarray, " items"]:
        """The ids that can be found, ascending."""
        gone = np.unpackbits(self._gone, bitorder="little", count=self.meta.size)
        return np.flatnonzero(gone == 0)

    @property
    def gone(self) -> Int64[np.ndarray, " gone"] | None:
        """The ids that cannot be found; None if there are none."""
        if self.meta.items == self.meta.size:
            return None
        return np.flatnonzero(np.unpackbits(self._gone, bitorder="little", count=self.meta.size))

    def is_alive(self, id: int) -> bool:
        """Whether an item can be found."""
        return not self._gone[id >> 3] >> (id & 7) & 1

    @cached_property
    def bit_balance(self) -> list[float]:
        """The share of ones of each bit, of all items, or of a million drawn from them; empty if there are none."""
        ids = self.page(0, None)
        if len(ids) > _BALANCED:
            ids = ids[np.sort(np.random.default_rng(0).integers(0, len(ids), _BALANCED))]
        ones = np.zeros(self.meta.bits)
        for start in range(0, len(ids), _AT_ONCE):
            ones += self.codes[ids[start : start + _AT_ONCE]].to_bits().sum(axis=0)
        return (ones / len(ids)).tolist() if len(ids) else []

    def page(self, start: int, limit: int | None) -> Int64[np.ndarray, " m"]:
        """Some of the ids that can be found."""
        if self.meta.items == self.meta.size:
            stop = self.meta.size if limit is None else min(self.meta.size, start + limit)
            return np.arange(start, max(start, stop))
        return self.alive[start : None if limit is None else start + limit]

    @property
    def index(self) -> Search:
        """The search over all items."""
        with self._lock:
            return self._index

    @cached_property
    def _index(self) -> Search:
        if self._make_search is not None:
            return self._make_search(self._folder, self.codes, self.gone)
        index = HammingIndex(self.codes, gone=self.gone)
        if (self._folder / CLUSTERS).is_dir():
            index.load_clusters(self._folder / CLUSTERS)
        return index

    def close(self) -> None:
        """Close the search, if there was one."""
        with self._lock:
            if "_index" in vars(self):
                self._index.close()

    def labelled(self, connection: sqlite3.Connection, label: str) -> tuple[Int64[np.ndarray, " n"], HammingIndex]:
        """The ids with a label, ascending, and a search over them; its ids are places among them.

        Raises:
            LabelError: no item has the label.
        """
        with self._lock:
            if label in self._labelled:
                self._labelled.move_to_end(label)
                return self._labelled[label]
        statement = "SELECT id FROM items WHERE label = ? AND id < ? ORDER BY id"
        rows = connection.execute(statement, (label, self.meta.size))
        ids = np.fromiter((id for (id,) in rows), np.int64)
        if self.meta.items < self.meta.size:
            ids = ids[(self._gone[ids >> 3] >> (ids & 7).astype(np.uint8)) & 1 == 0]
        if not len(ids):
            raise no_such_label(label, self.labels)
        found = ids, HammingIndex(self.codes[ids])
        with self._lock:
            self._labelled[label] = found
            while len(self._labelled) > _LABELS:
                self._labelled.popitem(last=False)
        return found


def load(folder: Path, connection: sqlite3.Connection, make_search: MakeSearch | None = None) -> Published:
    """The last published update, as a connection sees it at this moment.

    Args:
        folder: of the collection.
        connection: to its items.
        make_search: makes what its codes are searched by; None for a `HammingIndex`.

    Raises:
        RunError: the collection is damaged, or of another format.
    """
    meta = get_meta(connection, folder / DATABASE)
    words = read_words(connection, codes_file(folder, meta.bits), meta.size)
    features = None
    if meta.features and meta.dimensions:
        file = features_file(folder, meta.dimensions)
        features = file.map(meta.size) if len(file) >= meta.size else None
    labels = dict(connection.execute("SELECT label, items FROM labels ORDER BY label"))
    return Published(folder, meta, words, features, read_gone(connection, meta.size), labels, make_search)


def read_gone(connection: sqlite3.Connection, size: int) -> np.ndarray:
    """The mask of gone ids, one bit an id, the least significant first; uint8."""
    blocks = -(-size // (8 * BLOCK_BYTES))
    mask = np.zeros(blocks * BLOCK_BYTES, np.uint8)
    for block, part in connection.execute("SELECT block, mask FROM gone WHERE block < ?", (blocks,)):
        mask[block * BLOCK_BYTES :][:BLOCK_BYTES] = np.frombuffer(part, np.uint8)
    return mask


def codes_file(folder: Path, bits: int) -> ById:
    """Where the codes of a collection lie."""
    return ById(folder / "codes.bin", "<u8", words_per_code(bits))


def features_file(folder: Path, dimensions: int) -> ById:
    """Where the features of a collection lie, if it keeps them."""
    return ById(folder / "features.bin", "<f2", dimensions)


def read_words(connection: sqlite3.Connection, file: ById, size: int) -> np.ndarray:
    """The codes of all ids, (size, words): mapped, or from the items as far as the file lacks or garbles them."""
    there = min(len(file), size)
    tail = max(0, there - _LAST_PAGE // file.row)
    sound = tail + _sound_rows(connection, file, tail, there)
    if sound == size:
        return file.map(size)
    words = np.zeros((size, file.columns), file.dtype)
    words[:there] = file.map(there)
    for id, code in _sound_codes(connection, sound, size):
        words[id] = np.frombuffer(code, file.dtype)
    return words


def _codes(words: np.ndarray, bits: int) -> Codes:
    """Codes that can be searched, even of a file that is damaged where no one has looked: no bits above the last."""
    try:
        return Codes(words, bits)
    except ShapeError:
        words = np.array(words)
        words[:, -1] &= np.uint64((1 << bits % 64) - 1)
        return Codes(words, bits)


def _sound_codes(connection: sqlite3.Connection, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Ids and codes of the items from `start` on, but not of those that do not fit their checksum."""
    rows = connection.execute("SELECT id, code, crc FROM items WHERE id >= ? AND id < ? ORDER BY id", (start, stop))
    return ((id, code) for id, code, crc in rows if checksum(code) == crc)


_LAST_PAGE = 4096
"""Bytes at the end that are compared with the items on opening: what a power failure may have torn."""


def _sound_rows(connection: sqlite3.Connection, file: ById, start: int, stop: int) -> int:
    """How many rows from `start` on are as the items say, up to the first that is not."""
    raw = file.read(start, stop)
    for id, code in _sound_codes(connection, start, stop):
        if raw[(id - start) * file.row : (id - start + 1) * file.row] != code:
            return id - start
    return stop - start


def mend_words(connection: sqlite3.Connection, file: ById, size: int, *, everything: bool = False) -> int:
    """Write again what the file of codes lacks or garbles; how many codes. For the one writer.

    Args:
        connection: to the items.
        file: of the codes.
        size: number of ids.
        everything: whether to compare all codes; otherwise the end of the file.
    """
    there = min(len(file), size)
    mended = 0
    start = 0 if everything else max(0, there - _LAST_PAGE // file.row)
    for first in range(start, size, _AT_ONCE):
        last = min(first + _AT_ONCE, size)
        raw = bytearray(file.read(first, last))
        before = bytes(raw)
        raw.extend(bytes((last - first) * file.row - len(raw)))
        wrong = 0
        for id, code in _sound_codes(connection, first, last):
            place = slice((id - first) * file.row, (id - first + 1) * file.row)
            if before[place] != code:
                raw[place] = code
                wrong += 1
        if wrong or len(before) < len(raw):
            file.write(first, bytes(raw))
        mended += wrong
    return mended
