"""Codes of training items that are solved for bit by bit."""

from itertools import product

import numpy as np
import pytest
import torch
from tests.methods.harness import build
from tests.methods.oracles_classification import BITS, CLASSES, ITEMS, one_hot, random, tensor

from bitseek.labels import Labels
from bitseek.methods._discrete import descend_by_bit, label_sets


def objective(codes, gram, pull):
    return sum(0.5 * b @ gram @ b - b @ p for b, p in zip(codes, pull, strict=True))


def problem(rows=5, bits=4, seed=0):
    root = random((bits, bits), seed=seed)
    return np.sign(random((rows, bits), seed=seed + 1)), root @ root.T, random((rows, bits), seed=seed + 2)


def test_each_bit_becomes_the_better_of_both_given_the_others():
    codes, gram, pull = problem()
    slow = codes.copy()
    for k in range(4):
        for row, p in zip(slow, pull, strict=True):
            costs = []
            for bit in (-1, 1):
                row[k] = bit
                costs.append(objective([row], gram, [p]))
            row[k] = -1 if costs[0] < costs[1] else 1
    assert (descend_by_bit(tensor(codes), tensor(gram), tensor(pull)).numpy() == slow).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_objective_falls_and_ends_where_no_flip_of_a_bit_helps(seed):
    codes, gram, pull = problem(seed=seed)
    values = [objective(codes, gram, pull)]
    for sweeps in (1, 2, 20):
        found = descend_by_bit(tensor(codes), tensor(gram), tensor(pull), sweeps).numpy()
        values.append(objective(found, gram, pull))
    assert values == sorted(values, reverse=True)
    for row, k in product(range(5), range(4)):
        flipped = found.copy()
        flipped[row, k] *= -1
        assert objective(flipped, gram, pull) >= values[-1] - 1e-9


def test_a_bit_that_does_not_matter_stays_as_it_was_and_the_start_is_not_written_to():
    """sign(0) = 0 in the references leaves a third symbol in a code."""
    codes = tensor(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    found = descend_by_bit(codes, torch.zeros(2, 2).double(), torch.zeros(2, 2).double())
    assert (found == codes).all()
    descend_by_bit(codes, torch.zeros(2, 2).double(), tensor(np.full((2, 2), 5.0)))
    assert (codes[0] == torch.tensor([1.0, -1.0])).all()


def test_label_sets():
    labels = one_hot((0, 2), 1, (0, 2), None, 1, 1)
    sets, of_item, counts = label_sets(tensor(labels))
    assert (sets[of_item].numpy() == labels).all()
    assert sorted(counts.tolist()) == [1, 2, 3]
    assert [counts[of_item[i]] for i in (0, 1, 3)] == [2, 3, 1]


@pytest.mark.parametrize("name", ["cnnh", "asymmetric-dsh"])
def test_the_labels_of_all_items_are_known_from_the_first_epoch_on_and_codes_are_signs(name):
    method = build(name)
    labels = one_hot(*(i % CLASSES for i in range(ITEMS)))
    assert (method.labels == 0).all()
    method.sample(Labels.of(labels), np.random.default_rng(0))
    assert (method.labels.numpy() == labels).all()
    assert method.codes.shape == (ITEMS, BITS)
    assert (method.codes.abs() == 1).all()
    first = method.codes.clone()
    method.sample(Labels.of(labels), np.random.default_rng(1))  # the next epoch, or one that is resumed
    assert (method.codes == first).all()


def test_codes_are_drawn_from_the_seed_of_the_task():
    first, same, other = (build("cnnh", seed=seed).codes for seed in (1, 1, 2))
    assert (first == same).all()
    assert (first != other).any()
