"""Confidence intervals: how often they cover, and the quantiles of Student's t."""

from inspect import unwrap

import numpy as np
import pytest
from scipy import stats

from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics import bootstrap, over_seeds


def test_the_bootstrap_is_seeded_and_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    assert bootstrap(rng.random(50), seed=4) == bootstrap(np.random.default_rng(0).random(50), seed=4)
    covered = 0
    for seed in range(200):
        sample = rng.beta(2, 1, 60)
        interval = bootstrap(sample, level=0.9, resamples=300, seed=seed)
        covered += interval.low <= 2 / 3 <= interval.high
    assert 0.83 <= covered / 200 <= 0.96
    assert interval.std == pytest.approx(sample.std(ddof=1))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_bootstrap_equals_scipys(level, monkeypatch):
    values = np.random.default_rng(3).random(40)
    monkeypatch.setattr("bitseek.metrics._confidence._DRAWS_AT_ONCE", 400)
    ours = bootstrap(values, level=level, resamples=5000)
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=level, n_resamples=5000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.1 * values.std() / np.sqrt(40))


def test_the_bootstrap_leaves_out_what_is_no_number_and_needs_one():
    assert bootstrap(np.array([np.nan, 0.5])).mean == 0.5
    with pytest.raises(ShapeError, match="none of 1 values"):
        bootstrap(np.array([np.nan]))
    with pytest.raises(BitseekError, match="between 0 and 1"):
        bootstrap(np.array([1.0]), level=1.0)
    with pytest.raises(BitseekError, match="resamples=0"):
        bootstrap(np.array([1.0]), resamples=0)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1.0], {"resamples": "3"}, "resamples"), ([1.0], {"resamples": True}, "resamples"),
        ([1.0], {"resamples": 1.0}, "resamples"), ([1.0], {"seed": -1}, "seed=-1"), ([1.0], {"seed": "3"}, "seed"),
        ([1.0], {"level": "0.9"}, "level"), ([1.0], {"level": np.nan}, "level"), ("ab", {}, "values"),
        ([[1.0, 2.0]], {}, r"shape \(1, 2\)"), ([[1.0], [1.0, 2.0]], {}, "values"),
    ],
)  # fmt: skip
def test_odd_arguments_are_refused_by_name(values, options, message, unchecked):
    with pytest.raises(BitseekError, match=message):
        bootstrap(values, **options)
    if not options:
        with pytest.raises(BitseekError, match=message):
            over_seeds(values)


def test_values_may_be_a_list():
    assert bootstrap([1.0, 2.0, np.nan]) == bootstrap(np.array([1.0, 2.0]))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 31, 200])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_the_interval_over_seeds_is_students(n, level):
    values = np.random.default_rng(n).normal(size=n)
    interval = over_seeds(values, level=level)
    low, high = stats.t.interval(level, n - 1, values.mean(), stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-9)


def test_one_run_has_no_spread():
    interval = over_seeds([0.7])
    assert (interval.mean, interval.std, interval.low, interval.high) == (0.7, 0.0, -np.inf, np.inf)
    assert unwrap(over_seeds)([0.7, 0.7]).low == pytest.approx(0.7)
    with pytest.raises(ShapeError, match="none of 0 values"):
        unwrap(over_seeds)([])
