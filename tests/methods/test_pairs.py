"""Pairs, triplets and the memory bank that methods share."""

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of
from tests.methods.oracles import balanced, bank_list, batch_list, inner, mean, squared_distance, triplets
from tests.methods.oracles_classification import BITS, CLASSES, ITEMS, LABELS, random, tensor

from bitseek.methods import Batch
from bitseek.methods._losses import distance_to_signs
from bitseek.methods._pairs import MemoryBank, batch_pairs, pair_entropy, squared_distances
from bitseek.methods._triplets import batch_triplets


@pytest.mark.parametrize("case", LABELS)
def test_pairs_of_a_batch_are_those_of_a_slow_loop(case):
    labels = LABELS[case]
    codes = random((len(labels), BITS))
    pairs, slow = batch_pairs(tensor(codes), tensor(labels)), batch_list(codes, labels)
    assert float(pairs.mean(pairs.squared_distances())) == pytest.approx(mean(squared_distance(*p[:2]) for p in slow))
    assert float(pairs.mean(pairs.inner_products())) == pytest.approx(mean(inner(*p[:2]) for p in slow))
    weighted = pairs.mean(pairs.balance() * pairs.squared_distances())
    assert float(weighted) == pytest.approx(balanced(slow, lambda u, v, s: squared_distance(u, v)))


def test_distances_never_fall_below_zero():
    codes = 1e3 + torch.rand(50, 64)
    assert (squared_distances(codes, codes) >= 0).all()


def test_entropy_is_safe_and_keeps_its_gradient_for_any_logit():
    theta = torch.tensor([-1e4, -1e4, 1e4, 1e4], requires_grad=True)
    entropy = pair_entropy(theta, torch.tensor([0.0, 1.0, 0.0, 1.0]))
    entropy.sum().backward()
    assert entropy.tolist() == [0, 1e4, 1e4, 0]
    assert theta.grad.tolist() == [0, -1, 1, 0]


def test_a_logit_of_zero_has_the_sign_plus_one():
    assert distance_to_signs(torch.tensor([[0.0, -0.5]])).tolist() == [[1.0, 0.25]]


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("itself", [False, True])
def test_triplets_are_those_of_a_slow_loop(case, both_ways, itself):
    labels = LABELS[case]
    values = random((len(labels), len(labels)))
    found = batch_triplets(tensor(labels), both_ways=both_ways, anchor_as_positive=itself)
    slow = triplets(labels, both_ways=both_ways, anchor_as_positive=itself)
    assert len(found) == len(slow)
    gaps = found.gaps(tensor(values), 0.5, blank=-torch.inf)
    expected = sorted(values[a, p] - values[a, n] + 0.5 for a, p, n in slow)
    assert sorted(gaps[gaps > -torch.inf].tolist()) == pytest.approx(expected)
    losses = gaps.clamp(min=0)
    losses_of = [[max(0, values[a, p] - values[a, n] + 0.5) for a, p, n in slow if a == i] for i in range(len(labels))]
    assert float(found.mean(losses)) == pytest.approx(mean(loss for one in losses_of for loss in one))
    assert float(found.mean_of_anchors(losses)) == pytest.approx(mean(mean(one) for one in losses_of if one))


def test_ten_classes_of_eight_images_make_20160_triplets():
    labels = torch.eye(10).repeat_interleave(8, dim=0)[torch.randperm(80)]
    assert len(batch_triplets(labels, both_ways=False)) == 20160


def bank_step(bank, numbers, labels, seed):
    codes = random((len(numbers), BITS), seed=seed)
    batch = Batch(logits=tensor(codes), features=tensor(codes), labels=tensor(labels), index=torch.tensor(numbers))
    return codes, batch, bank.pairs(batch.logits, batch)


def test_the_bank_pairs_a_batch_with_all_items_seen_so_far_but_with_none_itself():
    bank = MemoryBank(ITEMS, BITS, CLASSES).double()
    rows = {}
    for seed, (numbers, case) in enumerate([([7, 2, 9, 0], "no_positive_pair"), ([2, 4, 11, 0, 1, 5], "several")]):
        labels = LABELS[case]
        codes, _, pairs = bank_step(bank, numbers, labels, seed)
        rows |= {number: (codes[i], labels[i]) for i, number in enumerate(numbers)}
        slow = bank_list(codes, labels, numbers, rows)
        assert int(pairs.counted.sum()) == len(slow)
        assert float(pairs.mean(pairs.inner_products())) == pytest.approx(mean(inner(*p[:2]) for p in slow))
        weighted = pairs.mean(pairs.balance() * pairs.squared_distances())
        assert float(weighted) == pytest.approx(balanced(slow, lambda u, v, s: squared_distance(u, v)))


def test_rows_that_were_never_written_teach_nothing():
    """Elsewhere they are zeros without labels, dissimilar to everything, and drive all codes away from 0."""
    _, _, pairs = bank_step(MemoryBank(ITEMS, BITS, CLASSES).double(), [3], LABELS["one_item"], 0)
    assert pairs.counted.sum() == 0
    assert float(pairs.mean(pairs.squared_distances())) == 0


def test_the_bank_has_no_gradient_and_survives_a_second_step_before_the_first_backward():
    bank = MemoryBank(ITEMS, BITS, CLASSES).double()
    first, second = (tensor(random((2, BITS), seed=seed), grad=True) for seed in (0, 1))
    losses = []
    for codes in (first, second):
        batch = batch_of(codes, LABELS["single"][:2])
        pairs = bank.pairs(codes, batch)
        losses.append(pairs.mean(pairs.inner_products()))
    sum(losses).backward()
    for codes in (first, second):
        flipped = codes.detach().flip(0)
        assert codes.grad.numpy() == pytest.approx(flipped.numpy() / 2)  # of one side of each pair only
    assert not bank.codes.requires_grad
    assert np.array_equal(bank.codes[:2].numpy(), second.detach().numpy())


def test_the_bank_is_state_that_is_saved():
    bank = MemoryBank(ITEMS, BITS, CLASSES).double()
    bank_step(bank, [1, 4, 8, 3], LABELS["no_positive_pair"], 0)
    copy = MemoryBank(ITEMS, BITS, CLASSES).double()
    copy.load_state_dict(bank.state_dict())
    after = [bank_step(one, [2], LABELS["one_item"], 1)[2] for one in (bank, copy)]
    assert after[0].counted.sum() == 4
    assert float(after[0].mean(after[0].inner_products())) == float(after[1].mean(after[1].inner_products()))
