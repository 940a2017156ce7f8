"""The same measures for rankings by real numbers: asymmetric search, re-ranking, plain features.

A ranking is cut into groups of equal score, in falling order; a group of codes at one distance is the same thing. So
ties among scores, which rounding makes common, have an expected, a best and a worst value too.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float, Int, Int64

from bitseek._checks import as_array
from bitseek.errors import ShapeError
from bitseek.metrics._average_precision import Denominator
from bitseek.metrics._groups import Groups, Ties, integers
from bitseek.metrics._relevance import Relevance, check_relevance
from bitseek.metrics._retrieval import AP, NoHit, Retrieval, Rules


def retrieval_by_scores(
    scores: Iterable[Any],
    relevance: Relevance,
    *,
    k: SupportsIndex | None = None,
    denominator: Denominator = "retrieved",
    ties: Ties = "expected",
    no_hit: NoHit = "zero",
    ap: AP = "standard",
    precision_at: Sequence[SupportsIndex] | None = None,
) -> Retrieval:
    """Measure a ranking by real scores: asymmetric search, re-ranking, plain features. Equal scores are tied.

    The scores are blocks of rows, (rows, n) arrays, lists or tensors, that together are one row for each query, in
    order; higher is nearer. A generator of blocks needs no memory for all of them; `[scores]` gives them at once. The
    other arguments are those of `retrieval`.

    Raises:
        ShapeError: the rows are not one for each query, or not one score for each item, or a score is NaN.

    >>> scores = np.array([[0.9, 0.3, 0.5]])
    >>> round(retrieval_by_scores([scores], Relevance.from_labels([7], [7, 7, 8])).mAP, 4)
    0.8333
    """
    check_relevance(relevance)
    rules = Rules.of(k, denominator, ties, no_hit, ap, precision_at, relevance.database)
    rankings = _ranked_by_scores(scores, relevance, stable=ties == "stable")
    return rules.measure(rankings, relevance.queries, None, len(relevance.removed.items))


def reranked(
    distances: Int[np.ndarray, " n"], ids: Int[np.ndarray, " c"], scores: Float[np.ndarray, " c"]
) -> Int64[np.ndarray, " n"]:
    """Scores of a whole ranking in which a candidate list was re-ranked: candidates first, the others by distance.

    Args:
        distances: Hamming distance of every item of the database to the query.
        ids: places in the database of the candidates.
        scores: their new scores, higher is nearer.

    Returns:
        For each item an integer, higher is nearer; equal where the items are tied.

    Raises:
        ShapeError: not one score for each candidate, a score that is NaN, or ids that are not places, or not different.

    >>> reranked(np.array([1, 1, 2, 3, 3]), np.array([0, 2]), np.array([0.2, 0.7]))
    array([ 0, -2,  1, -4, -4])
    """
    ranks = -1 - integers(distances, "distances").astype(np.int64)
    places, values = integers(ids, "ids").astype(np.int64), as_array(scores, "scores")
    if ranks.ndim != 1 or places.ndim != 1 or places.shape != values.shape or np.isnan(values).any():
        raise ShapeError(
            "each item has one distance and each candidate one score that is not NaN, got arrays of "
            f"{ranks.shape} distances, {places.shape} candidates and {values.shape} scores"
        )
    different = np.unique(places)
    if len(different) < len(places) or (len(places) and not 0 <= different[0] <= different[-1] < len(ranks)):
        raise ShapeError(f"ids are different places 0 to {len(ranks) - 1} in the database, got others")
    ranks[places] = np.unique(values, return_inverse=True)[1]
    return ranks


def _ranked_by_scores(scores: Iterable[np.ndarray], relevance: Relevance, stable: bool) -> Iterator[Groups]:
    """The distinct scores of each query, the highest first."""
    query, queries, n = 0, relevance.queries, relevance.database
    for part in scores:
        block = as_array(part, "scores")
        if block.ndim != 2 or block.shape[1] != n or query + len(block) > queries:
            raise ShapeError(
                f"scores are blocks of rows that make up ({queries}, {n}), got a block {block.shape} at row {query}"
            )
        if np.issubdtype(block.dtype, np.inexact) and np.isnan(block).any():
            row, item = np.argwhere(np.isnan(block))[0]
            raise ShapeError(f"the score of item {item} for query {query + row} is NaN, which has no rank")
        for row in block:
            relevant = relevance.relevant(query)
            if len(relevance.removed[query]):
                kept = ~relevance.left_out(query)
                row, relevant = row[kept], relevant[kept]
            yield _ranked_by_score(row, relevant, stable)
            query += 1
    if query != queries:
        raise ShapeError(f"there are {queries} queries, got scores of {query}")


def _ranked_by_score(scores: np.ndarray, relevant: np.ndarray, stable: bool) -> Groups:
    order = np.argsort(scores)[::-1]
    if stable:  # from the last item to the first and rising, then turned round: falling, and ties by place
        order = len(scores) - 1 - np.argsort(scores[::-1], kind="stable")[::-1]
    ordered, ranked = scores[order], relevant[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(scores))
    found = np.append(0, np.cumsum(ranked))[ends]

    def stable_sums(k: int | None) -> tuple[np.ndarray, np.ndarray]:
        places = np.flatnonzero(ranked[:k]) + 1
        return np.array([(np.arange(1, len(places) + 1) / places).sum()]), np.array([len(places)])

    total, relevant = (np.diff(sums, prepend=0)[None] for sums in (ends, found))
    return Groups.of(total, relevant, stable_sums if stable else None)
