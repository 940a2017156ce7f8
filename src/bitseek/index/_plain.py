"""The searches of a database in NumPy, for the first queries of a process (see `bitseek.kernels.loading`)."""

import numpy as np

from bitseek.index._database import Database
from bitseek.index._planner import Found
from bitseek.kernels import plain
from bitseek.kernels.layout import Words, by_query


def nearest(database: Database, queries: Words, k: int) -> Found:
    """The k nearest items of each query; as many as can be found, or fewer."""
    parts = [plain.nearest(words, queries, k, database.gone, first) for first, words in database.pieces()]
    return Found(np.sort(np.concatenate(parts, axis=1), axis=1)[:, :k], None, 1.0)


def within(database: Database, queries: Words, radius: int) -> Found:
    """All items within a radius of each query."""
    parts = [plain.within(words, queries, radius, database.gone, first) for first, words in database.pieces()]
    owners = [np.repeat(np.arange(len(queries)), np.diff(offsets)) for offsets, _ in parts]
    offsets, keys = by_query(np.concatenate(owners), np.concatenate([keys for _, keys in parts]), len(queries))
    return Found(keys, offsets, 1.0)
