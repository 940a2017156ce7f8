"""SSDH, the supervised one."""

import math

import numpy as np
import pytest
from tests.methods.harness import batch_of, build, check_gradient, check_loss
from tests.methods.oracles import mean
from tests.methods.oracles_classification import BITS, LABELS, affine, cross_entropy, random


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("ssdh", binary=0.7, balance=0.3)

    def slow(logits):
        units = np.array([[1 / (1 + math.exp(-u)) for u in row] for row in logits])
        return {
            "classification": cross_entropy(affine(method.classifier, units), labels),
            "binary": -0.7 * mean((a - 0.5) ** 2 for a in units.ravel()),
            "balance": 0.3 * mean((mean(row) - 0.5) ** 2 for row in units),
        }

    logits = random((len(labels), BITS))
    check_loss(method, slow, logits, labels)
    check_gradient(method, logits, labels)


def test_the_classifier_learns():
    method = build("ssdh")
    sum(method.loss(batch_of(random((6, BITS)), LABELS["single"])).values()).backward()
    assert method.classifier.weight.grad.abs().sum() > 0
