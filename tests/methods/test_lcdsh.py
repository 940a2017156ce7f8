"""Locality-constrained deep supervised hashing."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, check_loss, check_loss_with_bank
from tests.methods.oracles import bank_list, batch_list, inner, likelihood, mean, sign
from tests.methods.oracles_classification import BITS, CLASSES, LABELS, random


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


def slow(pairs):
    differences = (
        sigmoid(inner(u, v) / 2) - sigmoid(inner([sign(x) for x in u], [sign(x) for x in v]) / 2) for u, v, _ in pairs
    )
    return {"likelihood": likelihood(pairs, 0.5), "locality": 3 * mean(d**2 for d in differences)}


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("lcdsh")
    logits = random((len(labels), BITS))
    check_loss(method, lambda u: slow(batch_list(u, labels)), logits, labels)
    check_gradient(method, logits, labels)


@pytest.mark.parametrize("case", LABELS)
def test_pairs_with_the_memory_bank(case):
    check_loss_with_bank(build("lcdsh", memory=True), lambda *args, **kwargs: slow(bank_list(*args, **kwargs)), case)


def test_pairs_that_are_far_wrong_are_pushed():
    """Clipped at 50, as elsewhere, the worst pairs have no gradient."""
    logits = torch.full((2, BITS), 100.0, dtype=torch.float64, requires_grad=True)
    loss = build("lcdsh").loss(batch_of(logits, np.eye(CLASSES)[:2]))["likelihood"]
    loss.backward()
    assert torch.isfinite(loss)
    assert (logits.grad > 0).all()
