"""Closed forms of average precision against every order of the ties, scikit-learn and scipy."""

import subprocess
import sys
from inspect import unwrap
from itertools import permutations
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom
from sklearn.metrics import average_precision_score
from tests.metrics.oracles import DENOMINATORS, ap_of_order, counts, orders, ranked_by_sort, small_groups

from bitseek.codes import Codes
from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics import Relevance, average_precision, retrieval, stable_average_precision
from bitseek.metrics._average_precision import reciprocal_sum


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("groups", small_groups(), ids=str)
def test_equals_mean_best_and_worst_over_all_orders(groups, denominator):
    total, relevant = counts(groups)
    n = int(total.sum())
    for k in [None, *range(1, n + 2)]:
        values = [ap_of_order(order, k, denominator) for order in orders(groups)]
        for ties, expected in (("expected", np.mean(values)), ("best", max(values)), ("worst", min(values))):
            actual = average_precision(total, relevant, k, denominator, ties)[0]
            assert actual == pytest.approx(expected, abs=1e-12), (k, ties)


@pytest.mark.parametrize("denominator", DENOMINATORS)
@pytest.mark.parametrize("k", [None, 1, 3, 5])
def test_equals_all_permutations_of_a_database_under_a_stable_sort(denominator, k):
    rng = np.random.default_rng(7)
    bits, query = rng.random((6, 3)) < 0.5, rng.random((1, 3)) < 0.5
    labels = np.array([0, 1, 0, 0, 1, 0])
    everything = np.ones(6, bool)
    values = [
        ap_of_order(ranked_by_sort(query, bits, labels == 0, everything, order), k, denominator)
        for order in permutations(range(6))
    ]
    search = (Codes.from_bits(query), Codes.from_bits(bits), Relevance.from_labels([0], labels))
    result = retrieval(*search, k=k, denominator=denominator)
    assert result.mAP == pytest.approx(np.mean(values), abs=1e-12)
    assert result.mAP_best == pytest.approx(max(values), abs=1e-12)
    assert result.mAP_worst == pytest.approx(min(values), abs=1e-12)
    stable = stable_average_precision(*search, k, denominator)
    assert stable[0] == pytest.approx(values[0], abs=1e-12)  # the first permutation is the identity


def test_relevant_first_is_not_always_best_when_the_denominator_is_what_was_retrieved():
    groups, k = [(1, 1), (3, 0), (3, 1)], 5
    values = [ap_of_order(order, k, "retrieved") for order in orders(groups)]
    relevant_first = ap_of_order([1, 0, 0, 0, 1, 0, 0], k, "retrieved")
    assert max(values) > relevant_first + 0.2
    assert average_precision(*counts(groups), k, "retrieved", "best")[0] == pytest.approx(max(values))


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
    return counts([(max(a, b), min(a, b)) for a, b in groups])


@settings(max_examples=150, deadline=None)
@given(rankings(), st.one_of(st.none(), st.integers(1, 5000)), st.sampled_from(DENOMINATORS))
def test_bounds_bracket_every_order(ranking, k, denominator):
    total, relevant = ranking
    worst, expected, best = (
        average_precision(total, relevant, k, denominator, ties)[0] for ties in ("worst", "expected", "best")
    )
    assert -1e-12 <= worst <= expected + 1e-12 <= best + 2e-12 <= 1 + 3e-12
    rng = np.random.default_rng(int(total.sum()))
    order = []
    for items, wanted in zip(total[0], relevant[0], strict=True):
        order += rng.permutation(np.arange(items) < wanted).astype(int).tolist()
    assert worst - 1e-12 <= ap_of_order(order, k, denominator) <= best + 1e-12


@settings(max_examples=100, deadline=None)
@given(rankings(), st.integers(1, 300))
def test_empty_groups_and_a_cut_between_groups_change_nothing(ranking, k):
    total, relevant = ranking
    spaced = np.zeros((2, 1, 2 * total.shape[1]), np.int64)
    spaced[0, :, ::2], spaced[1, :, ::2] = total, relevant
    for ties in ("expected", "best", "worst"):
        assert average_precision(total, relevant, k, ties=ties) == pytest.approx(
            average_precision(*spaced, k, ties=ties), abs=1e-12
        )


def test_queries_do_not_depend_on_each_other(monkeypatch):
    rng = np.random.default_rng(1)
    total = rng.integers(0, 50, (40, 9))
    relevant = rng.integers(0, total + 1)
    for denominator in DENOMINATORS:
        together = average_precision(total, relevant, 60, denominator)
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["bitseek.metrics._average_precision"], "_CELLS_AT_ONCE", 20)
            assert np.array_equal(together, average_precision(total, relevant, 60, denominator))
        rows = [slice(i, i + 1) for i in range(40)]
        alone = np.concatenate([average_precision(total[row], relevant[row], 60, denominator) for row in rows])
        assert together == pytest.approx(alone, abs=1e-14)


