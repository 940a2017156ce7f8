"""Codes to and from the files that other programs read and write.

    faiss          an `IndexBinaryFlat` as `faiss.write_index_binary` writes it; faiss itself is not needed
    packed-little  .npy, (n, ceil(bits / 8)) uint8, as `np.packbits(bits, axis=1, bitorder="little")`; faiss's own order
    packed-big     the same with `bitorder="big"`, NumPy's default
    signs          .npy, (n, bits) int8 of −1 and +1
    hex            text, one code a line, the first bit being the highest of the first digit

Bytes hold multiples of eight bits, so for another number of bits say `bits` when reading; what is beyond must be zero.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np

from bitseek.atomic import atomic
from bitseek.codes import Codes
from bitseek.errors import BitseekError, ShapeError

_FLAT, _ID_MAPS = b"IBxF", (b"IBMp", b"IBM2")
_HEADER = struct.Struct("<iiqBi")
"""Dimension in bits, bytes a code, number of codes, whether it is trained, and the metric."""


def write(codes: Codes, path: str | os.PathLike[str], form: str) -> None:
    """Write codes to a file in a form that others read; atomically.

    Raises:
        BitseekError: no such form, or the file cannot be written.
    """
    chosen = _chosen(form)
    with atomic(path) as part:
        chosen.write(codes, part)


def read(path: str | os.PathLike[str], form: str, bits: int | None = None) -> Codes:
    """Read codes from a file that others wrote. Nothing in it is executed.

    Args:
        path: the file.
        form: what is in it.
        bits: length of a code; all that the file holds if None.

    Raises:
        BitseekError: no such form or file, or something else is in it.
    """
    chosen = _chosen(form)
    try:
        return chosen.read(Path(path), bits)
    except FileNotFoundError as error:
        raise BitseekError(f"there is no file {os.fspath(path)}") from error
    except (OSError, ValueError, EOFError, struct.error) as error:
        raise BitseekError(f"{os.fspath(path)} cannot be read as {form}: {error}") from error


def _write_faiss(codes: Codes, path: Path) -> None:
    packed = codes.to_packed("little")
    width = packed.shape[1]
    with path.open("wb") as file:
        file.write(_FLAT)
        file.write(_HEADER.pack(8 * width, width, len(codes), 1, 1))
        file.write(struct.pack("<Q", packed.size))
        file.write(packed.data)


def _read_faiss(path: Path, bits: int | None) -> Codes:
    with path.open("rb") as file:
        magic = file.read(4)
        mapped = magic in _ID_MAPS
        if mapped:
            _HEADER.unpack(file.read(_HEADER.size))
            magic = file.read(4)
        if magic != _FLAT:
            raise ShapeError(
                f"it is a faiss index of type {magic!r}, not an IndexBinaryFlat (perhaps in an IndexBinaryIDMap); "
                "take the codes out of it with faiss: faiss.vector_to_array(index.xb)"
            )
        dimension, width, count, _, _ = _HEADER.unpack(file.read(_HEADER.size))
        packed = _vector(file, np.uint8)
        if 8 * width != dimension or packed.size != count * width:
            raise ShapeError(f"{count} codes of {dimension} bits are announced, and {packed.size} bytes follow")
        packed = packed.reshape(count, width)
        if mapped:
            ids = _vector(file, np.int64)
            if not np.array_equal(np.sort(ids), np.arange(count)):
                raise ShapeError("its ids are not 0 to n - 1, and codes have no others: an item's id is its place")
            packed = packed[np.argsort(ids)]
    return _unpacked(packed, bits, "little")


def _vector(file: BinaryIO, dtype: type) -> np.ndarray:
    """A std::vector as faiss writes it: the number of its elements, and these."""
    (count,) = struct.unpack("<Q", file.read(8))
    size = count * np.dtype(dtype).itemsize
    if size > os.fstat(file.fileno()).st_size - file.tell():
        raise ShapeError("the file is cut off")
    return np.frombuffer(file.read(size), dtype)


def _unpacked(packed: np.ndarray, bits: int | None, order: Literal["little", "big"]) -> Codes:
    if packed.ndim != 2 or packed.dtype != np.uint8:
        raise ShapeError(f"packed bits are (n, bytes) uint8, this is {packed.shape} {packed.dtype}")
    return Codes.from_packed(packed, 8 * packed.shape[1] if bits is None else bits, order)


def _write_array(array: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _read_array(path: Path) -> np.ndarray:
    array: np.ndarray = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ShapeError("it holds several arrays, not one")
    return array


def _read_signs(path: Path, bits: int | None) -> Codes:
    codes = Codes.from_bits(_read_array(path))
    if bits is not None and codes.bits != bits:
        raise ShapeError(f"it holds codes of {codes.bits} bits, not {bits}")
    return codes


def _write_hex(codes: Codes, path: Path) -> None:
    path.write_text("".join(f"{line}\n" for line in codes.hex()), encoding="ascii")


def _read_hex(path: Path, bits: int | None) -> Codes:
    lines = path.read_text(encoding="ascii").split()
    if not lines and bits is None:
        raise ShapeError("it is empty; say how many bits its codes have")
    return Codes.from_hex(lines, bits)


class _Files(NamedTuple):
    write: Callable[[Codes, Path], None]
    read: Callable[[Path, int | None], Codes]


FORMS: dict[str, _Files] = {
    "faiss": _Files(_write_faiss, _read_faiss),
    "packed-little": _Files(
        lambda codes, path: _write_array(codes.to_packed("little"), path),
        lambda path, bits: _unpacked(_read_array(path), bits, "little"),
    ),
    "packed-big": _Files(
        lambda codes, path: _write_array(codes.to_packed("big"), path),
        lambda path, bits: _unpacked(_read_array(path), bits, "big"),
    ),
    "signs": _Files(lambda codes, path: _write_array(codes.to_signs(), path), _read_signs),
    "hex": _Files(_write_hex, _read_hex),
}
"""How each form is written and read."""


def _chosen(form: str) -> _Files:
    if form not in FORMS:
        raise BitseekError(f"codes cannot be exchanged as {form!r}; there are: {', '.join(FORMS)}")
    return FORMS[form]
