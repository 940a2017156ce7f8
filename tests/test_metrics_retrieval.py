"""The report, the no-hit rule, and confidence intervals."""

import json
from inspect import unwrap

import numpy as np
import pytest
from scipy import stats

from bitseek.codes import Codes
from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics import bootstrap, over_seeds, retrieval


@pytest.fixture(scope="module")
def some():
    rng = np.random.default_rng(9)
    bits = rng.random((120, 16)) < 0.5
    labels = rng.integers(0, 30, 120)
    labels[:4] = [-1, 77, 3, 5]
    return Codes.from_bits(bits[:40]), Codes.from_bits(bits[40:]), labels[:40], labels[40:]


def test_the_report_is_json_and_says_what_it_is(some):
    report = retrieval(*some, at=10, denominator="min", no_hit="skip")
    facts = json.loads(json.dumps(report.to_json()))
    assert facts["mAP_worst"] < facts["mAP"] < facts["mAP_best"]
    assert {key: facts[key] for key in ("at", "denominator", "ties", "no_hit", "queries", "database", "bits")} == {
        "at": 10,
        "denominator": "min",
        "ties": "expected",
        "no_hit": "skip",
        "queries": 40,
        "database": 80,
        "bits": 16,
    }
    assert facts["queries_without_relevant"] >= 2
    assert facts["queries_without_hit"] >= facts["queries_without_relevant"]
    assert facts["excluded"] == 0
    assert report.per_query.shape == (40,)


def test_queries_without_a_hit_count_as_zero_or_not_at_all(some):
    zero, skip = (retrieval(*some, at=10, no_hit=rule) for rule in ("zero", "skip"))
    assert 0 < zero.queries_without_hit < 40
    for name in ("mAP", "mAP_best", "mAP_worst"):
        assert getattr(skip, name) * (40 - zero.queries_without_hit) == pytest.approx(getattr(zero, name) * 40)
    assert zero.per_query[~zero.hit].tolist() == [0.0] * zero.queries_without_hit
    nothing = retrieval(some[0], some[1], np.full(40, -1), some[3], no_hit="skip")
    assert (nothing.mAP, nothing.queries_without_hit) == (0.0, 40)


def test_ties_choose_the_value_and_never_the_bounds(some):
    reports = {ties: retrieval(*some, ties=ties) for ties in ("expected", "best", "worst", "stable")}
    assert reports["best"].mAP == reports["expected"].mAP_best
    assert reports["worst"].mAP == reports["expected"].mAP_worst
    assert len({(r.mAP_best, r.mAP_worst) for r in reports.values()}) == 1
    assert [r.ties for r in reports.values()] == list(reports)


def test_a_query_in_the_database_is_left_out_by_id_not_by_distance():
    codes = Codes.from_bits([[0, 0], [0, 0], [1, 1]])
    labels, ids = np.array([1, 1, 2]), np.array([10, 11, 12])
    with_itself = retrieval(codes, codes, labels, labels)
    without = retrieval(codes, codes, labels, labels, query_ids=ids, database_ids=ids)
    assert with_itself.mAP == 1.0
    assert without.per_query.tolist() == [1.0, 1.0, 0.0]
    assert without.excluded == 3


def test_an_empty_database_and_no_queries():
    codes = Codes.from_bits(np.ones((2, 3)))
    report = retrieval(codes, codes[:0], np.zeros(2, int), np.zeros(0, int))
    assert (report.mAP, report.database, report.queries_without_hit) == (0.0, 0, 2)
    with pytest.raises(ShapeError, match="no queries"):
        retrieval(codes[:0], codes, np.zeros(0, int), np.zeros(2, int))


def test_an_unknown_rule_is_refused(some):
    with pytest.raises((BitseekError, TypeError), match="no_hit"):
        retrieval(*some, no_hit="drop")
    with pytest.raises((BitseekError, TypeError), match="ties"):
        retrieval(*some, ties="random")


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


def test_the_bootstrap_leaves_out_what_is_no_number_and_needs_one():
    assert bootstrap(np.array([np.nan, 0.5])).mean == 0.5
    with pytest.raises(ShapeError, match="none of 1 values"):
        bootstrap(np.array([np.nan]))
    with pytest.raises(BitseekError, match="between 0 and 1"):
        bootstrap(np.array([1.0]), level=1.0)
    with pytest.raises(BitseekError, match="resamples=0"):
        bootstrap(np.array([1.0]), resamples=0)


def test_the_report_gives_its_interval(some):
    report = retrieval(*some, no_hit="skip", at=10)
    interval = report.interval()
    assert interval.mean == pytest.approx(report.mAP)
    assert interval.n == 40 - report.queries_without_hit


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 31, 200])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_the_interval_over_seeds_is_students(n, level):
    values = np.random.default_rng(n).normal(size=n)
    interval = over_seeds(values, level=level)
    low, high = stats.t.interval(level, n - 1, values.mean(), stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-9)


def test_one_run_has_no_spread():
    interval = over_seeds([0.7])
    assert (interval.mean, interval.std, interval.high) == (0.7, 0.0, np.inf)
    assert unwrap(over_seeds)([0.7, 0.7]).low == pytest.approx(0.7)
