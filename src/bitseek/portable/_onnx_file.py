"""The ONNX files of bitseek: a graph, what is known of the model as metadata, and a digest of both at the end.

```
graph         squares (n, s, s, 3) uint8 → logits (n, bits) float32, features (n, D) float32
metadata      bitseek (version), bits, lengths, prefix_of, fingerprint, preprocess (JSON), config (JSON of the
              RunConfig, or null)
digest        of every byte before it
```
The digest is an entry of the metadata like the others, so that any tool reads the file. Protocol buffers that follow
on each other are one, and it is always written in the same number of bytes, so that it can be checked without parsing.
Metadata are written and taken away without the library `onnx`: who only runs models need not have it.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

import bitseek
from bitseek._files import FilePath, atomic, free_target, parse
from bitseek._values import Value
from bitseek.codes import prefix_fingerprint
from bitseek.errors import BitseekError, RunError
from bitseek.images import Preprocess, printable

SQUARES, LOGITS, FEATURES = "squares", "logits", "features"
"""Names of the input and of the outputs of the graph."""

MOST_BYTES = (1 << 31) - (1 << 20)
"""A protocol buffer holds 2 GiB; a little is left for what comes beside the weights."""

_METADATA = 14
"""Number of the field `metadata_props` of a model: pairs of a key (field 1) and a value (field 2)."""

_SIZED = 2
"""How a value is written: as its size and its bytes; the other fields of a model are numbers of 7 bits a byte."""

_WHAT = "an ONNX file of bitseek"


class Metadata(Value):
    """What is known of a model.

    Attributes:
        bits: length of its codes, K.
        lengths: at which the first bits are codes in their own right, ascending, where there are several.
        prefix_of: number of logits of the graph, where the codes are of the first `bits` of them only.
        fingerprint: see `bitseek.portable`.
        preprocess: from the pixels of an image to the square that it takes.
        config: JSON of the RunConfig of the training, without paths of the machine; None if it comes from none.
        bitseek: version that wrote the file.
    """

    bits: int = Field(ge=1)
    lengths: tuple[int, ...] = ()
    prefix_of: int | None = None
    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}(:[0-9]+)?\+(onnx|int8-[0-9a-f]{8})$")
    preprocess: Preprocess
    config: dict[str, Any] | None = None
    bitseek: str = bitseek.__version__

    def changed(self, **values: Any) -> "Metadata":
        """The same with other values."""
        return type(self)(**{**dict(self), **values})

    def prefix(self, bits: int) -> "Metadata":
        """What is known of the first bits of the model's codes."""
        lengths = tuple(length for length in self.lengths if length <= bits)
        whole = self.prefix_of or self.bits
        config = self.config and {**self.config, "bits": bits, "prefix_of": self.config.get("prefix_of") or whole}
        fingerprint = prefix_fingerprint(self.fingerprint, bits)
        return self.changed(bits=bits, lengths=lengths, prefix_of=whole, config=config, fingerprint=fingerprint)

    def to_text(self) -> dict[str, str]:
        """The entries of the file."""
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in self.model_dump(mode="json").items()}

    @classmethod
    def of_text(cls, entries: dict[str, str]) -> "Metadata":
        """Read from the entries of a file; others are passed over.

        Raises:
            BitseekError: an entry is absent or is not what it should be.
        """
        plain = ("fingerprint", "bitseek")
        values: dict[str, Any] = {}
        try:
            for name in cls.model_fields.keys() & entries.keys():
                values[name] = entries[name] if name in plain else json.loads(entries[name])
            return cls(**values)
        except ValueError as error:
            raise BitseekError(f"its metadata are damaged: {error}") from error


def write_onnx(path: FilePath, graph: bytes, metadata: Metadata) -> Path:
    """Write a model, atomically.

    Args:
        path: where nothing is, or a file of the same kind.
        graph: the serialised model, without metadata.
        metadata: of it.

    Raises:
        BitseekError: something else is there, or the file cannot be written.
    """
    target = free_onnx(path)
    content = graph + b"".join(_entry(key, value.encode()) for key, value in metadata.to_text().items())
    with atomic(target) as part:
        part.write_bytes(content + _DIGEST + _digest(content))
    return target


def graph_of(content: bytes) -> bytes:
    """The graph in such a file, as `write_onnx` takes it: the model without its metadata."""
    return b"".join(content[begin:end] for number, begin, _, end in _fields(content) if number != _METADATA)


def metadata_of(content: bytes) -> Metadata:
    """What such a file says of its model.

    Raises:
        BitseekError: an entry is absent or is not what it should be.
    """
    pairs = (content[value:end] for number, _, value, end in _fields(content) if number == _METADATA)
    try:
        entries = dict([pair[value:end].decode() for _, _, value, end in _fields(pair)] for pair in pairs)
    except (ValueError, IndexError) as error:
        raise BitseekError(f"its metadata are damaged: {error}") from error
    return Metadata.of_text(entries)


def read_onnx(path: FilePath) -> bytes:
    """The content of such a file, after its digest was checked; what it computes is not looked at.

    Raises:
        BitseekError: no such file, another one, or a damaged one.
    """
    content, name = parse(path, _WHAT, Path.read_bytes), printable(path)
    if content[-_SEAL:-32] != _DIGEST:
        raise RunError(f"{name} is not {_WHAT}, or its end is missing; make one with: bitseek export RUN model.onnx")
    if _digest(memoryview(content)[:-_SEAL]) != content[-32:]:
        raise RunError(f"{name} is damaged: its content is not what was written; copy it again, or export it again")
    return content


def digest_in(content: bytes) -> str:
    """The digest at the end of such a file: 32 hexadecimal digits."""
    return content[-32:].decode()


def free_onnx(path: FilePath) -> Path:
    """Where such a file may be written: where nothing is, or an intact one.

    Raises:
        BitseekError: something else is there, or no folder for it.
    """
    return free_target(path, _WHAT, _is_ours)


def _is_ours(path: Path) -> bool:
    try:
        return bool(read_onnx(path))
    except BitseekError:
        return False


def _entry(key: str, value: bytes) -> bytes:
    """One entry of the metadata, as a protocol buffer."""
    pair = _field(1, key.encode()) + _field(2, value)
    return _field(_METADATA, pair)


def _field(number: int, value: bytes) -> bytes:
    size, digits = len(value), b""
    while size > 127:
        digits, size = digits + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | _SIZED]) + digits + bytes([size]) + value


def _fields(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a protocol buffer: number, where it begins, where its value begins, where it ends."""
    begin = 0
    while begin < len(content):
        key, value = _number(content, begin)
        size, end = _number(content, value)
        if key & 7 == _SIZED:
            value, end = end, end + size
        yield key >> 3, begin, value, end
        begin = end


def _number(content: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where the next one begins."""
    value, shift = content[at] & 127, 7
    while content[at] > 127:
        at += 1
        value |= (content[at] & 127) << shift
        shift += 7
    return value, at + 1


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()


_DIGEST = _entry("digest", bytes(32))[:-32]
"""What stands before the digest, and so before the last 32 bytes of a file."""

_SEAL = len(_DIGEST) + 32
