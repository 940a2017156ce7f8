"""Histograms of distance and relevance: how many items, and relevant ones, lie at each distance from a query.

Relevance comes from labels in words of 64 bits, in one of two forms: one word that must be equal (single label), or
any number of words that must share a bit (multi label). Distance and relevance of an item become one key,
2·distance + relevant, so that one pass over a block of the database fills vectors of keys and one more counts them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64, UInt64

from bitseek.kernels.jit import COMPILED, njit, popcount
from bitseek.kernels.layout import distances, frozen
from bitseek.kernels.threads import spread

_PAIR_BITS = 80  # up to here two queries are counted together, in a table of all pairs of their keys
_PAIR_BLOCK = 32768  # items for which such a table is filled before it is summed up
_BLOCK = 16384  # items whose keys are made at once: codes, labels and keys stay in the second cache
_GRAIN = 8  # queries that share the copying of a block


class Task(NamedTuple):
    """Which codes are compared, and which of them are relevant to which.

    Attributes:
        query_words: (q, w) packed codes of the queries.
        database_words: (n, w) packed codes of the database.
        bits: length of a code, 1 to 32,000.
        query_labels: (q, l) labels of the queries in words of 64 bits.
        database_labels: (n, l) labels of the database in words of 64 bits.
        single: whether a label is one word that must be equal; if not, sharing a bit in any word is enough.
        offsets: (q + 1,), the items left out for query i are `excluded[offsets[i]:offsets[i + 1]]`.
        excluded: database items that are left out, by query.
    """

    query_words: UInt64[np.ndarray, "q words"]
    database_words: UInt64[np.ndarray, "n words"]
    bits: int
    query_labels: UInt64[np.ndarray, "q labels"]
    database_labels: UInt64[np.ndarray, "n labels"]
    single: bool
    offsets: Int64[np.ndarray, " q+1"]
    excluded: Int64[np.ndarray, " e"]

    def frozen(self) -> "Task":
        """The task as the kernels take it."""
        values = self._asdict()
        return Task(**values | {name: frozen(values[name]) for name in values if isinstance(values[name], np.ndarray)})


def distance_histograms(task: Task) -> tuple[Int64[np.ndarray, "q bins"], Int64[np.ndarray, "q bins"]]:
    """Number of database items, and of relevant ones, at each distance 0 … bits from each query."""
    queries = len(task.query_words)
    tally = np.zeros((queries, 2 * task.bits + 3), np.int64)  # by key; the last is what is left out
    if COMPILED:
        ours = task.frozen()
        count = _count_pairs if task.bits <= _PAIR_BITS else _count
        spread(lambda start, stop: count(start, stop, tally, ours), queries, grain=_GRAIN)
    else:
        for row in range(queries):
            for start in range(0, len(task.database_words), _BLOCK):
                tally[row] += np.bincount(_plain_keys(task, row, start, start + _BLOCK), minlength=tally.shape[1])
    relevant = tally[:, 1:-1:2].copy()
    return tally[:, :-1:2] + relevant, relevant


def stable_sums(
    task: Task, total: Int64[np.ndarray, "q bins"], relevant: Int64[np.ndarray, "q bins"], ranks: int
) -> tuple[Float[np.ndarray, " q"], Int64[np.ndarray, " q"]]:
    """Σ P(i)·rel(i) and Σ rel(i) over ranks i = 1 … `ranks`, where equal distances are ranked by place in the database.

    Args:
        task: what is compared.
        total: as `distance_histograms` gives it.
        relevant: as `distance_histograms` gives it.
        ranks: number of ranks that count.
    """
    queries = len(task.query_words)
    sums, counts = np.zeros(queries), np.zeros(queries, np.int64)
    if COMPILED:
        ours = task.frozen()

        def work(start: int, stop: int) -> None:
            # The next rank of each distance, and the relevant items before it; a last column takes what is left out.
            rank = np.pad(np.cumsum(total[start:stop], axis=1) - total[start:stop], ((0, 0), (0, 1)))
            found = np.pad(np.cumsum(relevant[start:stop], axis=1) - relevant[start:stop], ((0, 0), (0, 1)))
            _follow(start, stop, ranks, rank, found, sums, counts, ours)

        spread(work, queries, grain=_GRAIN)
    else:
        for row in range(queries):
            keys = _plain_keys(task, row, 0, len(task.database_words))
            keys = keys[keys < 2 * task.bits + 2]
            ranked = (keys & 1)[np.argsort(keys >> 1, kind="stable")][:ranks].astype(np.int64)
            sums[row] = (np.cumsum(ranked) / np.arange(1, len(ranked) + 1) * ranked).sum()
            counts[row] = ranked.sum()
    return sums, counts


def _plain_keys(task: Task, row: int, start: int, stop: int) -> Int64[np.ndarray, " m"]:
    """2·distance + relevant of some items, and 2·bits + 2 for those left out: the path without a compiler."""
    labels, wanted = task.database_labels[start:stop], task.query_labels[row]
    relevant = labels[:, 0] == wanted[0] if task.single else (labels & wanted).any(axis=1)
    keys: np.ndarray = 2 * distances(task.database_words[start:stop], task.query_words[row]) + relevant
    left_out = task.excluded[task.offsets[row] : task.offsets[row + 1]] - start
    keys[left_out[(left_out >= 0) & (left_out < len(keys))]] = 2 * task.bits + 2
    return keys


@njit
def _room(task: Task, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Room for the codes and the labels of a block of items, as planes."""
    codes = np.empty((task.query_words.shape[1], block), np.uint64)
    return codes, np.empty((task.query_labels.shape[1], block), np.uint64)


