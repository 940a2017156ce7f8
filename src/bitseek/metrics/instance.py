"""Instance-level retrieval: Google Landmarks v2, and the revisited Oxford and Paris benchmarks, ties in expectation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from bitseek.codes import Codes
from bitseek.errors import BitseekError
from bitseek.metrics.average_precision import Denominator, average_precision, divide, relevant_first
from bitseek.metrics.curves import precision_at
from bitseek.metrics.groups import Groups, Ties, check_ties
from bitseek.metrics.harmonic import reciprocal_sum
from bitseek.metrics.histograms import histograms_of_lists

Difficulty = Literal["easy", "medium", "hard"]

_POSITIVES: dict[Difficulty, tuple[str, ...]] = {"easy": ("easy",), "medium": ("easy", "hard"), "hard": ("hard",)}
_KINDS = ("easy", "hard", "junk")


def landmarks(
    total: Int[np.ndarray, "q g"],
    relevant: Int[np.ndarray, "q g"],
    at: int = 100,
    denominator: Denominator = "min",
    ties: Ties = "expected",
) -> float:
    """mAP@100 of Google Landmarks v2 (Weyand et al., CVPR 2020): the sum over hits of P(k), divided by min(m, 100).

    The mean is over all queries; one without a hit counts as 0. `denominator="relevant"` is FIRe's variant, which
    divides by m alone.

    Args:
        total: number of index items in each tied group, nearest first.
        relevant: how many of them show the query's landmark.
        at: number of ranks that count.
        denominator: as for `average_precision`.
        ties: as for `average_precision`.
    """
    return float(average_precision(total, relevant, at, denominator, ties).mean())


@dataclass(frozen=True, eq=False)
class RevisitedReport:
    """One protocol of revisited Oxford or Paris.

    Attributes:
        difficulty: `easy`, `medium` or `hard`.
        mAP: mean of the trapezoidal average precision over the queries with positives, ties in expectation.
        mAP_best: the same in the best order of all ties.
        mAP_worst: the same in the worst order.
        mP: mean precision at k, for each k, ties in expectation.
        queries: number of queries with positives under this protocol; the others are left out.
        skipped: number of queries without.
        per_query: average precision of each query; NaN for those left out.
    """

    difficulty: Difficulty
    mAP: float  # noqa: N815
    mAP_best: float  # noqa: N815
    mAP_worst: float  # noqa: N815
    mP: dict[int, float]  # noqa: N815
    queries: int
    skipped: int
    per_query: Float[np.ndarray, " q"]


def revisited(
    query_codes: Codes,
    database_codes: Codes,
    truth: Sequence[dict[str, Any]],
    ks: Sequence[int] = (1, 5, 10),
) -> dict[Difficulty, RevisitedReport]:
    """Evaluate revisited Oxford or Paris (Radenović et al., CVPR 2018) under all three protocols.

    Args:
        query_codes: codes of the queries (70 of them, cropped by their boxes).
        database_codes: codes of the database.
        truth: for each query, lists `easy`, `hard` and `junk` of places in the database; other keys are not read.
        ks: ranks of the mean precision.

    Returns:
        A report for each difficulty. Easy: positives easy, ignored junk + hard; medium: easy + hard, ignored junk;
        hard: positives hard, ignored junk + easy. Ignored images are removed, and later images move up.

    Raises:
        BitseekError: a query without one of its lists, or a place that is none.
    """
    for query, lists in enumerate(truth):
        if missing := [kind for kind in _KINDS if kind not in lists]:
            raise BitseekError(f"the truth of query {query} has no list {missing[0]!r}; it needs {', '.join(_KINDS)}")
    return {difficulty: _report(query_codes, database_codes, truth, difficulty, ks) for difficulty in _POSITIVES}


def _report(
    query_codes: Codes,
    database_codes: Codes,
    truth: Sequence[dict[str, Any]],
    difficulty: Difficulty,
    ks: Sequence[int],
) -> RevisitedReport:
    wanted = _POSITIVES[difficulty]
    unwanted = tuple(kind for kind in _KINDS if kind not in wanted)

    def lists(kinds: tuple[str, ...]) -> list[np.ndarray]:
        return [np.concatenate([np.asarray(of_query[kind], np.int64) for kind in kinds]) for of_query in truth]

    counts = histograms_of_lists(query_codes, database_codes, lists(wanted), lists(unwanted))
    kept = counts.relevant.sum(axis=1) > 0
    total, relevant = counts.total[kept], counts.relevant[kept]
    means = {ties: _mean(trapezoid(total, relevant, ties)) for ties in ("expected", "best", "worst")}
    per_query = np.full(len(kept), np.nan)
    per_query[kept] = trapezoid(total, relevant)
    return RevisitedReport(
        difficulty=difficulty,
        mAP=means["expected"],
        mAP_best=means["best"],
        mAP_worst=means["worst"],
        mP={k: _mean(precision_to_last(total, relevant, k)) for k in ks},
        queries=int(kept.sum()),
        skipped=int((~kept).sum()),
        per_query=per_query,
    )


def trapezoid(
    total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], ties: Ties = "expected"
) -> Float[np.ndarray, " q"]:
    """Area under the precision-recall curve by trapezoids, as the revisited benchmarks measure average precision.

    With the positives at ranks ρ_0 < ρ_1 < … counted from 0: (1/T) Σ_j ½(j/ρ_j + (j + 1)/(ρ_j + 1)), where 0/0 = 1.

    Args:
        total: number of items in each tied group after what is ignored was removed, nearest first.
        relevant: how many of them are positives.
        ties: `expected` over all orders of tied items, `best` or `worst`.

    Returns:
        One value a query; 0 without a positive.
    """
    check_ties(ties)
    groups = Groups.of(total, relevant)
    n, r, before, hits = groups.items, groups.hits, groups.before, groups.hits_before
    if ties == "expected":
        # (r/n)·½ Σ_i [(C + e_i)/(k − 1) + (C + 1 + e_i)/k], k = N + i and e_i = (i − 1)(r − 1)/(n − 1).
        share, slope = r / np.maximum(n, 1), (r - 1) / np.maximum(n - 1, 1)
        upto = reciprocal_sum(before, n)
        after = (hits + 1) * upto + slope * (n - (before + 1) * upto)
        # The same sum over 1/(k − 1); at k = 1 the term is 1 whatever the numerator, which is then 0.
        prior = reciprocal_sum(np.maximum(before - 1, 0), n)
        ahead = np.where(before == 0, 1 + slope * (n - 1), hits * prior + slope * (n - before * prior))
        sums = share * (ahead + after) / 2
    else:
        first = before if ties == "best" else before + n - r  # items ahead of the first hit of the group
        # j/ρ_j = (C + i − 1)/(first + i − 1) for i = 1 … r, and the first of all is 1 at rank 0.
        lead = (first == 0) & (r > 0)
        ahead = np.where(lead, r, relevant_first(hits - 1, np.maximum(first - 1, 0), r))
        sums = (ahead + relevant_first(hits, first, r)) / 2
    return divide(sums.sum(axis=1), groups.hits.sum(axis=1))


def precision_to_last(
    total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], k: int, ties: Ties = "expected"
) -> Float[np.ndarray, " q"]:
    """Precision at min(k, L), where L is the rank of the last positive: the mP@k of the revisited benchmarks.

    Let the last positive lie in a group of n items with r positives after N items, at place ℓ of the group; in random
    order P(ℓ) = C(ℓ − 1, r − 1)/C(n, r). If L = N + ℓ < k the value is T/L, else H(k)/k, so its expectation is

        E[H(k)]/k + T·Σ_{ℓ = r … k − N} P(ℓ)·(1/(N + ℓ) − 1/k)

    Args:
        total: number of items in each tied group after what is ignored was removed, nearest first.
        relevant: how many of them are positives.
        k: 1 or more.
        ties: `expected`; or `best` and `worst`, which are positives first and last in each group.

    Returns:
        One value a query; 0 without a positive.
    """
    values = precision_at(total, relevant, k, ties)
    groups = Groups.of(total, relevant)
    for query in np.flatnonzero(groups.hits.any(axis=1)):
        last = np.flatnonzero(groups.hits[query])[-1]
        n, r, before = (int(a[query, last]) for a in (groups.items, groups.hits, groups.before))
        positives = int(groups.hits[query].sum())
        places = {"expected": range(r, n + 1), "best": (r,), "worst": (n,)}[ties]
        for place in places:
            if before + place >= k:
                break
            chance = math.comb(place - 1, r - 1) / math.comb(n, r) if ties == "expected" else 1.0
            values[query] += positives * chance * (1 / (before + place) - 1 / k)
    return values


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
