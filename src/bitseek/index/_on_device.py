"""The plan of an index whose codes are compared on another device: what it needs of `bitseek.device`."""

from typing import Any, Protocol, SupportsIndex, runtime_checkable

import numpy as np

from bitseek.errors import BitseekError
from bitseek.index._database import Database
from bitseek.index._planner import Found, Verb
from bitseek.kernels.device import device_loops
from bitseek.kernels.layout import KeyRows, Queries, Vector


@runtime_checkable
class Scan(Protocol):
    """A scan of all codes on a device, with the answers of `kernels.scan`."""

    def nearest(self, database: Database, queries: Queries, k: int) -> KeyRows:
        """Keys of the k nearest of each query."""

    def within(self, database: Database, queries: Queries, radius: int) -> tuple[Vector, Vector]:
        """Offsets and keys of all codes within a radius."""


def scan_on(device: Any, bits: int, memory: SupportsIndex | None) -> Scan | None:
    """The scan on a device; None if none was asked for.

    Raises:
        MissingExtra: torch is not installed.
        BitseekError: there is no such device; or memory was given for none.
    """
    if device is None:
        if memory is not None:
            raise BitseekError(f"memory={memory!r} is that of a device; give device='cuda' too, or leave it out")
        return None
    scan: Scan = device_loops().DeviceScan(device, bits, memory)
    return scan


def search(scan: Scan, database: Database, queries: np.ndarray, verb: Verb, number: int) -> Found:
    """The k nearest, or all within a radius, of some queries."""
    if verb == "nearest":
        return Found(scan.nearest(database, queries, number), None, 1.0)
    offsets, keys = scan.within(database, queries, number)
    return Found(keys, offsets, 1.0)
