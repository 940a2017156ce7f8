"""A file of rows of one length by id: the codes of a collection, and its features.

The file is derived: what it lacks is written again from the items. It only ever grows, and rows that somebody may have
mapped into memory are never written again but with what they held, so readers need no lock.
"""

import os
from pathlib import Path

import numpy as np

from bitseek.collection._sentences import sentences


class ById:
    """The row of id i lies at i × its length.

    Args:
        file: which need not exist yet.
        dtype: of the numbers in a row, little-endian.
        columns: how many numbers a row has.
    """

    def __init__(self, file: Path, dtype: str, columns: int) -> None:
        self.file, self.dtype, self.columns = file, np.dtype(dtype), columns
        self.row = self.dtype.itemsize * columns
        """Length of a row in bytes."""

    def __len__(self) -> int:
        """Number of whole rows that are there, 0 if there is no file."""
        try:
            return self.file.stat().st_size // self.row
        except FileNotFoundError:
            return 0

    def write(self, first: int, rows: bytes) -> None:
        """Write rows from an id on, to the disk. Rows between the end and `first` become zeros.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        with sentences(self.file):
            handle = os.open(self.file, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            with os.fdopen(handle, "r+b", buffering=0) as file:
                file.seek(first * self.row)
                view = memoryview(rows)
                while view:
                    view = view[file.write(view) :]
                os.fsync(handle)

    def grow(self, rows: int) -> None:
        """Make the file at least so many rows long; those that are new are zeros, and take no room on most disks."""
        if len(self) < rows:
            with sentences(self.file), self.file.open("ab") as file:
                file.truncate(rows * self.row)

    def read(self, start: int, stop: int) -> bytes:
        """Rows of some ids; fewer if the file ends before."""
        with sentences(self.file):
            try:
                with self.file.open("rb") as file:
                    file.seek(start * self.row)
                    return file.read((stop - start) * self.row)
            except FileNotFoundError:
                return b""

    def map(self, rows: int) -> np.ndarray:
        """The first rows, (rows, columns), memory-mapped and read-only. The file must have as many."""
        if not rows:
            return np.zeros((0, self.columns), self.dtype)
        with sentences(self.file):
            mapped = np.memmap(self.file, self.dtype, "r", shape=(rows, self.columns))
        return mapped.view(np.ndarray)
