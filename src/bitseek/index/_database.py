"""The codes of an index at one moment: never changed, so that searches need no lock while codes come and go.

Rows are ids, for ever: what is removed keeps its row, and only its bit in the mask `gone` is set.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64

from bitseek.kernels.layout import NOTHING_GONE, Gone, Words, alive

_SAMPLE = 8192


@dataclass(frozen=True, eq=False)
class Database:
    """Codes in two pieces: those that were there at first, perhaps memory-mapped, and those that were added.

    Attributes:
        bits: length of the codes.
        base: the first rows.
        tail: the rows after them; the beginning of `room`.
        room: where the tail grows; beyond the tail it belongs to later moments.
        gone: mask of the removed items; may be shorter than the database, and is empty at first.
        removed: how many were.
    """

    bits: int
    base: Words
    tail: Words
    room: Words = field(repr=False)
    gone: Gone = field(repr=False)
    removed: int

    @classmethod
    def of(cls, words: Words, bits: int, gone: Gone = NOTHING_GONE) -> "Database":
        """A database of these rows, of which some are gone."""
        none = np.zeros((0, words.shape[1]), np.uint64)
        return cls(bits, words, none, none, gone, int(np.bitwise_count(gone).sum()))

    @property
    def size(self) -> int:
        """Number of rows, removed ones included."""
        return len(self.base) + len(self.tail)

    @property
    def words(self) -> int:
        """Number of words in all rows, which a scan reads."""
        return self.size * int(self.base.shape[1])

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
        """The database without these items; those that are gone already stay so."""
        gone = np.zeros(-(-self.size // 64), np.uint64)
        gone[: len(self.gone)] = self.gone
        np.bitwise_or.at(gone, ids >> 6, np.uint64(1) << (ids & 63).astype(np.uint64))
        return replace(self, gone=gone, removed=int(np.bitwise_count(gone).sum()))

    def is_alive(self) -> Bool[np.ndarray, " n"]:
        """Which rows can be found."""
        return alive(self.gone, np.arange(self.size))

    def rows(self, ids: Int64[np.ndarray, " some"]) -> Words:
        """Codes of these items."""
        if not len(self.tail):
            return np.asarray(self.base[ids])
        words = np.empty((len(ids), self.base.shape[1]), np.uint64)
        early = ids < len(self.base)
        words[early] = self.base[ids[early]]
        words[~early] = self.tail[ids[~early] - len(self.base)]
        return words

    def has_any(self, mask: Gone) -> bool:
        """Whether an item of a mask can be found."""
        gone = np.zeros(len(mask), np.uint64)
        gone[: len(self.gone)] = self.gone[: len(mask)]
        return bool((mask & ~gone).any())

    def first(self, count: int) -> Words:
        """The first rows; a copy only if some of them were added."""
        return self.base[:count] if count <= len(self.base) else self.whole()[:count]

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
