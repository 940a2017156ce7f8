"""Supervised deep hashing, with pairs instead of the classifier of SDH-C."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, check_loss, terms_of
from tests.methods.oracles import batch_list, mean, sign_error, squared_distance
from tests.methods.oracles_classification import BITS, LABELS, random, tensor


def slow(method, logits, labels):
    codes = np.array([[math.tanh(u) for u in row] for row in logits])
    pairs = batch_list(codes, labels)
    between = mean(squared_distance(u, v) / BITS for u, v, s in pairs if not s)
    within = mean(squared_distance(u, v) / BITS for u, v, s in pairs if s)
    weight = method.head.weight.detach().numpy()
    return {
        "quantisation": 0.1 * sign_error(codes),
        "variance": -0.2 * 0.5 * mean(v * v for v in codes.ravel()),
        "scatter": -0.2 * 3 * 0.5 * (between - within),
        "orthogonality": 0.3 * mean((weight[i] @ weight[j] - (i == j)) ** 2 for i in range(BITS) for j in range(BITS)),
    }


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels = LABELS[case]
    method = build("sdh", quantisation=0.1, variance=0.2, scatter=3, orthogonality=0.3)
    logits = random((len(labels), BITS))
    check_loss(method, lambda u: slow(method, u, labels), logits, labels)
    check_gradient(method, logits, labels)


def test_orthonormal_projections_are_the_optimum():
    """cisip-FIRe has the all-ones matrix for the identity: there, equal projections of norm 1 are the optimum."""
    method, (basis, _) = build("sdh", orthogonality=1.0), np.linalg.qr(random((6, BITS)))
    measured = []
    for columns in (basis, np.tile(basis[:, :1], BITS)):
        with torch.no_grad():
            method.head.weight.copy_(tensor(columns.T))
        measured.append(terms_of(method, random((6, BITS)), LABELS["single"])["orthogonality"])
    assert measured == pytest.approx([0, (BITS - 1) / BITS], abs=1e-12)


def test_a_large_batch_needs_no_matrix_of_bits_for_each_pair():
    """cisip-FIRe forms b² matrices of K × K, here 17 GB."""
    method, labels = build("sdh", bits=64), np.eye(4)[np.arange(1024) % 4]
    loss = method.loss(batch_of(random((1024, 64)), labels, features=random((1024, 6))))
    assert all(torch.isfinite(term) for term in loss.values())
