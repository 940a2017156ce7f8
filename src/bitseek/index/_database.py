"""The codes of an index at one moment: never changed, so that searches need no lock while codes come and go.

Rows are ids, for ever: what is removed keeps its row, and only its bit in the mask `gone` is set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from bitseek.kernels.layout import NOTHING_GONE, Gone, Words

_SAMPLE = 8192


@dataclass(frozen=True, eq=False)
class Database:
    """Codes in blocks: those that were there at first, perhaps memory-mapped, and last those that were added.

    Attributes:
        bits: length of the codes.
        blocks: the first rows, in one or more arrays.
        tail: the rows after them; the beginning of `room`.
        room: where the tail grows; beyond the tail it belongs to later moments.
        gone: mask of the removed items; may be shorter than the database, and is empty at first.
        removed: how many were.
    """

    bits: int
    blocks: tuple[Words, ...]
    tail: Words
    room: Words = field(repr=False)
    gone: Gone = field(repr=False)
    removed: int

    @classmethod
    def of(cls, words: Words, bits: int, gone: Gone = NOTHING_GONE, more: Sequence[Words] = ()) -> "Database":
        """A database of the rows of an array and of more of them, of which some are gone."""
        none = np.zeros((0, words.shape[1]), np.uint64)
        return cls(bits, (words, *more), none, none, gone, int(np.bitwise_count(gone).sum()))

    @property
    def base(self) -> Words:
        """The first block: all rows, where they came in one array and nothing was added."""
        return self.blocks[0]

    @cached_property
    def starts(self) -> Int64[np.ndarray, " blocks"]:
        """Id of the first row of each block, and of the tail."""
        return np.cumsum([0, *map(len, self.blocks)])

    @cached_property
    def size(self) -> int:
        """Number of rows, removed ones included."""
        return int(self.starts[-1]) + len(self.tail)

    @cached_property
    def width(self) -> int:
        """Words in a code."""
        return int(self.tail.shape[1])

    @cached_property
    def words(self) -> int:
        """Number of words in all rows, which a scan reads."""
        return self.size * self.width

    @cached_property
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
        gone = with_more(self.gone, ids, self.size)
        return replace(self, gone=gone, removed=int(np.bitwise_count(gone).sum()))

    def is_alive(self, start: int, stop: int) -> Bool[np.ndarray, " n"] | None:
        """Which of the rows `start` … `stop` can be found; None if all can, or no row was ever removed."""
        mask = self.gone[start // 64 : -(-stop // 64)]
        if not mask.any():
            return None
        gone = np.unpackbits(mask.astype("<u8", copy=False).view(np.uint8), bitorder="little")[start % 64 :]
        alive = np.ones(stop - start, np.bool_)
        alive[: len(gone)] = gone[: len(alive)] == 0
        return alive

    def rows(self, ids: Int64[np.ndarray, " some"]) -> Words:
        """Codes of these items."""
        if len(self.blocks) == 1 and not len(self.tail):
            return np.asarray(self.blocks[0][ids])
        words = np.empty((len(ids), self.width), np.uint64)
        block = np.searchsorted(self.starts, ids, side="right") - 1
        for number in np.unique(block):
            here = block == number
            words[here] = (*self.blocks, self.tail)[number][ids[here] - self.starts[number]]
        return words

    def has_any(self, mask: Gone) -> bool:
        """Whether an item of a mask can be found."""
        gone = np.zeros(len(mask), np.uint64)
        gone[: len(self.gone)] = self.gone[: len(mask)]
        return bool((mask & ~gone).any())

    def first(self, count: int) -> Words:
        """The first rows; a copy only if they lie in several blocks."""
        return self.blocks[0][:count] if count <= len(self.blocks[0]) else self.whole()[:count]

    def whole(self) -> Words:
        """All rows in one array; a copy only if they lie in several blocks."""
        pieces = [words for _, words in self.pieces()]
        return pieces[0] if len(pieces) == 1 else np.concatenate([self.blocks[0][:0], *pieces])

    @cached_property
    def sample(self) -> Words:
        """A random sample of the rows, the same every time."""
        rng = np.random.default_rng(0)
        return self.rows(np.sort(rng.integers(0, self.size, min(_SAMPLE, self.size))))

    def pieces(self, start: int = 0, stop: int | None = None) -> list[tuple[int, Words]]:
        """The rows from `start` on, or up to `stop`, block by block, each with the id of its first row."""
        stop = self.size if stop is None else stop
        cut = [
            (max(first, start), words[max(0, start - first) : max(0, stop - first)])
            for first, words in zip(self.starts.tolist(), (*self.blocks, self.tail), strict=True)
        ]
        return [(first, words) for first, words in cut if len(words)]


def with_more(gone: Gone, ids: Int64[np.ndarray, " some"], size: int) -> UInt64[np.ndarray, " longer"]:
    """A mask of removed items, for so many rows, and these ids in it too."""
    mask = np.zeros(-(-size // 64), np.uint64)
    mask[: len(gone)] = gone
    np.bitwise_or.at(mask, ids >> 6, np.uint64(1) << (ids & 63).astype(np.uint64))
    return mask
