"""Unsupervised SSDH: structure, limits and loss against slow loops, and what a re-implementation gets wrong."""

import numpy as np
import pytest
import torch
from tests.methods.harness import build, check_gradient, check_loss, gradient, terms_of
from tests.methods.oracles_classification import BITS, FEATURES, ITEMS, cosine, random, tensor

from bitseek.methods.ssdh_unsupervised import limits

NOTHING = np.zeros((6, 0))


def prepared(seed=0, **recipe):
    method, features = build("ssdh-unsupervised", **recipe), random((ITEMS, FEATURES), seed=seed)
    method.prepare(tensor(features), torch.zeros(ITEMS, 0), torch.arange(ITEMS))
    return method, features


def slow(method, features, logits):
    low, high = method.limits.tolist()
    total, pairs = 0.0, 0
    for i in range(len(logits)):
        for j in range(i):
            distance = 1 - cosine(features[i], features[j])
            s = 1 if distance <= low else -1 if distance >= high else 0
            total += abs(s) * (np.tanh(logits[i]) @ np.tanh(logits[j]) / BITS - s) ** 2
            pairs += 1
    return {"structure": total / max(pairs, 1)}


@pytest.mark.parametrize("size", [1, 2, 6])
def test_loss_is_that_of_a_slow_loop(size):
    method, features = prepared(near=0.5, far=0.5)
    logits = random((size, BITS))
    check_loss(method, lambda u: slow(method, features, u), logits, NOTHING[:size])
    check_gradient(method, logits, NOTHING[:size])


def test_all_three_kinds_of_pairs_are_there():
    method, features = prepared(near=0.5, far=0.5)
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    distances = (1 - units @ units.T)[np.triu_indices(6, 1)]
    low, high = method.limits.tolist()
    assert (distances <= low).any() and (distances >= high).any() and ((distances > low) & (distances < high)).any()


def slow_limits(distances, bins, near, far):
    low, width = min(distances), (max(distances) - min(distances)) / bins
    counts = [0] * bins
    for d in distances:
        counts[min(int((d - low) / width), bins - 1)] += 1
    middle = low + (counts.index(max(counts)) + 0.5) * width
    below = [d - middle for d in distances if d <= middle]
    above = [d - middle for d in distances if d > middle]
    deviation = [np.sqrt(sum(x * x for x in side) / len(side)) for side in (below, above)]
    return middle - near * deviation[0], middle + far * deviation[1]


def test_limits_are_those_of_a_slow_histogram():
    distances = np.concatenate([np.random.default_rng(0).normal(0.9, 0.1, 500), [0.1, 1.7]])
    assert limits(distances, 20, 2.0, 1.5) == pytest.approx(slow_limits(distances.tolist(), 20, 2.0, 1.5))
    assert limits(np.zeros(0), 20, 2, 2) == (-np.inf, np.inf)
    assert limits(np.full(9, 0.5), 20, 2, 2) == pytest.approx((0.5, 0.5), abs=0.05)


def test_the_most_frequent_distance_can_be_above_one_and_an_item_is_no_pair_of_its_own():
    """The re-implementation bins 0 … 1 only, and counts the zeros of the diagonal among the near distances."""
    distances = np.random.default_rng(1).normal(1.3, 0.01, 4000)
    low, high = limits(distances, 100, 2.0, 2.0)
    assert 1.2 < low < 1.3 < high < 1.4
    assert float(prepared()[0].limits[0]) > 0


def test_structure_stays_by_the_number_of_an_item():
    method, features = prepared(near=0.0, far=0.0)
    other = build("ssdh-unsupervised", near=0.0, far=0.0)
    order = torch.randperm(ITEMS, generator=torch.Generator().manual_seed(0))
    other.prepare(tensor(features)[order], torch.zeros(ITEMS, 0), order)
    logits = random((6, BITS))
    assert terms_of(other, logits, NOTHING) == pytest.approx(terms_of(method, logits, NOTHING), rel=1e-6)


def test_before_it_is_prepared_no_pair_counts():
    method = build("ssdh-unsupervised")
    assert terms_of(method, random((6, BITS)), NOTHING) == {"structure": 0}
    assert (gradient(method, random((6, BITS)), NOTHING) == 0).all()
