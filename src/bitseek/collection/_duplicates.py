"""Near duplicates: all pairs of items within a radius, and groups of them at that radius or a smaller one."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Int32, Int64

from bitseek._checks import as_array, whole_number
from bitseek.codes import Codes
from bitseek.collection import _linkage
from bitseek.collection._groups import Groups
from bitseek.collection._linkage import Linkage, Nodes
from bitseek.errors import BitseekError, ShapeError
from bitseek.index import HammingIndex

MOST_PAIRS = 50_000_000
"""Pairs of different codes that are kept, at 12 bytes each."""

_FIRST, _MOST_QUERIES, _HITS_AT_ONCE = 64, 1 << 14, 1 << 22
_WORTH_CLUSTERS = 1 << 15


class Pairs(NamedTuple):
    """Pairs of items and their distances in bits, sorted by ids; `ids[i] < others[i]`."""

    ids: Int64[np.ndarray, " pairs"]
    others: Int64[np.ndarray, " pairs"]
    distances: Int32[np.ndarray, " pairs"]


class Duplicates:
    """All pairs of items that are at most `radius` bits apart, made by `find`.

    Items with equal codes are one *node*, so a thousand copies of a picture are no million pairs; what is kept are the
    pairs of nodes. Nothing is deleted, here or elsewhere.

    Attributes:
        ids: of all items, ascending, duplicates or not.
        radius: the greatest distance of a pair.

    >>> codes = Codes.from_bits([[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]])
    >>> found = Duplicates.find(codes, radius=1)
    >>> [group.ids.tolist() for group in found.groups()], found.histogram.tolist()
    ([[0, 2, 3, 4]], [1, 3])
    >>> [group.ids.tolist() for group in found.groups(linkage="complete")]
    [[0, 2, 3]]
    >>> [group.ids.tolist() for group in found.groups(0)]
    [[0, 3]]
    """

    def __init__(
        self, ids: np.ndarray, content: np.ndarray, node: np.ndarray, pairs: tuple[Nodes, Nodes, Nodes], radius: int
    ) -> None:
        self.ids, self.radius = ids, radius
        self._content, self._node, self._pairs = content, node, pairs
        self._sizes = np.bincount(node)

    @classmethod
    def find(
        cls,
        codes: Codes,
        radius: SupportsIndex = 0,
        *,
        ids: Any = None,
        hashes: Sequence[bytes | None] | None = None,
        most: int = MOST_PAIRS,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "Duplicates":
        """Find all pairs within a radius, exactly; each different code is searched for once.

        Args:
            codes: of the items.
            radius: 0 or more, in bits.
            ids: of the items, all different; their places if None.
            hashes: of the items' contents; None where it is not known. Items of equal content count as equal, with the
                code of the first of them.
            most: pairs of different codes that are kept at most; what is in memory is about 30 bytes each.
            threads: at most so many for the search.
            progress: called with the number of codes that were searched for, and of all.

        Raises:
            ShapeError: a radius that is none, or not one id and hash an item.
            BitseekError: there are more than `most` pairs, or an id comes twice.
        """
        radius = min(whole_number(radius, "radius", least=0), codes.bits)
        given = np.arange(len(codes)) if ids is None else as_array(ids, "ids")
        for what, number in (("ids", given.shape), ("hashes", given.shape if hashes is None else (len(hashes),))):
            if number != (len(codes),):
                raise ShapeError(f"there is one of the {what} for each of the {len(codes)} codes, got {number}")
        order = np.argsort(given, kind="stable")
        given = given[order].astype(np.int64)
        if (given[1:] == given[:-1]).any():
            raise BitseekError(f"an id belongs to one item, but {given[1:][given[1:] == given[:-1]][0]} comes twice")
        content = _first_of_content(order, hashes)
        first, node = _nodes(codes.words[order[content]])
        different = codes[order[content[first]]]
        pairs = _pairs(different, radius, most, threads, progress)
        return cls(given, content, node, pairs, radius)

    def groups(self, radius: SupportsIndex | None = None, linkage: Linkage = "connected") -> Groups:
        """The groups at this radius or a smaller one, without another search.

        Args:
            radius: items up to this distance are linked; that of the search if None.
            linkage: `connected`: what is linked through any chain of others. `complete`: groups in which every two
                items are within the radius, so an item with several neighbours is in one of the possible groups (see
                `_linkage` for which).

        Raises:
            BitseekError: a radius greater than that of the search, or another linkage.
        """
        wanted = self.radius if radius is None else whole_number(radius, "radius", least=0)
        if wanted > self.radius:
            raise BitseekError(f"pairs were searched up to radius {self.radius}; find duplicates again for {wanted}")
        if linkage not in ("connected", "complete"):
            raise BitseekError(f"a linkage is 'connected' or 'complete', got {linkage!r}")
        near = self._pairs[2] <= wanted
        a, b, distances = (column[near] for column in self._pairs)
        nodes = len(self._sizes)
        linked = linkage == "connected"
        labels = _linkage.connected(nodes, a, b) if linked else _linkage.complete(nodes, a, b, distances)
        farthest = np.zeros(nodes, np.int64)
        inside = labels[a] == labels[b]
        np.maximum.at(farthest, labels[a[inside]], distances[inside])
        return self._grouped(labels[self._node], farthest, wanted, linkage)

    def exact(self) -> Groups:
        """Groups of items with the same content, as far as their hashes were given."""
        return self._grouped(self._content, np.zeros(len(self.ids), np.int64), 0, "exact")

    @property
    def histogram(self) -> Int64[np.ndarray, " distances"]:
        """Number of pairs of items at each distance 0 … radius."""
        a, b, distances = self._pairs
        counts = np.zeros(self.radius + 1, np.int64)
        np.add.at(counts, distances, self._sizes[a] * self._sizes[b])
        counts[0] += (self._sizes * (self._sizes - 1) // 2).sum()
        return counts

    def pairs(self, radius: SupportsIndex | None = None) -> Pairs:
        """All pairs of items within this radius or a smaller one.

        Raises:
            BitseekError: a greater radius, or more than `MOST_PAIRS` pairs, which equal codes can make.
        """
        wanted = self.radius if radius is None else whole_number(radius, "radius", least=0)
        if wanted > self.radius or self.histogram[: wanted + 1].sum() > MOST_PAIRS:
            raise BitseekError(f"there are no pairs up to radius {wanted}, or too many; take a smaller one, or groups")
        near = self._pairs[2] <= wanted
        a, b, distances = (column[near] for column in self._pairs)
        members = np.argsort(self._node, kind="stable")
        start = np.cumsum(self._sizes) - self._sizes
        both = self._sizes[a] * self._sizes[b]
        number = np.arange(both.sum()) - np.repeat(np.cumsum(both) - both, both)
        a, b, distances = (np.repeat(column, both) for column in (a, b, distances))
        ones, others = members[start[a] + number // self._sizes[b]], members[start[b] + number % self._sizes[b]]
        for size in np.unique(self._sizes[self._sizes > 1]):  # pairs of equal codes
            begin = start[self._sizes == size, None]
            low, high = (members[begin + places].reshape(-1) for places in np.triu_indices(size, 1))
            ones, others = np.concatenate([ones, low]), np.concatenate([others, high])
        distances = np.concatenate([distances, np.zeros(len(ones) - len(distances), np.int32)])
        ones, others = np.minimum(ones, others), np.maximum(ones, others)
        order = np.lexsort((others, ones))
        return Pairs(self.ids[ones[order]], self.ids[others[order]], distances[order])

    def _grouped(self, labels: np.ndarray, farthest: np.ndarray, radius: int, linkage: str) -> Groups:
        """Groups of the items with equal labels, as far as there are two; `farthest` is by label."""
        items = np.argsort(labels, kind="stable")
        sizes = np.bincount(labels, minlength=len(farthest))
        start = np.cumsum(sizes) - sizes
        several = np.flatnonzero(sizes > 1)
        several = several[np.lexsort((items[start[several]], -sizes[several]))]
        sizes = sizes[several]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        members = items[np.arange(offsets[-1]) + np.repeat(start[several] - offsets[:-1], sizes)]
        content = self._content[members]
        others = content != np.repeat(content[offsets[:-1]], sizes)
        exact = np.bincount(np.repeat(np.arange(len(several)), sizes), others, minlength=len(several)) == 0
        return Groups(offsets, self.ids[members], farthest[several], exact, radius, linkage)

    def __repr__(self) -> str:
        return f"Duplicates({self.histogram.sum()} pairs of {len(self.ids)} items, radius {self.radius})"


def _first_of_content(order: np.ndarray, hashes: Sequence[bytes | None] | None) -> Int64[np.ndarray, " n"]:
    """For each item, in this order, the first one with the same content; itself if its hash is not known."""
    if hashes is None:
        return np.arange(len(order))
    first: dict[bytes, int] = {}
    known = (hashes[i] for i in order.tolist())
    return np.fromiter((first.setdefault(h, i) if h else i for i, h in enumerate(known)), np.int64, len(order))


def _nodes(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first row of each different code, ascending, and for each row the number of its code in that list."""
    order = np.lexsort(words.T)  # stable, so the first of equal rows comes first
    new = np.ones(len(words), np.bool_)
    new[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    first = order[new]
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    node = np.empty(len(words), np.int64)
    node[order] = number[np.cumsum(new) - 1]
    return np.sort(first), node


def _pairs(
    codes: Codes, radius: int, most: int, threads: int | None, progress: Callable[[int, int], None] | None
) -> tuple[Nodes, Nodes, Nodes]:
    """All pairs (a < b) of different codes within a radius and their distances, sorted.

    The codes come in random order and the first few at a time: then the hits to come are about as many as those so far,
    and memory is bounded also where most codes lie close together.
    """
    n = len(codes)
    empty = np.zeros(0, np.int32)
    if not radius or n < 2:
        return empty, empty, empty
    index = HammingIndex(codes, threads=threads)
    if n >= _WORTH_CLUSTERS:
        index.build()
    order, done, at_once, pairs = np.random.default_rng(0).permutation(n), 0, _FIRST, 0
    parts: list[tuple[np.ndarray, ...]] = []
    while done < n:
        rows = order[done : done + at_once]
        hits = index.within(codes[rows], radius)
        one = np.repeat(rows, hits.counts)
        later = hits.ids > one  # each pair is found from both sides
        parts.append(tuple(column[later].astype(np.int32) for column in (one, hits.ids, hits.distances)))
        done, pairs = done + len(rows), pairs + len(parts[-1][0])
        if pairs > most:
            raise BitseekError(
                f"there are more than {most} pairs within radius {radius}, about {pairs * n // done} in all; "
                "take a smaller radius"
            )
        if progress is not None:
            progress(done, n)
        at_once = min(2 * at_once, _MOST_QUERIES, 1 + _HITS_AT_ONCE * len(rows) // max(1, len(hits.ids)))
    a, b, distances = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    del parts
    by_a = np.argsort(a.astype(np.int64) << 32 | b)
    return a[by_a], b[by_a], distances[by_a]
