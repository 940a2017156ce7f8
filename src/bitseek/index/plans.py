"""The two plans at work: keys of the hits, by clusters and a scan of what they do not cover, or by a scan alone."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from bitseek import kernels
from bitseek.index.clusters import Built
from bitseek.index.database import Database, Words


class Found(NamedTuple):
    """Keys of the hits of some queries.

    Of the k nearest, `keys` are (q, k), and there are no offsets; of those within a radius, the keys of query i are
    `keys[offsets[i] : offsets[i + 1]]`.
    """

    keys: Int64[np.ndarray, "*shape"]
    offsets: Int64[np.ndarray, " offsets"] | None
    looked_at: float
    """Share of the database that was looked at."""


def nearest(database: Database, built: Built | None, queries: Words, k: int, threads: int | None) -> Found:
    """The k nearest items of each query; by a scan alone if no clusters are given."""
    looked, start, parts = 0.0, 0, []
    if built is not None:
        shells, start = built
        sample = database.sample if k >= kernels.scan.SAMPLED_FROM else None
        keys, seen = kernels.pruned.nearest(shells, queries, k, gone=database.gone, sample=sample, threads=threads)
        looked = float(seen.mean())
        parts.append(keys)
    parts += database.scan_nearest(queries, k, start, threads)
    keys = parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts, axis=1), axis=1)
    return Found(keys[:, :k], None, (looked + database.size - start) / database.size)


def within(database: Database, built: Built | None, queries: Words, radius: int, threads: int | None) -> Found:
    """All items within a radius of each query; by a scan alone if no clusters are given."""
    looked, start, parts = 0.0, 0, []
    if built is not None:
        shells, start = built
        offsets, keys, seen = kernels.pruned.within(shells, queries, radius, gone=database.gone, threads=threads)
        looked = float(seen.mean())
        parts.append((offsets, keys))
    parts += database.scan_within(queries, radius, start, threads)
    if len(parts) > 1:
        owners = np.concatenate([np.repeat(np.arange(len(queries)), np.diff(offsets)) for offsets, _ in parts])
        parts = [kernels.scan.by_query(owners, np.concatenate([keys for _, keys in parts]), len(queries))]
    offsets, keys = parts[0]
    return Found(keys, offsets, (looked + database.size - start) / database.size)
