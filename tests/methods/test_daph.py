"""Deep asymmetric pairwise hashing."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, check_loss, terms_of
from tests.methods.oracles import inner, mean, share, softplus
from tests.methods.oracles_classification import BITS, FEATURES, ITEMS, LABELS, affine, numeric_gradient, random, tensor


def tanh(values):
    return np.array([[math.tanh(u) for u in row] for row in values])


def slow(method, logits, labels, features, solved=None):
    v, w = tanh(logits), tanh(affine(method.other, features))
    b = range(len(v))
    pairs = [(v[i], w[j], share(labels[i], labels[j])) for i in b for j in b if i != j or labels[i].any()]
    theta = [(inner(x, y) / 2, s) for x, y, s in pairs]
    terms = {"likelihood": mean(softplus(t) - s * t for t, s in theta), "quantisation": 0, "independence": 0}
    terms["balance"] = 0
    for outputs, codes in zip((v, w), solved or (np.sign(v), np.sign(w)), strict=True):
        gram = outputs.T @ outputs / len(outputs)
        terms["quantisation"] += 10 / ITEMS * mean(((codes - outputs) ** 2).sum(axis=1))
        terms["independence"] += 0.5 * mean((gram[k, m] - (k == m)) ** 2 for k, m in np.ndindex(gram.shape))
        terms["balance"] += 0.3 * mean(mean(column) ** 2 for column in outputs.T)
    return terms


def make():
    return build("daph", gamma=5.0, independence=0.5, balance=0.3)


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], make()
    logits, features = random((len(labels), BITS)), random((len(labels), FEATURES), seed=4)
    check_loss(method, lambda u: slow(method, u, labels, features), logits, labels, features)
    check_gradient(method, logits, labels, features)


def test_the_other_function_learns_from_the_features():
    labels, method = LABELS["several"], make()
    with torch.no_grad():
        method.other.weight.mul_(50)
    logits, features = random((6, BITS)), random((6, FEATURES), seed=4)
    values = tensor(features, grad=True)
    sum(method.loss(batch_of(logits, labels, values)).values()).backward()
    expected = numeric_gradient(lambda f: sum(slow(method, logits, labels, f).values()), features)
    assert values.grad.numpy() == pytest.approx(expected, abs=1e-6)


def test_codes_are_solved_for_before_an_epoch():
    labels, method = LABELS["single"], make()
    logits, features = random((6, BITS)), random((6, FEATURES), seed=4)
    terms_of(method, logits, labels, features)
    method.start_epoch(1)
    v, w = tanh(logits), tanh(affine(method.other, features))
    first = np.sign(10 * v + 5 * np.sign(w))
    second = np.sign(10 * w + 5 * first)
    assert (method.codes[0, :6].numpy() == first).all()
    assert (method.codes[1, :6].numpy() == second).all()
    assert (method.codes[:, 6:] == 0).all()
    expected = slow(method, logits, labels, features, solved=(first, second))
    assert terms_of(method, logits, labels, features) == pytest.approx(expected)
    assert (first != np.sign(v)).any(), "the two functions meet"


def test_codes_can_change_from_epoch_to_epoch():
    """With γ ≥ α, as in swuxyj's version, those of the first epoch stay for ever: |v| < 1."""
    labels, features = LABELS["single"], random((6, FEATURES), seed=4)
    for gamma, changed in ((1.0, True), (10.0, False)):
        method, codes = build("daph", gamma=gamma), []
        for scale in (-30, -1):
            with torch.no_grad():
                method.other.weight.mul_(scale)
            terms_of(method, (1 if scale < -1 else -1) * random((6, BITS)), labels, features)
            method.start_epoch(1)
            codes.append(method.codes[:, :6].clone())
        assert bool((codes[0] != codes[1]).any()) == changed


def test_the_balance_does_not_grow_with_the_batch():
    """swuxyj's is a sum over the items, squared: 4 times for twice the items."""
    labels, method, logits, features = LABELS["single"], make(), random((6, BITS)), random((6, FEATURES), seed=4)
    once = terms_of(method, logits, labels, features)["balance"]
    twice = terms_of(make(), *(np.tile(part, (2, 1)) for part in (logits, labels, features)))["balance"]
    assert twice == pytest.approx(once)
