"""JMLH: stochastic neurons."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import build, gradient, terms_of
from tests.methods.oracles_classification import BITS, LABELS, affine, cross_entropy, numeric_gradient, random, tensor


def sigmoid(u):
    return 1 / (1 + np.exp(-u))


def slow_information(logits, kl):
    total = 0.0
    for u in logits.ravel():
        p = sigmoid(u)
        total += p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    return kl * total / len(logits)


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("jmlh", noise="none", kl=0.3)
    logits = random((len(labels), BITS))
    bits = (logits >= 0).astype(float)
    expected = {
        "classification": cross_entropy(affine(method.classifier, bits), labels),
        "information": slow_information(logits, 0.3),
    }
    assert terms_of(method, logits, labels) == pytest.approx(expected)


@pytest.mark.parametrize("case", LABELS)
def test_the_gradient_of_the_bits_goes_to_the_probabilities(case):
    labels, method = LABELS[case], build("jmlh", noise="none", kl=0.3)
    logits = random((len(labels), BITS))
    p, bits = sigmoid(logits), (logits >= 0).astype(float)
    passed = numeric_gradient(lambda z: cross_entropy(affine(method.classifier, z), labels), bits)
    own = numeric_gradient(lambda u: slow_information(u, 0.3), logits)
    assert gradient(method, logits, labels) == pytest.approx(passed * p * (1 - p) + own, abs=1e-7)


def test_neurons_fire_with_their_probability_in_training_only():
    torch.manual_seed(0)
    method, logits = build("jmlh"), torch.tensor([-2.0, -0.5, 0.0, 1.0, 3.0]).double()
    fired = method.neurons(logits.expand(20000, BITS)).detach().mean(dim=0)
    assert fired.tolist() == pytest.approx(logits.sigmoid().tolist(), abs=0.015)
    assert method.eval().neurons(logits[None]).tolist() == [[0, 0, 1, 1, 1]]


def test_noise_is_that_of_the_seed():
    method, logits, labels = build("jmlh"), random((6, BITS)), LABELS["single"]
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        seen.append(terms_of(method, logits, labels)["classification"])
    assert seen[0] == seen[1] != seen[2]


def test_the_head_gives_logits_not_probabilities():
    """cisip-FIRe's network returns p, whose sign is + for every bit of every image."""
    logits = build("jmlh").head(tensor(random((40, 6))))
    assert ((logits >= 0).double().mean(dim=0) < 1).all()
    assert (logits < 0).any()


def test_certain_bits_have_one_bit_of_information_each():
    method = build("jmlh", noise="none", kl=1.0)
    logits = np.array([[1e4, -1e4, 800.0, -800.0, 0.0]])
    assert terms_of(method, logits, LABELS["one_item"])["information"] == pytest.approx(4 * math.log(2))
    assert np.isfinite(gradient(method, logits, LABELS["one_item"])).all()
