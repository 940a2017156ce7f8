"""DHD: proxies, bits and the second view against a slow loop, and what its released code gets wrong."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, check_loss, gradient, terms_of
from tests.methods.oracles import mean
from tests.methods.oracles_classification import (
    BITS,
    LABELS,
    cosine,
    cross_entropy,
    numeric_gradient,
    one_hot,
    random,
    tensor,
)

from bitseek.errors import BitseekError
from bitseek.methods import METHODS, Task


def slow(method, logits, labels, weight=0.1, sigma=0.5):
    """The terms of the first view, by the formulas of the paper."""
    codes = np.tanh(logits)
    scores = [[cosine(v, p) / 0.2 for p in method.proxies.detach().numpy()] for v in codes]
    entropies = []
    for v in codes.ravel():
        plus, minus = (math.exp(-0.5 * ((v - target) / sigma) ** 2) for target in (1, -1))
        t = v >= 0
        entropies += [-math.log(plus) - math.log(1 - minus) if t else -math.log(1 - plus) - math.log(minus)]
    return {"proxies": cross_entropy(np.array(scores), labels), "quantisation": weight * mean(entropies)}


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("dhd", second_view=0)
    logits = random((len(labels), BITS))
    check_loss(method, lambda u: slow(method, u, labels), logits, labels)
    check_gradient(method, logits, labels)


@pytest.mark.parametrize("case", LABELS)
def test_the_second_view_learns_the_code_of_the_first_and_nothing_else(case):
    labels, method = LABELS[case], build("dhd")
    n = len(labels)
    logits = random((2 * n, BITS))
    taught = np.tanh(logits[:n])

    def whole(u):
        distances = [1 - cosine(np.tanh(w), v) for w, v in zip(u[n:], taught, strict=True)]
        return slow(method.parts[0], u[:n], labels) | {"second_view": 0.1 * mean(distances)}

    check_loss(method, whole, logits, labels)
    student = numeric_gradient(lambda u: whole(u)["second_view"], logits)
    assert (student[:n] == 0).all()
    assert gradient(method, logits, labels)[n:] == pytest.approx(student[n:], abs=1e-7)


def test_the_views_are_changed_weakly_and_strongly():
    method = build("dhd")
    assert method.views == 2 and method.augments == ("weak-views", "views")
    assert build("dhd", second_view=0).augments == ("weak-views",)


def test_an_item_without_labels_is_no_division_by_zero_and_labels_are_left_alone():
    method, labels = build("dhd"), one_hot(None, (0, 2))
    batch = batch_of(random((4, BITS)), labels)
    assert all(torch.isfinite(term) for term in method.loss(batch).values())
    assert np.array_equal(batch.labels.numpy(), labels)
    method = build("dhd", second_view=0)
    assert terms_of(method, random((1, BITS)), labels[:1])["proxies"] == 0


@pytest.mark.parametrize("value", [0.0, 1e-30, 40.0, -40.0, 1e4])
@pytest.mark.parametrize("deviation", [1e-2, 0.5, 1e4])
def test_certain_and_zero_bits_are_finite(value, deviation):
    method = build("dhd", second_view=0, deviation=deviation)
    logits = np.full((6, BITS), value)
    assert all(map(math.isfinite, terms_of(method, logits, LABELS["single"]).values()))
    assert np.isfinite(gradient(method, logits, LABELS["single"])).all()


def test_the_least_quantisation_is_that_of_the_tail_of_the_other_sign():
    method = build("dhd", second_view=0, quantisation=1.0)
    measured = terms_of(method, np.full((6, BITS), 50.0), LABELS["single"])["quantisation"]
    assert measured == pytest.approx(-math.log(1 - math.exp(-8)), rel=1e-9) and 3e-4 < measured < 4e-4


def test_head_is_normalised_over_the_bits_of_each_code():
    method = build("dhd", features=50, bits=16)
    logits = method.head(tensor(random((5, 50), scale=7.0))).detach().numpy()
    assert logits.mean(axis=1) == pytest.approx(np.zeros(5), abs=1e-9)
    assert logits.std(axis=1) == pytest.approx(np.ones(5), rel=1e-2)
    assert method.head[0].bias is None
    with pytest.raises(BitseekError, match="single bit"):
        METHODS["dhd"](Task(features=4, bits=1, classes=2, items=9))


def test_the_proxies_learn_and_their_signs_are_the_codewords():
    method = build("dhd")
    assert torch.equal(method.codewords(), torch.where(method.parts[0].proxies >= 0, 1.0, -1.0).double())
    sum(method.loss(batch_of(random((12, BITS)), LABELS["several"])).values()).backward()
    assert (method.parts[0].proxies.grad.abs().sum(dim=1) > 0).all()
