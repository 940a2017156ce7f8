"""A faiss index of the codes of a collection: an IndexBinaryIDMap over an IndexBinaryFlat, with the ids of the items.

faiss searches by itself and gives ids, by which a collection knows its items. The file keeps neither paths nor labels.
What faiss has no place for, the number of bits (faiss rounds it up to whole bytes) and the fingerprint, stands after
the index, where faiss reads no more: a line of JSON, its length as 8 bytes, and a mark.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bitseek.codes import Codes, find_codes, write_codes
from bitseek.collection._batch import ROWS, Batch, Source

_MARK = b"bitseek\n"
_LONGEST = 4096


def is_ours(path: Path) -> bool:
    """Whether it is such a file, with its last line."""
    with path.open("rb") as file:
        return _last_line(file, find_codes(file).end) is not None


def write(path: Path, batches: Iterable[Batch], bits: int, fingerprint: str) -> None:
    """Write the ids and codes of items."""
    with path.open("wb+") as file, tempfile.TemporaryFile(dir=path.parent) as kept:

        def codes() -> Iterator[np.ndarray]:
            for batch in batches:
                kept.write(batch.ids.astype("<i8").tobytes())
                yield batch.codes.to_packed("little")

        def ids() -> Iterator[np.ndarray]:
            kept.seek(0)
            while some := kept.read(8 * ROWS):
                yield np.frombuffer(some, "<i8").astype(np.int64)

        write_codes(file, -(-bits // 8), codes(), ids())
        line = json.dumps({"bits": bits, "fingerprint": fingerprint}).encode() + b"\n"
        file.write(line + len(line).to_bytes(8, "little") + _MARK)


@contextmanager
def read(path: Path, bits: int | None) -> Iterator[Source]:
    """Open an IndexBinaryFlat, or one in an IndexBinaryIDMap, of bitseek or another program."""
    with path.open("rb") as file:
        found = find_codes(file)
        last = _last_line(file, found.end) or {}
        length = int(last.get("bits", 8 * found.width if bits is None else bits))
        if -(-length // 8) != found.width:
            length = 8 * found.width  # not what was asked for, which the caller tells

        def batches() -> Iterator[Batch]:
            for start in range(0, found.size, ROWS):
                stop = min(start + ROWS, found.size)
                codes = Codes.from_packed(found.codes(file, start, stop), length, "little")
                none, zero = [None] * (stop - start), np.zeros(stop - start, np.int64)
                ids = found.ids(file, start, stop)
                yield Batch(ids, codes, list(none), list(none), zero, zero, zero, zero, list(none))

        fingerprint = last.get("fingerprint")
        yield Source(length, None if fingerprint is None else str(fingerprint), found.size, batches())


def _last_line(file: BinaryIO, end: int) -> dict[str, Any] | None:
    """What stands after the index; None if bitseek did not write it."""
    file.seek(end)
    rest = file.read(_LONGEST)
    if not rest.endswith(_MARK) or len(rest) < 8 + len(_MARK):
        return None
    line = rest[: -8 - len(_MARK)]
    if int.from_bytes(rest[-8 - len(_MARK) : -len(_MARK)], "little") != len(line):
        return None
    found = json.loads(line)
    return found if isinstance(found, dict) else None
