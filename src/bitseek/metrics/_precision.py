"""Precision and recall: at k, within a radius, and as a curve by radius.

At k the cut may fall into a group of ties, so the value is an expectation, or a bound; a radius never cuts a group.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, SupportsIndex, get_args

import numpy as np
from jaxtyping import Float, Int, Int64

from bitseek._checks import whole_number
from bitseek.metrics._average_precision import divide
from bitseek.metrics._groups import Groups, Ties, one_of, rank

Empty = Literal["zero", "skip"]
"""Precision of a query with no item within the radius: 0, or NaN and left out of the means."""


def precision_at(
    total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], k: SupportsIndex, ties: Ties = "expected"
) -> Float[np.ndarray, " q"]:
    """P(k) = H(k)/k of each query; a database with fewer than k items does not make k smaller.

    Args:
        total: number of database items in each tied group, nearest first.
        relevant: how many of them are relevant.
        k: number of ranks, 1 or more.
        ties: `expected` over all orders of tied items, `best` or `worst`.

    >>> precision_at(np.array([[1, 2]]), np.array([[1, 1]]), 2)
    array([0.75])
    """
    one_of("ties", ties, get_args(Ties))
    return relevant_at(Groups.of(total, relevant), rank(k), ties) / rank(k)


def recall_at(
    total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], k: SupportsIndex, ties: Ties = "expected"
) -> Float[np.ndarray, " q"]:
    """H(k)/H(n) of each query; NaN for a query that has no relevant item. Arguments as for `precision_at`.

    >>> recall_at(np.array([[1, 2]]), np.array([[1, 1]]), 1)
    array([0.5])
    """
    one_of("ties", ties, get_args(Ties))
    groups = Groups.of(total, relevant)
    return ratio(relevant_at(groups, rank(k), ties), groups.relevant)


def relevant_at(groups: Groups, k: int, ties: Ties) -> Float[np.ndarray, " q"]:
    """H(k), the number of relevant items in the first k ranks: C + r·(k − N)/n in expectation over the group cut."""
    if ties == "stable":
        return groups.stable(k)[1].astype(np.float64)
    reached = slice(int((k > groups.N).sum(axis=1).max(initial=0)))
    groups = groups[:, reached]
    q = groups.within(k)
    if ties == "best":
        relevant = np.minimum(groups.r, q)
    elif ties == "worst":
        relevant = np.maximum(0, q - (groups.n - groups.r))
    else:
        relevant = groups.r * q / np.maximum(groups.n, 1)
    return np.asarray(relevant.sum(axis=1), np.float64)


@dataclass(frozen=True, eq=False)
class WithinRadius:
    """What lies within a radius of each query.

    Attributes:
        items: number of items.
        relevant: number of relevant ones.
        precision: relevant / items; where there are no items 0, or NaN and left out of the means.
        recall: relevant / all relevant items; NaN if there are none.
        f: 2·precision·recall/(precision + recall), 0 if both are; NaN where one of the two is.
    """

    items: Int64[np.ndarray, " q"]
    relevant: Int64[np.ndarray, " q"]
    precision: Float[np.ndarray, " q"]
    recall: Float[np.ndarray, " q"]
    f: Float[np.ndarray, " q"]

    def means(self) -> dict[str, float]:
        """Means of precision, recall and f over the queries that have them, and the share of queries without items."""
        return {
            "precision": mean(self.precision),
            "recall": mean(self.recall),
            "f": mean(self.f),
            "empty": mean((self.items == 0).astype(np.float64)),
        }


def within_radius(
    total: Int[np.ndarray, "q bins"], relevant: Int[np.ndarray, "q bins"], radius: int = 2, empty: Empty = "zero"
) -> WithinRadius:
    """Precision, recall and F of all items within a radius of each query (P@H≤2 of the literature).

    Args:
        total: number of database items at each distance.
        relevant: how many of them are relevant.
        radius: 0 or more.
        empty: a query without an item in its radius has precision 0 (`zero`, the usual rule), or none (`skip`).

    >>> within = within_radius(np.array([[1, 2, 5]]), np.array([[1, 0, 1]]), radius=1)
    >>> within.precision, within.recall
    (array([0.33333333]), array([0.5]))
    """
    one_of("empty", empty, get_args(Empty))
    bins = whole_number(radius, "radius", 0) + 1
    groups = Groups.of(total, relevant)
    items, found = (counts[:, :bins].sum(axis=1) for counts in (groups.n, groups.r))
    precision, recall = _precision(found, items, empty), ratio(found, groups.relevant)
    both = precision + recall
    f = np.where(np.isnan(both), np.nan, divide(2 * precision * recall, both))
    return WithinRadius(items, found, precision, recall, f)


class Curve(NamedTuple):
    """Precision and recall within each radius 0 … bits; NaN where no query has one."""

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
        average: `macro` is the mean over queries of their ratios, `micro` the ratio of sums over all queries.
        empty: how a query without an item in a radius counts in the macro mean; a micro sum has no such question.
    """
    one_of("empty", empty, get_args(Empty))
    one_of("average", average, ("macro", "micro"))
    groups = Groups.of(total, relevant)
    items, found = groups.N + groups.n, groups.C + groups.r
    if average == "micro":
        items, found = items.sum(axis=0, keepdims=True), found.sum(axis=0, keepdims=True)
        empty = "skip"
    precision = [mean(_precision(part, whole, empty)) for part, whole in zip(found.T, items.T, strict=True)]
    recall = [mean(ratio(part, found[:, -1])) for part in found.T]
    return Curve(np.array(precision), np.array(recall))


def _precision(relevant: np.ndarray, items: np.ndarray, empty: Empty) -> np.ndarray:
    return divide(relevant, items) if empty == "zero" else ratio(relevant, items)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole, and NaN where the whole is nothing."""
    return np.where(whole > 0, divide(part, whole), np.nan)


def mean(values: np.ndarray) -> float:
    """Mean of the values that are numbers; NaN if none is."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else float("nan")
