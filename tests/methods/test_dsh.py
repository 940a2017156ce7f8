"""Deep supervised hashing."""

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, gradient, terms_of
from tests.methods.oracles import bank_list, batch_list, mean, squared_distance
from tests.methods.oracles_classification import BITS, LABELS, numeric_gradient, random

MARGIN = 2.0 * BITS


def contrastive(pairs, margin=MARGIN):
    return mean(
        0.5 * squared_distance(u, v) if s else 0.5 * max(margin - squared_distance(u, v), 0.0) for u, v, s in pairs
    )


def from_signs(logits):
    return mean(sum(abs(abs(x) - 1) for x in row) for row in logits)


@pytest.mark.parametrize("case", LABELS)
def test_all_pairs_of_a_batch(case):
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    terms = terms_of(build("dsh"), logits, labels)
    assert terms == pytest.approx(
        {"contrastive": contrastive(batch_list(logits, labels)), "signs": 0.02 * from_signs(logits)}
    )


def test_it_is_the_sum_of_the_released_code_divided_by_b_times_b_minus_1():
    labels, b = LABELS["single"], 6
    logits = random((b, BITS))
    total = sum(
        squared_distance(u, v) if s else max(24 - squared_distance(u, v), 0) for u, v, s in batch_list(logits, labels)
    )
    assert terms_of(build("dsh", margin=24), logits, labels)["contrastive"] == pytest.approx(total / (b * (b - 1)))


@pytest.mark.parametrize("case", LABELS)
def test_disjoint_pairs_of_equation_3(case):
    labels = LABELS[case]
    logits, half = random((len(labels), BITS)), len(labels) // 2
    pairs = [batch_list(logits[[i, i + half]], labels[[i, i + half]])[0] for i in range(half)]
    terms = terms_of(build("dsh", form="pairs", alpha=0.1), logits, labels)
    assert terms == pytest.approx({"contrastive": contrastive(pairs), "signs": 0.1 * from_signs(logits)})


@pytest.mark.parametrize("case", LABELS)
def test_pairs_with_the_memory_bank(case):
    method, rows = build("dsh", form="bank"), {}
    for seed, labels in enumerate([LABELS["several"], LABELS[case]]):
        logits, index = random((len(labels), BITS), seed=seed), range(len(labels))
        rows |= {i: (logits[i], labels[i]) for i in index}
        terms = terms_of(method, logits, labels)
        pairs = bank_list(logits, labels, index, rows)
        assert terms["contrastive"] == pytest.approx(contrastive(pairs))
    slow = numeric_gradient(lambda u: contrastive(bank_list(u, labels, index, rows)) + 0.02 * from_signs(u), logits)
    assert gradient(method, logits, labels) == pytest.approx(slow, abs=1e-6)


def test_the_default_is_equation_3_and_trains_as_the_released_network():
    """It adds 0.01 r once an item, but passes back half of its pair term only."""
    labels, logits = LABELS["single"], random((6, BITS))
    equation = mean(
        contrastive([(u, v, s)]) + 0.01 * (from_signs([u]) + from_signs([v])) for u, v, s in batch_list(logits, labels)
    )
    assert sum(terms_of(build("dsh"), logits, labels).values()) == pytest.approx(equation)
    pairs = numeric_gradient(lambda u: contrastive(batch_list(u, labels)), logits)
    released = pairs / 2 + 0.01 * numeric_gradient(from_signs, logits)
    assert gradient(build("dsh"), logits, labels) == pytest.approx(2 * released, abs=1e-6)


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("form", ["batch", "pairs"])
def test_gradient(case, form):
    labels = LABELS[case]
    check_gradient(build("dsh", form=form), random((len(labels), BITS)), labels)


def test_the_margin_is_on_the_distance_summed_over_bits():
    """A known port takes the mean over the bits, and its margin is never reached: here half of the bits are enough."""
    codes = np.ones((2, 8))
    codes[1, :4] = -1
    labels = LABELS["single"][:2]
    method = build("dsh", bits=8)
    assert terms_of(method, codes, labels) == {"contrastive": 0, "signs": 0}
    codes[1, 0] = 1
    assert terms_of(method, codes, labels)["contrastive"] == 0.5 * (16 - 12)


def test_zero_logits_are_finite_and_the_margin_depends_on_the_bits():
    assert np.isfinite(gradient(build("dsh"), np.zeros((6, BITS)), LABELS["several"])).all()
    for bits in (8, 12, 48):
        terms = terms_of(build("dsh", bits=bits), np.zeros((2, bits)), LABELS["no_positive_pair"][:2])
        assert terms["contrastive"] == bits  # half of the margin 2 K


def test_without_a_bank_nothing_is_remembered():
    method = build("dsh")
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    method.loss(batch_of(random((6, BITS)), LABELS["single"]))
    assert all(torch.equal(before[name], tensor) for name, tensor in method.state_dict().items())


@pytest.mark.parametrize("init, std", [("normal", 0.01), ("xavier", (2 / (4096 + 64)) ** 0.5)])
def test_the_head_starts_as_told(init, std):
    head = build("dsh", bits=64, features=4096, init=init).head
    assert head.weight.std().item() == pytest.approx(std, rel=0.01) and not head.bias.any()
