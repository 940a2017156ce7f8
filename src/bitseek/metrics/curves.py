"""Precision and recall: at N, within a radius, and as a curve by radius.

At N the cut may fall into a group of ties, so the value is an expectation, or a bound; a radius never cuts a group.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Int64

from bitseek.errors import BitseekError
from bitseek.metrics.average_precision import divide
from bitseek.metrics.groups import Groups, Ties, check_ties

Empty = Literal["zero", "skip"]
"""Precision of a query whose ball holds no item: 0, or NaN and left out of the means."""


def hits_at(
    total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], n: int, ties: Ties = "expected"
) -> Float[np.ndarray, " q"]:
    """H(N), the number of relevant items among the first N of each ranking; expected C + r·(N − before)/n_group.

    Args:
        total: number of database items in each tied group, nearest first.
        relevant: how many of them are relevant.
        n: N, 1 or more.
        ties: `expected` over all orders of tied items, `best` or `worst`.
    """
    check_ties(ties)
    groups = Groups.of(total, relevant)
    taken = groups.within(n)
    if ties == "best":
        hits = np.minimum(groups.hits, taken).sum(axis=1)
    elif ties == "worst":
        hits = np.maximum(0, taken - (groups.items - groups.hits)).sum(axis=1)
    else:
        hits = (groups.hits * taken / np.maximum(groups.items, 1)).sum(axis=1)
    return np.asarray(hits, np.float64)


def precision_at(
    total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], n: int, ties: Ties = "expected"
) -> Float[np.ndarray, " q"]:
    """P@N = H(N)/N of each query; a database with fewer than N items does not make N smaller.

    >>> precision_at(np.array([[1, 2]]), np.array([[1, 1]]), 2)
    array([0.75])
    """
    return hits_at(total, relevant, n, ties) / n


def recall_at(
    total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], n: int, ties: Ties = "expected"
) -> Float[np.ndarray, " q"]:
    """Recall@N = H(N)/H(all) of each query; NaN for a query that has no relevant item.

    >>> recall_at(np.array([[1, 2]]), np.array([[1, 1]]), 1)
    array([0.5])
    """
    return _ratio(hits_at(total, relevant, n, ties), relevant.sum(axis=1))


@dataclass(frozen=True, eq=False)
class Ball:
    """What lies within a radius of each query.

    Attributes:
        radius: the Hamming distance bound, included.
        empty: how an empty ball counts: precision 0, or NaN and left out of the means.
        precision: hits / items of the ball.
        recall: hits / relevant items; NaN if there are none.
        f: 2·precision·recall/(precision + recall), 0 if both are; NaN where one of the two is.
        items: number of items in the ball.
        hits: number of relevant ones.
    """

    radius: int
    empty: Empty
    precision: Float[np.ndarray, " q"]
    recall: Float[np.ndarray, " q"]
    f: Float[np.ndarray, " q"]
    items: Int64[np.ndarray, " q"]
    hits: Int64[np.ndarray, " q"]

    def means(self) -> dict[str, float]:
        """Means of precision, recall and f over the queries that have them, and the share of empty balls."""
        return {
            "precision": _mean(self.precision),
            "recall": _mean(self.recall),
            "f": _mean(self.f),
            "empty": _mean((self.items == 0).astype(np.float64)),
        }


def within_radius(
    total: Int[np.ndarray, "q bins"], relevant: Int[np.ndarray, "q bins"], radius: int = 2, empty: Empty = "zero"
) -> Ball:
    """Precision, recall and F of all items within a radius of each query (P@H≤2 of the literature).

    Args:
        total: number of database items at each distance.
        relevant: how many of them are relevant.
        radius: 0 or more.
        empty: a ball without items has precision 0 (`zero`, the usual rule), or none (`skip`).

    >>> ball = within_radius(np.array([[1, 2, 5]]), np.array([[1, 0, 1]]), radius=1)
    >>> ball.precision, ball.recall
    (array([0.33333333]), array([0.5]))
    """
    _check_empty(empty)
    if radius < 0:
        raise BitseekError(f"a radius is 0 or more, got {radius}")
    Groups.of(total, relevant)
    items = total[:, : radius + 1].sum(axis=1, dtype=np.int64)
    hits = relevant[:, : radius + 1].sum(axis=1, dtype=np.int64)
    precision = _precision(hits, items, empty)
    recall = _ratio(hits, relevant.sum(axis=1))
    both = precision + recall
    f = np.where(np.isnan(both), np.nan, divide(2 * precision * recall, both))
    return Ball(radius, empty, precision, recall, f, items, hits)


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall at each radius.

    Attributes:
        average: `macro` is the mean over queries of their ratios, `micro` the ratio of sums over all queries.
        radius: 0 … bits.
        precision: at each radius; NaN where no query has one.
        recall: at each radius; NaN if no query has a relevant item.
    """

    average: Literal["macro", "micro"]
    radius: Int64[np.ndarray, " bins"]
    precision: Float[np.ndarray, " bins"]
    recall: Float[np.ndarray, " bins"]


def precision_recall(
    total: Int[np.ndarray, "q bins"],
    relevant: Int[np.ndarray, "q bins"],
    average: Literal["macro", "micro"] = "macro",
    empty: Empty = "zero",
) -> Curve:
    """Precision-recall curve by radius, which needs no order within ties.

    Args:
        total: number of database items at each distance.
        relevant: how many of them are relevant.
        average: `macro` or `micro`.
        empty: how a query whose ball is empty counts in the macro mean; a micro sum has no such question.
    """
    _check_empty(empty)
    if average not in ("macro", "micro"):
        raise BitseekError(f"average is 'macro' or 'micro', got {average!r}")
    Groups.of(total, relevant)
    items = np.cumsum(total, axis=1, dtype=np.int64)
    hits = np.cumsum(relevant, axis=1, dtype=np.int64)
    radius = np.arange(total.shape[1], dtype=np.int64)
    if average == "micro":
        pooled, found = items.sum(axis=0), hits.sum(axis=0)
        everything = np.full(len(radius), found[-1])
        return Curve(average, radius, _ratio(found, pooled), _ratio(found, everything))
    columns = [
        (_mean(_precision(hits[:, d], items[:, d], empty)), _mean(_ratio(hits[:, d], hits[:, -1]))) for d in radius
    ]
    precision, recall = np.array(columns, np.float64).T
    return Curve(average, radius, precision, recall)


def _precision(hits: np.ndarray, items: np.ndarray, empty: Empty) -> np.ndarray:
    return divide(hits, items) if empty == "zero" else _ratio(hits, items)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole, and NaN where the whole is nothing."""
    return np.where(whole > 0, divide(part, whole), np.nan)


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are numbers; NaN if none is."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else float("nan")


def _check_empty(empty: str) -> None:
    if empty not in ("zero", "skip"):
        raise BitseekError(f"empty is 'zero' or 'skip', got {empty!r}")
