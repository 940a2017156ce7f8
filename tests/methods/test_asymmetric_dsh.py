"""Asymmetric DSH."""

import dataclasses
import math
from functools import cache

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, check_loss
from tests.methods.oracles import inner, mean, share
from tests.methods.oracles_classification import BITS, ITEMS, LABELS, one_hot, random

import bitseek
from bitseek.errors import BitseekError
from bitseek.labels import Labels
from bitseek.metrics import retrieval

ALL = one_hot((0, 2), 1, (1, 2, 3), 0, (0, 3), 2, None, 1, 0, (0, 2), None, 3)


def taught(**recipe):
    method = build("asymmetric-dsh", **recipe)
    list(method.sample(Labels.of(ALL), np.random.default_rng(0)))
    return method


@cache
def ratio():
    alike = sum(share(a, b) for a in ALL for b in ALL)
    return alike / (len(ALL) ** 2 - alike)


def wanted(a, b):
    return 1.0 if share(a, b) else -ratio()


def tanh(logits):
    return np.array([[math.tanh(u) for u in row] for row in logits])


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], taught(gamma=30.0)
    codes = method.codes.numpy().copy()

    def slow(logits):
        u = tanh(logits)
        own = mean(((codes[i] - u[i]) ** 2).sum() for i in range(len(u)))
        errors = (
            (inner(x, v) - BITS * wanted(y, z)) ** 2
            for x, y in zip(u, labels, strict=True)
            for v, z in zip(codes, ALL, strict=True)
        )
        return {"similarity": mean(errors), "codes": 30.0 / ITEMS * own}

    logits = random((len(labels), BITS))
    check_loss(method, slow, logits, labels)
    check_gradient(method, logits, labels)


def objective(codes, outputs, sampled, gamma):
    """Eq. 3: Σ (ũ_i · v_j − K S_ij)² + γ Σ ‖v_i − ũ_i‖² for the sampled i and all j."""
    similar = sum((outputs[i] @ codes[j] - BITS * wanted(ALL[i], ALL[j])) ** 2 for i in sampled for j in range(ITEMS))
    return similar + gamma * sum(((codes[i] - outputs[i]) ** 2).sum() for i in sampled)


@pytest.mark.parametrize("gamma", [0.0, 30.0])
def test_each_bit_of_each_code_becomes_the_better_of_both_given_the_outputs(gamma):
    method, logits = taught(gamma=gamma), random((6, BITS))
    slow = method.codes.numpy().copy()
    method.loss(batch_of(logits, ALL[:6]))
    method.start_epoch(1)
    for k in range(BITS):
        for j in range(ITEMS):
            costs = {}
            for bit in (slow[j, k], -slow[j, k]):
                slow[j, k] = bit
                costs[bit] = objective(slow, tanh(logits), range(6), gamma)
            kept, flipped = costs
            slow[j, k] = flipped if costs[flipped] < costs[kept] - 1e-6 else kept
    assert (method.item_codes().numpy() == slow).all()


def test_codes_are_solved_for_once_an_epoch_from_what_was_sampled_in_it():
    method = taught()
    start = method.codes.clone()
    method.start_epoch(0)
    assert (method.codes == start).all()
    method.loss(batch_of(random((6, BITS)), ALL[:6]))
    assert method.sampled.sum() == 6
    last = method.item_codes()
    assert (method.codes == start).all()
    method.start_epoch(1)
    assert (method.codes == last).all() and (last != start).any(), "the last epoch counts, though none follows"
    assert not method.sampled.any()
    solved = method.codes.clone()
    method.start_epoch(2)
    assert (method.codes == solved).all()


def test_an_epoch_has_a_sample_of_the_items_several_times():
    method = build("asymmetric-dsh", sampled=7, passes=3, batch_size=3)
    batches = list(method.sample(Labels.of(ALL), np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [3, 3] * 3  # a single item is no batch
    everything = build("asymmetric-dsh", sampled=8, passes=3, batch_size=3)
    batches = list(everything.sample(Labels.of(ALL), np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [3, 3, 2] * 3
    counts = np.bincount(np.concatenate(batches), minlength=ITEMS)
    assert sorted(counts) == [0] * 4 + [3] * 8


def test_codes_of_the_items_find_items_of_the_same_class_by_an_asymmetric_search():
    """A linear head on separable features: the network for queries, the learnt codes for the database."""
    classes = np.arange(ITEMS) % 4
    labels = np.eye(4)[classes]
    features = torch.from_numpy(4 * np.eye(6)[classes] + 0.1 * random((ITEMS, 6)))
    method = build("asymmetric-dsh", bits=16)
    optimiser = torch.optim.Adam(method.parameters(), 0.05)
    for epoch in range(6):
        list(method.sample(Labels.of(labels), np.random.default_rng(epoch)))
        method.start_epoch(epoch)
        for _ in range(20):
            optimiser.zero_grad()
            sum(method.loss(batch_of(method.head(features), labels, features)).values()).backward()
            optimiser.step()
    queries = torch.from_numpy(4 * np.eye(6)[:4])
    products = (method.head(queries).sign() @ method.item_codes().double().T).detach().numpy()
    for c in range(4):
        assert set(classes[np.argsort(-products[c])[:3]]) == {c}
    assert build("orthohash").item_codes() is None


def test_a_database_of_training_items_is_searched_in_the_codes_that_were_learned_for_it(tmp_path):
    """The published evaluation, measured by brute force from what the run's file holds; saved, loaded, and refused."""
    digits = bitseek.load_protocol("digits")
    train = digits.train[::6]
    data = dataclasses.replace(digits, train=train, database=train[:150], query=digits.query[::5], origin=None)
    options = {"bits": 12, "backbone": "small-cnn", "weights": None, "size": 8, "epochs": 3, "device": "cpu"}
    trained = bitseek.train("asymmetric-dsh", data, out=tmp_path / "run", batch_size=40, lr=0.01, **options)
    hasher = bitseek.load(tmp_path / "run")
    report = bitseek.evaluate(hasher, data, ranking="learned")
    assert report.mAP == bitseek.evaluate(trained, data, ranking="learned").mAP
    assert "learned" in report.title and not report.plain

    items, codes = hasher.learned
    code_of = dict(zip(items.tolist(), codes.to_signs(), strict=True))
    database = [code_of[item] for item in data.pool.item_hashes(report.database.ids).tolist()]
    assert np.array_equal(report.database.codes.to_signs(), database)
    assert report.queries.codes == hasher.encode(data.pool.images.rows(data.query))
    relevance = data.relevance(report.queries.ids, report.database.ids, "all")
    searched = bitseek.Codes.from_bits(np.array(database) > 0)
    expected = retrieval(report.queries.codes, searched, relevance, k=data.k, denominator=data.denominator)
    assert report.mAP == expected.mAP

    with pytest.raises(BitseekError, match=rf"only {len(train)} of the 1497 items .*are training items"):
        bitseek.evaluate(hasher, digits, ranking="learned", allow_trained_queries=True)
    other = bitseek.train("itq", data, bits=8, backbone="small-cnn", weights=None, size=8, device="cpu")
    with pytest.raises(BitseekError, match=r"no learned codes .*asymmetric-dsh"):
        bitseek.evaluate(other, data, ranking="learned")
