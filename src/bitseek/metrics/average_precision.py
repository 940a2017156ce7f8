"""Average precision of rankings with ties, in closed form.

For a ranking cut at R, with rel(k) ∈ {0, 1}, H(k) = Σ_{j≤k} rel(j) and P(k) = H(k)/k:

    AP@R = (1/D) · Σ_{k≤R} P(k)·rel(k)        D = H(R) "retrieved", H(n) "relevant", or min(H(n), R) "min"

Within a group of tied items every order is as likely as any other, and the value here is the expectation over all of
them (McSherry and Najork, ECIR 2008), or the best or worst of them; never that of an order which some sort made up.
A group has n items, r of them relevant, after N items with C relevant ones in earlier groups.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from bitseek.errors import BitseekError
from bitseek.metrics.groups import Groups, Ties, check_ties
from bitseek.metrics.harmonic import reciprocal_sum

Denominator = Literal["retrieved", "relevant", "min"]
"""What the sum of precisions is divided by: relevant items in the top R, all relevant items, or min(those, R)."""

_ROWS_AT_ONCE = 1 << 19  # groups that are worked on together, which bounds the memory for temporary arrays


def average_precision(
    total: Int[np.ndarray, "q g"],
    relevant: Int[np.ndarray, "q g"],
    at: int | None = None,
    denominator: Denominator = "retrieved",
    ties: Ties = "expected",
) -> Float[np.ndarray, " q"]:
    """Average precision of each query, from the number of items and of relevant items in each tied group.

    Args:
        total: number of database items in each group (for codes: at each distance 0 … bits), nearest group first.
        relevant: how many of them are relevant to the query.
        at: R, the number of ranks that count; None for all.
        denominator: `retrieved` divides by the relevant items in the top R, as the hashing literature does, and so
            does not count what was missed; `relevant` by all relevant items; `min` by min(relevant, R).
        ties: `expected` is the mean over all orders of the tied items, `best` and `worst` are its exact bounds.

    Returns:
        float64 in [0, 1]; 0 for a query without any hit.

    Raises:
        BitseekError: an unknown name, `at` below 1, or counts that are none.

    >>> average_precision(np.array([[1, 2]]), np.array([[1, 1]]))   # one of two tied items is relevant
    array([0.91666667])
    >>> [average_precision(np.array([[1, 2]]), np.array([[1, 1]]), ties=ties).round(4) for ties in ("best", "worst")]
    [array([1.]), array([0.8333])]
    """
    return of_groups(Groups.of(total, relevant), at, denominator, ties)


def of_groups(groups: Groups, at: int | None, denominator: Denominator, ties: Ties) -> Float[np.ndarray, " q"]:
    """The same from groups that are at hand."""
    check_ties(ties)
    check_denominator(denominator)
    queries, size = groups.items.shape
    values = np.zeros(queries)
    step = max(1, _ROWS_AT_ONCE // max(1, size))
    for start in range(0, queries, step):
        rows = slice(start, start + step)
        values[rows] = _of_block(groups[rows], at, denominator, ties)
    return values


def check_denominator(denominator: str) -> None:
    """Raise unless the denominator has one of its three names."""
    if denominator not in ("retrieved", "relevant", "min"):
        raise BitseekError(f"denominator is 'retrieved', 'relevant' or 'min', got {denominator!r}")


def divide(sums: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The quotients, and 0 where `by` is 0: a query without a hit has average precision 0."""
    quotients: np.ndarray = np.divide(sums, by, out=np.zeros(len(sums)), where=by > 0)
    return quotients


def _of_block(groups: Groups, at: int | None, denominator: Denominator, ties: Ties) -> np.ndarray:
    relevant = groups.hits.sum(axis=1)
    reached = groups.within(at).any(axis=0)
    groups = groups[:, reached]  # the others, empty or beyond R, add nothing
    taken = groups.within(at)
    if denominator != "retrieved":
        by = relevant if denominator == "relevant" or at is None else np.minimum(relevant, at)
        return divide(_precisions(groups, taken, ties).sum(axis=1), by)
    whole = taken == groups.items
    sums = np.where(whole, _precisions(groups, taken, ties), 0.0).sum(axis=1)
    values = divide(sums, np.where(whole, groups.hits, 0).sum(axis=1))
    rows, group = np.nonzero((taken > 0) & ~whole)  # at most one group a query
    if len(rows):
        n, r, before, hits = (a[rows, group] for a in (groups.items, groups.hits, groups.before, groups.hits_before))
        of_cut = {"expected": _expected_at_cut, "best": _best_at_cut, "worst": _worst_at_cut}[ties]
        values[rows] = of_cut(sums[rows], n, r, before, hits, taken[rows, group])
    return values


