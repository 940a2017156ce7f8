"""NestedIndex: search by the first bits, rank by all of them, and know when that is exact."""

from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from bitseek._checks import whole_number
from bitseek.codes import Codes, check_codes, hamming_distances
from bitseek.errors import CodeWidthError
from bitseek.index._hamming import HammingIndex
from bitseek.index._hits import Hits, RaggedHits
from bitseek.index._planner import Plan
from bitseek.kernels.layout import ID_BITS, by_query, split

_CANDIDATES, _FEWEST = 8, 64
"""Items that are ranked by all bits at first: eight times as many as are wanted, and at least so many."""

_WORTH = 1 / 64
"""Share of the items that may be left to rank by all bits; with more, a scan of the whole codes is quicker."""

_SAMPLE = 4096
_AT_ONCE = 1 << 22


class NestedIndex:
    """Search by the first bits of nested codes, ranked by all of them: the answers of `HammingIndex`, ties included.

    The first bits of two codes differ in no more places than all bits do. Some of the nearest by their first bits are
    ranked by all bits, and the k-th best of them is D away. Nothing that is further than D by its first bits can be
    nearer than that, so what is not is ranked as well, and the answer is exact. Where that would be much of the
    database, as of codes without any order, all bits of all codes are scanned instead; only the time depends on the
    codes.

    What it saves is memory: the first bits and their clusters take 20 bytes an item for 64 bits, whatever the codes'
    length, and the codes themselves may be memory-mapped; of these, the rows that are ranked are read. Where all codes
    and their clusters are in memory, `HammingIndex` is quicker (`benchmarks/nested.py`). Where items come and go, use
    that, too.

    Args:
        codes: the database; kept, not copied.
        bits: how many first bits are searched; fewer than the codes have. They need not have been trained as codes in
            their own right: the answer is exact anyway.
        gone: ids of items that cannot be found; none if None.
        plan: by which the first bits are searched; see `HammingIndex`.
        threads: at most so many for a search; as many as there are processors if None (see `BITSEEK_THREADS`).

    Attributes:
        first: the search by the first bits alone.

    >>> codes = Codes.from_bits([[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
    >>> NestedIndex(codes, 2).nearest(codes[0], k=2).ids
    array([[0, 3]])
    """

    def __init__(
        self,
        codes: Codes,
        bits: SupportsIndex = 64,
        *,
        gone: Any = None,
        plan: Plan = "auto",
        threads: SupportsIndex | None = None,
    ) -> None:
        self._whole = HammingIndex(codes, gone=gone, plan="scan", threads=threads)
        length = whole_number(bits, "bits")
        if length >= codes.bits:
            raise CodeWidthError(
                f"the first {length} of {codes.bits} bits are no fewer than all of them; give fewer, or use "
                "HammingIndex"
            )
        self._codes = codes
        self.first = HammingIndex(codes.prefix(length), gone=gone, plan=plan, threads=threads)
        rows = np.random.default_rng(0).integers(0, max(len(codes), 1), min(_SAMPLE, len(codes)))
        self._sample = codes[np.sort(rows)].prefix(length)

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self._codes.bits

    def __len__(self) -> int:
        """Number of items that can be found."""
        return len(self._whole)

    def __repr__(self) -> str:
        return f"NestedIndex({len(self)} × {self.bits} bits, by the first {self.first.bits})"

    def nearest(self, codes: Codes, k: SupportsIndex = 10) -> Hits:
        """The k nearest items of each query by all bits; arguments, answer and errors as of `HammingIndex.nearest`."""
        check_codes(codes, bits=self.bits)
        k = min(whole_number(k, "k"), len(self))
        heads = codes.prefix(self.first.bits)
        candidates = self.first.nearest(heads, max(_CANDIDATES * k, _FEWEST, 1))
        keys = self._keys(codes, np.repeat(np.arange(len(codes)), candidates.ids.shape[1]), candidates.ids.reshape(-1))
        found = np.sort(keys.reshape(candidates.ids.shape), axis=1)[:, :k]
        if not found.size:
            return Hits(*split(found))
        limits = found[:, -1] >> ID_BITS
        missed = candidates.distances[:, -1] <= limits
        if candidates.ids.shape[1] == len(self):
            missed[:] = False
        for limit in np.unique(limits[missed]):
            rows = np.flatnonzero(missed & (limits == limit))
            few = self._few_within(heads[rows], int(limit))
            if (many := rows[~few]).size:
                hits = self._whole.nearest(codes[many], k)
                found[many] = hits.distances.astype(np.int64) << ID_BITS | hits.ids
            at_once = max(1, int(_AT_ONCE / (_WORTH * len(self))))
            for start in range(0, int(few.sum()), at_once):
                some = rows[few][start : start + at_once]
                offsets, keys = self._ranked(codes[some], int(limit))
                found[some] = keys[offsets[:-1, None] + np.arange(k)]
        return Hits(*split(found))

    def within(self, codes: Codes, radius: SupportsIndex) -> RaggedHits:
        """All items at most `radius` away by all bits; arguments, answer and errors as of `HammingIndex.within`."""
        check_codes(codes, bits=self.bits)
        number = min(whole_number(radius, "radius", least=0), self.bits)
        if not self._few_within(codes.prefix(self.first.bits), number).all():
            return self._whole.within(codes, number)
        offsets, keys = self._ranked(codes, number)
        return RaggedHits(offsets, *split(keys))

    def _few_within(self, heads: Codes, radius: int) -> Bool[np.ndarray, " q"]:
        """Whether not much of the database is so near to each query by its first bits, judged by a sample."""
        near: np.ndarray = (hamming_distances(heads, self._sample) <= radius).sum(axis=1)
        return np.asarray(near <= _WORTH * len(self._sample))

    def _ranked(self, codes: Codes, radius: int) -> tuple[Int64[np.ndarray, " offsets"], Int64[np.ndarray, " hits"]]:
        """Offsets and keys of all items at most `radius` away by all bits, found among those that are by the first."""
        hits = self.first.within(codes.prefix(self.first.bits), min(radius, self.first.bits))
        owners = np.repeat(np.arange(len(codes)), hits.counts)
        keys = self._keys(codes, owners, hits.ids)
        near = keys >> ID_BITS <= radius
        return by_query(owners[near], keys[near], len(codes))

    def _keys(
        self, codes: Codes, owners: Int64[np.ndarray, " n"], ids: Int64[np.ndarray, " n"]
    ) -> Int64[np.ndarray, " n"]:
        """Keys by all bits (see `kernels.layout`) of some items, each with the number of the query that it is for."""
        away = np.zeros(len(ids), np.int64)
        rows: UInt64[np.ndarray, "n words"] = self._codes.words[ids]
        for word in range(rows.shape[1]):
            away += np.bitwise_count(rows[:, word] ^ codes.words[owners, word])
        return np.asarray(away << ID_BITS | ids)
