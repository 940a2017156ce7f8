"""A database in parts, searched as one: each part answers for itself, and the answers are merged."""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, SupportsIndex, runtime_checkable

import numpy as np
from jaxtyping import Int64

from bitseek._checks import as_ids, whole_number
from bitseek._files import FilePath
from bitseek.codes import Codes, check_codes, words_per_code
from bitseek.engines._merge import merge_nearest, merge_within
from bitseek.engines._shards import Shard, ShardFolder
from bitseek.errors import BitseekError
from bitseek.index import HammingIndex, Hits, RaggedHits


@runtime_checkable
class Part(Protocol):
    """Some of the codes; its ids begin at 0."""

    def __len__(self) -> int:
        """Number of items that can be found."""

    @property
    def size(self) -> int:
        """Number of ids, of items that can be found and items that were removed."""

    def ask(self, verb: str, *arguments: Any) -> Callable[[], Any]:
        """Begin to call a method of `HammingIndex` on the part; what comes back waits for its answer."""

    def remove(self, ids: Int64[np.ndarray, " some"]) -> int:
        """Take items out; how many."""

    def close(self) -> None:
        """Let go of the codes."""


class Local:
    """A part in this process, searched when its answer is waited for."""

    def __init__(self, index: HammingIndex) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    @property
    def size(self) -> int:
        """Number of ids."""
        return self._index.size

    def ask(self, verb: str, *arguments: Any) -> Callable[[], Any]:
        """A call of a method of the index."""
        return partial(getattr(self._index, verb), *arguments)

    def add(self, codes: Codes) -> None:
        """Put more items in."""
        self._index.add(codes)

    def remove(self, ids: Int64[np.ndarray, " some"]) -> int:
        """Take items out; how many."""
        return self._index.remove(ids)

    def close(self) -> None:
        """Nothing is held but memory."""


class _Placed(NamedTuple):
    first: int
    part: Part


class Sharded:
    """An engine of parts whose ids follow on each other; what is added lies in a part of its own, in memory.

    What was added and removed lasts as long as this object: the parts themselves are never written.

    Args:
        parts: of which it is made up, with codes of one length.
        bits: of their codes.
    """

    def __init__(self, parts: Iterable[Part], bits: int) -> None:
        self._bits = bits
        self._change = threading.Lock()
        self._placed: tuple[_Placed, ...] = ()
        self.extend(parts)

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self._bits

    def __len__(self) -> int:
        return sum(len(part) for _, part in self._placed)

    @property
    def size(self) -> int:
        """Number of ids given so far."""
        return _size(self._placed)

    def nearest(self, codes: Codes, k: SupportsIndex = 10) -> Hits:
        """The k nearest items of each query; see `Engine`."""
        wanted = whole_number(k, "k")
        check_codes(codes, bits=self._bits, of="this engine")
        found = self._ask_all("nearest", codes, wanted)
        return merge_nearest([Hits(hits.ids + first, hits.distances) for first, hits in found], wanted)

    def within(self, codes: Codes, radius: SupportsIndex) -> RaggedHits:
        """All items within a radius of each query; see `Engine`."""
        limit = whole_number(radius, "radius", least=0)
        check_codes(codes, bits=self._bits, of="this engine")
        found = self._ask_all("within", codes, limit)
        return merge_within([RaggedHits(hits.offsets, hits.ids + first, hits.distances) for first, hits in found])

    def codes(self, ids: Any = None) -> Codes:
        """Codes of the items with these ids, removed or not; of all if None."""
        placed = self._open()
        size = _size(placed)
        wanted = np.arange(size) if ids is None else as_ids(ids, size)
        words = np.empty((len(wanted), words_per_code(self._bits)), np.uint64)
        by_part = _by_part(placed, wanted)
        answers = [(rows, part.ask("codes", wanted[rows] - first)) for rows, first, part in by_part]
        for rows, answer in answers:
            words[rows] = answer().words
        return Codes(words, self._bits)

    def add(self, codes: Codes) -> Int64[np.ndarray, " n"]:
        """Put more items in; their ids, which follow on those given so far."""
        check_codes(codes, bits=self._bits, of="this engine")
        with self._change:
            first, tail = self._open()[-1]
            assert isinstance(tail, Local)
            before = first + tail.size
            tail.add(codes)
            return np.arange(before, before + len(codes))

    def extend(self, parts: Iterable[Part]) -> Int64[np.ndarray, " n"]:
        """Put more parts behind those that are there, while searches go on; their ids, which follow on those so far."""
        with self._change:
            placed = [each for each in self._placed if each.part.size]
            before = size = _size(self._placed)
            for part in parts:
                placed.append(_Placed(size, part))
                size += part.size
            none = Codes(np.zeros((0, words_per_code(self._bits)), np.uint64), self._bits)
            self._placed = (*placed, _Placed(size, Local(HammingIndex(none))))
            return np.arange(before, size)

    def remove(self, ids: Any) -> int:
        """Take items out; how many. Those that are removed already are ignored."""
        with self._change:
            placed = self._open()
            gone = as_ids(ids, _size(placed))
            return sum(part.remove(gone[rows] - first) for rows, first, part in _by_part(placed, gone))

    def close(self) -> None:
        """Let go of all parts."""
        with self._change:
            placed, self._placed = self._placed, ()
        for _, part in placed:
            part.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} × {self._bits} bits in {max(0, len(self._placed) - 1)} parts)"

    def _ask_all(self, verb: str, *arguments: Any) -> list[tuple[int, Any]]:
        """The answer of every part, with its first id; all are asked before the first answer is waited for."""
        answers = [(first, part.ask(verb, *arguments)) for first, part in self._open()]
        return [(first, answer()) for first, answer in answers]

    def _open(self) -> tuple[_Placed, ...]:
        if not self._placed:
            raise BitseekError("this engine is closed; connect to it again")
        return self._placed


