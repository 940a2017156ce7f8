"""Sums of reciprocals: the one transcendental function that average precision over tied ranks needs."""

from typing import Any

import numpy as np
from jaxtyping import Float

_EXACT = 64
_TABLE = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, _EXACT))])
_EULER = 0.57721566490153286061


def reciprocal_sum(start: Any, count: Any) -> Float[np.ndarray, "..."]:
    """Σ 1/(start + i) over i = 1 … count, elementwise: the harmonic number H(start + count) less H(start).

    From H(n) = γ + ln(n + ½) + 1/24(n + ½)² − 7/960(n + ½)⁴ + … (Abramowitz and Stegun 6.3.18, shifted by a half) the
    difference of two logarithms becomes one `log1p`, so a short sum that begins at rank 10⁸ keeps all its digits.

    Args:
        start: integers, 0 or more.
        count: integers, 0 or more; broadcast against `start`.

    Returns:
        float64, with a relative error of some 1e-15.

    >>> reciprocal_sum([0, 2], [3, 2])
    array([1.83333333, 0.58333333])
    """
    start, count = np.broadcast_arrays(np.asarray(start, np.int64), np.asarray(count, np.int64))
    end = start + count
    low, high = start + 0.5, end + 0.5
    sums: np.ndarray = np.log1p(count / low) + (_correction(high) - _correction(low))
    early = start < _EXACT
    if early.any():
        first, last = start[early], end[early]
        to_last = np.where(
            last < _EXACT,
            _TABLE[np.minimum(last, _EXACT - 1)],
            _EULER + np.log(last + 0.5) + _correction(np.maximum(last, _EXACT) + 0.5),
        )
        sums[early] = to_last - _TABLE[first]
    return sums


def _correction(x: np.ndarray) -> np.ndarray:
    """H(x − ½) − γ − ln x for x > 64, to double precision."""
    square = 1.0 / (x * x)
    correction: np.ndarray = square * (1 / 24 - square * (7 / 960 - square * (31 / 8064)))
    return correction
