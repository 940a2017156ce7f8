"""SHC: confusions, similarity and centres against slow loops, and what its released code gets wrong."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import build, check_gradient, check_loss
from tests.methods.oracles import mean
from tests.methods.oracles_classification import BITS, CLASSES, LABELS, one_hot, random, tensor

from bitseek.errors import BitseekError
from bitseek.methods.shc import RIDGE, class_similarity, confusions


def slow(method, logits, labels):
    book, entropy = method.codewords().numpy(), []
    filling = method.filling.numpy()
    for u, y in zip(logits, labels, strict=True):
        if not y.sum():
            continue
        votes = sum(book[c] for c in range(CLASSES) if y[c])
        centre = np.where(votes == 0, filling, np.sign(votes))
        p, t = (np.tanh(u) + 1) / 2, (centre + 1) / 2
        entropy.append(-np.mean(t * np.log(p) + (1 - t) * np.log(1 - p)))
    return {"centre": mean(entropy), "quantisation": 0.2 * np.mean((np.abs(np.tanh(logits)) - 1) ** 2)}


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("shc", quantisation=0.2)
    logits = random((len(labels), BITS))
    check_loss(method, lambda u: slow(method, u, labels), logits, labels)
    check_gradient(method, logits, labels)


def slow_confusions(features, labels):
    classes = labels.shape[1]
    members = [[f for f, y in zip(features, labels, strict=True) if y[c]] for c in range(classes)]
    means = [np.mean(own, axis=0) if own else np.zeros(features.shape[1]) for own in members]
    covariance = sum(np.outer(f - means[c], f - means[c]) for c in range(classes) for f in members[c])
    covariance = covariance / sum(map(len, members))
    covariance = covariance + RIDGE * np.diag(covariance).mean() * np.eye(len(covariance))
    inverse = np.linalg.inv(covariance)
    table = np.zeros((classes, classes))
    for c in range(classes):
        for f, y in zip(features, labels, strict=True):
            others = [k for k in range(classes) if not y[k] and members[k]]
            if not y[c] or not others:
                continue
            scores = [means[k] @ inverse @ f - means[k] @ inverse @ means[k] / 2 for k in others]
            weights = [math.exp(score - max(scores)) for score in scores]
            for k, weight in zip(others, weights, strict=True):
                table[c, k] += weight / sum(weights) / len(members[c])
    return table


@pytest.mark.parametrize("case", ["single", "several", "unlabelled"])
def test_confusions_are_those_of_a_slow_discriminant(case):
    rng = np.random.default_rng(4)
    labels = np.concatenate([LABELS[case], one_hot(0, 0, 1, (1, 2), None, (0, 1, 2, 3))])
    features = rng.normal(size=(len(labels), 3)) + labels @ rng.normal(size=(CLASSES, 3))
    found = confusions(tensor(features), tensor(labels)).numpy()
    assert found == pytest.approx(slow_confusions(features, labels), abs=1e-9)


def test_a_class_without_items_is_like_no_other():
    labels = one_hot(0, 0, 2, 2, 3, 3)
    shares = confusions(tensor(random((6, 3), seed=2)), tensor(labels)).numpy()
    assert (shares[1] == 0).all() and (shares[:, 1] == 0).all()
    assert shares[[0, 2, 3]].sum(axis=1) == pytest.approx(np.ones(3))


def test_similarity_is_symmetric_of_mean_0_and_within_1():
    similarity = class_similarity(tensor(np.abs(random((5, 5))))).numpy()
    other = ~np.eye(5, dtype=bool)
    assert np.array_equal(similarity, similarity.T) and (np.diag(similarity) == 1).all()
    assert similarity[other].mean() == pytest.approx(0, abs=1e-12)
    assert np.abs(similarity[other]).max() == pytest.approx(1)
    assert (class_similarity(torch.full((3, 3), 0.4)) == torch.eye(3)).all()


def test_frequent_classes_are_not_more_alike_for_being_frequent():
    """The released code adds up the softmax of all items of a class: the largest classes seem the most alike."""
    rng = np.random.default_rng(0)
    counts, places = [400, 400, 20, 20], np.array([[0.0, 0], [2, 0], [0, 2.5], [0.7, 2.5]])
    labels = one_hot(*np.repeat(range(4), counts).tolist())
    features = rng.normal(size=(len(labels), 2)) + labels @ places
    shares = confusions(tensor(features), tensor(labels))
    similarity, added_up = (class_similarity(table) for table in (shares, tensor(np.diag(counts)) @ shares))
    assert float(similarity[2, 3]) > float(similarity[0, 1])
    assert float(added_up[2, 3]) < float(added_up[0, 1])


def test_alike_classes_get_near_centres():
    rng = np.random.default_rng(1)
    places = np.array([[0.0, 0, 0], [1.5, 0, 0], [0, 40, 0], [0, 40, 1.5]])
    method, labels = build("shc", bits=24), one_hot(*np.repeat(range(4), 30).tolist())
    features = rng.normal(size=(120, 3)) + labels @ places
    before = method.codewords().clone()
    method.prepare(tensor(features), tensor(labels), torch.arange(120))
    distance = (24 - method.codewords() @ method.codewords().T) / 2
    assert not torch.equal(before, method.codewords())
    assert max(float(distance[0, 1]), float(distance[2, 3])) < float(distance[:2, 2:].min())
    assert float((distance + 99 * torch.eye(4)).min()) >= 1
    assert set(method.codewords().unique().tolist()) == {-1.0, 1.0}


def test_the_centres_of_nested_codes_agree_in_the_bits_that_they_share():
    rng = np.random.default_rng(2)
    labels = one_hot(*np.repeat(range(4), 30).tolist())
    features = rng.normal(size=(120, 5)) + labels @ rng.normal(size=(4, 5)) * 4
    method = build("shc", bits=24, lengths=(8, 16))
    method.prepare(tensor(features), tensor(labels), torch.arange(120))
    alone = build("shc", bits=8)
    alone.prepare(tensor(features), tensor(labels), torch.arange(120))
    books = [part.codewords() for part in method.parts]
    assert [book.shape for book in books] == [(4, 8), (4, 16), (4, 24)]
    assert torch.equal(books[0], alone.codewords())
    assert torch.equal(books[0], books[2][:, :8])
    assert torch.equal(books[1], books[2][:, :16])


def test_an_assignment_of_codewords_is_refused_because_the_centres_would_lose_their_classes():
    with pytest.raises(BitseekError, match="leave out assignment, or take csq"):
        build("shc", assignment="nearest")
