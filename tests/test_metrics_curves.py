"""Precision and recall at N, within a radius and by radius, against loops over rankings."""

from inspect import unwrap
from itertools import combinations, product

import numpy as np
import pytest

from bitseek.errors import BitseekError
from bitseek.metrics import hits_at, precision_at, precision_recall, recall_at, within_radius


def orders(groups):
    placings = [
        [[int(i in places) for i in range(items)] for places in combinations(range(items), hits)]
        for items, hits in groups
    ]
    return [[hit for part in choice for hit in part] for choice in product(*placings)]


@pytest.mark.parametrize(
    "groups", [[(3, 1)], [(2, 1), (4, 3), (1, 0)], [(0, 0), (1, 1), (5, 2)], [(4, 0), (2, 0)]], ids=str
)
def test_at_n_equals_mean_best_and_worst_over_all_orders(groups):
    total, relevant = (column[None] for column in np.array(groups).T)
    for n in range(1, 9):
        found = [sum(order[:n]) for order in orders(groups)]
        for ties, value in (("expected", np.mean(found)), ("best", max(found)), ("worst", min(found))):
            assert hits_at(total, relevant, n, ties)[0] == pytest.approx(value)
            assert precision_at(total, relevant, n, ties)[0] == pytest.approx(value / n)
            recall = recall_at(total, relevant, n, ties)[0]
            everything = relevant.sum()
            assert recall == pytest.approx(value / everything) if everything else np.isnan(recall)


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
    ball = within_radius(total, relevant, radius, empty)
    for q in range(len(total)):
        items = [
            h for d in range(12) if d <= radius for h in [1] * relevant[q, d] + [0] * (total[q, d] - relevant[q, d])
        ]
        assert (ball.items[q], ball.hits[q]) == (len(items), sum(items))
        precision = np.mean(items) if items else (0.0 if empty == "zero" else np.nan)
        recall = sum(items) / relevant[q].sum() if relevant[q].any() else np.nan
        f = 2 * precision * recall / (precision + recall) if precision + recall != 0 else 0.0
        np.testing.assert_allclose([ball.precision[q], ball.recall[q], ball.f[q]], [precision, recall, f])
    means = ball.means()
    assert means["precision"] == pytest.approx(np.nanmean(ball.precision))
    assert means["empty"] == pytest.approx(np.mean(ball.items == 0))


def test_the_empty_ball_rule_matters():
    total, relevant = np.array([[0, 0, 3], [2, 0, 0]]), np.array([[0, 0, 3], [1, 0, 0]])
    assert within_radius(total, relevant, 1, "zero").means()["precision"] == 0.25
    assert within_radius(total, relevant, 1, "skip").means()["precision"] == 0.5


@pytest.mark.parametrize("empty", ["zero", "skip"])
def test_the_curve_by_radius_is_made_of_balls(empty):
    total, relevant = random_counts(2)
    macro, micro = (precision_recall(total, relevant, average, empty) for average in ("macro", "micro"))
    assert macro.radius.tolist() == list(range(12))
    for radius in range(12):
        ball = within_radius(total, relevant, radius, empty)
        np.testing.assert_allclose(macro.precision[radius], ball.means()["precision"])
        np.testing.assert_allclose(macro.recall[radius], ball.means()["recall"])
        np.testing.assert_allclose(micro.precision[radius], ball.hits.sum() / ball.items.sum())
        np.testing.assert_allclose(micro.recall[radius], ball.hits.sum() / relevant.sum())
    assert micro.recall[-1] == 1.0


def test_no_relevant_item_at_all_is_not_a_warning():
    total = np.array([[1, 2]])
    nothing = np.zeros_like(total)
    for average in ("macro", "micro"):
        assert np.isnan(precision_recall(total, nothing, average).recall).all()
    assert np.isnan(within_radius(total, nothing).means()["recall"])


def test_sentences():
    total = np.array([[1, 2]])
    with pytest.raises(BitseekError, match="radius is 0 or more, got -1"):
        within_radius(total, total, -1)
    with pytest.raises(BitseekError, match="'zero' or 'skip'"):
        unwrap(within_radius)(total, total, 1, "one")
    with pytest.raises(BitseekError, match="'macro' or 'micro'"):
        unwrap(precision_recall)(total, total, "mean")
    with pytest.raises(BitseekError, match="got 0"):
        precision_at(total, total, 0)
