"""Scores of candidates: by the logits of the query, or by stored features."""

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from bitseek import kernels
from bitseek.errors import CodeWidthError, ShapeError
from bitseek.index.database import Database


def finite_logits(logits: Any, bits: int) -> Float64[np.ndarray, "q bits"]:
    """Logits as float64, checked.

    Raises:
        CodeWidthError: not as many as bits.
        ShapeError: not two-dimensional, NaN or infinite.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim != 2:
        raise ShapeError(f"logits are (queries, bits), got shape {values.shape}")
    if values.shape[1] != bits:
        raise CodeWidthError(f"this index holds codes of {bits} bits, got {values.shape[1]} logits a query")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ShapeError(f"a logit of query {bad} is NaN or infinite; look at the model or its input")
    return values


def by_logits(
    database: Database, ids: Int64[np.ndarray, "q n"], logits: Float64[np.ndarray, "_ bits"]
) -> Float64[np.ndarray, "q n"]:
    """Inner product of each candidate's code, as ±1, with the query's logits; the same as `lookup.nearest` gives."""
    if len(ids) != len(logits):
        raise ShapeError(f"hits of {len(ids)} queries cannot be re-ranked with logits of {len(logits)}")
    scores = np.empty(ids.shape)
    for i, row in enumerate(ids):
        table = kernels.lookup.tables(logits[i : i + 1])[0]
        scores[i] = kernels.lookup.scores(database.rows(row), table)
    return scores


def by_features(
    ids: Int64[np.ndarray, "q n"], query_features: Any, features: Any, size: int
) -> Float64[np.ndarray, "q n"]:
    """Inner product of each candidate's features with the query's."""
    queries = np.asarray(query_features)
    if queries.ndim != 2 or len(queries) != len(ids):
        raise ShapeError(f"query_features are ({len(ids)}, d), one row a query of the hits, got {queries.shape}")
    if features.ndim != 2 or len(features) != size or features.shape[1] != queries.shape[1]:
        raise ShapeError(
            f"features are ({size}, {queries.shape[1]}), one row an id of the index, got {tuple(features.shape)}"
        )
    scores = np.empty(ids.shape)
    for i, row in enumerate(ids):
        scores[i] = np.asarray(features[row], np.float64) @ queries[i].astype(np.float64)
    return scores
