"""The same metrics for rankings by real numbers: asymmetric search, re-ranking, plain features.

A ranking is cut into groups of equal score, in falling order; a group of codes at one distance is the same thing. So
ties among scores, which rounding makes common, have an expected, a best and a worst value too.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Int64, Shaped

from bitseek.errors import ShapeError
from bitseek.metrics.average_precision import Denominator, of_groups
from bitseek.metrics.groups import ORDERS, Groups
from bitseek.metrics.histograms import same_items
from bitseek.metrics.labels import Labels
from bitseek.metrics.retrieval import NoHit, RetrievalReport, assemble


def groups_by_score(
    scores: Shaped[np.ndarray, " n"], relevant: Bool[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, "1 g"], Int64[np.ndarray, "1 g"]]:
    """The counts `total` and `relevant` of one query's distinct scores, the highest first.

    They go into `average_precision`, `precision_at` and the rest of this package as those of `histograms` do.

    Args:
        scores: higher is nearer; −inf is a score like any other.
        relevant: whether each item is relevant.

    Raises:
        ShapeError: different lengths, or a NaN among the scores.

    >>> groups_by_score(np.array([0.1, 0.9, 0.1]), np.array([True, True, False]))
    (array([[1, 2]]), array([[1, 1]]))
    """
    if scores.shape != relevant.shape:
        raise ShapeError(f"each score belongs to an item, got {scores.shape} scores and {relevant.shape} items")
    if np.issubdtype(scores.dtype, np.inexact) and np.isnan(scores).any():
        raise ShapeError(f"the score of item {int(np.flatnonzero(np.isnan(scores))[0])} is NaN, which has no rank")
    order = np.argsort(scores)[::-1]
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[len(scores) > 0], ordered[1:] != ordered[:-1]])[: len(scores)])
    hits = np.concatenate([[0], np.cumsum(relevant[order])])
    ends = np.concatenate([starts[1:], [len(scores)]])[: len(starts)]
    total = (ends - starts).astype(np.int64)
    return total[None], (hits[ends] - hits[starts]).astype(np.int64)[None]


def reranked(
    distances: Int[np.ndarray, " n"], ids: Int[np.ndarray, " k"], scores: Float[np.ndarray, " k"]
) -> Int64[np.ndarray, " n"]:
    """Scores of a whole ranking in which a candidate list was re-ranked: candidates first, the others by distance.

    Args:
        distances: Hamming distance of every item of the database to the query.
        ids: places in the database of the candidates.
        scores: their new scores, higher is nearer.

    Returns:
        For each item an integer, higher is nearer; equal where the items are tied.

    >>> reranked(np.array([1, 1, 2, 3, 3]), np.array([0, 2]), np.array([0.2, 0.7]))
    array([ 0, -2,  1, -4, -4])
    """
    if ids.shape != scores.shape or len(np.unique(ids)) < len(ids):
        raise ShapeError(f"each candidate has one score, got {len(ids)} candidates and {len(scores)} scores")
    ranks = -1 - distances.astype(np.int64)
    ranks[ids] = np.unique(scores, return_inverse=True)[1]
    return ranks


def retrieval_by_score(
    scores: Iterable[Shaped[np.ndarray, "_ n"]],
    query_labels: Shaped[np.ndarray, "q ..."],
    database_labels: Shaped[np.ndarray, "n ..."],
    *,
    at: int | None = None,
    denominator: Denominator = "retrieved",
    ties: Literal["expected", "best", "worst"] = "expected",
    no_hit: NoHit = "zero",
    query_ids: Shaped[np.ndarray, " q"] | None = None,
    database_ids: Shaped[np.ndarray, " n"] | None = None,
) -> RetrievalReport:
    """Mean average precision of a ranking by real scores, in the same report as that of codes.

    Args:
        scores: blocks of rows, (rows, n) each, that together are one row for each query, in order; higher is nearer.
            A generator of blocks needs no memory for all scores; `[scores]` gives them at once.
        query_labels: as for `retrieval`.
        database_labels: as for `retrieval`.
        at: as for `retrieval`.
        denominator: as for `retrieval`.
        ties: as for `retrieval`, but not `stable`.
        no_hit: as for `retrieval`.
        query_ids: as for `retrieval`.
        database_ids: as for `retrieval`.

    Raises:
        ShapeError: the rows are not one for each query, or not one score for each item.

    >>> scores = np.array([[0.9, 0.3, 0.5]])
    >>> round(retrieval_by_score([scores], np.array([7]), np.array([7, 7, 8])).mAP, 4)
    0.8333
    """
    labels = Labels.of(query_labels, database_labels)
    queries, n = len(labels.query), len(labels.database)
    excluded = same_items(labels.query, labels.database, query_ids, database_ids)
    values = {order: np.zeros(queries) for order in ORDERS}
    most, of_query = np.zeros(queries, np.int64), np.zeros(queries, np.int64)
    query = 0
    for block in scores:
        if block.ndim != 2 or block.shape[1] != n or query + len(block) > queries:
            raise ShapeError(
                f"scores are blocks of rows that make up ({queries}, {n}), got a block {block.shape} at row {query}"
            )
        for row in block:
            relevant, kept = labels.relevant(query), np.ones(n, np.bool_)
            if excluded is not None:
                offsets, items = excluded
                kept[items[offsets[query] : offsets[query + 1]]] = False
            groups = Groups.of(*groups_by_score(row[kept], relevant[kept]))
            for order in ORDERS:
                values[order][query] = of_groups(groups, at, denominator, order)[0]
            most[query], of_query[query] = groups.reachable(at)[0], groups.hits.sum()
            query += 1
    if query != queries:
        raise ShapeError(f"there are {queries} queries, got scores of {query}")
    return assemble(
        values,
        ties=ties,
        hit=most > 0,
        at=at,
        denominator=denominator,
        no_hit=no_hit,
        database=n,
        bits=None,
        queries_without_relevant=int((of_query == 0).sum()),
        excluded=0 if excluded is None else len(excluded[1]),
    )
