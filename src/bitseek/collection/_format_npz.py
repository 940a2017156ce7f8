r"""The items of a collection as an .npz file, which NumPy reads at once and `Codes.load` takes for codes.

    words (n, words) uint64, bits      the codes, as `Codes.save` writes them
    ids, sizes, modified (n,) int64    modified: ns since 1970
    widths, heights (n,) int64         0 if unknown
    hashes (n, 16) uint8               zeros if unknown
    paths uint8                        each path as bytes and a NUL: `paths.tobytes().split(b"\0")[:-1]`
    labels (n,) int64                  number of the label, −1 for none
    label_names                        JSON list of the labels: `json.loads(label_names.item())`
    fingerprint                        text

`paths` may be text as well, one an item, as `bitseek encode` writes them. The columns are gathered in temporary files
beside the target, and read in parallel from the one file.
"""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from bitseek._files import names_in_npz
from bitseek.codes import Codes, words_per_code
from bitseek.collection._batch import HASH_BYTES, ROWS, Batch, Source

_NUMBERS = ("ids", "widths", "heights", "sizes", "modified")
_LONGEST_PATH = 1 << 16
_MOST_NAMES = 1 << 28
_UNKNOWN = bytes(HASH_BYTES)


def is_ours(path: Path) -> bool:
    """Whether its arrays are those that `write` writes."""
    ours = {"words", "bits", "hashes", "paths", "labels", "label_names", "fingerprint", *_NUMBERS}
    return names_in_npz(path) == ours


