"""How far a mean may be trusted: over the choice of queries, and over the seeds of several runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bitseek._checks import as_array, whole_number
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
    values: Sequence[float] | Float[np.ndarray, " n"], *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Percentile bootstrap of a mean: quantiles of the means of samples drawn with replacement (Efron, 1979).

    Args:
        values: one number a query; NaN stands for a query that has none and is left out.
        level: of the interval, in (0, 1).
        resamples: how many samples are drawn, 1 or more.
        seed: of the draws, 0 or more; the same seed gives the same interval.

    >>> interval = bootstrap(np.array([0.2, 0.4, 0.9, 0.7]))
    >>> interval.mean, interval.low < interval.mean < interval.high
    (0.55, True)
    """
    array = _present(values, level)
    means = np.empty(whole_number(resamples, "resamples"))
    generator = np.random.default_rng(whole_number(seed, "seed", 0))
    step = max(1, _DRAWS_AT_ONCE // len(array))
    for start in range(0, len(means), step):
        block = means[start : start + step]
        block[:] = array[generator.integers(len(array), size=(len(block), len(array)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array.mean()), float(low), float(high), level, _std(array), len(array))


def over_seeds(values: Sequence[float] | Float[np.ndarray, " n"], *, level: float = 0.95) -> Interval:
    """Mean ± standard deviation of some runs, with Student's t interval; for one run the interval is unbounded.

    Args:
        values: one number a run.
        level: of the interval, in (0, 1).

    >>> print(over_seeds([0.615, 0.618, 0.622]))
    0.6183 ± 0.0035 [0.6096, 0.6271]
    """
    from scipy.special import stdtrit  # quantile of Student's t; half a second to import, and few commands need it

    array = _present(values, level)
    n, mean, std = len(array), float(array.mean()), _std(array)
    half = math.inf if n == 1 else float(stdtrit(n - 1, (1 + level) / 2)) * std / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, level, std, n)


def _present(values: Any, level: Any) -> np.ndarray:
    if not isinstance(level, float | int | np.floating) or not 0 < level < 1:
        raise BitseekError(f"a confidence level lies between 0 and 1, got {level!r}")
    array = as_array(values, "values").astype(np.float64)
    if array.ndim != 1:
        raise ShapeError(f"values are (n,) numbers, got shape {array.shape}")
    present: np.ndarray = array[~np.isnan(array)]
    if not len(present):
        raise ShapeError(f"none of {len(array)} values is a number, so there is no mean of them")
    return present


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
