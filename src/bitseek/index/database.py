"""The codes of an index at one moment: never changed, so that searches need no lock while codes come and go.

Rows are ids, for ever: what is removed keeps its row, and only its bit in the mask `gone` is set.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from bitseek import kernels
from bitseek.codes import words_per_code
from bitseek.errors import BitseekError

_SAMPLE = 8192

Words = UInt64[np.ndarray, "_ words"]


@dataclass(frozen=True, eq=False)
class Database:
    """Codes in two pieces: those that were there at first, perhaps memory-mapped, and those that were added.

    Attributes:
        bits: length of the codes.
        base: the first rows.
        tail: the rows after them; the beginning of `room`.
        room: where the tail grows; beyond the tail it belongs to later moments.
        gone: bit i % 64 of word i // 64 is set if item i was removed; may be shorter, and is empty at first.
        removed: how many were.
    """

    bits: int
    base: Words
    tail: Words
    room: Words = field(repr=False)
    gone: UInt64[np.ndarray, " mask"] = field(repr=False)
    removed: int = 0

    @classmethod
    def of(cls, words: Words, bits: int) -> "Database":
        """A database of these rows, none of them gone."""
        none = np.zeros((0, words_per_code(bits)), np.uint64)
        return cls(bits, words, none, none, np.zeros(0, np.uint64))

    @property
    def size(self) -> int:
        """Number of rows, removed ones included."""
        return len(self.base) + len(self.tail)

    @property
    def alive(self) -> int:
        """Number of items that can be found."""
        return self.size - self.removed

    def added(self, words: Words) -> "Database":
        """The database with more rows. To be called on the latest moment only: the room is shared."""
        used = len(self.tail)
        room = self.room
        if used + len(words) > len(room):
            room = np.empty((max(1024, 2 * (used + len(words))), room.shape[1]), np.uint64)
            room[:used] = self.tail
        room[used : used + len(words)] = words
        return replace(self, tail=room[: used + len(words)], room=room)

    def without(self, ids: Int64[np.ndarray, " some"]) -> "Database":
        """The database without these items; those that are gone already stay so.

        Raises:
            BitseekError: an id that was never given.
        """
        if len(ids) and (ids.min() < 0 or ids.max() >= self.size):
            bad = ids[(ids < 0) | (ids >= self.size)][:5].tolist()
            raise BitseekError(f"there are no items with the ids {bad}; ids of this index are 0 to {self.size - 1}")
        gone = np.zeros(-(-self.size // 64), np.uint64)
        gone[: len(self.gone)] = self.gone
        np.bitwise_or.at(gone, ids >> 6, np.uint64(1) << (ids & 63).astype(np.uint64))
        return replace(self, gone=gone, removed=int(np.bitwise_count(gone).sum()))

    def is_alive(self) -> Bool[np.ndarray, " n"]:
        """Which rows can be found."""
        alive = np.ones(self.size, np.bool_)
        gone = np.unpackbits(np.ascontiguousarray(self.gone, "<u8").view(np.uint8), bitorder="little")
        alive[: len(gone)] = gone[: self.size] == 0
        return alive

    def rows(self, ids: Int64[np.ndarray, " some"]) -> Words:
        """Codes of these items."""
        words: np.ndarray
        if not len(self.tail):
            words = self.base[ids]
            return words
        words = np.empty((len(ids), self.base.shape[1]), np.uint64)
        early = ids < len(self.base)
        words[early] = self.base[ids[early]]
        words[~early] = self.tail[ids[~early] - len(self.base)]
        return words

    def whole(self) -> Words:
        """All rows in one array; a copy only if some were added."""
        return np.concatenate([self.base, self.tail]) if len(self.tail) else self.base

    @cached_property
    def sample(self) -> Words:
        """A random sample of the rows, the same every time."""
        rng = np.random.default_rng(0)
        return self.rows(np.sort(rng.integers(0, self.size, min(_SAMPLE, self.size))))

    def pieces(self, start: int = 0) -> list[tuple[int, Words]]:
        """The rows from `start` on, in one or two arrays, each with the id of its first row."""
        both = [(0, self.base), (len(self.base), self.tail)]
        cut = [(max(first, start), words[max(0, start - first) :]) for first, words in both]
        return [(first, words) for first, words in cut if len(words)]

    def scan_nearest(
        self, queries: Words, k: int, start: int = 0, threads: int | None = None
    ) -> list[Int64[np.ndarray, "q some"]]:
        """Keys of the k nearest rows from `start` on, for each piece."""
        sample = self.sample if k >= kernels.scan.SAMPLED_FROM else None
        return [
            kernels.scan.nearest(
                words, queries, k, self.bits, gone=self.gone, sample=sample, offset=first, threads=threads
            )
            for first, words in self.pieces(start)
        ]

    def scan_within(
        self, queries: Words, radius: int, start: int = 0, threads: int | None = None
    ) -> list[tuple[Int64[np.ndarray, " offsets"], Int64[np.ndarray, " hits"]]]:
        """Offsets and keys of the rows from `start` on within a radius, for each piece."""
        return [
            kernels.scan.within(words, queries, radius, gone=self.gone, offset=first, threads=threads)
            for first, words in self.pieces(start)
        ]
