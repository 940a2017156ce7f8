"""Some items of a collection as columns: what the files of other programs are written from and read into."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from bitseek.codes import Codes
from bitseek.errors import ShapeError

ROWS = 1 << 16
"""Items of a batch that is read."""

HASH_BYTES = 16

Column = Int64[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Batch:
    """n items; what is not known of one is None, or 0.

    Attributes:
        ids: numbers of the items.
        codes: of the items.
        paths: of their files, as bytes, without NUL.
        labels: text.
        widths: of the images in pixels.
        heights: in pixels.
        sizes: of the files in bytes.
        modified: time of the last change of the files, in ns since 1970.
        hashes: of the contents, 16 bytes.

    Raises:
        ShapeError: the columns are not of one length.
    """

    ids: Column
    codes: Codes
    paths: list[bytes | None]
    labels: list[str | None]
    widths: Column
    heights: Column
    sizes: Column
    modified: Column
    hashes: list[bytes | None]

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in vars(self).items()}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"items have as many of each, got {lengths}")

    def __len__(self) -> int:
        return len(self.ids)


class Source(NamedTuple):
    """Items in a file.

    Attributes:
        bits: length of their codes.
        fingerprint: of the model that made the codes; None if the file does not say.
        size: number of items.
        batches: the items; read as they are taken.
    """

    bits: int
    fingerprint: str | None
    size: int
    batches: Iterator[Batch]


class Format(NamedTuple):
    """How files of one kind are written and read.

    Attributes:
        is_ours: whether a file is one that `write` wrote; may raise what reading a file raises.
        write: writes items to a file that is not there yet: path, batches, bits, fingerprint.
        read: opens a file for reading: path, and the length of a code for where the file does not say it.
    """

    is_ours: Callable[[Path], bool]
    write: Callable[[Path, Iterable[Batch], int, str], None]
    read: Callable[[Path, int | None], AbstractContextManager[Source]]
