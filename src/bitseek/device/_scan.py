"""The scan of an index on a device: the k nearest, and all within a radius."""

import threading
from collections.abc import Iterator
from typing import Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Int64, UInt64
from torch import Tensor

from bitseek._checks import whole_number
from bitseek.device._chunks import Chunk, Chunks, Database
from bitseek.device._distances import PRODUCTS_FROM, product_type
from bitseek.device._find import Find, Found, Plain, QueryBlock
from bitseek.device._memory import LEAST_MEMORY, enough_memory, free_memory
from bitseek.device._triton import quickest
from bitseek.kernels.layout import ID_BITS, NOTHING, KeyRows, Vector, by_query
from bitseek.models import pick_device

_QUERIES = 1024
_FEWEST = 2048
"""Room for the hits of a query in one step, at least: so many rows can be looked at without a limit."""

_SLACK = 4
"""A step looks at so many rows that this many times the hits to be expected have room, since their number varies."""

_MOST_WORK = 2 << 30

_LESS = "give memory=… (bytes that may be taken), or search for fewer queries at once"


class DeviceScan:
    """Compares queries with all codes of an index, on a device that torch has.

    `HammingIndex(codes, device=…)` makes it and asks it. Codes are brought to the device by the first search, and stay
    there; those that there is no room for pass by in each search, the next chunk while one is searched. Answers are
    those of `bitseek.kernels.scan`. Several threads may search, one after the other.

    Args:
        device: `cuda`, `cuda:1` or another device of torch; `cpu` for tests.
        bits: length of the codes.
        memory: bytes of the device that it may take; four fifths of what is free if None.
        products_from: number of queries from which on they are compared by products of matrices; `PRODUCTS_FROM` if
            None.

    Raises:
        BitseekError: this machine has no such device.
        ShapeError: a number is not whole or too small.
    """

    def __init__(
        self,
        device: Any,
        bits: int,
        memory: SupportsIndex | None = None,
        products_from: SupportsIndex | None = None,
    ) -> None:
        self.device = pick_device(device)
        self._bits = bits
        self._memory = None if memory is None else whole_number(memory, "memory", LEAST_MEMORY)
        self._products_from = PRODUCTS_FROM if products_from is None else whole_number(products_from, "products_from")
        self._lock = threading.Lock()
        self._chunks: Chunks | None = None
        self._work = 0
        self._find: Find = Plain()

    def nearest(self, database: Database, queries: UInt64[np.ndarray, "q words"], k: int) -> KeyRows:
        """Keys of the k nearest of each query, ascending; as many must be there.

        Raises:
            BitseekError: the device has too little memory.
        """
        with self._lock, enough_memory(self.device, f"{_LESS} or a smaller k"):
            chunks = self._prepare(queries.shape[1])
            room = max(_FEWEST, 2 * k)
            blocks = self._blocks(queries, room)
            best = [_nothing(len(block), k, self.device) for block in blocks]
            for chunk in chunks.each(database):
                for number, block in enumerate(blocks):
                    best[number] = self._nearest_in(chunk, block, best[number], room)
            return torch.cat(best).cpu().numpy()

    def within(self, database: Database, queries: UInt64[np.ndarray, "q words"], radius: int) -> tuple[Vector, Vector]:
        """Offsets and keys of all codes at a distance of at most `radius`, ascending for each query.

        Raises:
            BitseekError: the device has too little memory.
        """
        with self._lock, enough_memory(self.device, f"{_LESS} or within a smaller radius"):
            chunks = self._prepare(queries.shape[1])
            blocks = self._blocks(queries, _FEWEST)
            none = np.zeros(0, np.int64)
            owners, keys = [none], [none]
            for chunk in chunks.each(database):
                first = 0
                for block in blocks:
                    for found in self._within_in(chunk, block, radius):
                        there = found != NOTHING
                        owners.append(there.nonzero(as_tuple=True)[0].cpu().numpy() + first)
                        keys.append(found[there].cpu().numpy())
                    first += len(block)
            return by_query(np.concatenate(owners), np.concatenate(keys), len(queries))

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        kind = str(product_type(self.device)).removeprefix("torch.")
        by = "not searched yet" if self._chunks is None else str(self._find)
        return f"{name}, products of {kind} from {self._products_from} queries on, {by}"

    def resident(self, size: int) -> int:
        """How many of so many codes stay on the device; 0 before the first search."""
        return 0 if self._chunks is None else self._chunks.resident(size)

    def _prepare(self, width: int) -> Chunks:
        """Where the codes are, or will be: the memory is shared out by the first search."""
        if self._chunks is None:
            memory = free_memory(self.device) * 4 // 5 if self._memory is None else self._memory
            self._work = min(_MOST_WORK, memory // 2)
            self._chunks = Chunks(self.device, width, memory - self._work)
            self._find = quickest(self.device)
        return self._chunks

    def _blocks(self, queries: UInt64[np.ndarray, "q words"], room: int) -> list[QueryBlock]:
        """The queries on the device, at most so many together that their hits take a quarter of the memory."""
        size = max(1, min(_QUERIES, self._work // (4 * 3 * 8 * room)))
        words = torch.from_numpy(queries.astype(np.uint64).view(np.int64)).to(self.device)
        return [QueryBlock.of(block, len(block) >= self._products_from) for block in words.split(size)]

    def _rows(self, block: QueryBlock) -> int:
        """How many rows can be compared with these queries at once."""
        return max(64, self._work // 2 // self._find.bytes_per_row(block))

    def _nearest_in(
        self, chunk: Chunk, block: QueryBlock, best: Int64[Tensor, "q k"], room: int
    ) -> Int64[Tensor, "q k"]:
        """The best keys so far, after another chunk: of later ids only what is nearer than the last of them is of use.

        A step over as many rows as all before finds about k more, if they lie at random. So each looks at more than the
        one before; and at half of its rows if they lie in an order and more is found than there is room for.
        """
        start, at_once = 0, self._rows(block)
        growth = max(1, room // (_SLACK * (best.shape[1] + 10)))
        size = max(room, growth * chunk.first)
        while start < chunk.rows:
            stop = min(start + min(size, at_once), chunk.rows)
            limits = (best[:, -1] >> ID_BITS).clamp(max=self._bits + 1).to(torch.int32)
            found = self._find(block, chunk, start, stop, limits, room)
            if found is None:
                size = max(room, (stop - start) // 2)
                continue
            if found.shape[1]:
                best = torch.cat([best, found], dim=1).sort(dim=1).values[:, : best.shape[1]]
            start = stop
            size = max(room, growth * (chunk.first + start))
        return best

    def _within_in(self, chunk: Chunk, block: QueryBlock, radius: int) -> Iterator[Found]:
        """What is within the radius, for some rows of the chunk after the others; fewer at once where that is much."""
        limits = torch.full((len(block),), radius + 1, dtype=torch.int32, device=self.device)
        room = max(64, self._work // (4 * 3 * 8 * len(block)))
        start, at_once = 0, self._rows(block)
        size = at_once
        while start < chunk.rows:
            stop = min(start + size, chunk.rows)
            found = self._find(block, chunk, start, stop, limits, room)
            if found is None:
                size = max(1, (stop - start) // 2)
                continue
            yield found
            start, size = stop, min(2 * size, at_once)


def _nothing(queries: int, k: int, device: torch.device) -> Int64[Tensor, "q k"]:
    return torch.full((queries, k), NOTHING, dtype=torch.int64, device=device)
