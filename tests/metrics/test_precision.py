"""Precision and recall at k, within a radius and by radius, against loops over rankings."""

from inspect import unwrap

import numpy as np
import pytest
from tests.metrics.oracles import counts, orders, small_groups

from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics import precision_at, precision_recall, recall_at, within_radius


@pytest.mark.parametrize("groups", small_groups(), ids=str)
def test_at_k_equals_mean_best_and_worst_over_all_orders(groups):
    total, relevant = counts(groups)
    everything = relevant.sum()
    for k in range(1, 9):
        found = [sum(order[:k]) for order in orders(groups)]
        for ties, value in (("expected", np.mean(found)), ("best", max(found)), ("worst", min(found))):
            assert precision_at(total, relevant, k, ties)[0] == pytest.approx(value / k)
            recall = recall_at(total, relevant, k, ties)[0]
            assert recall == pytest.approx(value / everything) if everything else np.isnan(recall)


def test_queries_that_reach_k_in_different_groups():
    total, relevant = np.array([[1, 0, 9], [0, 6, 4], [0, 0, 10]]), np.array([[1, 0, 3], [0, 3, 4], [0, 0, 0]])
    assert precision_at(total, relevant, 4).tolist() == pytest.approx([(1 + 3 * 3 / 9) / 4, 2 / 4, 0])
    assert recall_at(total, relevant, np.int64(4))[:2].tolist() == pytest.approx([0.5, 2 / 7])


def random_counts(seed, queries=20, bins=12):
    rng = np.random.default_rng(seed)
    total = rng.integers(0, 6, (queries, bins)) * (rng.random((queries, bins)) < 0.5)
    relevant = rng.integers(0, total + 1)
    total[0], relevant[0] = 0, 0
    relevant[1] = 0
    return total, relevant


@pytest.mark.parametrize("empty", ["zero", "skip"])
@pytest.mark.parametrize("radius", [0, 2, 11, 50])
def test_within_a_radius_equals_a_loop(radius, empty):
    total, relevant = random_counts(1)
    within = within_radius(total, relevant, radius, empty)
    for q in range(len(total)):
        items = [
            h for d in range(12) if d <= radius for h in [1] * relevant[q, d] + [0] * (total[q, d] - relevant[q, d])
        ]
        assert (within.items[q], within.relevant[q]) == (len(items), sum(items))
        precision = np.mean(items) if items else (0.0 if empty == "zero" else np.nan)
        recall = sum(items) / relevant[q].sum() if relevant[q].any() else np.nan
        f = 2 * precision * recall / (precision + recall) if precision + recall != 0 else 0.0
        np.testing.assert_allclose([within.precision[q], within.recall[q], within.f[q]], [precision, recall, f])
    means = within.means()
    assert means["precision"] == pytest.approx(np.nanmean(within.precision))
    assert means["recall"] == pytest.approx(np.nanmean(within.recall))
    assert means["f"] == pytest.approx(np.nanmean(within.f))
    assert means["empty"] == pytest.approx(np.mean(within.items == 0))


def test_the_rule_for_an_empty_radius_matters():
    total, relevant = np.array([[0, 0, 3], [2, 0, 0]]), np.array([[0, 0, 3], [1, 0, 0]])
    assert within_radius(total, relevant, 1, "zero").means()["precision"] == 0.25
    assert within_radius(total, relevant, 1, "skip").means()["precision"] == 0.5


@pytest.mark.parametrize("empty", ["zero", "skip"])
def test_the_curve_is_made_of_radii(empty):
    total, relevant = random_counts(2)
    macro, micro = (precision_recall(total, relevant, average, empty) for average in ("macro", "micro"))
    assert len(macro.precision) == len(micro.recall) == 12
    for radius in range(12):
        within = within_radius(total, relevant, radius, empty)
        np.testing.assert_allclose(macro.precision[radius], within.means()["precision"])
        np.testing.assert_allclose(macro.recall[radius], within.means()["recall"])
        np.testing.assert_allclose(micro.precision[radius], within.relevant.sum() / within.items.sum())
        np.testing.assert_allclose(micro.recall[radius], within.relevant.sum() / relevant.sum())
    assert micro.recall[-1] == 1.0


def test_no_relevant_item_at_all_is_not_a_warning():
    total = np.array([[1, 2]])
    nothing = np.zeros_like(total)
    for average in ("macro", "micro"):
        assert np.isnan(precision_recall(total, nothing, average).recall).all()
    assert np.isnan(precision_recall(nothing, nothing, "micro").precision).all()
    assert np.isnan(within_radius(total, nothing).means()["recall"])


def test_sentences():
    total = np.array([[1, 2]])
    with pytest.raises(BitseekError, match="radius is a whole number of 0 or more, got radius=-1"):
        within_radius(total, total, -1)
    with pytest.raises(BitseekError, match="'zero' or 'skip'"):
        unwrap(within_radius)(total, total, 1, "one")
    with pytest.raises(BitseekError, match="'macro' or 'micro'"):
        unwrap(precision_recall)(total, total, "mean")
    with pytest.raises(ShapeError, match="0 <= relevant <= total"):
        within_radius(total, total + 1)
    for function in (precision_at, recall_at):
        with pytest.raises(BitseekError, match="got k=0"):
            function(total, total, 0)
        with pytest.raises(BitseekError, match="k is a whole number"):
            unwrap(function)(total, total, None)
        with pytest.raises(BitseekError, match="stable sort is not in the counts"):
            function(total, total, 1, "stable")


@pytest.mark.parametrize("radius", [float("nan"), 1.5, "2", None, True], ids=repr)
def test_a_radius_that_is_no_whole_number_is_refused(radius, unchecked):
    with pytest.raises(BitseekError, match="radius is a whole number"):
        within_radius(np.array([[1, 2]]), np.array([[1, 1]]), radius)


def test_a_radius_beyond_all_bits_is_everything():
    assert within_radius(np.array([[1, 2]]), np.array([[1, 1]]), 10**30).recall.tolist() == [1.0]
