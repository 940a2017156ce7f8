"""The searches of a database: the two plans, by logits, and scores of candidates. Imports the compiled kernels."""

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from bitseek._checks import as_array
from bitseek.errors import CodeWidthError, ShapeError
from bitseek.index._clusters import Built
from bitseek.index._database import Database
from bitseek.index._planner import Found
from bitseek.kernels import lookup, pruned, scan, topk
from bitseek.kernels.layout import Words

Best = tuple[Int64[np.ndarray, "q k"], Float64[np.ndarray, "q k"]]


def nearest(database: Database, built: Built | None, queries: Words, k: int, threads: int | None) -> Found:
    """The k nearest items of each query: from clusters and a scan of what they do not cover, or by a scan alone."""
    looked, start, parts = 0.0, 0, []
    sample = database.sample if k >= topk.SAMPLED_FROM else None
    if built is not None:
        shells, start = built.shells, built.covered
        keys, seen = pruned.nearest(shells, queries, k, gone=database.gone, sample=sample, threads=threads)
        looked = float(seen.mean())
        parts.append(keys)
    for first, words in database.pieces(start):
        parts.append(
            scan.nearest(
                words, queries, k, database.bits, gone=database.gone, sample=sample, offset=first, threads=threads
            )
        )
    keys = parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts, axis=1), axis=1)
    return Found(keys[:, :k], None, (looked + database.size - start) / database.size)


def within(database: Database, built: Built | None, queries: Words, radius: int, threads: int | None) -> Found:
    """All items within a radius of each query: from clusters and a scan of the rest, or by a scan alone."""
    looked, start, parts = 0.0, 0, []
    if built is not None:
        shells, start = built.shells, built.covered
        offsets, keys, seen = pruned.within(shells, queries, radius, gone=database.gone, threads=threads)
        looked = float(seen.mean())
        parts.append((offsets, keys))
    for first, words in database.pieces(start):
        parts.append(scan.within(words, queries, radius, gone=database.gone, offset=first, threads=threads))
    if len(parts) > 1:
        owned = [(np.repeat(np.arange(len(queries)), np.diff(offsets)), keys) for offsets, keys in parts]
        parts = [topk.in_order(owned, len(queries))]
    offsets, keys = parts[0]
    return Found(keys, offsets, (looked + database.size - start) / database.size)


def nearest_by_logits(database: Database, logits: Any, k: int, threads: int | None) -> Best:
    """Ids and scores of the k items with the greatest inner product of code, as ±1, and logits."""
    values = _finite(logits, database.bits)
    k = min(k, database.alive)
    if not k or not len(values):
        return np.zeros((len(values), k), np.int64), np.zeros((len(values), k))
    parts = [
        lookup.nearest(words, values, k, gone=database.gone, offset=first, threads=threads)
        for first, words in database.pieces()
    ]
    ids, scores = (np.concatenate(found, axis=1) for found in zip(*parts, strict=True))
    return lookup.best(ids, scores, k)


def by_logits(database: Database, ids: Int64[np.ndarray, "q n"], logits: Any, k: int) -> Best:
    """The k candidates with the greatest inner product of code and logits; scores as of `nearest_by_logits`."""
    values = _finite(logits, database.bits)
    if len(ids) != len(values):
        raise ShapeError(f"hits of {len(ids)} queries cannot be re-ranked with logits of {len(values)}")
    scores = np.empty(ids.shape)
    for i, row in enumerate(ids):
        scores[i] = lookup.scores(database.rows(row), lookup.tables(values[i : i + 1])[0])
    return lookup.best(ids, scores, k)


def by_features(database: Database, ids: Int64[np.ndarray, "q n"], queries: Any, features: Any, k: int) -> Best:
    """The k candidates with the greatest inner product of their features and the query's."""
    queries = as_array(queries, "query_features")
    if queries.ndim != 2 or len(queries) != len(ids):
        raise ShapeError(f"query_features are ({len(ids)}, d), one row a query of the hits, got {queries.shape}")
    if np.ndim(features) != 2 or np.shape(features) != (database.size, queries.shape[1]):
        raise ShapeError(
            f"features are ({database.size}, {queries.shape[1]}), one row an id of the index, got {np.shape(features)}"
        )
    scores = np.empty(ids.shape)
    for i, row in enumerate(ids):
        scores[i] = np.asarray(features[row], np.float64) @ queries[i].astype(np.float64)
    return lookup.best(ids, scores, k)


def _finite(logits: Any, bits: int) -> Float64[np.ndarray, "q bits"]:
    """Logits as (q, bits) float64 without NaN and infinity."""
    values = as_array(logits, "logits").astype(np.float64, copy=False)
    if values.ndim != 2:
        raise ShapeError(f"logits are (queries, bits), got shape {values.shape}")
    if values.shape[1] != bits:
        raise CodeWidthError(f"this index holds codes of {bits} bits, got {values.shape[1]} logits a query")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ShapeError(f"a logit of query {bad} is NaN or infinite; check the model and its input")
    return values
