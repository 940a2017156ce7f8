"""How far a mean may be trusted: over the choice of queries, and over the seeds of several runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bitseek.errors import BitseekError, ShapeError

_DRAWS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: the mean.
        low: lower end of the interval.
        high: upper end.
        level: probability with which such an interval covers the true mean, in (0, 1).
        std: standard deviation of the values themselves (divisor n − 1).
        n: number of values.
    """

    mean: float
    low: float
    high: float
    level: float
    std: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.std:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap(
    values: Float[np.ndarray, " n"], *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Percentile bootstrap of a mean: quantiles of the means of samples drawn with replacement (Efron, 1979).

    Args:
        values: one number a query; NaN stands for a query that has none and is left out.
        level: of the interval, in (0, 1).
        resamples: how many samples are drawn.
        seed: of the draws; the same seed gives the same interval.

    >>> interval = bootstrap(np.array([0.2, 0.4, 0.9, 0.7]))
    >>> interval.mean, interval.low < interval.mean < interval.high
    (0.55, True)
    """
    values = _present(values, level)
    if resamples < 1:
        raise BitseekError(f"a bootstrap draws 1 sample or more, got resamples={resamples}")
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _DRAWS_AT_ONCE // len(values))
    for start in range(0, resamples, step):
        block = means[start : start + step]
        block[:] = values[generator.integers(len(values), size=(len(block), len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), level, _std(values), len(values))


def over_seeds(values: Sequence[float] | Float[np.ndarray, " n"], *, level: float = 0.95) -> Interval:
    """Mean ± standard deviation of some runs, with Student's t interval; for one run the interval is unbounded.

    Args:
        values: one number a run.
        level: of the interval, in (0, 1).

    >>> print(over_seeds([0.615, 0.618, 0.622]))
    0.6183 ± 0.0035 [0.6096, 0.6271]
    """
    array = _present(np.asarray(values, np.float64), level)
    n, mean, std = len(array), float(array.mean()), _std(array)
    if n == 1:
        return Interval(mean, -math.inf, math.inf, level, std, n)
    half = _t_quantile(level, n - 1) * std / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, level, std, n)


def _present(values: np.ndarray, level: float) -> np.ndarray:
    if not 0 < level < 1:
        raise BitseekError(f"a confidence level lies between 0 and 1, got {level}")
    present: np.ndarray = values[~np.isnan(values)]
    if not len(present):
        raise ShapeError(f"none of {len(values)} values is a number, so there is no mean of them")
    return present


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _t_quantile(level: float, freedom: int) -> float:
    """The t with P(|T| ≤ t) = level, by bisection of the angle arctan(t/√ν)."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < level else (low, middle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _t_within(angle: float, freedom: int) -> float:
    """P(|T| ≤ √ν·tan(angle)) for ν degrees of freedom: the finite series of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    square = math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    series = 0.0
    for k in range(2 + odd, freedom + 1, 2):
        series += term
        term *= square * (k - 1) / k
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * series)
    return math.sin(angle) * series
