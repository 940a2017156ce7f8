"""Class contrast: loss against a slow loop, batches by counting, and features that share a large offset."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, gradient, terms_of
from tests.methods.oracles_classification import BITS, CLASSES, FEATURES, ITEMS, cosine, numeric_gradient, random

from bitseek.data import Pool, Protocol
from bitseek.errors import BitseekError, DataError
from bitseek.evaluation import evaluate
from bitseek.images import Features
from bitseek.labels import Labels
from bitseek.methods import forget_features
from bitseek.training import train

MANY = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1]])
"""Items of several classes; one has none, and no other is like it."""


def slow(codes, labels, temperature):
    n, means = len(codes), []
    for i in range(n):
        mates = [j for j in range(n) if j != i and set(np.flatnonzero(labels[i])) & set(np.flatnonzero(labels[j]))]
        near = [math.exp(cosine(codes[i], codes[j]) / temperature) for j in range(n)]
        strangers = sum(near[r] for r in range(n) if r != i and r not in mates)
        if mates:
            means.append(sum(-math.log(near[j] / (near[j] + strangers)) for j in mates) / len(mates))
    return sum(means) / len(means) if means else 0.0


@pytest.mark.parametrize("labels", [np.eye(CLASSES)[[0, 0, 1, 2, 1, 0]], MANY, MANY[:1], MANY[[0, 2]], MANY[[0, 1]]])
def test_loss_and_gradient_are_those_of_a_slow_loop(labels):
    """The gradient of the codes goes to the probabilities."""
    method, logits = build("class-contrast", classes=labels.shape[1], temperature=0.4), random((len(labels), BITS))
    expected = slow(np.sign(logits), labels, 0.4)
    assert terms_of(method, logits, labels) == pytest.approx({"contrast": expected}, rel=1e-6, abs=1e-9)
    p = 1 / (1 + np.exp(-logits))
    slopes = numeric_gradient(lambda codes: slow(codes, labels, 0.4), np.sign(logits)) * p * (1 - p)
    assert gradient(method, logits, labels) == pytest.approx(slopes, rel=1e-6, abs=1e-6)


def test_an_item_that_is_twice_in_a_batch_is_not_its_own_classmate():
    method, labels, codes = build("class-contrast"), np.eye(CLASSES)[[0, 1]], np.sign(random((2, BITS)))
    rows = np.array([0, 1, 1])
    batch = replace(batch_of(codes[rows], labels[rows]), index=torch.from_numpy(rows))
    assert method.loss(batch)["contrast"] == 0


def test_a_batch_is_items_and_a_classmate_of_each():
    method, classes = build("class-contrast", items=60, batch_size=20), np.repeat([0, 1, 2], 20)
    batches = list(method.sample(Labels.of(classes), np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [20] * 6
    items, mates = np.stack([batch.reshape(2, 10) for batch in batches], axis=1).reshape(2, -1)
    assert sorted(items) == list(range(60))
    assert (classes[items] == classes[mates]).all() and (items != mates).all()


@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_codes_do_not_begin_as_one_where_features_share_an_offset(offset):
    method = build("class-contrast")
    features = torch.from_numpy(random((64, FEATURES)) + offset)
    ones = (method.head(features) > 0).double().mean(dim=0)
    assert ((ones > 0.1) & (ones < 0.9)).any()


def test_after_training_features_are_standardised_by_the_last_epoch():
    """A moving average would still be far from an offset after few steps."""
    method = build("class-contrast")
    for shift in (0.0, 1e3):
        forget_features(method.head)
        batches = torch.from_numpy(random((3, 8, FEATURES)) + shift)
        for batch in batches:
            method.head(batch)
    norm = method.head[0].eval()
    assert norm.running_mean.numpy() == pytest.approx(batches.mean(dim=(0, 1)).numpy())
    assert norm(batches.flatten(0, 1)).std(dim=0).numpy() == pytest.approx(np.ones(FEATURES), abs=0.2)


def test_few_steps_are_enough_where_features_share_an_offset():
    generator, labels = np.random.default_rng(0), np.tile(np.arange(4), 30)
    features = 3 * generator.normal(size=(4, 32))[labels] + generator.normal(size=(120, 32)) + 1e3
    pool, items = Pool(Features((features.astype(np.float32),)), labels, tuple("abcd")), np.arange(120)
    data = Protocol("offset", pool, items[:60], items[60:], items[60:])
    hasher = train("class-contrast", data, bits=16, weights=None, device="cpu")
    assert evaluate(hasher, data).mAP > 0.95


def test_few_items():
    method = build("class-contrast", items=2)
    batches = list(method.sample(Labels.of([0, 0], CLASSES), np.random.default_rng(0)))
    assert [sorted(batch.tolist()) for batch in batches] == [[0, 0, 1, 1]]
    with pytest.raises(DataError, match="no two of the training items do"):
        next(method.sample(Labels.of([0, 1], CLASSES), np.random.default_rng(0)))
    with pytest.raises(BitseekError, match="greater than or equal to 4"):
        build("class-contrast", batch_size=3)
    with pytest.raises(DataError, match="none of the training items has one"):
        next(method.sample(Labels.of([-1] * ITEMS, CLASSES), np.random.default_rng(0)))


@pytest.mark.parametrize("temperature", [1e-3, 100.0])
def test_extreme_temperatures_are_finite(temperature):
    method, labels = build("class-contrast", temperature=temperature), np.eye(CLASSES)[np.arange(ITEMS) % 2]
    assert np.isfinite(gradient(method, random((ITEMS, BITS)), labels)).all()
