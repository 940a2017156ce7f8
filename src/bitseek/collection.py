"""A collection: a folder on disk with the items and the codes of somebody's images.

`items.sqlite` holds one row an item: its path, size and time of change, and its code. A batch is added in one
transaction, so a kill loses nothing that was reported as added. The index is derived: made from the codes when the
collection is opened.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bitseek.codes import Codes, words_per_code
from bitseek.errors import CodeWidthError, RunError
from bitseek.index import HammingIndex

DATABASE = "items.sqlite"
FORMAT = "1"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE items (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    code BLOB NOT NULL
);
"""


@dataclass(frozen=True)
class Hit:
    """One item that a search found: its path, its Hamming distance in bits, and its code in hexadecimal digits."""

    path: str
    distance: int
    code: str


class Collection:
    """Items and their codes.

    Use `Collection.create` for a new one and `Collection.open` for one that is there; both work in a `with`.

    Attributes:
        folder: where it lies.
        bits: length of its codes.
        model: run folder of the hasher that made the codes.
        fingerprint: of that hasher.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        if meta.get("format") != FORMAT:
            raise RunError(f"{folder} is a collection of format {meta.get('format')}; this bitseek reads {FORMAT}")
        self.bits = int(meta["bits"])
        self.model = meta["model"]
        self.fingerprint = meta["fingerprint"]

    @classmethod
    def create(cls, folder: str | Path, *, bits: int, model: str, fingerprint: str) -> "Collection":
        """Make an empty collection.

        Raises:
            RunError: the folder holds something already, or cannot be made.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} exists and is not a collection; give another folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(folder / DATABASE)
            with connection:
                connection.executescript("BEGIN;" + _SCHEMA)
                meta = {"format": FORMAT, "bits": str(bits), "model": model, "fingerprint": fingerprint}
                connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        except (OSError, sqlite3.Error) as error:
            raise RunError(f"cannot make the collection {folder}: {error}") from error
        return cls(folder, connection)

    @classmethod
    def open(cls, folder: str | Path) -> "Collection":
        """Open a collection.

        Raises:
            RunError: there is none, or it is damaged.
        """
        folder = Path(folder)
        if not (folder / DATABASE).is_file():
            raise RunError(f"{folder} is not a collection; make one with: bitseek index {folder} FOLDER --model RUN")
        try:
            return cls(folder, sqlite3.connect(folder / DATABASE))
        except (sqlite3.Error, KeyError, ValueError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"the collection {folder} is damaged: {error}") from error

    def __enter__(self) -> "Collection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._connection.close()

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM items").fetchone()[0])

    def check_model(self, fingerprint: str) -> None:
        """Refuse codes of another model than that of this collection.

        Raises:
            CodeWidthError: they cannot be compared.
        """
        if fingerprint != self.fingerprint:
            raise CodeWidthError(
                f"the codes in {self.folder} were made by model {self.fingerprint} ({self.model}), not by "
                f"{fingerprint}; use that model, or make a new collection"
            )

    def unchanged(self, files: Mapping[str, tuple[int, int]]) -> set[str]:
        """Which of some files are in the collection with the same size and time of change.

        Args:
            files: (size in bytes, time of change in ns) by path.
        """
        stored = {path: (size, time) for path, size, time in self._connection.execute(
            "SELECT path, size, mtime_ns FROM items"
        )}  # fmt: skip
        return {path for path, stamp in files.items() if stored.get(path) == stamp}

    def add(self, paths: Sequence[str], stamps: Sequence[tuple[int, int]], codes: Codes) -> None:
        """Add items, or put new codes in the place of those with the same path; all of them or, if killed, none.

        Args:
            paths: of the items.
            stamps: size and time of change of each.
            codes: of the items, from the collection's model.
        """
        if codes.bits != self.bits:
            raise CodeWidthError(f"this collection holds codes of {self.bits} bits, got {codes.bits}")
        blobs = (row.astype("<u8").tobytes() for row in codes.words)
        rows = [(p, *stamp, blob) for p, stamp, blob in zip(paths, stamps, blobs, strict=True)]
        with self._connection:
            self._connection.executemany(
                "INSERT INTO items (path, size, mtime_ns, code) VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE "
                "SET size = excluded.size, mtime_ns = excluded.mtime_ns, code = excluded.code",
                rows,
            )
        self._forget()

    def remove(self, paths: Iterable[str]) -> int:
        """Take items out; their files are not touched.

        Returns:
            how many were there.
        """
        with self._connection:
            before = self._connection.total_changes
            self._connection.executemany("DELETE FROM items WHERE path = ?", ((path,) for path in paths))
            removed = self._connection.total_changes - before
        self._forget()
        return removed

    @cached_property
    def paths(self) -> list[str]:
        """Path of each item, in the order of the codes."""
        return [row[0] for row in self._connection.execute("SELECT path FROM items ORDER BY id")]

    @cached_property
    def codes(self) -> Codes:
        """Code of each item."""
        blobs = b"".join(row[0] for row in self._connection.execute("SELECT code FROM items ORDER BY id"))
        words = np.frombuffer(blobs, "<u8").astype(np.uint64, copy=False)
        return Codes(words.reshape(-1, words_per_code(self.bits)), self.bits)

    @cached_property
    def index(self) -> HammingIndex:
        """Search over `codes`."""
        return HammingIndex(self.codes)

    def search(self, queries: Codes, k: int = 10) -> list[list[Hit]]:
        """The k nearest items of each query, by (distance, place in the collection); fewer if there are fewer."""
        if queries.bits != self.bits:
            raise CodeWidthError(
                f"this collection holds codes of {self.bits} bits (model {self.fingerprint}), the query has "
                f"{queries.bits}; encode it with the same model"
            )
        hits = self.index.nearest(queries, k)
        found = []
        for ids, distances in zip(hits.ids, hits.distances, strict=True):
            codes = self.codes[ids].hex()
            found.append([
                Hit(self.paths[i], int(d), code) for i, d, code in zip(ids, distances, codes, strict=True)
            ])  # fmt: skip
        return found

    def _forget(self) -> None:
        for name in ("paths", "codes", "index"):
            self.__dict__.pop(name, None)
