"""PCDH."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, gradient, terms_of
from tests.methods.oracles import batch_list, mean, softplus, squared_distance
from tests.methods.oracles_classification import (
    BITS,
    FEATURES,
    LABELS,
    affine,
    cross_entropy,
    numeric_gradient,
    random,
    tensor,
)

from bitseek.methods import Task
from bitseek.methods.pcdh import PCDH, PCDHRecipe

HIDDEN = 7


def contrast(pairs):
    return mean(
        squared_distance(u, v) / 2 if s else max(2 * BITS - squared_distance(u, v), 0.0) ** 2 / 2 for u, v, s in pairs
    )


def layers(method, features):
    """x and h of given backbone features."""
    x = affine(method.head[0], features)
    return x, np.array([[math.tanh(u) for u in row] for row in affine(method.head[1][0], x)])


def sigmoid_entropy(scores, labels):
    return mean(
        sum(softplus(z) - y * z for z, y in zip(row, own, strict=True)) for row, own in zip(scores, labels, strict=True)
    )


def slow(method, logits, labels, features):
    x, h = layers(method, features)
    return {
        "codes": contrast(batch_list(h, labels)),
        "features": 0.5 * contrast(batch_list(x, labels)),
        "classification": 0.3 * sigmoid_entropy(affine(method.classifier, np.sign(logits)), labels),
    }


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("pcdh", alpha=0.5, beta=0.3, width=HIDDEN)
    logits, features = random((len(labels), BITS)), random((len(labels), FEATURES), seed=4)
    assert terms_of(method, logits, labels, features) == pytest.approx(slow(method, logits, labels, features), rel=1e-6)


@pytest.mark.parametrize("case", LABELS)
def test_the_pairs_train_the_layers_before_the_codes(case):
    labels, method = LABELS[case], build("pcdh", alpha=0.5, beta=0.0, width=HIDDEN)
    logits, features = random((len(labels), BITS)), random((len(labels), FEATURES), seed=4)
    values = tensor(features, grad=True)
    sum(method.loss(batch_of(logits, labels, values)).values()).backward()
    expected = numeric_gradient(lambda f: sum(slow(method, logits, labels, f).values()), features)
    zero_classifier = numeric_gradient(lambda f: slow(method, logits, labels, f)["classification"], features)
    assert (zero_classifier == 0).all()
    assert values.grad.numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("case", LABELS)
def test_the_classifier_trains_the_discrete_layer(case):
    """swuxyj's thresholds pass nothing on: there, the last layer of the head keeps its initial weights."""
    labels, method = LABELS[case], build("pcdh", beta=0.3, width=HIDDEN)
    logits = random((len(labels), BITS), scale=0.8)
    passed = numeric_gradient(lambda b: 0.3 * sigmoid_entropy(affine(method.classifier, b), labels), np.sign(logits))
    assert gradient(method, logits, labels) == pytest.approx(passed * (np.abs(logits) <= 1), abs=1e-6)
    batch = batch_of(random((len(labels), BITS)), labels)
    head = torch.nn.Sequential(*method.head)
    out = head(batch.features)
    method.loss(batch_of(out, labels, batch.features))["classification"].backward()
    assert head[2].weight.grad.abs().sum() > 0


def test_with_one_class_an_item_the_classifier_has_a_softmax():
    task = Task(features=FEATURES, bits=BITS, classes=4, items=6)
    method = PCDH(task, PCDHRecipe(width=HIDDEN, beta=1.0)).double()
    logits, labels = random((6, BITS)), LABELS["single"]
    expected = cross_entropy(affine(method.classifier, np.sign(logits)), labels)
    assert terms_of(method, logits, labels)["classification"] == pytest.approx(expected)