@njit
def _load(task: Task, start: int, stop: int, codes: np.ndarray, labels: np.ndarray) -> None:
    """Copy codes and labels of a block word by word, so that a loop over items reads neighbours."""
    for rows, planes in ((task.database_words, codes), (task.database_labels, labels)):
        for word in range(rows.shape[1]):
            source, target = rows[start:stop, word], planes[word]
            for item in range(source.size):
                target[item] = source[item]


@njit
def _fill_keys(task: Task, query: int, start: int, codes: np.ndarray, labels: np.ndarray, keys: np.ndarray) -> None:
    """The keys of one query and the items of a block, which begins at `start`. All of it is vector code."""
    code, label = task.query_words[query], task.query_labels[query]
    words, classes, wanted, mine = codes[0][: keys.size], labels[0][: keys.size], code[0], label[0]
    if task.single:
        for item in range(keys.size):
            keys[item] = 2 * popcount(words[item] ^ wanted) + (classes[item] == mine)
    elif label.size == 1:
        for item in range(keys.size):
            keys[item] = 2 * popcount(words[item] ^ wanted) + ((classes[item] & mine) != 0)
    else:  # two words of labels in one pass, as for the 80 classes of MS-COCO
        further, also = labels[1][: keys.size], label[1]
        for item in range(keys.size):
            keys[item] = 2 * popcount(words[item] ^ wanted) + (((classes[item] & mine) | (further[item] & also)) != 0)
    for word in range(1, code.size):
        words, wanted = codes[word][: keys.size], code[word]
        for item in range(keys.size):
            keys[item] += np.uint16(2 * popcount(words[item] ^ wanted))
    for word in range(2, label.size):
        classes, mine = labels[word][: keys.size], label[word]
        for item in range(keys.size):
            keys[item] |= np.uint16((classes[item] & mine) != 0)
    _leave_out(task, query, start, keys)


@njit
def _leave_out(task: Task, query: int, start: int, keys: np.ndarray) -> None:
    """Give the items that are left out a key of their own."""
    for item in task.excluded[task.offsets[query] : task.offsets[query + 1]]:
        if start <= item < start + keys.size:
            keys[item - start] = 2 * task.bits + 2


@njit
def _count(start: int, stop: int, tally: np.ndarray, task: Task) -> None:
    """How often each key occurs for the queries start … stop, added to `tally`."""
    codes, labels = _room(task, _BLOCK)
    block = np.empty(_BLOCK, np.uint16)
    # Four counters in turn: an addition to the same counter would wait for the one before it.
    counts = np.zeros((4, tally.shape[1]), np.int32)
    first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
    for item in range(0, len(task.database_words), _BLOCK):
        keys = block[: len(task.database_words) - item]
        _load(task, item, item + keys.size, codes, labels)
        for query in range(start, stop):
            _fill_keys(task, query, item, codes, labels, keys)
            part = keys.size // 4
            a, b, c, rest = keys[:part], keys[part : 2 * part], keys[2 * part : 3 * part], keys[3 * part :]
            for i in range(part):
                first[a[i]] += 1
                second[b[i]] += 1
                third[c[i]] += 1
                fourth[rest[i]] += 1
            for i in range(part, rest.size):
                fourth[rest[i]] += 1
            row = tally[query]
            for key in range(row.size):
                row[key] += first[key] + second[key] + third[key] + fourth[key]
            counts[:] = 0


@njit
def _count_pairs(start: int, stop: int, tally: np.ndarray, task: Task) -> None:
    """The same with half as many additions, which are most of the time: one for an item and two queries."""
    width = tally.shape[1]
    codes, labels = _room(task, _PAIR_BLOCK)
    blocks = np.empty((2, _PAIR_BLOCK), np.uint16)
    table = np.zeros((width, width), np.int32)  # [key for the first query, key for the second]
    cells = table.reshape(width * width)
    for item in range(0, len(task.database_words), _PAIR_BLOCK):
        size = min(_PAIR_BLOCK, len(task.database_words) - item)
        keys, others = blocks[0][:size], blocks[1][:size]
        _load(task, item, item + size, codes, labels)
        for query in range(start, stop, 2):
            partner = min(query + 1, stop - 1)
            _fill_keys(task, query, item, codes, labels, keys)
            _fill_keys(task, partner, item, codes, labels, others)
            for i in range(keys.size):
                keys[i] = keys[i] * np.uint16(width) + others[i]
            for i in range(keys.size):
                cells[keys[i]] += 1
            other = tally[partner]
            for key in range(width):
                row, total = table[key], 0
                for i in range(width):
                    total += row[i]
                tally[query, key] += total
                if total and partner != query:
                    for i in range(width):
                        other[i] += row[i]
                if total:
                    row[:] = 0


@njit
def _follow(
    start: int,
    stop: int,
    ranks: int,
    rank: np.ndarray,
    found: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
    task: Task,
) -> None:
    """Walk through the database in its order; each item takes the next free rank of its distance."""
    codes, labels = _room(task, _BLOCK)
    block = np.empty(_BLOCK, np.uint16)
    for item in range(0, len(task.database_words), _BLOCK):
        keys = block[: len(task.database_words) - item]
        _load(task, item, item + keys.size, codes, labels)
        for query in range(start, stop):
            _fill_keys(task, query, item, codes, labels, keys)
            next_rank, relevant = rank[query - start], found[query - start]
            precision, count = 0.0, 0
            for i in range(keys.size):
                distance = keys[i] >> np.uint16(1)
                next_rank[distance] += 1
                if keys[i] & np.uint16(1):
                    relevant[distance] += 1
                    if next_rank[distance] <= ranks:
                        precision += relevant[distance] / next_rank[distance]
                        count += 1
            sums[query] += precision
            counts[query] += count
