"""Inductive manifold hashing."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from bitseek.errors import BitseekError
from bitseek.methods import METHODS, Task, make_recipe
from bitseek.methods.imh import base_points, embedded


def fitted(features, bits=8, seed=0, **recipe):
    cls = METHODS["imh"]
    task = Task(features=features.shape[1], bits=bits, classes=0, items=len(features), seed=seed)
    method = cls(task, make_recipe(cls, recipe)).double()
    method.fit(torch.from_numpy(features), torch.zeros(len(features), 0))
    return method


def blobs(items=60, dimensions=5, seed=0):
    generator = np.random.default_rng(seed)
    return 6 * generator.normal(size=(3, dimensions))[np.arange(items) % 3] + generator.normal(size=(items, dimensions))


def slow_embedding(point, base, embedding, bandwidth, neighbours):
    distances = [sum((a - b) ** 2 for a, b in zip(point, centre, strict=True)) for centre in base]
    nearest = sorted(range(len(base)), key=distances.__getitem__)[:neighbours]
    weights = [math.exp(-distances[j] / bandwidth) for j in nearest]
    return sum(w * embedding[j] for w, j in zip(weights, nearest, strict=True)) / sum(weights)


def test_a_point_is_embedded_by_the_base_points_near_it():
    data = blobs()
    method = fitted(data, base=20, neighbours=3)
    base, embedding = method.head.base.numpy(), method.head.embedding.numpy()
    new = blobs(seed=1)[:7]
    expected = [slow_embedding(point, base, embedding, float(method.head.bandwidth), 3) for point in new]
    assert method.head(torch.from_numpy(new)).numpy() == pytest.approx(np.array(expected))


def test_the_bandwidth_is_the_mean_squared_distance_to_the_neighbours_and_bits_are_balanced():
    data = blobs()
    method = fitted(data, base=20, neighbours=3)
    base = method.head.base.numpy()
    nearest = [sorted(((point - centre) ** 2).sum() for centre in base)[:3] for point in data]
    assert float(method.head.bandwidth) == pytest.approx(np.mean(nearest))
    assert method.head(torch.from_numpy(data)).mean(dim=0).numpy() == pytest.approx(np.zeros(8), abs=1e-9)


def test_base_points_are_centres_of_k_means():
    data = blobs()
    points = base_points(data, 3, 0)
    assert np.sort(points, axis=0) == pytest.approx(np.sort([data[i::3].mean(axis=0) for i in range(3)], axis=0))


def test_fewer_different_items_than_base_points_are_their_own_base():
    data = np.repeat(blobs(6), 5, axis=0)
    method = fitted(data, base=20)
    assert len(np.unique(method.head.base.numpy(), axis=0)) == 6
    assert torch.isfinite(method.head(torch.from_numpy(data))).all()


def test_too_few_different_items_are_an_error():
    with pytest.raises(BitseekError, match=r"4 different .* got 1"):
        fitted(np.ones((9, 3)))


def test_the_embedding_is_that_of_the_seed():
    points = blobs(20)
    assert (embedded(points, 4, 1) == embedded(points, 4, 1)).all()
    assert (embedded(points, 4, 1) != embedded(points, 4, 2)).any()


def test_codes_find_the_class_of_digits():
    images, classes = load_digits(return_X_y=True)
    method = fitted(images[:600], bits=16, base=100)
    codes = np.where(method.head(torch.from_numpy(images[:700])).numpy() >= 0, 1.0, -1.0)
    nearest = np.argsort(-codes[600:] @ codes[:600].T, axis=1, kind="stable")[:, :5]
    assert np.mean(classes[nearest] == classes[600:700, None]) > 0.75
