"""Average precision of rankings with ties, in closed form.

For a ranking cut at k, with rel(j) ∈ {0, 1}, H(j) = Σ_{i≤j} rel(i) and P(j) = H(j)/j:

    AP@k = (1/D) · Σ_{j≤k} P(j)·rel(j)        D = H(k) "retrieved", H(n) "relevant", or min(H(n), k) "min"

Within a group of tied items every order is as likely as any other, and the value here is the expectation over all of
them (McSherry and Najork, ECIR 2008), or the best or worst of them; never that of an order which some sort made up.
A group has n items, r of them relevant, after N items with C relevant ones in earlier groups; q of its n places are
among the first k ranks.
"""

from math import fsum
from typing import Any, Literal, SupportsIndex, get_args

import numpy as np
from jaxtyping import Float, Int

from bitseek.metrics._groups import Groups, Ties, cut_off, one_of

Denominator = Literal["retrieved", "relevant", "min"]
"""What the sum of precisions is divided by: relevant items in the top k, all relevant items, or min(those, k)."""

_CELLS_AT_ONCE = 1 << 19  # groups that are worked on together, which bounds the memory for temporary arrays


def average_precision(
    total: Int[np.ndarray, "q g"],
    relevant: Int[np.ndarray, "q g"],
    k: SupportsIndex | None = None,
    denominator: Denominator = "retrieved",
    ties: Ties = "expected",
) -> Float[np.ndarray, " q"]:
    """Average precision of each query, from the number of items and of relevant items in each tied group.

    Args:
        total: number of database items in each group (for codes: at each distance 0 … bits), nearest group first.
        relevant: how many of them are relevant to the query.
        k: the number of ranks that count; None for all.
        denominator: `retrieved` divides by the relevant items in the top k, as the hashing literature does, and so
            does not count what was missed; `relevant` by all relevant items; `min` by min(relevant, k).
        ties: `expected` is the mean over all orders of the tied items, `best` and `worst` are its exact bounds.

    Returns:
        float64 in [0, 1]; 0 for a query without a relevant item in its top k.

    Raises:
        BitseekError: an unknown name, k below 1, or counts that are none.

    >>> average_precision(np.array([[1, 2]]), np.array([[1, 1]]))   # one of two tied items is relevant
    array([0.91666667])
    >>> [average_precision(np.array([[1, 2]]), np.array([[1, 1]]), ties=ties).round(4) for ties in ("best", "worst")]
    [array([1.]), array([0.8333])]
    """
    one_of("ties", ties, get_args(Ties))
    one_of("denominator", denominator, get_args(Denominator))
    return of_groups(Groups.of(total, relevant), cut_off(k), denominator, (ties,))[ties]


