"""MIHash."""

import math

import numpy as np
import pytest
from tests.methods.harness import build, check_gradient, check_loss, check_loss_with_bank, gradient, terms_of
from tests.methods.oracles import inner, mean, share
from tests.methods.oracles_classification import BITS, LABELS, one_hot, random


def entropy(histogram):
    total = sum(histogram)
    return -sum(n / total * math.log(n / total) for n in histogram if n > 0) if total else 0.0


def histogram(distances, bins):
    """Each distance in [0, K] on the two nodes beside it."""
    counts = [0.0] * (bins + 1)
    for distance in distances:
        place = distance / BITS * bins
        low = min(int(place), bins - 1)
        counts[low] += low + 1 - place
        counts[low + 1] += place - low
    return counts


def information(near, far, bins):
    parts = histogram(near, bins), histogram(far, bins)
    total = len(near) + len(far)
    if not total:
        return 0.0
    given = sum(len(d) / total * entropy(h) for d, h in zip((near, far), parts, strict=True))
    return entropy([a + b for a, b in zip(*parts, strict=True)]) - given


def slow(logits, labels, others, bins, scale=1.0):
    """`others`: of each item, (logits, labels) of those with which it is compared."""
    found = []
    for u, y, rest in zip(logits, labels, others, strict=True):
        codes = [[math.tanh(scale * x / 2) for x in row] for row in (u, *(w for w, _ in rest))]
        distances = [(BITS - inner(codes[0], v)) / 2 for v in codes[1:]]
        near = [d for d, (_, z) in zip(distances, rest, strict=True) if share(y, z)]
        far = [d for d, (_, z) in zip(distances, rest, strict=True) if not share(y, z)]
        found.append(information(near, far, bins))
    return {"information": -mean(found)}


def in_batch(logits, labels):
    b = range(len(logits))
    return [[(logits[j], labels[j]) for j in b if j != i] for i in b]


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("bins", [16, None])
def test_loss_is_that_of_a_slow_loop(case, bins):
    labels, method = LABELS[case], build("mihash", bins=bins, scale=1.3)
    logits = random((len(labels), BITS))
    check_loss(
        method, lambda u: slow(u, labels, in_batch(u, labels), bins or math.ceil(BITS / 2), 1.3), logits, labels
    )  # a move of 1e-6 crosses no node here
    check_gradient(method, logits, labels)


@pytest.mark.parametrize("case", LABELS)
def test_pairs_with_the_memory_bank(case):
    def of_bank(logits, labels, index, rows):
        others = [[rows[item] for item in rows if item != own] for own in index]
        return slow(logits, labels, others, math.ceil(BITS / 2))

    check_loss_with_bank(build("mihash", memory=True), of_bank, case)


def test_codes_that_tell_the_classes_apart_have_all_the_information_and_equal_codes_none():
    """cisip-FIRe minimises the information: there, equal codes are the optimum."""
    labels = one_hot(0, 0, 1, 1)
    apart = 50.0 * np.array([[1] * BITS, [1] * BITS, [-1] * BITS, [-1] * BITS])
    of_label = -(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3)
    assert terms_of(build("mihash"), apart, labels)["information"] == pytest.approx(-of_label)
    assert terms_of(build("mihash"), np.abs(apart), labels)["information"] == pytest.approx(0, abs=1e-12)


def test_similar_items_are_pulled_together():
    labels, logits = one_hot(0, 0, 1, 1), random((4, BITS), scale=0.5)
    method = build("mihash")
    for _ in range(300):
        logits -= 2.0 * gradient(method, logits, labels)
    codes = np.sign(logits)
    assert (codes[0] == codes[1]).all() and (codes[2] == codes[3]).all()
    assert (codes[0] != codes[2]).any()


def test_equal_logits_have_a_finite_gradient():
    """All distances lie on a node; empty bins have no logarithm."""
    assert np.isfinite(gradient(build("mihash"), np.zeros((4, BITS)), LABELS["no_positive_pair"])).all()


def test_the_head_does_not_start_where_the_gradient_vanishes():
    """It starts from the weights of the released code."""
    method = build("mihash", features=500, bits=200)
    assert float(method.head.weight.detach().std()) == pytest.approx((2 / 500) ** 0.5, rel=0.02)
    assert float(method.head.bias.detach().std()) == pytest.approx(0.1, rel=0.2)
