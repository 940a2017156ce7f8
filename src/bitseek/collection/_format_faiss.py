"""A faiss index of the codes of a collection: an IndexBinaryIDMap over an IndexBinaryFlat, with the ids of the items.

faiss searches by itself and gives ids, by which a collection knows its items. The file keeps neither paths nor labels.
What faiss has no place for, the number of bits (faiss rounds it up to whole bytes), the fingerprint and the CRC-32 of
codes and ids, stands after the index, where faiss reads no more: a line of JSON, its CRC-32 and its length, each as 4
bytes, little-endian, and a mark. Where nothing follows the index, faiss itself wrote it. So bitseek knows a file of its
own by the mark, also if it is damaged or of an earlier form, or by the beginning of the line, if the end was cut off.
"""

import json
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bitseek.codes import Codes, find_codes, write_codes
from bitseek.collection._batch import ROWS, Batch, Source
from bitseek.errors import ShapeError

_START = b"IBMp"
"""Of codes with ids, as faiss names them."""
_MARK = b"bitseek\n"
_END = struct.Struct(f"<II{len(_MARK)}s")
_BEGIN = b'{"bits": '
_LONGEST = 4096


def is_ours(path: Path) -> bool:
    """Whether bitseek wrote it, sound or damaged; not so of one that was cut off before the last line.

    Raises:
        ShapeError: it is no such file.
    """
    with path.open("rb") as file:
        start, size = file.read(len(_START)), path.stat().st_size
        file.seek(max(0, size - _END.size))
        end = file.read()
        if end.endswith(_MARK):  # which alone may end a text, too
            line = size - _END.size - _END.unpack(end.rjust(_END.size, b"\0"))[1]
            file.seek(max(0, line))
            if start == _START or (line > 0 and file.read(len(_BEGIN)) == _BEGIN):
                return True
        file.seek(0)
        file.seek(find_codes(file).end)
        return file.read(len(_BEGIN)) == _BEGIN


def write(path: Path, batches: Iterable[Batch], bits: int, fingerprint: str) -> None:
    """Write the ids and codes of items."""
    sums = {"codes": 0, "ids": 0}
    with path.open("wb+") as file, tempfile.TemporaryFile(dir=path.parent) as kept:

        def codes() -> Iterator[np.ndarray]:
            for batch in batches:
                ids, packed = batch.ids.astype("<i8").tobytes(), batch.codes.to_packed("little")
                kept.write(ids)
                sums["codes"], sums["ids"] = zlib.crc32(packed.tobytes(), sums["codes"]), zlib.crc32(ids, sums["ids"])
                yield packed

        def ids() -> Iterator[np.ndarray]:
            kept.seek(0)
            while some := kept.read(8 * ROWS):
                yield np.frombuffer(some, "<i8").astype(np.int64)

        write_codes(file, -(-bits // 8), codes(), ids())
        line = json.dumps({"bits": bits, "fingerprint": fingerprint, "crc32": sums}).encode() + b"\n"
        file.write(line + _END.pack(zlib.crc32(line), len(line), _MARK))


@contextmanager
def read(path: Path, bits: int | None) -> Iterator[Source]:
    """Open an IndexBinaryFlat, or one in an IndexBinaryIDMap, of bitseek or another program.

    Raises:
        ShapeError: it is damaged; where only the checksums tell it, when the last batch was read.
    """
    with path.open("rb") as file:
        found = find_codes(file)
        last = _last_line(file, found.end)
        length = int(last.get("bits", 8 * found.width if bits is None else bits))
        if -(-length // 8) != found.width:
            length = 8 * found.width  # not what was asked for, which the caller tells

        def batches() -> Iterator[Batch]:
            sums = {"codes": 0, "ids": 0}
            for start in range(0, found.size, ROWS):
                stop = min(start + ROWS, found.size)
                packed, ids = found.codes(file, start, stop), found.ids(file, start, stop)
                sums["codes"] = zlib.crc32(packed.tobytes(), sums["codes"])
                sums["ids"] = zlib.crc32(ids.astype("<i8").tobytes(), sums["ids"])
                codes = Codes.from_packed(packed, length, "little")
                none, zero = [None] * (stop - start), np.zeros(stop - start, np.int64)
                yield Batch(ids, codes, list(none), list(none), zero, zero, zero, zero, list(none))
            if last and last["crc32"] != sums:
                raise ShapeError("its codes or ids are not as they were written; take another copy, or export again")

        fingerprint = last.get("fingerprint")
        yield Source(length, None if fingerprint is None else str(fingerprint), found.size, batches())


def _last_line(file: BinaryIO, end: int) -> dict[str, Any]:
    """What bitseek wrote after the index; nothing if nothing is there.

    Raises:
        ShapeError: it is something else, or damaged.
    """
    file.seek(end)
    rest = file.read(_LONGEST)
    if not rest:
        return {}
    line, tail = rest[: -_END.size], rest[-_END.size :]
    if len(tail) < _END.size or _END.unpack(tail) != (zlib.crc32(line), len(line), _MARK):
        raise ShapeError(
            "what follows the index of faiss is cut off or damaged, and so may be the codes; take another copy, or "
            "export again"
        )
    found: dict[str, Any] = json.loads(line)
    return found