def of_groups(
    groups: Groups, k: int | None, denominator: Denominator, orders: tuple[Ties, ...]
) -> dict[Ties, Float[np.ndarray, " q"]]:
    """The same from groups that are at hand, for several orders of the ties."""
    queries, size = groups.n.shape
    by = None  # D of each query where it does not depend on the order
    if denominator != "retrieved":
        by = groups.relevant if denominator == "relevant" or k is None else np.minimum(groups.relevant, k)
    values = {order: np.zeros(queries) for order in orders}
    step = max(1, _CELLS_AT_ONCE // max(1, size))
    for start in range(0, queries, step):
        rows = slice(start, start + step)
        q = groups[rows].within(k)
        reached = q.any(axis=0)  # the other groups, empty or beyond k, add nothing
        block = groups[rows, reached]
        q = block.n if k is None else q[:, reached]
        for order in orders:
            if order != "stable":
                values[order][rows] = _of_block(block, q, None if by is None else by[rows], order)
    if "stable" in orders:
        sums, found = groups.stable(k)
        values["stable"] = divide(sums, found if by is None else by)
    return values


def divide(sums: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The quotients, and 0 where `by` is 0: a query without a relevant item has average precision 0."""
    quotients: np.ndarray = np.divide(sums, by, out=np.zeros(len(sums)), where=by > 0)
    return quotients


def _of_block(groups: Groups, q: np.ndarray, by: np.ndarray | None, order: Ties) -> np.ndarray:
    precisions = _precisions(groups, q, order)
    if by is not None:
        return divide(precisions.sum(axis=1), by)
    whole = q == groups.n
    sums = np.where(whole, precisions, 0.0).sum(axis=1)
    values = divide(sums, np.where(whole, groups.r, 0).sum(axis=1))
    rows, group = np.nonzero(~whole & (q > 0))  # at most one group a query
    if len(rows):
        of_cut = {"expected": _expected_at_cut, "best": _best_at_cut, "worst": _worst_at_cut}[order]
        values[rows] = of_cut(sums[rows], groups[rows, group], q[rows, group])
    return values


def _precisions(groups: Groups, q: np.ndarray, order: Ties) -> np.ndarray:
    """Σ P(j)·rel(j) over the first q places of each group."""
    n, r, N, C = groups.n, groups.r, groups.N, groups.C
    if order == "best":
        return relevant_first(C, N, np.minimum(r, q))
    if order == "worst":
        last = np.maximum(0, q - (n - r))
        return relevant_first(C, N + q - last, last)
    # A place is relevant with probability r/n; its i − 1 forerunners in the group then hold (i−1)(r−1)/(n−1) of them.
    reciprocals = reciprocal_sum(N, q)
    forerunners = (r - 1) / np.maximum(n - 1, 1)
    expected: np.ndarray = r / np.maximum(n, 1) * ((C + 1) * reciprocals + forerunners * (q - (N + 1) * reciprocals))
    return expected


def relevant_first(C: np.ndarray, N: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Σ (C + i)/(N + i) over i = 1 … count: precisions at `count` relevant items in a row."""
    precisions: np.ndarray = count - (N - C) * reciprocal_sum(N, count)
    return precisions


# The group that k cuts, with the denominator H(k): the number h of relevant items among its q places also changes the
# denominator C + h. S is the sum over the complete groups.


def _expected_at_cut(S: np.ndarray, group: Groups, q: np.ndarray) -> np.ndarray:
    """Mean over h ~ Hypergeometric(n, r, q) of [S + Σ_i (h/q)(C + 1 + (i−1)(h−1)/(q−1))/(N + i)] / (C + h).

    The sum runs outwards from the most likely h, for all queries at once, by the ratio of neighbouring probabilities,
    until what remains is below double precision: some 10·√q terms, and no factorial.
    """
    n, r, N, C = group.n, group.r, group.N, group.C
    first = reciprocal_sum(N, q)  # Σ 1/(N + i)
    later = q - (N + 1) * first  # Σ (i − 1)/(N + i)
    mode = np.clip((q + 1) * (r + 1) // (n + 2), np.maximum(0, q - (n - r)), np.minimum(q, r)).astype(np.float64)
    slope, curve = (C + 1) * first / q, later / (q * np.maximum(q - 1.0, 1.0))
    r, q, others = r.astype(np.float64), q.astype(np.float64), (n - r - q).astype(np.float64)

    def value(h: np.ndarray) -> np.ndarray:
        ratio: np.ndarray = (S + h * (slope + (h - 1) * curve)) / np.maximum(C + h, 1)
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


def _best_at_cut(S: np.ndarray, group: Groups, q: np.ndarray) -> np.ndarray:
    """Most of (S + Σ_{i≤h} (C + i)/(N + i))/(C + h): relevant items first, and as few or as many as there can be.

    The terms grow with i, so the mean falls as long as they are below it and rises from then on: an end is the best.
    """

    def value(h: np.ndarray) -> np.ndarray:
        return divide(S + relevant_first(group.C, group.N, h), group.C + h)

    values: np.ndarray = np.maximum(value(np.maximum(0, q - (group.n - group.r))), value(np.minimum(q, group.r)))
    return values


def _worst_at_cut(S: np.ndarray, group: Groups, q: np.ndarray) -> np.ndarray:
    """Least of (S + Σ_{i≤h} (C + i)/(N + q − h + i))/(C + h): relevant items last, and the worst number of them.

    The sum is convex in h, so its ratio to C + h has one valley, whose bottom a binary search finds.
    """

    def value(h: np.ndarray) -> np.ndarray:
        return divide(S + relevant_first(group.C, group.N + q - h, h), group.C + h)

    low, high = np.maximum(0, q - (group.n - group.r)), np.minimum(q, group.r)
    while (low < high).any():
        middle = (low + high) // 2
        falling = value(np.minimum(middle + 1, high)) < value(middle)
        low, high = np.where(falling, middle + 1, low), np.where(falling, high, middle)
    return value(low)


_EXACT = 64
_HARMONIC = np.array([fsum(1 / i for i in range(1, n + 1)) for n in range(_EXACT + 1)])


def reciprocal_sum(start: Any, count: Any) -> Float[np.ndarray, "..."]:
    """Σ 1/(start + i) over i = 1 … count, elementwise: the harmonic number H(start + count) less H(start).

    From H(n) = γ + ln(n + ½) + 1/24(n + ½)² − 7/960(n + ½)⁴ + … (Abramowitz and Stegun 6.3.18, shifted by a half) the
    difference of two logarithms becomes one `log1p`, so a short sum that begins at rank 10⁸ keeps its digits; the
    difference of two digamma functions would lose them. Below 64 the harmonic numbers come from a table.

    Args:
        start: integers, 0 or more.
        count: integers, 0 or more; broadcast against `start`.

    Returns:
        float64, with an error of some 1e-15.

    >>> reciprocal_sum([0, 2], [3, 2])
    array([1.83333333, 0.58333333])
    """
    start, count = np.broadcast_arrays(np.asarray(start, np.int64), np.asarray(count, np.int64))
    end = start + count
    low, high = np.maximum(start + 0.5, _EXACT + 0.5), np.maximum(end + 0.5, _EXACT + 0.5)
    sums: np.ndarray = np.log1p((high - low) / low) + (_correction(high) - _correction(low))
    early = start < _EXACT
    if early.any():
        sums[early] += _HARMONIC[np.minimum(end[early], _EXACT)] - _HARMONIC[start[early]]
    return sums


def _correction(x: np.ndarray) -> np.ndarray:
    """H(x − ½) − γ − ln x for x > 64, to double precision."""
    square = 1.0 / (x * x)
    correction: np.ndarray = square * (1 / 24 - square * (7 / 960 - square * (31 / 8064)))
    return correction
