"""Neighbour contrast: neighbours against scikit-learn, loss against a slow loop, and what may be missing."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from tests.methods.harness import batch_of, build, gradient, terms_of
from tests.methods.oracles_classification import BITS, FEATURES, ITEMS, cosine, numeric_gradient, random, tensor

from bitseek.errors import BitseekError, DataError
from bitseek.labels import Labels


def prepared(seed=0, items=ITEMS, index=None, **recipe):
    method, features = build("neighbour-contrast", items=items, **recipe), random((items, FEATURES), seed=seed)
    index = np.arange(items) if index is None else np.asarray(index)
    method.prepare(tensor(features[index]), torch.zeros(len(index), 0), torch.from_numpy(index))
    return method, features


def slow(method, features, codes):
    near, mean = method.near.tolist(), method.centre.numpy()
    n, temperature = len(codes), method.recipe.temperature
    means = []
    for i in range(n):
        neighbours = [j for j in range(n) if j != i and (j in near[i] or i in near[j])]
        strangers = 0.0
        for r in range(n):
            if r != i and r not in neighbours:
                weight = 1 - max(0.0, cosine(features[i] - mean, features[r] - mean))
                strangers += weight * math.exp(cosine(codes[i], codes[r]) / temperature)
        own = [math.exp(cosine(codes[i], codes[j]) / temperature) for j in neighbours]
        if own:
            means.append(sum(-math.log(each / (each + strangers)) for each in own) / len(own))
    return sum(means) / len(means) if means else 0.0


@pytest.mark.parametrize("size", [1, 2, 3, ITEMS])
def test_loss_and_gradient_are_those_of_a_slow_loop(size):
    """The gradient of the codes goes to the probabilities."""
    method, features = prepared(neighbours=2, temperature=0.4)
    logits, labels = random((size, BITS)), np.zeros((size, 0))
    terms = terms_of(method, logits, labels, features[:size])
    assert terms == pytest.approx({"contrast": slow(method, features, np.sign(logits))}, rel=1e-6, abs=1e-9)
    p = 1 / (1 + np.exp(-logits))
    expected = numeric_gradient(lambda codes: slow(method, features, codes), np.sign(logits)) * p * (1 - p)
    assert gradient(method, logits, labels, features[:size]) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_neighbours_are_those_of_scikit_learn_about_the_mean():
    method, features = prepared(items=60, neighbours=4)
    about = features - features.mean(axis=0)
    expected = NearestNeighbors(n_neighbors=4, metric="cosine").fit(about).kneighbors(return_distance=False)
    assert [set(row) for row in method.near.tolist()] == [set(row) for row in expected.tolist()]


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_codes_do_not_begin_as_one_where_features_share_an_offset(offset):
    method = build("neighbour-contrast")
    ones = (method.head(tensor(random((64, FEATURES)) + offset)) > 0).double().mean(dim=0)
    assert ((ones > 0.1) & (ones < 0.9)).any()


def test_neighbours_are_looked_for_among_some_items():
    method, _ = prepared(items=60, neighbours=4, among=10)
    assert len(np.unique(method.near)) <= 10
    assert not (method.near == torch.arange(60).unsqueeze(1)).any()


def test_an_item_that_could_not_be_read_is_nobodys_neighbour_and_has_none():
    read = [each for each in range(ITEMS) if each != 2]
    method, _ = prepared(index=read, neighbours=3)
    assert (method.near[2] == -1).all() and not (method.near == 2).any()
    items, partners = next(method.sample(Labels.of(np.zeros(ITEMS, int)), np.random.default_rng(0))).reshape(2, -1)
    assert partners[items == 2] == [2]


def test_a_batch_is_items_and_a_neighbour_of_each():
    method, _ = prepared(items=60, neighbours=4, batch_size=20)
    batches = list(method.sample(Labels.of(np.zeros(60, int)), np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [20] * 6
    items, partners = np.stack([batch.reshape(2, 10) for batch in batches], axis=1).reshape(2, -1)
    assert sorted(items) == list(range(60))
    assert all(partner in method.near[item] for item, partner in zip(items, partners, strict=True))


def test_an_item_that_is_twice_in_a_batch_is_no_stranger_to_itself():
    method = build("neighbour-contrast", neighbours=1)
    method.near[0, 0] = 1
    once, twice = np.array([0, 1]), np.array([0, 1, 1])
    codes, features = np.sign(random((2, BITS))), random((2, FEATURES))
    batches = [replace(batch_of(codes[rows], np.zeros((len(rows), 0)), features[rows]), index=torch.from_numpy(rows))
               for rows in (once, twice)]  # fmt: skip
    assert [float(method.loss(batch)["contrast"]) for batch in batches] == [0, 0]


@pytest.mark.parametrize("third", [[-1.0, -1], [0, -1], [0.6, 0.8], [1, 0]])
def test_strangers_that_are_near_count_less(third):
    method = build("neighbour-contrast")
    method.near[0, 0] = 1  # of three items with the same code the first two are neighbours
    features = np.pad(np.array([[1.0, 0], [0, 1], third]), ((0, 0), (0, FEATURES - 2)))
    weights = [1 - max(0, third[0] / math.hypot(*third)), 1 - max(0, third[1] / math.hypot(*third))]
    expected = sum(math.log(1 + weight) for weight in weights) / 2
    assert terms_of(method, np.ones((3, BITS)), np.zeros((3, 0)), features)["contrast"] == pytest.approx(expected)


def test_there_are_strangers_however_few_items_there_are():
    method, _ = prepared(items=7, neighbours=5)
    assert method.near.shape == (7, 2)
    for wrong in ({"batch_size": 3}, {"among": 1}):
        with pytest.raises(BitseekError, match="greater than or equal to"):
            build("neighbour-contrast", **wrong)


def test_features_that_are_not_finite_are_refused():
    method, features = build("neighbour-contrast"), random((ITEMS, FEATURES))
    features[[3, 5], 1] = np.nan
    with pytest.raises(DataError, match=f"those of 2 of {ITEMS} training items are not, the first is number 3"):
        method.prepare(tensor(features), torch.zeros(ITEMS, 0), torch.arange(ITEMS))


@pytest.mark.parametrize("items", [1, 2, 3])
def test_few_items_and_equal_ones(items):
    method = build("neighbour-contrast", items=items)
    method.prepare(torch.ones(items, FEATURES).double(), torch.zeros(items, 0), torch.arange(items))
    logits, nothing = np.zeros((items, BITS)), np.zeros((items, 0))
    assert np.isfinite(terms_of(method, logits, nothing)["contrast"])
    assert np.isfinite(gradient(method, logits, nothing)).all()
    assert all(
        len(batch) == 2 * items for batch in method.sample(Labels.of(np.zeros(items, int)), np.random.default_rng(0))
    )


def test_before_it_is_prepared_nothing_has_a_neighbour():
    method = build("neighbour-contrast")
    assert terms_of(method, random((6, BITS)), np.zeros((6, 0))) == {"contrast": 0}
    assert (gradient(method, random((6, BITS)), np.zeros((6, 0))) == 0).all()


@pytest.mark.parametrize("temperature", [1e-3, 100.0])
def test_extreme_temperatures_are_finite(temperature):
    method, features = prepared(neighbours=2, temperature=temperature)
    assert np.isfinite(gradient(method, random((ITEMS, BITS)), np.zeros((ITEMS, 0)), features)).all()
