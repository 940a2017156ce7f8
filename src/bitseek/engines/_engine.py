"""What every engine can do: the search of `HammingIndex`, wherever the codes are."""

from typing import Any, Protocol, SupportsIndex, runtime_checkable

import numpy as np
from jaxtyping import Int64

from bitseek.codes import Codes
from bitseek.index import Hits, RaggedHits


@runtime_checkable
class Engine(Protocol):
    """Codes that can be searched: the same items as a brute-force scan, ties to the lowest id.

    An item's id is its place among all that were ever added; it stays the same when others are added or removed.
    Searches may run in several threads at once, and while items are added and removed.
    """

    @property
    def bits(self) -> int:
        """Length of the codes."""

    def __len__(self) -> int:
        """Number of items that can be found."""

    @property
    def size(self) -> int:
        """Number of ids given so far: items that can be found and items that were removed."""

    def nearest(self, codes: Codes, k: SupportsIndex = 10) -> Hits:
        """The k nearest items of each query, min(k, items) of them, sorted by (distance, id).

        Raises:
            CodeWidthError: codes of another length.
            ShapeError: k is not a whole number of 1 or more.
        """

    def within(self, codes: Codes, radius: SupportsIndex) -> RaggedHits:
        """All items at a distance of at most `radius` from each query, sorted by (distance, id).

        Raises:
            CodeWidthError: codes of another length.
            ShapeError: the radius is not a whole number of 0 or more.
        """

    def codes(self, ids: Any = None) -> Codes:
        """Codes of the items with these ids, removed or not; of all if None.

        Raises:
            BitseekError: an id that was never given.
        """

    def add(self, codes: Codes) -> Int64[np.ndarray, " n"]:
        """Put more items in; their ids, which follow on those given so far.

        Raises:
            CodeWidthError: codes of another length.
        """

    def remove(self, ids: Any) -> int:
        """Take items out, for ever; how many. Those that are removed already are ignored.

        Raises:
            BitseekError: an id that was never given.
        """

    def close(self) -> None:
        """Let go of what the engine holds: connections, processes, mapped files. It cannot be searched after that."""
