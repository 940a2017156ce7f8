"""Real-valued queries against binary codes, through tables of bytes.

A code is a vector of ±1, and its score for a query is the inner product with the query's logits. The logits of eight
bits have 256 possible sums: with these in a table, a code's score is one look-up a byte (asymmetric distance; Jégou et
al., "Product quantization for nearest neighbor search", PAMI 2011, section III).

Scores are float64, always summed in the same order, so they are the same in the kernel, in NumPy and when re-ranking.
"""

import heapq

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from bitseek.kernels.jit import COMPILED, njit
from bitseek.kernels.layout import NOTHING_GONE, Gone, Words, alive, flat
from bitseek.kernels.threads import spread, thread_count
from bitseek.kernels.topk import is_gone

Tables = Float64[np.ndarray, "q bytes 256"]

_BYTE_SIGNS = 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little") - 1
_AT_ONCE = 64


def tables(logits: Float64[np.ndarray, "q bits"]) -> Tables:
    """Sums of the logits of every eight bits, for every value of their byte; padded to whole words with zeros."""
    q, bits = logits.shape
    padded = np.zeros((q, -(-bits // 64) * 8, 1, 8))
    padded.reshape(q, -1)[:, :bits] = logits
    terms = padded * _BYTE_SIGNS
    half = terms[..., :4] + terms[..., 4:]
    return np.ascontiguousarray((half[..., 0] + half[..., 1]) + (half[..., 2] + half[..., 3]))


def scores(words: UInt64[np.ndarray, "n words"], table: Float64[np.ndarray, "bytes 256"]) -> Float64[np.ndarray, " n"]:
    """Score of every code for one query, in NumPy."""
    raw = np.ascontiguousarray(words, "<u8").view(np.uint8).reshape(len(words), 8 * words.shape[1])
    total = np.zeros(len(words))
    for b in range(0, raw.shape[1], 8):
        t = [table[b + i][raw[:, b + i]] for i in range(8)]
        total += ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]))
    return total


def nearest(
    words: Words,
    logits: Float64[np.ndarray, "q bits"],
    k: int,
    *,
    gone: Gone = NOTHING_GONE,
    offset: int = 0,
    threads: int | None = None,
) -> tuple[Int64[np.ndarray, "q k"], Float64[np.ndarray, "q k"]]:
    """Ids and scores of the k codes with the greatest scores, greatest first, ties to the lowest id.

    Arguments as of `scan.nearest`. Id −1 and score −inf where there are fewer than k codes.
    """
    parts = [
        _nearest_some(words, tables(logits[a : a + _AT_ONCE]), k, gone, offset, threads)
        for a in range(0, max(1, len(logits)), _AT_ONCE)
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def best(
    ids: Int64[np.ndarray, "q n"], values: Float64[np.ndarray, "q n"], k: int
) -> tuple[Int64[np.ndarray, "q k"], Float64[np.ndarray, "q k"]]:
    """The k best of each row, greatest score first, ties to the lowest id."""
    order = np.lexsort((ids, -values))[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(values, order, 1)


def _nearest_some(
    words: Words, table: Tables, k: int, gone: np.ndarray, offset: int, threads: int | None
) -> tuple[np.ndarray, np.ndarray]:
    threads = thread_count() if threads is None else threads
    shard = max(1 << 12, -(-len(words) // threads)) if len(table) < 8 * threads else max(1, len(words))
    shards = range(0, max(1, len(words)), shard)
    k = min(k, max(1, len(words)))
    ids = np.full((len(shards), len(table), k), -1, np.int64)
    values = np.full((len(shards), len(table), k), -np.inf)
    if not COMPILED:
        for i, row in enumerate(table):
            items = np.flatnonzero(alive(gone, np.arange(offset, offset + len(words))))
            found, score = best(items[None] + offset, scores(words[items], row)[None], k)
            ids[0, i, : found.size], values[0, i, : found.size] = found[0], score[0]
        return ids[0], values[0]
    database = flat(words)

    def work(start: int, stop: int) -> None:
        for piece in range(start, stop):
            i, s = divmod(piece, len(shards))
            last = min(len(words), shards[s] + shard)
            _greatest(database, shards[s], last, table[i], gone, offset, ids[s, i], values[s, i])

    spread(work, len(table) * len(shards), threads=threads)
    return best(np.concatenate(ids, axis=1), np.concatenate(values, axis=1), k)


@njit
def _greatest(
    words: np.ndarray,
    first: int,
    last: int,
    table: np.ndarray,
    gone: np.ndarray,
    offset: int,
    ids: np.ndarray,
    values: np.ndarray,
) -> None:
    """The greatest scores among the codes `first` … `last`, from a heap with the worst on top."""
    width = table.shape[0] // 8
    byte = np.uint64(255)
    heap = [(0.0, 0) for _ in range(0)]  # (score, −id): of equal scores the greatest id is the worst
    least = -np.inf
    for j in range(first, last):
        score = 0.0
        for w in range(width):
            word, b = words[j * width + w], 8 * w
            t0, t1 = table[b, word & byte], table[b + 1, (word >> np.uint64(8)) & byte]
            t2, t3 = table[b + 2, (word >> np.uint64(16)) & byte], table[b + 3, (word >> np.uint64(24)) & byte]
            t4, t5 = table[b + 4, (word >> np.uint64(32)) & byte], table[b + 5, (word >> np.uint64(40)) & byte]
            t6, t7 = table[b + 6, (word >> np.uint64(48)) & byte], table[b + 7, word >> np.uint64(56)]
            score += ((t0 + t1) + (t2 + t3)) + ((t4 + t5) + (t6 + t7))
        # Ids ascend, so one with the least score that is kept loses to those that are there.
        if (len(heap) < ids.size or score > least) and not is_gone(gone, offset + j):
            if len(heap) < ids.size:
                heapq.heappush(heap, (score, -(offset + j)))
            else:
                heapq.heapreplace(heap, (score, -(offset + j)))
            if len(heap) == ids.size:
                least = heap[0][0]
    for i in range(len(heap)):
        values[i], ids[i] = heap[i][0], -heap[i][1]
