"""The choice of a plan by trial, with plans whose time and answers are known."""

import time

import numpy as np
import pytest

from bitseek.index import _planner
from bitseek.index._planner import Found, Planner

QUERIES = np.arange(100, dtype=np.uint64)[:, None]


class Plans:
    """Two plans that answer each query by its own number, and take their time."""

    def __init__(self, monkeypatch, **milliseconds):
        self.milliseconds, self.now, self.calls = milliseconds, 0.0, []
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def __call__(self, queries, plan):
        self.calls.append((plan, len(queries)))
        self.now += len(queries) * self.milliseconds[plan] / 1000
        return Found(queries.astype(np.int64), None, 0.25)


def answered(found):
    return np.concatenate([part.keys for part in found])[:, 0].tolist()


@pytest.mark.parametrize(("scan", "pruned", "quicker"), [(2.0, 1.0, "pruned"), (1.0, 2.0, "scan")])
def test_the_quicker_plan_answers_the_rest_of_a_batch(scan, pruned, quicker, monkeypatch):
    plans, planner = Plans(monkeypatch, scan=scan, pruned=pruned), Planner()
    assert answered(planner.answer(QUERIES, "nearest", 10, plans)) == list(range(100))
    tried = [("scan", 1), ("pruned", 1), ("scan", 32), ("pruned", 32), ("scan", 32), ("pruned", 32)]
    assert plans.calls == [*tried, (quicker, 68)]
    (choice,) = planner.choices()
    assert (choice.search, choice.plan, choice.looked_at) == ("nearest k<=16, batch", quicker, 0.25)
    assert (choice.scan_ms, choice.pruned_ms) == pytest.approx((scan, pruned))
    assert str(choice).startswith(
        f"nearest k<=16, batch: {quicker} (scan {scan:.3f} ms, pruned {pruned:.3f} ms a query"
    )


def test_one_trial_is_enough_for_a_batch(monkeypatch):
    plans, planner = Plans(monkeypatch, scan=2, pruned=1), Planner()
    planner.answer(QUERIES, "nearest", 10, plans)
    plans.calls.clear()
    for k in (9, 10, 16):
        assert answered(planner.answer(QUERIES, "nearest", k, plans)) == list(range(100))
    assert plans.calls == [("pruned", 100)] * 3


@pytest.mark.parametrize(("pruned", "trials"), [(0.1, 3), (0.9, 16)])
def test_single_queries_are_tried_until_it_is_clear(pruned, trials, monkeypatch):
    plans, planner = Plans(monkeypatch, scan=1, pruned=pruned), Planner()
    for i in range(40):
        plans.calls.clear()
        assert answered(planner.answer(QUERIES[i : i + 1], "within", 3, plans)) == [i]
        assert len(plans.calls) == (6 if i < trials else 1)
    assert plans.calls == [("pruned", 1)]


def test_searches_of_another_kind_are_tried_on_their_own(monkeypatch):
    plans, planner = Plans(monkeypatch, scan=2, pruned=1), Planner()
    for verb, number, queries in (
        ("nearest", 1, QUERIES),
        ("nearest", 17, QUERIES),
        ("nearest", 17, QUERIES[:15]),
        ("within", 0, QUERIES),
        ("within", 1, QUERIES[:16]),
    ):
        planner.answer(queries, verb, number, plans)
    assert [choice.search for choice in planner.choices()] == [
        "nearest k<=1, batch",
        "nearest k<=32, batch",
        "nearest k<=32, few",
        "within radius 0, batch",
        "within radius 1, batch",
    ]


def test_it_is_tried_again_now_and_then(monkeypatch):
    plans, planner = Plans(monkeypatch, scan=1, pruned=2), Planner()
    for _ in range(2 * _planner._AGAIN_AFTER):
        planner.answer(QUERIES, "nearest", 10, plans)
    assert planner.choices()[0].plan == "scan"
    plans.milliseconds["pruned"] = 0.01
    plans.calls.clear()
    for _ in range(2 * _planner._AGAIN_AFTER):
        planner.answer(QUERIES, "nearest", 10, plans)
    assert sum(queries == 1 for _, queries in plans.calls) == 2 * 2, "two more trials, which begin with one query"
    assert planner.choices()[0].plan == "pruned"


@pytest.mark.parametrize("pruned", [1.1, 20])
def test_trials_take_little_time_however_slow_the_other_plan_is(pruned, monkeypatch):
    """Of single queries, after the first trials: the scan's time, and a fiftieth."""
    plans, planner = Plans(monkeypatch, scan=1, pruned=pruned), Planner()
    for _ in range(_planner._MOST_TRIALS):
        planner.answer(QUERIES[:1], "nearest", 10, plans)
    begin, calls = plans.now, round(3 * _planner._AGAIN_AFTER * pruned)
    for _ in range(calls):
        planner.answer(QUERIES[:1], "nearest", 10, plans)
    assert 1 < (plans.now - begin) * 1000 / calls < 1.021