def _size(placed: Sequence[_Placed]) -> int:
    return placed[-1].first + placed[-1].part.size if placed else 0


def _by_part(placed: Sequence[_Placed], ids: Int64[np.ndarray, " n"]) -> list[tuple[np.ndarray, int, Part]]:
    """Which of the ids are in each part that has some of them: their places among `ids`; its first id; and the part."""
    owner = np.searchsorted([first for first, _ in placed], ids, side="right") - 1
    return [(np.flatnonzero(owner == i), *placed[i]) for i in np.unique(owner).tolist()]


class Shards(Sharded):
    """A folder of shards as one engine, in this process: the codes memory-mapped, ids in the order of the shards.

    Args:
        shards: all of a folder.
        threads: at most so many for a search; as many as there are processors if None.
    """

    def __init__(self, shards: Sequence[Shard], *, threads: int | None = None) -> None:
        self._shards = shards
        self.fingerprint = shards[0].origin.fingerprint
        """Of the model that made the codes."""
        self._ends = np.cumsum([len(shard.codes) for shard in shards])
        parts = (Local(HammingIndex(shard.codes, threads=threads)) for shard in shards)
        super().__init__(parts, shards[0].origin.bits)

    def path(self, id: SupportsIndex) -> str:
        """Path of the file of an item, as it was given when it was encoded.

        Raises:
            BitseekError: no item of the shards has this id.
        """
        number = int(as_ids(id, int(self._ends[-1]), of="these shards")[0])
        shard = self._shards[int(np.searchsorted(self._ends, number, side="right"))]
        return shard.path(number - int(self._ends[shard.slice.number - 1]) + len(shard.codes))


def open_shards(folder: FilePath, *, threads: int | None = None) -> Shards:
    """A folder of shards as one engine.

    Args:
        folder: as `bitseek encode --shard` writes it.
        threads: at most so many for a search; as many as there are processors if None.

    Raises:
        RunError: there are no shards, one is missing or damaged, or they do not belong together.
    """
    return Shards(ShardFolder(folder).open(), threads=threads)
