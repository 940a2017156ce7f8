"""Spectral hashing."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from bitseek.methods import METHODS, Task
from bitseek.methods.spectral import slowest_modes


def cloud(n=200, d=6, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(size=(n, d)) * [9, 5, 3, 2, 1, 0.5][:d] + 4).float()


def fitted(features, bits):
    cls = METHODS["spectral"]
    method = cls(Task(features=features.shape[1], bits=bits, classes=0, items=len(features)))
    method.fit(features, torch.zeros(len(features), 0))
    return method.eval()


def slow_codes(features, bits):
    """As its authors' program: list vectors of modes, sort by Σ_d (ω_d π / R_d)², multiply sines."""
    count = min(bits, features.shape[1])
    scores = PCA(count).fit_transform(features.double().numpy())
    lowest, highest = scores.min(axis=0), scores.max(axis=0)
    ranges = highest - lowest
    vectors = [tuple(0 for _ in range(count))]
    for d in range(count):
        for mode in range(1, math.ceil((bits + 1) * ranges[d] / ranges.max())):
            vectors.append(tuple(mode if d == e else 0 for e in range(count)))
    energy = [sum((w * math.pi / r) ** 2 for w, r in zip(vector, ranges, strict=True)) for vector in vectors]
    chosen = sorted(range(len(vectors)), key=lambda i: energy[i])[1 : bits + 1]
    codes = np.zeros((len(features), bits), bool)
    for i, (k, chosen_k) in itertools.product(range(len(features)), enumerate(chosen)):
        product = 1.0
        for d, mode in enumerate(vectors[chosen_k]):
            product *= math.sin(math.pi / 2 + mode * math.pi / ranges[d] * (scores[i, d] - lowest[d]))
        codes[i, k] = product >= 0
    return codes


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 13, 40])
def test_codes_are_those_of_the_authors_construction(bits):
    """More bits than features, too."""
    features = cloud()
    got = (fitted(features, bits).head(features) >= 0).numpy()
    expected = slow_codes(features, bits)
    assert (got == expected).mean() > 0.999, "but for rounding on a border"


def test_a_long_component_gets_several_bits_before_a_short_one_gets_its_first():
    component, mode = slowest_modes(np.array([10.0, 4.0, 1.0]), 5)
    assert list(zip(component.tolist(), mode.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 1), (0, 3), (0, 4)]


def test_ties_go_to_the_first_component():
    component, mode = slowest_modes(np.array([1.0, 1.0, 1.0]), 4)
    assert component.tolist() == [0, 1, 2, 0]
    assert mode.tolist() == [1, 1, 1, 2]


def test_a_component_without_spread_gets_no_bit():
    features = cloud()
    features[:, 2] = 7.0
    method = fitted(features, 12)
    assert method.head.projection[2].abs().max() < 1e-5
    logits = method.head(features)
    assert torch.isfinite(logits).all()
    assert ((logits >= 0).double().std(dim=0) > 0).all()


def test_items_that_are_all_the_same_get_one_code():
    features = torch.ones(20, 4)
    logits = fitted(features, 9).head(features)
    assert torch.isfinite(logits).all()
    assert len((logits >= 0).unique(dim=0)) == 1


def test_the_first_bit_cuts_the_first_component_in_the_middle_of_its_range():
    features = cloud()
    scores = PCA(1).fit_transform(features.double().numpy())[:, 0]
    middle = (scores.min() + scores.max()) / 2
    got = (fitted(features, 1).head(features) >= 0)[:, 0].numpy()
    assert ((scores <= middle) == got).mean() > 0.99


def test_queries_use_what_was_fitted():
    method, query = fitted(cloud(), 20), cloud(9, seed=3) + 2
    together = method.head(query)
    alone = torch.cat([method.head(query[i : i + 1]) for i in range(9)])
    assert torch.equal(together >= 0, alone >= 0)
    other = METHODS["spectral"].build_head(method.task, method.recipe)
    other.load_state_dict(method.head.state_dict())
    assert torch.equal(other(query), together)
