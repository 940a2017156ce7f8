"""HashNet."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, check_loss_with_bank, gradient, terms_of
from tests.methods.oracles import balanced, bank_list, batch_list, inner, softplus
from tests.methods.oracles_classification import BITS, CLASSES, LABELS, random

ALPHA = 10 / BITS


def entropy(alpha):
    return lambda u, v, s: softplus(alpha * inner(u, v)) - alpha * s * inner(u, v)


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("alpha", [None, 0.1])
def test_balanced_by_the_batch(case, alpha):
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    expected = balanced(batch_list(np.tanh(logits), labels), entropy(alpha or ALPHA))
    assert terms_of(build("hashnet", alpha=alpha), logits, labels)["likelihood"] == pytest.approx(expected)


def with_factor(factor):
    """The mean in which similar pairs weigh as many times as much."""

    def weighted(pairs, value):
        total = sum((factor if s else 1) * value(u, v, s) for u, v, s in pairs)
        return total / sum(factor if s else 1 for *_, s in pairs) if pairs else 0

    return weighted


WEIGHTED = {"batch": balanced, "classes": with_factor(CLASSES), 5.0: with_factor(5), 1.0: with_factor(1)}


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("weights", ["classes", 5.0, 1.0])
def test_a_fixed_weight_of_similar_pairs(case, weights):
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    expected = WEIGHTED[weights](batch_list(np.tanh(logits), labels), entropy(ALPHA))
    assert terms_of(build("hashnet", pair_weights=weights), logits, labels)["likelihood"] == pytest.approx(expected)


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("weights", ["batch", "classes"])
def test_pairs_with_the_memory_bank(case, weights):
    def of_bank(logits, labels, index, rows):
        pairs = bank_list(np.tanh(logits), labels, index, rows)
        return {"likelihood": WEIGHTED[weights](pairs, entropy(ALPHA))}

    check_loss_with_bank(build("hashnet", memory=True, pair_weights=weights), of_bank, case, code=np.tanh)


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("weights", ["batch", "classes"])
def test_gradient(case, weights):
    labels = LABELS[case]
    check_gradient(build("hashnet", pair_weights=weights), random((len(labels), BITS)), labels)


@pytest.mark.parametrize("memory", [False, True])
def test_an_item_is_not_paired_with_itself(memory):
    """Its b self pairs would be similar ones: one item would have a loss and a gradient that grows its logits."""
    method, logits = build("hashnet", memory=memory), random((1, BITS))
    assert terms_of(method, logits, LABELS["one_item"]) == {"likelihood": 0}
    assert (gradient(method, logits, LABELS["one_item"]) == 0).all()


def test_beta_grows_in_steps_from_1_to_that_of_the_released_code():
    method = build("hashnet")
    assert method.beta(0.0) == method.beta(0.019) == 1
    assert method.beta(0.021) == method.beta(0.039) == pytest.approx(math.sqrt(1 + 0.005 * 200))
    assert method.beta(0.999) == pytest.approx(math.sqrt(1 + 0.005 * 9800))
    values = [method.beta(step / 500) for step in range(500)]
    assert values == sorted(values)
    assert len(set(values)) == 50


def test_the_loss_follows_the_progress_of_training():
    method, labels = build("hashnet"), LABELS["single"]
    logits = random((6, BITS), scale=0.3)
    late = replace(batch_of(logits, labels), progress=0.5)
    codes = np.tanh(math.sqrt(1 + 25) * logits)
    assert float(method.loss(late)["likelihood"]) == pytest.approx(balanced(batch_list(codes, labels), entropy(ALPHA)))


def test_very_dissimilar_and_very_similar_pairs_do_not_overflow():
    """Without a guard, log(1 + e^x) is infinite in float32 from x = 89 on."""
    method = build("hashnet", bits=512, alpha=1.0).float()
    logits = torch.ones(4, 512)
    logits[2:] = -1
    logits.mul_(50).requires_grad_()
    for rows in ((0, 1, 0, 1), (0, 0, 1, 1)):
        loss = method.loss(batch_of(logits, np.eye(CLASSES)[list(rows)]))["likelihood"]
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()


def test_a_similar_pair_pulls_together_and_a_dissimilar_pair_apart():
    logits = np.stack([np.full(BITS, 0.5), np.full(BITS, -0.2)])
    together = gradient(build("hashnet"), logits, LABELS["no_negative_pair"][:2])
    apart = gradient(build("hashnet"), np.abs(logits), LABELS["no_positive_pair"][:2])
    assert (together[0] > 0).all()
    assert (together[1] < 0).all()
    assert (apart > 0).all()