def _precisions(groups: Groups, taken: np.ndarray, ties: Ties) -> np.ndarray:
    """Σ P(k)·rel(k) over the first `taken` places of each group."""
    n, r, before, hits = groups.items, groups.hits, groups.before, groups.hits_before
    if ties == "best":
        return relevant_first(hits, before, np.minimum(r, taken))
    if ties == "worst":
        last = np.maximum(0, taken - (n - r))
        return relevant_first(hits, before + taken - last, last)
    # A place is a hit with probability r/n; its i−1 forerunners in the group then hold (i−1)(r−1)/(n−1) hits.
    forerunners = (r - 1) / np.maximum(n - 1, 1)
    expected: np.ndarray = r / np.maximum(n, 1) * _linear(hits + 1, forerunners, before, taken)
    return expected


def relevant_first(hits: np.ndarray, before: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Σ (C + i)/(N + i) over i = 1 … count: precisions at `count` hits in a row."""
    precisions: np.ndarray = count - (before - hits) * reciprocal_sum(before, count)
    return precisions


def _linear(a: np.ndarray, b: np.ndarray, before: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Σ (a + b·(i−1))/(N + i) over i = 1 … count."""
    reciprocals = reciprocal_sum(before, count)
    sums: np.ndarray = a * reciprocals + b * (count - (before + 1) * reciprocals)
    return sums


# The group that R cuts, with the denominator H(R): q of its n places are in the top R, and the number h of hits among
# them also changes the denominator C + h.


def _expected_at_cut(
    sums: np.ndarray, n: np.ndarray, r: np.ndarray, before: np.ndarray, hits: np.ndarray, q: np.ndarray
) -> np.ndarray:
    """Mean over h ~ Hypergeometric(n, r, q) of [S + Σ_i (h/q)(C + 1 + (i−1)(h−1)/(q−1))/(N + i)] / (C + h).

    The sum runs outwards from the most likely h, for all queries at once, by the ratio of neighbouring probabilities,
    until what remains is below double precision: some 10·√q terms, and no factorial.
    """
    first = reciprocal_sum(before, q)  # Σ 1/(N + i)
    later = q - (before + 1) * first  # Σ (i − 1)/(N + i)
    mode = np.clip((q + 1) * (r + 1) // (n + 2), np.maximum(0, q - (n - r)), np.minimum(q, r)).astype(np.float64)
    slope, curve = (hits + 1) * first / q, later / (q * np.maximum(q - 1.0, 1.0))
    r, q, others = r.astype(np.float64), q.astype(np.float64), (n - r - q).astype(np.float64)

    def value(h: np.ndarray) -> np.ndarray:
        ratio: np.ndarray = (sums + h * (slope + (h - 1) * curve)) / np.maximum(hits + h, 1)
        return ratio

    weights = np.ones(len(n))
    means = value(mode)
    for up in (True, False):
        h, weight = mode, np.ones(len(n))
        while True:
            if up:
                weight = weight * ((r - h) * (q - h) / ((h + 1) * (others + h + 1)))
                h = np.minimum(h + 1, q)
            else:
                weight = weight * (h * (others + h) / ((r - h + 1) * (q - h + 1)))
                h = np.maximum(h - 1, 0)
            if not (weight > 1e-18 * weights).any():
                break
            weights += weight
            means += weight * value(h)
    means /= weights
    return means


def _best_at_cut(
    sums: np.ndarray, n: np.ndarray, r: np.ndarray, before: np.ndarray, hits: np.ndarray, q: np.ndarray
) -> np.ndarray:
    """Most of (S + Σ_{i≤h} (C + i)/(N + i))/(C + h): hits first, and as few or as many of them as there can be.

    The terms grow with i, so the mean falls as long as they are below it and rises from then on: an end is the best.
    """

    def value(h: np.ndarray) -> np.ndarray:
        return divide(sums + relevant_first(hits, before, h), hits + h)

    values: np.ndarray = np.maximum(value(np.maximum(0, q - (n - r))), value(np.minimum(q, r)))
    return values


def _worst_at_cut(
    sums: np.ndarray, n: np.ndarray, r: np.ndarray, before: np.ndarray, hits: np.ndarray, q: np.ndarray
) -> np.ndarray:
    """Least of (S + Σ_{i≤h} (C + i)/(N + q − h + i))/(C + h): hits last, and the worst number of them.

    The sum is convex in h, so its ratio to C + h has one valley, whose bottom a binary search finds.
    """

    def value(h: np.ndarray) -> np.ndarray:
        return divide(sums + relevant_first(hits, before + q - h, h), hits + h)

    low, high = np.maximum(0, q - (n - r)), np.minimum(q, r)
    while (low < high).any():
        middle = (low + high) // 2
        falling = value(np.minimum(middle + 1, high)) < value(middle)
        low, high = np.where(falling, middle + 1, low), np.where(falling, high, middle)
    return value(low)