def write(path: Path, batches: Iterable[Batch], bits: int, fingerprint: str) -> None:
    """Write items as columns."""
    width = words_per_code(bits)
    columns: dict[str, tuple[str, tuple[int, ...]]] = {name: ("<i8", ()) for name in (*_NUMBERS, "labels")}
    columns |= {"words": ("<u8", (width,)), "hashes": ("|u1", (HASH_BYTES,)), "paths": ("|u1", ())}
    numbers: dict[str, int] = {}
    with ExitStack() as stack:
        kept = {name: stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) for name in columns}
        for batch in batches:
            for name in _NUMBERS:
                kept[name].write(getattr(batch, name).astype("<i8").tobytes())
            kept["words"].write(batch.codes.words.astype("<u8").tobytes())
            kept["hashes"].write(b"".join(value or _UNKNOWN for value in batch.hashes))
            kept["paths"].write(b"".join((value or b"") + b"\0" for value in batch.paths))
            known = [-1 if label is None else numbers.setdefault(label, len(numbers)) for label in batch.labels]
            kept["labels"].write(np.array(known, "<i8").tobytes())
        with zipfile.ZipFile(path, "w") as archive:
            for name, (dtype, shape) in columns.items():
                row = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
                header = {"descr": dtype, "fortran_order": False, "shape": (kept[name].tell() // row, *shape)}
                kept[name].seek(0)
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                    np.lib.format.write_array_header_1_0(file, header)
                    shutil.copyfileobj(kept[name], file, 1 << 20)
            single = {"bits": np.int64(bits), "fingerprint": fingerprint, "label_names": json.dumps(list(numbers))}
            for name, value in single.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asanyarray(value), allow_pickle=False)


@contextmanager
def read(path: Path, bits: int | None) -> Iterator[Source]:
    """Open a file of `write` or of `Codes.save`; only the codes must be there."""
    with zipfile.ZipFile(path) as archive, ExitStack() as stack:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        if not {"words", "bits"} <= names:
            raise ValueError(f"it holds {', '.join(sorted(names)) or 'nothing'} instead of words and bits")
        length = int(_single(archive, "bits"))
        columns = {
            name: stack.enter_context(_Column(archive, name))
            for name in (*_NUMBERS, "words", "hashes", "paths", "labels")
            if name in names
        }
        size = columns["words"].shape[0]
        for name, column in columns.items():
            wanted = {"words": (size, words_per_code(length)), "hashes": (size, HASH_BYTES)}.get(name, (size,))
            kind = {"words": "u8", "hashes": "u1", "paths": "u1"}.get(name, "i8")
            is_text = name == "paths" and column.dtype.kind == "U"
            has_shape = column.shape == wanted or (name == "paths" and not is_text and len(column.shape) == 1)
            if not has_shape or (column.dtype.str[1:] != kind and not is_text):
                raise ValueError(f"{name} are {column.shape} {column.dtype}")
        label_names = json.loads(str(_single(archive, "label_names"))) if "label_names" in names else []
        fingerprint = str(_single(archive, "fingerprint")) if "fingerprint" in names else None
        yield Source(length, fingerprint, size, _batches(columns, size, length, label_names))


def _batches(columns: "dict[str, _Column]", size: int, bits: int, label_names: list[str]) -> Iterator[Batch]:
    for start in range(0, size, ROWS):
        n = min(ROWS, size - start)
        numbers = {name: columns[name].rows(n) for name in _NUMBERS if name in columns}
        labels = columns["labels"].rows(n).tolist() if "labels" in columns else [-1] * n
        if not all(-1 <= label < len(label_names) for label in labels):
            raise ValueError("labels are not the numbers of label_names")
        hashes = columns["hashes"].rows(n) if "hashes" in columns else np.zeros((n, HASH_BYTES), np.uint8)
        yield Batch(
            codes=Codes(columns["words"].rows(n), bits),
            paths=columns["paths"].texts(n) if "paths" in columns else [None] * n,
            labels=[None if label < 0 else label_names[label] for label in labels],
            hashes=[None if (value := row.tobytes()) == _UNKNOWN else value for row in hashes],
            **({name: np.zeros(n, np.int64) for name in _NUMBERS} | {"ids": np.arange(start, start + n)} | numbers),
        )


class _Column:
    """One array of an .npz file, read from its first row on."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.name = name
        self._file: IO[bytes] = archive.open(f"{name}.npy")
        version = np.lib.format.read_magic(self._file)
        headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in headers:
            raise ValueError(f"{name} has version {version} of NumPy's format")
        self.shape, fortran, self.dtype = headers[version](self._file)
        if self.dtype.hasobject or not self.shape or (fortran and len(self.shape) > 1):
            raise ValueError(f"{name} is not an array of numbers by rows")
        self._rest = b""

    def __enter__(self) -> "_Column":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def rows(self, count: int) -> np.ndarray:
        """The next rows, in this machine's order of bytes."""
        shape = (count, *self.shape[1:])
        wanted = self.dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        raw = self._file.read(wanted)
        if len(raw) < wanted:
            raise ValueError(f"{self.name} are cut off")
        return np.frombuffer(raw, self.dtype).reshape(shape).astype(self.dtype.newbyteorder("="), copy=False)

    def texts(self, count: int) -> list[bytes | None]:
        """The next texts, each of which ends in NUL, or fills its row; None where there is nothing."""
        if self.dtype.kind == "U":
            at_once = max(1, (1 << 22) // self.dtype.itemsize)
            parts = (self.rows(min(at_once, count - start)).tolist() for start in range(0, count, at_once))
            return [os.fsencode(text) or None for part in parts for text in part]
        while (found := self._rest.count(b"\0")) < count:
            more = self._file.read(1 << 20)
            if not more or len(self._rest) > (found + 1) * _LONGEST_PATH + (1 << 20):
                raise ValueError(f"there are fewer {self.name} than codes, or one is very long")
            self._rest += more
        *texts, self._rest = self._rest.split(b"\0", count)
        return [text or None for text in texts]


def _single(archive: zipfile.ZipFile, name: str) -> Any:
    """The value of an array of one."""
    if archive.getinfo(f"{name}.npy").file_size > _MOST_NAMES:
        raise ValueError(f"{name} is too large")
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False).item()
