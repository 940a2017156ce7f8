"""Groups of duplicates: immutable, a sequence, kept in arrays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
from jaxtyping import Bool, Int64


class Group(NamedTuple):
    """Items that are duplicates of each other.

    Attributes:
        ids: of the items, ascending; two or more.
        distance: the greatest distance of two of them that are linked, in bits. In a group of connected linkage others
            may lie farther apart.
        exact: whether all have the same content.
    """

    ids: Int64[np.ndarray, " items"]
    distance: int
    exact: bool


@dataclass(frozen=True, eq=False)
class Groups(Sequence[Group]):
    """Groups, the largest first, and those of one size by their lowest id.

    Attributes:
        offsets: the items of group i are at `offsets[i] : offsets[i + 1]`.
        ids: of the items of all groups.
        distances: see `Group`.
        exact: see `Group`.
        radius: up to which distance items are linked.
        linkage: `connected` or `complete`; `exact` if by content alone.
    """

    offsets: Int64[np.ndarray, " offsets"]
    ids: Int64[np.ndarray, " items"]
    distances: Int64[np.ndarray, " groups"]
    exact: Bool[np.ndarray, " groups"]
    radius: int
    linkage: str

    def __len__(self) -> int:
        return len(self.distances)

    @property
    def sizes(self) -> Int64[np.ndarray, " groups"]:
        """Number of items of each group."""
        return np.diff(self.offsets)

    @overload
    def __getitem__(self, number: int) -> Group: ...
    @overload
    def __getitem__(self, number: slice) -> list[Group]: ...
    def __getitem__(self, number: int | slice) -> Group | list[Group]:
        """One group, or some."""
        if isinstance(number, slice):
            return [self._one(i) for i in range(len(self))[number]]
        return self._one(range(len(self))[number])

    def __iter__(self) -> Iterator[Group]:
        return map(self._one, range(len(self)))

    def _one(self, i: int) -> Group:
        ids = self.ids[self.offsets[i] : self.offsets[i + 1]]
        return Group(ids, int(self.distances[i]), bool(self.exact[i]))

    def __repr__(self) -> str:
        return f"Groups({len(self)} groups of {len(self.ids)} items, {self.linkage}, radius {self.radius})"
