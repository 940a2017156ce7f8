"""Bi-half, with and without labels."""

import numpy as np
import pytest
from tests.methods.harness import build, gradient, terms_of
from tests.methods.oracles_classification import (
    BITS,
    FEATURES,
    LABELS,
    affine,
    cosine_difference,
    cross_entropy,
    numeric_gradient,
    random,
    tensor,
)

from bitseek.methods.bihalf import bi_half


def slow_codes(logits):
    """For each bit, go through the items from the largest value to the smallest; the first ⌊b/2⌋ get +1."""
    codes = -np.ones_like(logits)
    for k in range(logits.shape[1]):
        ranking = sorted(range(len(logits)), key=lambda i: (-logits[i, k], i))
        for i in ranking[: len(logits) // 2]:
            codes[i, k] = 1
    return codes


def slow_pull(logits, codes, gamma):
    return gamma / 2 * np.mean((logits - codes) ** 2)


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("bihalf")
    logits = random((len(labels), BITS))
    codes = slow_codes(logits)
    expected = {
        "classification": cross_entropy(affine(method.classifier, codes), labels),
        "quantisation": slow_pull(logits, codes, 6.0),
    }
    assert terms_of(method, logits, labels) == pytest.approx(expected)


@pytest.mark.parametrize("case", LABELS)
def test_gradient_is_that_of_the_codes_plus_the_pull(case):
    """g + γ (u − b) / (bK), as the backward pass of the released layer."""
    labels, method = LABELS[case], build("bihalf", gamma=4.0)
    logits = random((len(labels), BITS))
    codes = slow_codes(logits)
    g = numeric_gradient(lambda b: cross_entropy(affine(method.classifier, b), labels), codes)
    assert gradient(method, logits, labels) == pytest.approx(g + 4.0 * (logits - codes) / logits.size, abs=1e-7)


@pytest.mark.parametrize("size", [1, 2, 6, 7])
def test_unsupervised_loss_and_gradient(size):
    method, logits, features = build("bihalf-unsupervised"), random((size, BITS)), random((size, FEATURES), seed=5)
    nothing, codes = np.zeros((size, 0)), slow_codes(logits)
    expected = {"similarity": cosine_difference(codes, features), "quantisation": slow_pull(logits, codes, 6.0)}
    assert terms_of(method, logits, nothing, features) == pytest.approx(expected)
    g = numeric_gradient(lambda b: cosine_difference(b, features), codes)
    pulled = g + 6.0 * (logits - codes) / logits.size
    assert gradient(method, logits, nothing, features) == pytest.approx(pulled, abs=1e-7)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_halves_are_exact_with_ties_and_odd_batches(size):
    """A threshold at the median gives other counts."""
    for logits in (random((size, BITS)), np.zeros((size, BITS)), np.ones((size, BITS)).round(), random((size, 3)) > 0):
        codes = bi_half(tensor(np.asarray(logits, float)))
        assert set(codes.unique().tolist()) <= {-1.0, 1.0}
        assert ((codes > 0).sum(dim=0) == size // 2).all()
        assert (codes.numpy() == slow_codes(np.asarray(logits, float))).all()
