"""faiss's own file of binary codes, as `faiss.write_index_binary` writes it, read and written in pieces.

An IndexBinaryFlat, alone or in an IndexBinaryIDMap, which gives each code an id. faiss stops reading where the index
ends, so a file may hold more after it.
"""

import os
import struct
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from bitseek.errors import ShapeError

Packed = UInt8[np.ndarray, "n bytes"]
Ids = Int64[np.ndarray, " n"]

_FLAT, _ID_MAPS = b"IBxF", (b"IBMp", b"IBM2")
_HEADER = struct.Struct("<iiqBi")
"""Dimension in bits, bytes a code, number of codes, whether it is trained, and the metric."""

_COUNT = struct.Struct("<Q")


class FaissFile(NamedTuple):
    """Where what lies in a file of faiss.

    Attributes:
        width: bytes of a code, little-endian.
        size: number of codes.
        codes_at: where the first code begins.
        ids_at: where the first id begins; None if there are none, and a code's id is its place.
        end: where the index ends.
    """

    width: int
    size: int
    codes_at: int
    ids_at: int | None
    end: int

    def codes(self, file: BinaryIO, start: int, stop: int) -> Packed:
        """The codes of some places."""
        file.seek(self.codes_at + start * self.width)
        return np.frombuffer(_read(file, (stop - start) * self.width), np.uint8).reshape(stop - start, self.width)

    def ids(self, file: BinaryIO, start: int, stop: int) -> Ids:
        """The ids of some places."""
        if self.ids_at is None:
            return np.arange(start, stop)
        file.seek(self.ids_at + 8 * start)
        return np.frombuffer(_read(file, 8 * (stop - start)), "<i8").astype(np.int64)


def find_codes(file: BinaryIO) -> FaissFile:
    """Where the codes are in a file, which is read from its beginning.

    Raises:
        ShapeError: it is another index, or cut off.
    """
    magic = file.read(4)
    mapped = magic in _ID_MAPS
    if mapped:
        _HEADER.unpack(_read(file, _HEADER.size))
        magic = file.read(4)
    if magic != _FLAT:
        raise ShapeError(
            f"it is a faiss index of type {magic!r}, not an IndexBinaryFlat (perhaps in an IndexBinaryIDMap); "
            "take the codes out of it with faiss: faiss.vector_to_array(index.xb)"
        )
    dimension, width, count, _, _ = _HEADER.unpack(_read(file, _HEADER.size))
    size, codes_at = _vector(file, 1)
    if width < 1 or 8 * width != dimension or size != count * width:
        raise ShapeError(f"{count} codes of {dimension} bits are announced, and {size} bytes follow")
    if not mapped:
        return FaissFile(width, count, codes_at, None, file.tell())
    ids, ids_at = _vector(file, 8)
    if ids != count:
        raise ShapeError(f"there are {count} codes and {ids} ids")
    return FaissFile(width, count, codes_at, ids_at, file.tell())


def write_codes(file: BinaryIO, width: int, parts: Iterable[Packed], ids: Iterable[Ids] | None = None) -> None:
    """Write codes of `width` bytes, from the beginning of a file that can be read again; with ids, in an IDMap.

    The ids are asked for when all codes are written, as many in all.
    """
    count = 0
    begin = b"" if ids is None else _ID_MAPS[0] + bytes(_HEADER.size)
    file.write(begin + _FLAT + bytes(_HEADER.size + _COUNT.size))
    for part in parts:
        file.write(np.ascontiguousarray(part).data)
        count += len(part)
    if ids is not None:
        file.write(_COUNT.pack(count))
        for some in ids:
            file.write(some.astype("<i8").data)
    end = file.tell()
    header = _HEADER.pack(8 * width, width, count, 1, 1)
    file.seek(0)
    file.write(begin[:4] + header * bool(begin) + _FLAT + header + _COUNT.pack(count * width))
    file.seek(end)


def _vector(file: BinaryIO, item: int) -> tuple[int, int]:
    """Number of elements of a std::vector, and where they begin; the file is then at its end."""
    (count,) = _COUNT.unpack(_read(file, _COUNT.size))
    at = file.tell()
    if count * item > os.fstat(file.fileno()).st_size - at:
        raise ShapeError("the file is cut off")
    file.seek(at + count * item)
    return count, at


def _read(file: BinaryIO, size: int) -> bytes:
    found = file.read(size)
    if len(found) < size:
        raise ShapeError("the file is cut off")
    return found
