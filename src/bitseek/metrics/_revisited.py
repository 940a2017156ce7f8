"""Revisited Oxford and Paris (Radenović et al., CVPR 2018): average precision by trapezoids and its mP@k, with ties.

What the benchmark ignores at a level of difficulty is junk: removed from the ranking before anything is counted.
"""

import math
from typing import SupportsIndex

import numpy as np
from jaxtyping import Float, Int

from bitseek.metrics._average_precision import divide, reciprocal_sum, relevant_first
from bitseek.metrics._groups import ORDERS, Groups, Ties, one_of, rank
from bitseek.metrics._precision import relevant_at


def trapezoid(
    total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], ties: Ties = "expected"
) -> Float[np.ndarray, " q"]:
    """Area under the precision-recall curve by trapezoids, as the revisited benchmarks measure average precision.

    With the T relevant items at ranks ρ_0 < ρ_1 < … counted from 0: (1/T) Σ_j ½(j/ρ_j + (j + 1)/(ρ_j + 1)), 0/0 = 1.

    Args:
        total: number of items in each tied group after junk was removed, nearest first.
        relevant: how many of them are relevant.
        ties: `expected` over all orders of tied items, `best` or `worst`.

    Returns:
        One value a query; 0 without a relevant item.
    """
    one_of("ties", ties, ORDERS)
    return trapezoid_of(Groups.of(total, relevant), ties)


def trapezoid_of(groups: Groups, ties: Ties) -> Float[np.ndarray, " q"]:
    """The same from groups that are at hand."""
    n, r, N, C = groups.n, groups.r, groups.N, groups.C
    if ties == "expected":
        # (r/n)·½ Σ_i [(C + e_i)/(j − 1) + (C + 1 + e_i)/j], j = N + i and e_i = (i − 1)(r − 1)/(n − 1).
        share, slope = r / np.maximum(n, 1), (r - 1) / np.maximum(n - 1, 1)
        upto = reciprocal_sum(N, n)
        after = (C + 1) * upto + slope * (n - (N + 1) * upto)
        # The same sum over 1/(j − 1); at j = 1 the term is 1 whatever the numerator, which is then 0.
        prior = reciprocal_sum(np.maximum(N - 1, 0), n)
        ahead = np.where(N == 0, 1 + slope * (n - 1), C * prior + slope * (n - N * prior))
        sums = share * (ahead + after) / 2
    else:
        first = N if ties == "best" else N + n - r  # items ahead of the first relevant one of the group
        # j/ρ_j = (C + i − 1)/(first + i − 1) for i = 1 … r, and the first of all is 1 at rank 0.
        lead = (first == 0) & (r > 0)
        ahead = np.where(lead, r, relevant_first(C - 1, np.maximum(first - 1, 0), r))
        sums = (ahead + relevant_first(C, first, r)) / 2
    return divide(sums.sum(axis=1), groups.relevant)


def precision_to_last(
    total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], k: SupportsIndex, ties: Ties = "expected"
) -> Float[np.ndarray, " q"]:
    """Precision at min(k, L), where L is the rank of the last relevant item: the mP@k of the revisited benchmarks.

    Let the last relevant item lie in a group of n items, r of them relevant, after N items, at place ℓ of the group; in
    random order P(ℓ) = C(ℓ − 1, r − 1)/C(n, r). If L = N + ℓ < k the value is T/L, else H(k)/k, so its expectation is

        E[H(k)]/k + T·Σ_{ℓ = r … k − N} P(ℓ)·(1/(N + ℓ) − 1/k)

    Args:
        total: number of items in each tied group after junk was removed, nearest first.
        relevant: how many of them are relevant.
        k: 1 or more.
        ties: `expected`; or `best` and `worst`, which are relevant items first and last in each group.

    Returns:
        One value a query; 0 without a relevant item.
    """
    one_of("ties", ties, ORDERS)
    return precision_to_last_of(Groups.of(total, relevant), rank(k), ties)


def precision_to_last_of(groups: Groups, k: int, ties: Ties) -> Float[np.ndarray, " q"]:
    """The same from groups that are at hand."""
    values = relevant_at(groups, k, ties) / k
    for query in np.flatnonzero(groups.r.any(axis=1)):
        last = np.flatnonzero(groups.r[query])[-1]
        n, r, N = (int(a[query, last]) for a in (groups.n, groups.r, groups.N))
        places = {"expected": range(r, min(n, k - N - 1) + 1), "best": (r,), "worst": (n,)}[ties]
        for place in places:
            if N + place < k:
                chance = math.comb(place - 1, r - 1) / math.comb(n, r) if ties == "expected" else 1.0
                values[query] += int(groups.r[query].sum()) * chance * (1 / (N + place) - 1 / k)
    return values
