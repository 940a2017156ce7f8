"""Deep Cauchy hashing."""

import math

import numpy as np
import pytest
from tests.methods.harness import build, check_gradient, gradient, terms_of
from tests.methods.oracles import balanced, bank_list, batch_list, mean
from tests.methods.oracles_classification import BITS, LABELS, cosine, numeric_gradient, random


def cauchy(gamma):
    def value(u, v, s):
        d = BITS / 2 * (1 - cosine(u, v))
        return math.log(1 + d / gamma) if s else math.log(1 + gamma / (d + 0.005 * BITS))

    return value


def quantisation(logits, gamma):
    return mean(math.log(1 + BITS / 2 * (1 - cosine(np.abs(u), np.ones(BITS))) / gamma) for u in logits)


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("gamma", [20.0, 2.0])
def test_loss_is_that_of_a_slow_loop(case, gamma):
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    assert terms_of(build("dch", gamma=gamma), logits, labels) == pytest.approx(
        {
            "cauchy": balanced(batch_list(logits, labels), cauchy(gamma)),
            "quantisation": 0.1 * quantisation(logits, gamma),
        }
    )


def test_it_is_equation_8_up_to_the_distance_that_dissimilar_pairs_are_given():
    logits, labels = random((6, BITS)), LABELS["single"]

    def equation_8(u, v, s):
        d = BITS / 2 * (1 - cosine(u, v)) + (0 if s else 0.005 * BITS)
        return s * math.log(d / 20) + math.log(1 + 20 / d)

    expected = balanced(batch_list(logits, labels), equation_8)
    assert terms_of(build("dch"), logits, labels)["cauchy"] == pytest.approx(expected)


@pytest.mark.parametrize("case", LABELS)
def test_pairs_with_the_memory_bank(case):
    method, rows = build("dch", memory=True), {}
    for seed, labels in enumerate([LABELS["several"], LABELS[case]]):
        logits, index = random((len(labels), BITS), seed=seed), range(len(labels))
        rows |= {i: (logits[i], labels[i]) for i in index}
        terms = terms_of(method, logits, labels)
        assert terms["cauchy"] == pytest.approx(balanced(bank_list(logits, labels, index, rows), cauchy(20)))
    slow = numeric_gradient(
        lambda u: balanced(bank_list(u, labels, index, rows), cauchy(20)) + 0.1 * quantisation(u, 20), logits
    )
    assert gradient(method, logits, labels) == pytest.approx(slow, abs=1e-6)


@pytest.mark.parametrize("case", LABELS)
def test_gradient(case):
    labels = LABELS[case]
    check_gradient(build("dch"), random((len(labels), BITS)), labels)


def test_dissimilar_codes_that_almost_point_the_same_way_are_pushed_apart():
    """Released code clips the cosine at 0.99, where the push is gone."""
    logits = np.ones((2, BITS))
    logits[1, 0] = 0.9
    assert cosine(*logits) > 0.99
    push = gradient(build("dch", quantisation=0.0), logits, LABELS["no_positive_pair"][:2])
    assert push[1, 0] > 0.01
    assert push[0, 0] < -0.01


def test_logits_that_are_all_zero_or_all_the_same_are_finite():
    for logits in (np.zeros((6, BITS)), np.full((6, BITS), 1e-30), np.full((6, BITS), 1e30)):
        assert np.isfinite(gradient(build("dch"), logits, LABELS["several"])).all()
