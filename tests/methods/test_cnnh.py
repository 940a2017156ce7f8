"""CNNH."""

import math

import numpy as np
import pytest
from tests.methods.harness import batch_of, build, check_gradient, check_loss, terms_of
from tests.methods.oracles import mean, share
from tests.methods.oracles_classification import BITS, CLASSES, ITEMS, LABELS, one_hot, random, tensor

from bitseek.labels import Labels
from bitseek.methods._discrete import label_sets
from bitseek.methods.cnnh import codes_of_sets

ALL = one_hot((0, 2), 1, (1, 2, 3), 0, (0, 3), 2, None, 1, 0, (0, 2), None, 3)


def taught(labels=ALL, **recipe):
    method = build("cnnh", **recipe)
    method.sample(Labels.of(labels), np.random.default_rng(0))
    return method


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], taught()
    codes = method.codes.numpy()

    def slow(logits):
        errors = [
            mean((math.tanh(x) - h) ** 2 for x, h in zip(u, code, strict=True))
            for u, y, code in zip(logits, labels, codes, strict=False)
            if y.any()
        ]
        return {"regression": mean(errors)}

    logits = random((len(labels), BITS))
    check_loss(method, slow, logits, labels)
    check_gradient(method, logits, labels)


def reconstruction(codes, labels):
    """‖S − H Hᵀ / K‖² over all pairs of items that have a class."""
    rows = [i for i, y in enumerate(labels) if y.any()]
    return sum(
        ((1 if share(labels[i], labels[j]) else -1) - codes[i] @ codes[j] / codes.shape[1]) ** 2
        for i in rows
        for j in rows
    )


def test_the_first_stage_makes_the_codes_similar_where_the_items_are():
    values = [reconstruction(taught(sweeps=sweeps).codes.numpy(), ALL) for sweeps in (1, 2, 10)]
    assert values == sorted(values, reverse=True)
    assert values[0] < reconstruction(build("cnnh").codes.numpy(), ALL)
    codes = taught().codes.numpy()
    assert (codes[0] == codes[9]).all() and (codes[1] == codes[7]).all(), "the same labels, the same code"


def test_each_bit_of_a_label_set_becomes_the_better_of_both():
    method = build("cnnh")
    sets, of_item, counts = label_sets(tensor(ALL))
    start = method.codes[: len(sets)].double()
    slow = start.numpy().copy()
    for g in range(len(sets)):
        for k in range(BITS) if sets[g].any() else ():
            costs = {}
            for bit in (slow[g, k], -slow[g, k]):
                slow[g, k] = bit
                costs[bit] = reconstruction(slow[of_item], ALL)
            kept, flipped = costs
            slow[g, k] = flipped if costs[flipped] < costs[kept] - 1e-9 else kept
    assert (codes_of_sets(start, sets, counts.double(), 1).numpy() == slow).all()


def test_two_classes_have_opposite_codes():
    codes = taught(one_hot(*(i % 2 for i in range(ITEMS))), bits=16).codes
    assert (codes[0] == -codes[1]).all()


def test_an_item_is_trained_towards_the_code_of_its_own_labels():
    """swuxyj's targets are in the order of a loader that shuffles: they belong to other items."""
    method = taught(one_hot(*(i % CLASSES for i in range(ITEMS))))
    order = np.random.default_rng(1).permutation(ITEMS)
    batch = batch_of(9.0 * method.codes[order].numpy(), method.labels[order].numpy())
    batch = type(batch)(**{**vars(batch), "index": tensor(order).long()})
    assert float(method.loss(batch)["regression"]) == pytest.approx(0, abs=1e-6)
    assert terms_of(method, 9.0 * method.codes[order].numpy(), method.labels[order].numpy())["regression"] > 0.1


def test_no_matrix_of_all_pairs_of_items_is_formed():
    """S of 60,000 items has 14 GB."""
    method = build("cnnh", items=60_000, sweeps=1)
    method.sample(Labels.of(np.eye(CLASSES)[np.arange(60_000) % CLASSES]), np.random.default_rng(0))
    assert len(method.codes.unique(dim=0)) <= CLASSES
