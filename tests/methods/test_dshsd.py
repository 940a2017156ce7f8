"""DSHSD."""

import math

import numpy as np
import pytest
from tests.methods.harness import batch_of, build, check_gradient, check_loss, terms_of
from tests.methods.oracles import batch_list, mean, softplus, squared_distance
from tests.methods.oracles_classification import BITS, FEATURES, LABELS, affine, cross_entropy, random

from bitseek.methods import Task
from bitseek.methods.dshsd import DSHSD


def tanh(logits):
    return np.array([[math.tanh(u) for u in row] for row in logits])


def contrastive(pairs):
    return mean(
        squared_distance(u, v) / 2 if s else max(2 * BITS - squared_distance(u, v), 0.0) / 2 for u, v, s in pairs
    )


def sigmoid_entropy(scores, labels):
    return mean(
        sum(softplus(z) - y * z for z, y in zip(row, own, strict=True)) for row, own in zip(scores, labels, strict=True)
    )


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("dshsd", alpha=0.3)

    def slow(logits):
        codes = tanh(logits)
        return {
            "classification": sigmoid_entropy(affine(method.classifier, codes), labels),
            "contrastive": 0.3 * contrastive(batch_list(codes, labels)),
        }

    logits = random((len(labels), BITS))
    check_loss(method, slow, logits, labels)
    check_gradient(method, logits, labels)


def test_with_one_class_an_item_the_classifier_has_a_softmax():
    method = DSHSD(Task(features=FEATURES, bits=BITS, classes=4, items=6)).double()
    logits, labels = random((6, BITS)), LABELS["single"]
    expected = cross_entropy(affine(method.classifier, tanh(logits)), labels)
    assert terms_of(method, logits, labels)["classification"] == pytest.approx(expected)


def test_the_classifier_learns():
    """swuxyj's is made inside of the loss, and the optimiser never sees it."""
    method = build("dshsd")
    assert method.classifier.bias is None
    assert "classifier.weight" in dict(method.named_parameters())
    sum(method.loss(batch_of(random((6, BITS)), LABELS["single"])).values()).backward()
    assert method.classifier.weight.grad.abs().sum() > 0
