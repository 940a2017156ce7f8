"""The rule by which a list of files is cut into shards: the same on every machine, whoever writes which."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bitseek._files import FilePath
from bitseek.errors import BitseekError
from bitseek.images import find_images, printable

Item = TypeVar("Item")

MOST = 9999


@dataclass(frozen=True, order=True)
class Slice:
    """One of the equal slices of a list.

    Of n items, slice i of s is those from ⌊(i − 1)·n / s⌋ to ⌊i·n / s⌋: slices follow on each other, make up the whole,
    and differ by at most one item.

    Args:
        number: which one, 1 … total.
        total: how many there are, 1 … 9999.

    Raises:
        BitseekError: other numbers.

    >>> Slice.parse("2/3").of(list("abcdefg"))
    ['c', 'd']
    """

    number: int
    total: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.total <= MOST:
            raise BitseekError(f"shards are 1/N to N/N, with N at most {MOST}, got {self}")

    @classmethod
    def parse(cls, text: str) -> "Slice":
        """A slice from text such as `3/16`.

        Raises:
            BitseekError: another text.
        """
        number, _, total = text.partition("/")
        if not (number.isdecimal() and total.isdecimal()):
            raise BitseekError(f"a shard is NUMBER/TOTAL, such as 3/16, got {text!r}")
        return cls(int(number), int(total))

    @classmethod
    def all(cls, total: int) -> "list[Slice]":
        """The slices that make up a list."""
        return [cls(number, total) for number in range(1, max(1, total) + 1)]

    def bounds(self, items: int) -> tuple[int, int]:
        """Where this slice of so many items begins and ends."""
        return (self.number - 1) * items // self.total, self.number * items // self.total

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items in this slice."""
        start, stop = self.bounds(len(items))
        return items[start:stop]

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def listed(paths: Iterable[FilePath]) -> list[str]:
    """The image files among files and below folders (see `find_images`), sorted by the bytes of their paths.

    Raises:
        BitseekError: there are none, or a path does not exist.
    """
    given = list(paths)
    files = sorted(map(str, find_images(given)), key=os.fsencode)
    if not files:
        raise BitseekError(f"there are no images in {', '.join(map(printable, given))}")
    return files


def digest(files: Iterable[str]) -> str:
    """What two lists of files have in common only if they are equal: 32 hexadecimal digits."""
    state = hashlib.blake2b(digest_size=16)
    for file in files:
        state.update(os.fsencode(file) + b"\0")
    return state.hexdigest()
