"""How many of the true neighbours of an item its code keeps: a measure of codes that needs no labels."""

import numpy as np
from jaxtyping import Float, Int64

from bitseek.codes import Codes
from bitseek.metrics import Relevance, retrieval

K = 10
"""Neighbours of an item that its code should keep."""


def neighbours_kept(
    query_codes: Codes,
    database_codes: Codes,
    queries: Float[np.ndarray, "q D"],
    database: Float[np.ndarray, "n D"],
    k: int = K,
) -> float:
    """The expected share of the k true neighbours of a query that are among its first k by the codes, precision@k.

    For a query q let N(q) be its k nearest items by the cosine of the features. By the Hamming distance d of the codes,
    with ties in any order, an item x is among the first k with probability

        p(x) = min(1, max(0, (k − #{y: d(q, y) < d(q, x)}) / #{y: d(q, y) = d(q, x)})),

    and what is kept is the mean of p(x) over all q and all x in N(q), in [0, 1].
    """
    near = neighbours(queries, database, k)
    kept = retrieval(
        query_codes, database_codes, Relevance.from_lists(list(near), database=len(database)), precision_at=[k]
    )
    return float(kept.precision_at[k].mean())


def neighbours(
    queries: Float[np.ndarray, "q D"], database: Float[np.ndarray, "n D"], k: int
) -> Int64[np.ndarray, "q k"]:
    """The k rows of the database with the largest cosine to each query, ties to the lowest; a zero vector has none."""
    unit = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (queries, database)]
    return np.argsort(-(unit[0] @ unit[1].T), axis=1, kind="stable")[:, :k]
