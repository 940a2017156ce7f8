"""The plan of docs/scale.md: the page has the figures that were computed, and model and simulation are right."""

import json
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))


def test_the_page_has_the_figures_of_the_results():
    import scale_page

    results = json.loads((CHECKOUT / "benchmarks" / "results" / "scale.json").read_text(encoding="utf-8"))["results"]
    text = scale_page.PAGE.read_text(encoding="utf-8")
    inside = scale_page.BEGIN + text.partition(scale_page.BEGIN)[2].partition(scale_page.END)[0] + scale_page.END
    assert inside == scale_page.figures(results), "run: python benchmarks/scale.py --page"


def exponential(scale_latency):
    """Services with a mean of 1/ln 2 medians."""
    return scale_latency.Ratios(-np.log1p(-scale_latency.SHARES) / np.log(2))


def test_one_machine_with_exponential_services():
    """M/M/1: the time of an answer is exponential, with the rate of services less that of queries."""
    import scale_latency as latency

    plan = latency.Plan(1, 1, 1, rate=0.4 * np.log(2), median=1.0, noise=exponential(latency), hedge=1)
    wanted = [-np.log(1 - share) / (0.6 * np.log(2)) for share in (0.5, 0.99, 0.999)]
    found = latency.model(plan)
    np.testing.assert_allclose([found.p50, found.p99, found.p999], wanted, rtol=0.01)
    simulated = latency.simulate(plan, 10_000)
    np.testing.assert_allclose([simulated.p50, simulated.p99], wanted[:2], rtol=0.15)
    assert plan.load == pytest.approx(0.4, rel=0.01) and found.complete == simulated.complete == 1
    assert latency.model(latency.Plan(**vars(plan) | {"rate": 1.0})) is None  # more than it can do


def test_the_slowest_of_all_shards_and_the_quicker_of_two_replicas():
    """Idle machines: no waiting, so the distributions are those of maxima and minima."""
    import scale_latency as latency

    noise = exponential(latency)
    rng = np.random.default_rng(0)
    plan = latency.Plan(8, 2, 2, rate=1e-3, median=1.0, noise=noise, hedge=0.5)
    first, second = rng.exponential(1 / np.log(2), (2, 100_000, 8))
    wanted = np.quantile(np.minimum(first, 1 + second).max(axis=1), [0.5, 0.99, 0.999])  # its median is 1
    for found in (latency.model(plan), latency.simulate(plan, 8000)):
        np.testing.assert_allclose([found.p50, found.p99], wanted[:2], rtol=0.05)
        np.testing.assert_allclose(found.p999, wanted[2], rtol=0.15)


def test_two_cores_wait_as_erlang_c_says():
    """M/M/2 at 0.6 of what it can do, against brute force: a line of customers, one after the other."""
    import scale_latency as latency

    plan = latency.Plan(1, 1, 2, rate=1.2 * np.log(2), median=1.0, noise=exponential(latency), hedge=1)
    rng = np.random.default_rng(1)
    coming, service = rng.exponential(1 / plan.rate, 200_000).cumsum(), rng.exponential(1 / np.log(2), 200_000)
    free, times = [0.0, 0.0], []
    for begin, length in zip(coming.tolist(), service.tolist(), strict=True):
        core = free.index(min(free))
        free[core] = max(begin, free[core]) + length
        times.append(free[core] - begin)
    found = latency.model(plan)
    np.testing.assert_allclose([found.p50, found.p99], np.quantile(times, [0.5, 0.99]), rtol=0.06)


def test_failures_are_seen_and_second_questions_hide_them():
    import scale_latency as latency

    settings = {"rate": 20.0, "median": 1e-3, "down": 0.05, "unnoticed": 0.01, "outage": 0.05}
    alone, twice = (latency.Plan(4, replicas, 1, **settings) for replicas in (1, 2))
    for plan in (alone, twice):
        formula, simulated = latency.model(plan), latency.simulate(plan, 8000)
        assert formula.complete == pytest.approx((1 - 0.05**plan.replicas) ** 4)
        assert simulated.complete == pytest.approx(formula.complete, abs=0.03)
        assert simulated.p50 == pytest.approx(formula.p50, rel=0.1)
