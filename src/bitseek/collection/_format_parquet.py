"""The items of a collection as a Parquet file: one row an item, for pandas, Polars, DuckDB and databases.

    id int64, path text, path_bytes binary, label text, width int32, height int32, size int64,
    modified timestamp (µs, UTC), hash binary (16), code binary (ceil(bits / 8), first bit lowest)

What is not known is null. A path that is not UTF-8 has marks in its text where bytes could not be read, and all of its
bytes in `path_bytes`, which is null for the others. The metadata of the schema have `bitseek.bits`,
`bitseek.fingerprint` and `bitseek.bit_order`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bitseek.codes import Codes
from bitseek.collection._batch import HASH_BYTES, ROWS, Batch, Source

_GROUP = 1 << 18


def is_ours(path: Path) -> bool:
    """Whether it has the metadata that `write` writes."""
    from pyarrow import parquet

    with path.open("rb") as file:  # pyarrow itself opens no file whose name is not UTF-8
        return b"bitseek.bits" in (parquet.read_schema(file).metadata or {})


def write(path: Path, batches: Iterable[Batch], bits: int, fingerprint: str) -> None:
    """Write items as rows."""
    import pyarrow as pa
    from pyarrow import parquet

    width = -(-bits // 8)
    columns = {
        "id": pa.int64(),
        "path": pa.string(),
        "path_bytes": pa.binary(),
        "label": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "size": pa.int64(),
        "modified": pa.timestamp("us", "UTC"),
        "hash": pa.binary(HASH_BYTES),
        "code": pa.binary(width),
    }
    metadata = {"bitseek.bits": str(bits), "bitseek.fingerprint": fingerprint, "bitseek.bit_order": "little"}
    schema = pa.schema(columns, metadata=metadata)
    with (
        path.open("wb") as file,
        parquet.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for batch in batches:
            texts = [None if value is None else value.decode("utf-8", "replace") for value in batch.paths]
            odd = [
                None if text is None or text.encode() == value else value
                for text, value in zip(texts, batch.paths, strict=True)
            ]
            code = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(width), len(batch), [None, pa.py_buffer(batch.codes.to_packed("little").tobytes())]
            )
            numbers = (batch.widths, batch.heights, batch.sizes, batch.modified // 1000)
            known = [pa.array(values, mask=values == 0) for values in numbers]
            arrays = [pa.array(batch.ids), texts, odd, batch.labels, *known, batch.hashes, code]
            values = [
                array.cast(kind) if isinstance(array, pa.Array) else pa.array(array, kind)
                for array, kind in zip(arrays, columns.values(), strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(values, schema=schema), row_group_size=_GROUP)


@contextmanager
def read(path: Path, bits: int | None) -> Iterator[Source]:
    """Open a file of `write`, or another one with a column `code` of binary values of one length."""
    import pyarrow as pa
    from pyarrow import parquet

    with path.open("rb") as opened, parquet.ParquetFile(opened, page_checksum_verification=True) as file:
        metadata = file.schema_arrow.metadata or {}
        names = [name for name in _READERS if name in file.schema_arrow.names]
        if "code" not in names:
            raise ValueError(f"it has the columns {', '.join(file.schema_arrow.names)}, but no 'code'")
        if metadata.get(b"bitseek.bit_order", b"little") != b"little":
            raise ValueError("the order of the bits in its codes is not 'little'")
        length = int(metadata[b"bitseek.bits"]) if b"bitseek.bits" in metadata else bits
        if length is None:
            kind = file.schema_arrow.field("code").type
            if not pa.types.is_fixed_size_binary(kind):
                raise ValueError("its column 'code' is not binary of one length, and it does not say how many bits")
            length = 8 * kind.byte_width
        fingerprint = metadata.get(b"bitseek.fingerprint")
        size = file.metadata.num_rows
        yield Source(length, None if fingerprint is None else fingerprint.decode(), size, _batches(file, names, length))


def _batches(file: Any, names: list[str], bits: int) -> Iterator[Batch]:
    start = 0
    for table in file.iter_batches(ROWS, columns=names):
        n = len(table)
        found = {name: _READERS[name](table.column(name)) for name in names}
        none, zero = [None] * n, np.zeros(n, np.int64)
        paths = [
            odd if odd is not None else None if text is None else text.encode()
            for text, odd in zip(found.get("path", none), found.get("path_bytes", none), strict=True)
        ]
        if any(path is not None and b"\0" in path for path in paths):
            raise ValueError("a path has a NUL")
        raw = found["code"]
        if any(value is None or len(value) != -(-bits // 8) for value in raw):
            raise ValueError(f"a code is not of {-(-bits // 8)} bytes")
        packed = np.frombuffer(b"".join(raw), np.uint8).reshape(n, -1) if n else np.zeros((0, -(-bits // 8)), np.uint8)
        yield Batch(
            ids=found.get("id", np.arange(start, start + n)),
            codes=Codes.from_packed(packed, bits, "little"),
            paths=paths,
            labels=found.get("label", list(none)),
            widths=found.get("width", zero),
            heights=found.get("height", zero),
            sizes=found.get("size", zero),
            modified=found.get("modified", zero),
            hashes=[value if value and len(value) == HASH_BYTES else None for value in found.get("hash", none)],
        )
        start += n


def _whole(column: Any) -> np.ndarray:
    """Whole numbers, 0 for null."""
    import pyarrow as pa

    if not pa.types.is_integer(column.type):
        raise ValueError(f"a column of whole numbers is {column.type}")
    return np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False))


def _times(column: Any) -> np.ndarray:
    """Times as ns since 1970 in whole µs, 0 for null."""
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        raise ValueError(f"a column of times is {column.type}")
    return 1000 * _whole(column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()))


def _texts(column: Any) -> list[str | None]:
    import pyarrow as pa

    found: list[str | None] = column.cast(pa.string()).to_pylist()
    return found


def _bytes(column: Any) -> list[bytes | None]:
    import pyarrow as pa

    found: list[bytes | None] = column.cast(pa.binary()).to_pylist()
    return found


_READERS: dict[str, Any] = {
    "id": _whole,
    "path": _texts,
    "path_bytes": _bytes,
    "label": _texts,
    "width": _whole,
    "height": _whole,
    "size": _whole,
    "modified": _times,
    "hash": _bytes,
    "code": _bytes,
}
