"""Deep Fisher hashing."""

from itertools import combinations

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_loss_with_bank
from tests.methods.oracles import bank_list, inner, mean, softplus
from tests.methods.oracles_classification import BITS, CLASSES, LABELS, random


def near(logits, labels, centres, mu=0.1):
    return np.array(
        [
            [1.0 if mu * sum(y * o for y, o in zip(row, column, strict=True)) + u >= 0 else -1.0
             for u, column in zip(values, centres.T, strict=True)]
            for values, row in zip(logits, labels, strict=True)
        ]
    )  # fmt: skip


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    method = build("dfh")
    centres = method.codewords().numpy().copy()

    def slow(logits, labels, index, rows):
        pairs, codes = bank_list(logits, labels, index, rows), near(logits, labels, centres)
        return {
            "likelihood": mean(softplus(3 - inner(a, b) / 2 if s else 3 + inner(a, b) / 2) for a, b, s in pairs),
            "quantisation": 0.5 * mean((b - v) ** 2 for b, v in zip(codes.ravel(), logits.ravel(), strict=True)),
        }

    check_loss_with_bank(method, slow, case)


def objective(centres, codes, labels, separation):
    """(mean over items and bits of (b − Σ y o)²) + ν / C² Σ_{c ≠ e} (o_c · o_e + K / (C − 1))²."""
    fit = mean((b - sum(y * o for y, o in zip(row, column, strict=True))) ** 2
               for code, row in zip(codes, labels, strict=True)
               for b, column in zip(code, centres.T, strict=True))  # fmt: skip
    target = -BITS / (CLASSES - 1)
    apart = sum(2 * (inner(o, p) - target) ** 2 for o, p in combinations(centres, 2))
    return fit + separation / CLASSES**2 * apart


@pytest.mark.parametrize("case", ["single", "several", "unlabelled"])
@pytest.mark.parametrize("separation", [0.0, 0.05, 1.0])
def test_each_bit_of_each_centre_becomes_the_better_of_both(case, separation):
    labels, method = LABELS[case], build("dfh", separation=separation)
    logits = random((6, BITS))
    slow = method.codewords().numpy().copy()
    method.loss(batch_of(logits, labels))
    codes = near(logits, labels, slow)
    method.start_epoch(1)
    for c, k in np.ndindex(slow.shape):
        costs = {}
        for bit in (slow[c, k], -slow[c, k]):
            slow[c, k] = bit
            costs[bit] = objective(slow, codes, labels, separation)
        kept, flipped = costs
        slow[c, k] = flipped if costs[flipped] < costs[kept] - 1e-12 else kept
    assert (method.codewords().numpy() == slow).all()


def test_centres_are_apart_before_the_first_step_and_two_are_opposite():
    method = build("dfh", classes=2, bits=16)
    method.start_epoch(0)
    first, second = method.codewords()
    assert (first == -second).all()


def test_pairs_that_are_far_wrong_are_pushed():
    """Clipped to [−100, 50], as elsewhere, they have no gradient."""
    logits = torch.full((2, BITS), 100.0, dtype=torch.float64, requires_grad=True)
    loss = build("dfh").loss(batch_of(logits, np.eye(CLASSES)[:2]))["likelihood"]
    loss.backward()
    assert torch.isfinite(loss)
    assert (logits.grad > 0).all()
