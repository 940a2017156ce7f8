"""Closed forms of average precision against every order of the ties, scikit-learn and scipy."""

import sys
from inspect import unwrap
from itertools import combinations, permutations, product
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom
from sklearn.metrics import average_precision_score

from bitseek.codes import Codes
from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics import average_precision, retrieval, stable_average_precision
from bitseek.metrics.average_precision import of_groups
from bitseek.metrics.groups import Groups
from bitseek.metrics.harmonic import reciprocal_sum

DENOMINATORS = ("retrieved", "relevant", "min")


def ap_of_order(relevance, at, denominator):
    """Average precision of one ranking, as its definition reads."""
    cut = relevance if at is None else relevance[:at]
    hits, total = 0, 0.0
    for rank, hit in enumerate(cut, start=1):
        if hit:
            hits += 1
            total += hits / rank
    everything = sum(relevance)
    by = {"retrieved": hits, "relevant": everything, "min": everything if at is None else min(everything, at)}
    return total / by[denominator] if by[denominator] else 0.0


def orders(groups):
    """Every way in which the hits of each (items, hits) group can lie; all are equally likely."""
    placings = []
    for items, hits in groups:
        placings.append([[int(i in places) for i in range(items)] for places in combinations(range(items), hits)])
    for choice in product(*placings):
        yield [hit for part in choice for hit in part]


def counts(groups):
    total, relevant = np.array(groups, np.int64).T
    return total[None], relevant[None]


def small_cases():
    rng = np.random.default_rng(3)
    cases = [[(1, 1)], [(1, 0)], [(3, 0), (2, 2)], [(4, 4)], [(0, 0), (5, 2), (0, 0)], [(2, 0), (6, 3), (1, 1)]]
    for _ in range(25):
        sizes = rng.integers(0, 5, rng.integers(1, 5))
        cases.append([(int(n), int(rng.integers(0, n + 1))) for n in sizes])
    return [case for case in cases if sum(n for n, _ in case)]


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("groups", small_cases(), ids=str)
def test_equals_mean_best_and_worst_over_all_orders(groups, denominator):
    total, relevant = counts(groups)
    n = int(total.sum())
    for at in [None, *range(1, n + 2)]:
        values = [ap_of_order(order, at, denominator) for order in orders(groups)]
        for ties, expected in (("expected", np.mean(values)), ("best", max(values)), ("worst", min(values))):
            actual = average_precision(total, relevant, at, denominator, ties)[0]
            assert actual == pytest.approx(expected, abs=1e-12), (at, ties)


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("at", [None, 1, 3, 5])
def test_equals_all_permutations_of_a_database_under_a_stable_sort(denominator, at):
    rng = np.random.default_rng(7)
    bits = rng.random((6, 3)) < 0.5
    labels = np.array([0, 1, 0, 0, 1, 0])
    query, mine = Codes.from_bits(rng.random((1, 3)) < 0.5), np.array([0])
    values = []
    for order in permutations(range(6)):
        chosen = np.array(order)
        distances = (bits[chosen] != query.to_bits()).sum(axis=1)
        ranked = (labels[chosen] == 0)[np.argsort(distances, kind="stable")].astype(int).tolist()
        values.append(ap_of_order(ranked, at, denominator))
    database = Codes.from_bits(bits)
    report = retrieval(query, database, mine, labels, at=at, denominator=denominator)
    assert report.mAP == pytest.approx(np.mean(values), abs=1e-12)
    assert report.mAP_best == pytest.approx(max(values), abs=1e-12)
    assert report.mAP_worst == pytest.approx(min(values), abs=1e-12)
    stable = stable_average_precision(query, database, mine, labels, at, denominator)
    assert stable[0] == pytest.approx(values[0], abs=1e-12)  # the first permutation is the identity


def test_relevant_first_is_not_always_best_when_the_denominator_is_what_was_retrieved():
    groups, at = [(1, 1), (3, 0), (3, 1)], 5
    values = [ap_of_order(order, at, "retrieved") for order in orders(groups)]
    relevant_first = ap_of_order([1, 0, 0, 0, 1, 0, 0], at, "retrieved")
    assert max(values) > relevant_first + 0.2
    assert average_precision(*counts(groups), at, "retrieved", "best")[0] == pytest.approx(max(values))


def test_equals_scikit_learn_where_there_are_no_ties():
    rng = np.random.default_rng(0)
    for _ in range(20):
        relevance = (rng.random(300) < 0.1).astype(np.int64)
        relevance[rng.integers(300)] = 1
        expected = average_precision_score(relevance, -np.arange(300.0))
        for ties in ("expected", "best", "worst"):
            actual = average_precision(np.ones((1, 300), np.int64), relevance[None], ties=ties)
            assert actual[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "r", "q"), [(50_000, 1_000, 20_000), (50_000, 49_990, 30), (9_000, 9, 8_995), (400, 0, 7)]
)
def test_expectation_at_a_large_cut_equals_the_hypergeometric_sum(n, r, q):
    total, relevant = np.array([[300, n, 50]]), np.array([[20, r, 50]])
    h = np.arange(max(0, q - (n - r)), min(q, r) + 1)
    chances = hypergeom(n, r, q).pmf(h)
    places = np.arange(1, q + 1)
    complete = average_precision(total[:, :1], relevant[:, :1])[0] * 20
    first, later = (1 / (300 + places)).sum(), ((places - 1) / (300 + places)).sum()
    inside = h / q * ((20 + 1) * first + (h - 1) / max(q - 1, 1) * later)
    expected = (chances * (complete + inside) / (20 + h)).sum() / chances.sum()
    assert average_precision(total, relevant, 300 + q)[0] == pytest.approx(expected, rel=1e-9)


