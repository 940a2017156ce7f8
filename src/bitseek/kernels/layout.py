"""How codes, removed items, hits and clusters lie in memory; NumPy only.

Codes are rows, (n, words) as `Codes` has them, or *planes*, (words, n), where the first words of all codes come one
after the other. A hit is one number, its *key*: `distance << 40 | id`, so that the order of keys is the order of hits,
by distance and then by id. Removed items are bits in a *mask*: bit i % 64 of word i // 64 is set if item i is gone.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt32, UInt64

Words = UInt64[np.ndarray, "_ words"]
Queries = UInt64[np.ndarray, "q words"]
Gone = UInt64[np.ndarray, " mask"]
Vector = Int64[np.ndarray, " _"]
KeyRows = Int64[np.ndarray, "q k"]

ID_BITS = 40
NOTHING = (1 << 62) - 1
"""A key greater than that of any code: fills the places of hits that are not there."""

NOTHING_GONE: Gone = np.zeros(0, np.uint64)

MOST_CLUSTERED = 1 << 32
"""`Shells` keep ids in 32 bits, counted from a first one; what has more rows is sorted into several."""


class Shells(NamedTuple):
    """Codes sorted by their nearest centre, then by the distance to it: those at one distance are a shell.

    No other of these centres is nearer to a code than its own; searches rely on it.

    Attributes:
        bits: length of the codes.
        centres: (words, centres) uint64, as planes.
        first: (centres + 1,) int64, where the shells of each centre begin in `starts`.
        inner: (centres,) int64, distance of the innermost shell of each centre.
        starts: int64, where each shell begins in `planes`, and after the outermost of each centre where it ends.
        planes: (words, n) uint64, the codes.
        ids: (n,) uint32, ascending within a shell; beyond the id of the first row that was sorted, if that is not 0.
    """

    bits: int
    centres: UInt64[np.ndarray, "words centres"]
    first: Int64[np.ndarray, " starts"]
    inner: Int64[np.ndarray, " centres"]
    starts: Int64[np.ndarray, " shells"]
    planes: UInt64[np.ndarray, "words n"]
    ids: UInt32[np.ndarray, " n"]

    def frozen(self) -> "Shells":
        """With arrays as the kernels take them."""
        return Shells(self.bits, *(frozen(array) for array in self[1:]))


def shell_bounds(
    counts: Int64[np.ndarray, "clusters shells"],
) -> tuple[Int64[np.ndarray, "clusters bounds"], Vector, Vector, Vector, Vector]:
    """How sorted codes lie, from how many there are in each shell of each cluster.

    Returns:
        Where each shell begins, (clusters, shells + 1), and at its end where the last one of a cluster ends; and for
        the clusters that have codes: which they are, and `first`, `inner` and `starts` as `Shells` keeps them.
    """
    ends = np.zeros((counts.shape[0], counts.shape[1] + 1), np.int64)
    ends[:, 1:] = np.cumsum(counts).reshape(counts.shape)
    ends[1:, 0] = ends[:-1, -1]
    used = np.flatnonzero(counts.any(axis=1))
    filled = counts[used] > 0
    inner = filled.argmax(axis=1)
    outer = counts.shape[1] - 1 - filled[:, ::-1].argmax(axis=1)
    radius = np.arange(ends.shape[1])
    starts = ends[used][(radius >= inner[:, None]) & (radius <= outer[:, None] + 1)]
    first = np.concatenate([[0], np.cumsum(outer - inner + 2)])
    return ends, used, first, inner, starts


def frozen(array: np.ndarray) -> np.ndarray:
    """The array, C-contiguous and read-only, not copied where it is so: then a kernel is compiled for one type only."""
    view = np.ascontiguousarray(array).view(np.ndarray)
    view.flags.writeable = False
    return view


def flat(words: np.ndarray) -> np.ndarray:
    """All words in one row, as `frozen`."""
    return frozen(words).reshape(-1)


def distances(words: Words, query: UInt64[np.ndarray, " words"]) -> Int64[np.ndarray, " n"]:
    """Hamming distance of every code to one query; word by word, since NumPy is slow along a short axis."""
    away: np.ndarray = np.bitwise_count(words[:, 0] ^ query[0]).astype(np.int64)
    for word in range(1, words.shape[1]):
        away += np.bitwise_count(words[:, word] ^ query[word])
    return away


def alive(gone: Gone, items: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which of the items are not gone; a mask may be shorter than the database, and is empty at first."""
    if not gone.size:
        return np.ones(items.shape, np.bool_)
    word = np.where(items >> 6 < gone.size, gone[np.minimum(items >> 6, gone.size - 1)], np.uint64(0))
    bit: np.ndarray = (word >> (items & 63).astype(np.uint64)) & np.uint64(1)
    return np.asarray(bit == 0)


def split(keys: Int64[np.ndarray, "*shape"]) -> tuple[Int64[np.ndarray, "*shape"], Int32[np.ndarray, "*shape"]]:
    """Ids and distances of keys."""
    return keys & ((1 << ID_BITS) - 1), (keys >> ID_BITS).astype(np.int32)


def by_query(owners: Vector, keys: Vector, queries: int) -> tuple[Vector, Vector]:
    """Hits in any order as offsets and keys: those of query i are `keys[offsets[i] : offsets[i + 1]]`, ascending."""
    offsets = np.zeros(queries + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=queries), out=offsets[1:])
    keys = keys[np.argsort(owners, kind="stable")]
    for i in np.flatnonzero(np.diff(offsets) > 1):
        keys[offsets[i] : offsets[i + 1]].sort()
    return offsets, keys
