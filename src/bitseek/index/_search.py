"""The searches of a database: the two plans, by logits, and scores of candidates. Imports the compiled kernels."""

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from bitseek._checks import as_array
from bitseek.errors import CodeWidthError, ShapeError
from bitseek.index._database import Database
from bitseek.index._planner import Found
from bitseek.index._segments import Built, Segment
from bitseek.kernels import lookup, pruned, scan, topk
from bitseek.kernels.layout import ID_BITS, Vector, Words

Best = tuple[Int64[np.ndarray, "q k"], Float64[np.ndarray, "q k"]]


def nearest(database: Database, built: Built | None, queries: Words, k: int, threads: int | None) -> Found:
    """The k nearest items of each query: from clusters and a scan of what they do not cover, or by a scan alone.

    Piece by piece, in the order of the ids: of a later one only what is nearer than the k-th so far is of use.
    """
    looked, gone = 0.0, database.gone
    keys = np.zeros((len(queries), 0), np.int64)
    segments = () if built is None else built.segments
    pieces: list[Segment | tuple[int, Words]] = [*segments, *database.pieces(segments[-1].stop if segments else 0)]
    for piece in pieces:
        known = keys[:, k - 1] >> ID_BITS if keys.shape[1] == k else None
        sample = database.sample if k >= topk.SAMPLED_FROM and known is None else None
        if isinstance(piece, Segment):
            found, seen = pruned.nearest(
                piece.shells, queries, k, gone=gone, sample=sample, known=known, offset=piece.start, threads=threads
            )
            looked += float(seen.mean())
        else:
            first, words = piece
            found = scan.nearest(
                words, queries, k, database.bits, gone=gone, sample=sample, known=known, offset=first, threads=threads
            )
            looked += len(words)
        keys = np.sort(np.concatenate((keys, found), axis=1), axis=1)[:, :k] if keys.shape[1] else found
    return Found(keys, None, looked / database.size)


def within(database: Database, built: Built | None, queries: Words, radius: int, threads: int | None) -> Found:
    """All items within a radius of each query: from clusters and a scan of the rest, or by a scan alone."""
    looked, gone = 0.0, database.gone
    parts: list[tuple[Vector, Vector]] = []
    segments = () if built is None else built.segments
    for segment in segments:
        offsets, keys, seen = pruned.within(
            segment.shells, queries, radius, gone=gone, offset=segment.start, threads=threads
        )
        parts.append((offsets, keys))
        looked += float(seen.mean())
    for first, words in database.pieces(segments[-1].stop if segments else 0):
        parts.append(scan.within(words, queries, radius, gone=gone, offset=first, threads=threads))
        looked += len(words)
    if len(parts) > 1:
        owned = [(np.repeat(np.arange(len(queries)), np.diff(offsets)), keys) for offsets, keys in parts]
        parts = [topk.in_order(owned, len(queries))]
    offsets, keys = parts[0]
    return Found(keys, offsets, looked / database.size)


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
