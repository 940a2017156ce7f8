"""Codes as PostgreSQL sends and takes its bit(K): the number of the bits, then the bits, the first one highest."""

from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

from bitseek.codes import Codes

_BIT = 1560
"""PostgreSQL's number of the type."""


class Code(bytes):
    """One code, as a value of a statement."""

    @classmethod
    def of(cls, packed: bytes, bits: int) -> "Code":
        """The code of ceil(bits / 8) bytes, the first bit highest."""
        return cls(bits.to_bytes(4, "big") + packed)


def as_sent(codes: Codes) -> list[Code]:
    """Codes as values of statements."""
    return [Code.of(row.tobytes(), codes.bits) for row in codes.to_packed("big")]


def received(packed: list[bytes], bits: int) -> Codes:
    """Codes as they come from PostgreSQL."""
    return Codes.from_packed(np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), -(-bits // 8)), bits, "big")


def register(connection: Connection[Any]) -> None:
    """Let a connection send `Code`, and give codes as ceil(bits / 8) bytes."""
    connection.adapters.register_dumper(Code, _CodeDumper)
    connection.adapters.register_loader(_BIT, _CodeLoader)


class _CodeDumper(Dumper):
    format, oid = Format.BINARY, _BIT

    def dump(self, obj: Any) -> Buffer:
        return bytes(obj)


class _CodeLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)[4:]
