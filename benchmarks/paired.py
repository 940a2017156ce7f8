"""Which of several methods are really better: a paired test over queries and seeds, and ranks as intervals."""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr

LEVEL = 0.05
"""Probability that any difference of a table is called real though none is."""


def paired_p(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p of mean(a) = mean(b) for average precisions (S_a, Q) and (S_b, Q): seeds × the same queries.

    Queries are the same for both methods and are paired; seeds are draws of each method on its own. So the difference
    of the means has the variance

        v = var_q(ā_q − b̄_q) / Q + var_s(ā_s) / S_a + var_s(b̄_s) / S_b

    with ā_q the mean over the seeds and ā_s over the queries, as of a mean over two crossed random factors (Cornfield,
    Tukey, 1956); the error of a single (seed, query) is in more than one of the terms, so v is rather too large. The
    degrees of freedom of t = (mean(a) − mean(b)) / √v are v² / Σ vᵢ² / (nᵢ − 1) over its terms (Satterthwaite, 1946). A
    method with one seed, or of which all seeds give the same, adds no term.

    >>> rng = np.random.default_rng(0)
    >>> hard = rng.normal(size=200)
    >>> paired_p(hard + rng.normal(0, 0.1, (3, 200)), hard + 0.2 + rng.normal(0, 0.1, (3, 200))) < 1e-6
    True
    """
    values = [a.mean(axis=0) - b.mean(axis=0), *(each.mean(axis=1) for each in (a, b) if len(each) > 1)]
    terms = [(x.var(ddof=1) / len(x), len(x) - 1) for x in values]
    variance = sum(term for term, _ in terms)
    difference = float(a.mean() - b.mean())
    if variance == 0:
        return 1.0 if difference == 0 else 0.0
    freedom = variance**2 / sum(term**2 / freedom for term, freedom in terms)
    return float(2 * stdtr(freedom, -abs(difference) / variance**0.5))


def noise_of_seeds(a: Sequence[float], b: Sequence[float]) -> float:
    """Twice the standard error of the difference of two means over seeds; a side with one seed adds nothing.

    >>> round(noise_of_seeds([0.5, 0.7], [0.6]), 6)
    0.2
    """
    terms = (np.var(values, ddof=1) / len(values) for values in (a, b) if len(values) > 1)
    return 2 * float(sum(terms)) ** 0.5


def holm(p: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Which of m hypotheses are rejected so that one wrong rejection has at most the probability `level` (Holm, 1979).

    >>> holm(np.array([0.04, 0.01, 0.03])).tolist()
    [False, True, False]
    """
    order = np.argsort(p, kind="stable")
    passed = np.minimum.accumulate(p[order] <= level / np.arange(len(p), 0, -1))
    rejected = np.zeros(len(p), bool)
    rejected[order] = passed
    return rejected


def ranks(methods: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """For each of N methods the first and the last place that it can have.

    The first is one more than the methods that are significantly better, the last is N less those that are
    significantly worse, by `paired_p` with Holm's correction over all pairs.

    Args:
        methods: average precisions of each, (seeds, queries).
    """
    left, right = np.triu_indices(len(methods), 1)
    p = np.array([paired_p(methods[i], methods[j]) for i, j in zip(left, right, strict=True)])
    means = np.array([each.mean() for each in methods])
    better = np.zeros((len(methods), len(methods)), bool)  # [i, j]: i is better than j
    for i, j, real in zip(left, right, holm(p), strict=True):
        if real:
            better[i, j], better[j, i] = means[i] > means[j], means[j] > means[i]
    return [(1 + int(better[:, i].sum()), len(methods) - int(better[i].sum())) for i in range(len(methods))]
