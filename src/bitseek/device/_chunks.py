"""The codes of a database on a device, in chunks: as many as there is room for stay there, the others pass by."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt64
from torch import Tensor

_MOST_ROWS = 1 << 26
_ALIGNED = 64
_CHUNKS = 8
"""The room for codes is cut into so many chunks at least, so that what passes by needs little of it."""

_PASSING = 4
"""Chunks that are on the device at once while codes pass by: one that was searched and one that is, and the next one,
perhaps twice, as it is turned from rows to planes."""


@runtime_checkable
class Database(Protocol):
    """What a scan needs of the codes of an index at one moment: they never change, but later moments have more."""

    @property
    def bits(self) -> int:
        """Length of the codes."""

    @property
    def size(self) -> int:
        """Number of rows, removed ones included."""

    @property
    def gone(self) -> UInt64[np.ndarray, " mask"]:
        """Mask of the removed rows (see `bitseek.kernels.layout`); may be shorter, and is another array after each."""

    def pieces(self, start: int = 0, stop: int | None = None) -> list[tuple[int, UInt64[np.ndarray, "n words"]]]:
        """The rows `start` … `stop`, block by block, each with the id of its first row."""


class Chunk(NamedTuple):
    """Some rows on the device.

    Attributes:
        first: id of the first row.
        planes: the codes as planes, so that neighbouring threads read neighbouring words.
        alive: which of the rows can be found; None if all can.
    """

    first: int
    planes: Int64[Tensor, "words n"]
    alive: Bool[Tensor, " n"] | None

    @property
    def rows(self) -> int:
        """How many."""
        return int(self.planes.shape[1])

    def until(self, rows: int) -> "Chunk":
        """The first rows."""
        alive = None if self.alive is None else self.alive[:rows]
        return self if rows == self.rows else Chunk(self.first, self.planes[:, :rows], alive)


class Chunks:
    """Brings the codes of one index to a device, and keeps there what it has room for. For one thread at a time.

    Args:
        device: where to.
        width: words in a code.
        memory: bytes of the device for the codes.
    """

    def __init__(self, device: torch.device, width: int, memory: int) -> None:
        self._device, self._width = device, width
        bytes_per_row = 8 * width + 1
        rows = min(_MOST_ROWS, memory // (_CHUNKS * bytes_per_row))
        self.rows = max(_ALIGNED, rows // _ALIGNED * _ALIGNED)
        self.room = memory // (self.rows * bytes_per_row)
        self._kept: list[tuple[Chunk, np.ndarray]] = []

    def resident(self, size: int) -> int:
        """How many of so many rows stay on the device."""
        number = -(-size // self.rows)
        return size if number <= self.room else max(0, self.room - _PASSING) * self.rows

    def each(self, database: Database) -> Iterator[Chunk]:
        """All rows, in the order of their ids."""
        size, resident = database.size, self.resident(database.size)
        del self._kept[-(-resident // self.rows) :]
        for number, start in enumerate(range(0, resident, self.rows)):
            yield self._keep(number, database, start, min(start + self.rows, size))
        if resident == size:
            return
        starts = list(range(resident, size, self.rows))
        with ThreadPoolExecutor(1, "bitseek-device") as helper:
            coming = helper.submit(self._load, database, starts[0], self._stream())
            for following in [*starts[1:], None]:
                chunk = coming.result()
                if following is not None:
                    coming = helper.submit(self._load, database, following, self._stream())
                yield chunk
                del chunk

    def _keep(self, number: int, database: Database, start: int, stop: int) -> Chunk:
        """A chunk that stays: only rows that it lacks are brought."""
        kept = self._kept[number : number + 1]
        chunk, gone = kept[0] if kept else (Chunk(start, self._planes(database, start, start), None), None)
        if chunk.rows < stop - start:
            more = self._planes(database, start + chunk.rows, stop)
            planes = torch.cat([chunk.planes, more], dim=1) if chunk.rows else more
            chunk, gone = Chunk(start, planes, None), None
        if gone is not database.gone:
            gone = database.gone
            chunk = chunk._replace(alive=self._alive(gone, start, start + chunk.rows))
        self._kept[number : number + 1] = [(chunk, gone)]
        return chunk.until(stop - start)

    def _load(self, database: Database, start: int, stream: "torch.cuda.Stream | None") -> Chunk:
        """A chunk that passes by, brought by a thread of its own while the one before is searched."""
        stop = min(start + self.rows, database.size)
        with torch.cuda.stream(stream):
            return Chunk(start, self._planes(database, start, stop), self._alive(database.gone, start, stop))

    def _stream(self) -> "torch.cuda.Stream | None":
        """The stream that the searching thread uses: on the same one, nothing is used before it is there."""
        return torch.cuda.current_stream(self._device) if self._device.type == "cuda" else None

    def _planes(self, database: Database, start: int, stop: int) -> Int64[Tensor, "words n"]:
        rows = torch.empty((stop - start, self._width), dtype=torch.int64, pin_memory=self._device.type == "cuda")
        for first, words in database.pieces(start, stop):
            rows.numpy()[first - start : first - start + len(words)] = words.view(np.int64)
        return rows.to(self._device, non_blocking=True).T.contiguous()

    def _alive(self, gone: UInt64[np.ndarray, " mask"], start: int, stop: int) -> Bool[Tensor, " n"] | None:
        mask = gone[start // 64 : -(-stop // 64)]
        if not mask.any():
            return None
        octets = torch.from_numpy(mask.astype("<u8").view(np.uint8)).to(self._device)
        bits = (octets[:, None] >> torch.arange(8, dtype=torch.uint8, device=self._device)) & 1
        alive = torch.ones(stop - start, dtype=torch.bool, device=self._device)
        known = bits.view(-1)[: stop - start] == 0
        alive[: len(known)] = known
        return alive