@st.composite
def rankings(draw):
    groups = draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=30))
    total, relevant = counts([(max(a, b), min(a, b)) for a, b in groups])
    return total, relevant


@settings(max_examples=150, deadline=None)
@given(rankings(), st.one_of(st.none(), st.integers(1, 5000)), st.sampled_from(DENOMINATORS))
def test_bounds_bracket_every_order(ranking, at, denominator):
    total, relevant = ranking
    worst, expected, best = (
        average_precision(total, relevant, at, denominator, ties)[0] for ties in ("worst", "expected", "best")
    )
    assert -1e-12 <= worst <= expected + 1e-12 <= best + 2e-12 <= 1 + 3e-12
    rng = np.random.default_rng(int(total.sum()))
    order = []
    for items, hits in zip(total[0], relevant[0], strict=True):
        order += rng.permutation(np.arange(items) < hits).astype(int).tolist()
    assert worst - 1e-12 <= ap_of_order(order, at, denominator) <= best + 1e-12


@settings(max_examples=100, deadline=None)
@given(rankings(), st.integers(1, 300))
def test_empty_groups_and_a_cut_between_groups_change_nothing(ranking, at):
    total, relevant = ranking
    spaced = np.zeros((2, 1, 2 * total.shape[1]), np.int64)
    spaced[0, :, ::2], spaced[1, :, ::2] = total, relevant
    for ties in ("expected", "best", "worst"):
        assert average_precision(total, relevant, at, ties=ties) == pytest.approx(
            average_precision(*spaced, at, ties=ties), abs=1e-12
        )


def test_queries_do_not_depend_on_each_other(monkeypatch):
    rng = np.random.default_rng(1)
    total = rng.integers(0, 50, (40, 9))
    relevant = rng.integers(0, total + 1)
    together = average_precision(total, relevant, 60)
    monkeypatch.setattr(sys.modules["bitseek.metrics.average_precision"], "_ROWS_AT_ONCE", 20)
    assert np.array_equal(together, average_precision(total, relevant, 60))
    alone = np.concatenate([average_precision(total[i : i + 1], relevant[i : i + 1], 60) for i in range(40)])
    assert together == pytest.approx(alone, abs=1e-14)


def test_perfect_and_hopeless_rankings():
    total = np.array([[5, 7, 9]])
    assert average_precision(total, np.array([[5, 7, 0]]))[0] == pytest.approx(1.0, abs=1e-15)
    for denominator in DENOMINATORS:
        assert average_precision(total, np.zeros((1, 3), int), 4, denominator)[0] == 0.0
    assert average_precision(np.zeros((0, 3), int), np.zeros((0, 3), int)).shape == (0,)
    assert average_precision(np.zeros((2, 3), int), np.zeros((2, 3), int)).tolist() == [0.0, 0.0]


def test_reachable_counts_the_hits_of_the_best_order():
    total, relevant = np.array([[2, 4]]), np.array([[0, 3]])
    assert [int(Groups.of(total, relevant).reachable(at)[0]) for at in (1, 2, 3, 4, 6, None)] == [0, 0, 1, 2, 3, 3]


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_reciprocal_sums_equal_the_sum(start, count):
    exact = fsum(1 / (start + i) for i in range(1, count + 1))
    assert reciprocal_sum([start], [count])[0] == pytest.approx(exact, rel=3e-15)


@pytest.mark.parametrize(("start", "count"), [(10**8, 2), (10**8, 1000), (63, 5), (5, 100_000), (0, 64), (10**12, 1)])
def test_reciprocal_sums_keep_their_digits_far_out(start, count):
    exact = fsum(1 / (start + i) for i in range(1, count + 1))
    assert reciprocal_sum([start], [count])[0] == pytest.approx(exact, rel=3e-15)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"ties": "stable"}, "stable_average_precision"),
        ({"ties": "random"}, "'expected', 'best' or 'worst'"),
        ({"denominator": "all"}, "'retrieved', 'relevant' or 'min'"),
        ({"at": 0}, "1 item or more, got 0"),
    ],
)
def test_refuses_what_it_does_not_know(arguments, sentence):
    with pytest.raises(BitseekError, match=sentence):
        groups = Groups.of(np.array([[2]]), np.array([[1]]))
        unwrap(of_groups)(groups, **{"at": None, "denominator": "min", "ties": "best", **arguments})


def test_refuses_counts_that_are_none():
    with pytest.raises(ShapeError, match="0 <= relevant <= total"):
        average_precision(np.array([[1]]), np.array([[2]]))
    with pytest.raises(ShapeError, match="one shape"):
        unwrap(Groups.of.__func__)(Groups, np.array([[1, 2]]), np.array([[1, 2], [1, 2]]))
