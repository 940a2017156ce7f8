"""CIBHash: two views."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import build, gradient, terms_of
from tests.methods.oracles_classification import BITS, FEATURES, cosine, numeric_gradient, random, tensor

SIZES = [1, 2, 3, 5]


def sigmoid(u):
    return 1 / (1 + np.exp(-u))


def slow_contrast(codes, temperature):
    """−log of the share of the other view among the 2b − 1 others, mean over the 2b."""
    n = len(codes)
    total = 0.0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        weight = {j: math.exp(cosine(codes[i], codes[j]) / temperature) for j in others}
        total -= math.log(weight[(i + n // 2) % n] / sum(weight.values()))
    return total / n


def slow_kl(p, q):
    total = sum(
        a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b)) for a, b in zip(p.ravel(), q.ravel(), strict=True)
    )
    return total / len(p)


@pytest.mark.parametrize("size", SIZES)
def test_loss_is_that_of_a_slow_loop(size):
    logits = random((2 * size, BITS))
    p, q = sigmoid(logits[:size]), sigmoid(logits[size:])
    terms = terms_of(build("cibhash", kl=0.2, temperature=0.4), logits, np.zeros((size, 0)))
    expected = {
        "contrast": slow_contrast(np.sign(logits), 0.4),
        "divergence": 0.2 * (slow_kl(p, q) + slow_kl(q, p)) / 2,
    }
    assert terms == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_gradient(size):
    """That of the codes goes to the probabilities; in a divergence only the first argument learns."""
    logits = random((2 * size, BITS))
    p = sigmoid(logits)
    passed = numeric_gradient(lambda z: slow_contrast(z, 0.3), np.sign(logits)) * p * (1 - p)

    def divergence(u):
        first, second = sigmoid(u[:size]), sigmoid(u[size:])
        return 0.2 * (slow_kl(first, p[size:]) + slow_kl(second, p[:size])) / 2

    expected = passed + numeric_gradient(divergence, logits)
    assert gradient(build("cibhash", kl=0.2), logits, np.zeros((size, 0))) == pytest.approx(expected, abs=1e-7)


def test_equal_views_do_not_diverge_and_match():
    logits = np.sign(random((4, BITS)))
    logits = np.concatenate([logits, logits])
    terms = terms_of(build("cibhash"), logits, np.zeros((4, 0)))
    assert terms["divergence"] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("value", [0.0, 1e4, -1e4])
def test_zero_and_certain_bits_are_finite(value):
    method, logits = build("cibhash"), np.full((6, BITS), value)
    logits[0] = -value
    assert all(map(math.isfinite, terms_of(method, logits, np.zeros((3, 0))).values()))
    assert np.isfinite(gradient(method, logits, np.zeros((3, 0)))).all()


def test_dropout_tells_equal_views_apart_in_training_only():
    method, features = build("cibhash", dropout=0.5, hidden=50), tensor(random((3, FEATURES))).repeat(2, 1)
    first, second = method.head(features).chunk(2)
    assert not torch.equal(first, second)
    method.eval()
    first, second = method.head(features).chunk(2)
    assert torch.allclose(first, second, atol=1e-12)


def test_two_views_with_strong_augmentation():
    method = build("cibhash")
    assert method.views == 2
    assert method.recipe.augment == "views"