def test_perfect_and_hopeless_rankings():
    total = np.array([[5, 7, 9]])
    assert average_precision(total, np.array([[5, 7, 0]]))[0] == pytest.approx(1.0, abs=1e-15)
    for denominator in DENOMINATORS:
        assert average_precision(total, np.zeros((1, 3), int), 4, denominator)[0] == 0.0
    assert average_precision(np.zeros((0, 3), int), np.zeros((0, 3), int)).shape == (0,)
    assert average_precision(np.zeros((2, 3), int), np.zeros((2, 3), int)).tolist() == [0.0, 0.0]


def test_landmarks_divide_by_the_smaller_of_all_relevant_and_a_hundred():
    total = np.ones((3, 300), int)
    relevant = np.zeros_like(total)
    relevant[0, :150] = 1  # all of the first hundred are right, 50 more follow
    relevant[1, [0, 3]] = 1
    assert average_precision(total, relevant, 100, "min") == pytest.approx([1, (1 + 2 / 4) / 2, 0])
    assert average_precision(total, relevant, 100, "relevant") == pytest.approx([100 / 150, 0.75, 0])


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_reciprocal_sums_equal_the_sum(start, count):
    exact = fsum(1 / (start + i) for i in range(1, count + 1))
    assert reciprocal_sum([start], [count])[0] == pytest.approx(exact, abs=2e-15, rel=1e-14)


@pytest.mark.parametrize(("start", "count"), [(10**8, 2), (10**8, 1000), (63, 5), (5, 100_000), (0, 64), (10**12, 1)])
def test_reciprocal_sums_keep_their_digits_far_out(start, count):
    exact = fsum(1 / (start + i) for i in range(1, count + 1))
    assert reciprocal_sum([start], [count])[0] == pytest.approx(exact, rel=3e-15)


@pytest.mark.parametrize("k", [0, -1, 2.5, 2.0, "all", "5", True, np.True_, [1]], ids=repr)
def test_a_cut_off_is_a_whole_number_of_ranks(k):
    with pytest.raises(BitseekError, match="k is a whole number of 1 or more"):
        unwrap(average_precision)(np.array([[2]]), np.array([[1]]), k)


@pytest.mark.parametrize("k", [1, np.int64(1), np.uint8(1), np.array(1)], ids=repr)
def test_a_cut_off_is_an_integer_of_any_kind(k):
    assert unwrap(average_precision)(np.array([[2]]), np.array([[1]]), k)[0] == 0.5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"ties": "stable"}, "stable_average_precision"),
        ({"ties": "random"}, "ties is 'expected', 'best', 'worst' or 'stable', got 'random'"),
        ({"denominator": "all"}, "'retrieved', 'relevant' or 'min'"),
    ],
)
def test_refuses_what_it_does_not_know(arguments, sentence):
    with pytest.raises(BitseekError, match=sentence):
        unwrap(average_precision)(np.array([[2]]), np.array([[1]]), **arguments)


def test_refuses_counts_that_are_none():
    with pytest.raises(ShapeError, match="0 <= relevant <= total"):
        average_precision(np.array([[1]]), np.array([[2]]))
    with pytest.raises(ShapeError, match="0 <= relevant <= total"):
        average_precision(np.array([[1]]), np.array([[-1]]))


def test_the_closed_forms_need_neither_numba_nor_scipy():
    program = "import sys, bitseek.metrics; print([m for m in ('numba', 'scipy', 'torch') if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


@pytest.mark.parametrize(
    "counts",
    [
        np.array([[1.5]]), np.array([[np.nan]]), np.array([[2**63]], np.uint64), np.array([[2**62]]),
        np.array([[True]]), np.array([["1"]]), np.array([1]), np.array([[-1]]),
    ],
    ids=repr,
)  # fmt: skip
def test_counts_that_count_nothing_are_refused(counts, unchecked):
    with pytest.raises(ShapeError, match=r"integers|numbers|one shape|does not hold"):
        average_precision(counts, counts)


def test_counts_may_be_of_any_width_or_in_lists(unchecked):
    expected = average_precision(np.array([[1, 2]]), np.array([[1, 1]]))
    assert average_precision(np.array([[1, 2]], np.uint64), np.array([[1, 1]], np.int8)) == expected
    assert average_precision([[1, 2]], [[1, 1]]) == expected


def test_the_greatest_counts_do_not_overflow():
    n, r = 3 * 10**9, 10**9
    values = average_precision(np.array([[n, n]]), np.array([[r, r]]), 2 * r)
    assert values == pytest.approx([1 / 3], rel=1e-6)
