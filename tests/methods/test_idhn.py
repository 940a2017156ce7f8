"""IDHN, and ISDH, its first version."""

import math

import numpy as np
import pytest
from tests.methods.harness import build, check_gradient, check_loss, check_loss_with_bank, gradient, terms_of
from tests.methods.oracles import bank_list, batch_list, inner, mean, softplus
from tests.methods.oracles_classification import BITS, LABELS, one_hot, random


def share(a, b):
    """Cosine of two label rows, in whole numbers but for the last step."""
    own, other = sum(a), sum(b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(own * other) if own and other else 0.0


def softsign(logits):
    return np.array([[u / (1 + abs(u)) for u in row] for row in logits])


def idhn(theta, product, r):
    if r in (0, 1):
        return softplus(theta) - r * theta
    return 0.1 * BITS * ((product / BITS + 1) / 2 - r) ** 2


def isdh(theta, product, r):
    return 10 * (softplus(theta) - r * theta) if r in (0, 1) else (r - 1 / (1 + math.exp(-theta))) ** 2


LOSSES = {"idhn": idhn, "isdh": isdh}


def slow(name, codes, pairs):
    costs = [LOSSES[name](5 / BITS * inner(u, v), inner(u, v), r) for u, v, r in pairs]
    return {"pairs": mean(costs), "quantisation": 0.1 * mean(abs(abs(v) - 1) for v in codes.ravel())}


def in_batch(codes, labels):
    b = range(len(codes))
    return [(codes[i], codes[j], share(labels[i], labels[j])) for i in b for j in b if i < j]


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_that_of_a_slow_loop(name, case):
    labels, method = LABELS[case], build(name)
    logits = random((len(labels), BITS))
    check_loss(method, lambda u: slow(name, softsign(u), in_batch(softsign(u), labels)), logits, labels)
    check_gradient(method, logits, labels)


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("name", LOSSES)
def test_pairs_with_the_memory_bank(name, case):
    def of_bank(logits, labels, index, rows):
        codes = softsign(logits)
        pairs = [
            (code, rows[item][0], share(label, rows[item][1]))
            for code, label, own in zip(codes, labels, index, strict=True)
            for item in rows
            if item != own
        ]
        assert len(pairs) == len(bank_list(codes, labels, index, rows))
        return slow(name, codes, pairs)

    check_loss_with_bank(build(name, memory=True), of_bank, case, code=softsign)


@pytest.mark.parametrize("name", LOSSES)
def test_the_same_three_classes_are_all_of_them(name):
    """1.7320508² is not 3: without allowance for rounding the cosine is 0.9999999."""
    labels = one_hot((0, 1, 3), (0, 1, 3))
    logits = random((2, BITS))
    codes = softsign(logits)
    expected = slow(name, codes, [(*codes, 1)])
    assert terms_of(build(name).float(), logits, labels) == pytest.approx(expected)


def test_codes_with_the_share_of_equal_bits_that_is_wanted_cost_nothing():
    """swuxyj's version compares ½ v·v + K with 2 r K, which no code of ±1 can reach at r = ½."""
    method, labels = build("idhn", bits=8, quantisation=0.0), one_hot((0, 1), (1, 2))
    logits = np.full((2, 8), 1e9)
    logits[1, :4] = -1e9
    assert terms_of(method, logits, labels)["pairs"] == pytest.approx(0, abs=1e-9)
    logits = random((2, 8))
    logits[1] = np.abs(logits[0])  # more equal bits than half
    logits[0] = logits[1]
    assert (gradient(method, logits, labels) != 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_with_one_class_an_item_it_is_a_likelihood(name):
    labels, logits = LABELS["single"], random((6, BITS))
    pairs = batch_list(softsign(logits), labels)
    assert terms_of(build(name), logits, labels) == pytest.approx(slow(name, softsign(logits), pairs))


def test_a_scale_of_its_own_is_taken():
    labels, logits = LABELS["single"], random((6, BITS))
    pairs = in_batch(softsign(logits), labels)
    expected = mean(softplus(inner(u, v) / 2) - r * inner(u, v) / 2 for u, v, r in pairs)
    assert terms_of(build("idhn", scale=0.5), logits, labels)["pairs"] == pytest.approx(expected)
