"""SDH-C."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, terms_of
from tests.methods.oracles_classification import BITS, LABELS, affine, cross_entropy, random, tensor


def slow(method, logits, labels):
    v = np.array([[math.tanh(u) for u in row] for row in logits])
    weight = method.head.weight.detach().numpy()
    gram = [[sum(a * b for a, b in zip(x, y, strict=True)) for y in weight] for x in weight]
    deviation = [(gram[i][j] - (i == j)) ** 2 for i in range(BITS) for j in range(BITS)]
    return {
        "classification": cross_entropy(affine(method.classifier, v), labels),
        "quantisation": 0.1 * np.mean([(x - math.copysign(1, x)) ** 2 for x in v.ravel()]),
        "variance": -0.2 * 0.5 * np.trace(v.T @ v) / v.size,
        "orthogonality": 0.3 * sum(deviation) / BITS**2,
    }


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("sdhc", quantisation=0.1, variance=0.2, orthogonality=0.3)
    logits = random((len(labels), BITS))
    assert terms_of(method, logits, labels) == pytest.approx(slow(method, logits, labels))


@pytest.mark.parametrize("case", LABELS)
def test_gradient(case):
    labels = LABELS[case]
    check_gradient(build("sdhc", quantisation=0.1, variance=0.2), random((len(labels), BITS)), labels)


def test_orthonormal_projections_are_the_optimum_and_equal_ones_are_not():
    """cisip-FIRe has the all-ones matrix for the identity: there, equal projections of norm 1 are the optimum."""
    method = build("sdhc", orthogonality=1.0)
    logits, labels = random((6, BITS)), LABELS["single"]
    orthonormal, _ = np.linalg.qr(random((6, BITS)))
    equal = np.tile(orthonormal[:, :1], BITS)
    measured = []
    for columns in (orthonormal, equal):
        with torch.no_grad():
            method.head.weight.copy_(tensor(columns.T))
        measured.append(terms_of(method, logits, labels)["orthogonality"])
    assert measured == pytest.approx([0, (BITS - 1) / BITS], abs=1e-12)


def test_the_head_gets_the_gradient_of_its_orthogonality():
    method = build("sdhc", orthogonality=1.0)
    method.loss(batch_of(random((6, BITS)), LABELS["single"]))["orthogonality"].backward()
    assert method.head.weight.grad.abs().sum() > 0


def test_the_weight_of_the_variance_does_not_grow_with_the_batch():
    method, logits, labels = build("sdhc"), random((6, BITS)), LABELS["single"]
    twice = terms_of(method, np.tile(logits, (2, 1)), np.tile(labels, (2, 1)))
    assert twice["variance"] == pytest.approx(terms_of(method, logits, labels)["variance"])
