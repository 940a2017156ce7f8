"""MDS: centres and similar pairs of the memory bank against a slow loop, and what its released code gets wrong."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, check_loss, gradient, terms_of
from tests.methods.oracles import mean, share, softplus
from tests.methods.oracles_classification import BITS, CLASSES, LABELS, cosine, one_hot, random

from bitseek.codebooks import make_codebook


def slow(method, logits, bank, labels):
    """The bank holds the codes of this batch, without a gradient."""
    codes, book = np.tanh(logits), method.codewords().numpy()
    entropy = []
    for v, y in zip(codes, labels, strict=True):
        weights = [math.exp(math.sqrt(BITS) * cosine(v, word)) for word in book]
        for c in range(CLASSES):
            p = weights[c] / sum(weights)
            entropy.append(-y[c] * math.log(p) - (1 - y[c]) * math.log(1 - p))
    n = range(len(labels))
    pairs = [(i, j) for i in n for j in n if i != j and share(labels[i], labels[j])]
    return {
        "centres": mean(entropy),
        "pairs": mean(softplus((1 - cosine(codes[i], np.tanh(bank[j]))) / 2) for i, j in pairs),
        "quantisation": 0.3 * mean((abs(v) - 1) ** 2 for v in codes.ravel()),
    }


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("mds", pairs_from=0.0, quantisation=0.3)
    logits = random((len(labels), BITS))
    check_loss(method, lambda u: slow(method, u, logits, labels), logits, labels)
    check_gradient(build("mds"), logits, labels)  # without pairs: the bank moves with the codes


def test_the_pairs_begin_when_they_are_said_to():
    method, labels = build("mds", pairs_from=0.5), LABELS["single"]
    batch = batch_of(random((6, BITS)), labels)
    early, late = (method.loss(replace(batch, progress=done))["pairs"].detach() for done in (0.49, 0.5))
    assert float(early) == 0 < float(late)


def test_the_bank_begins_empty_and_no_item_is_similar_to_itself():
    method = build("mds", pairs_from=0.0)
    assert terms_of(method, random((1, BITS)), one_hot(1))["pairs"] == 0
    assert terms_of(method, random((2, BITS)), one_hot(1, 2))["pairs"] == 0
    assert int(method.bank.seen.sum()) == 2


@pytest.mark.parametrize("size", [1e-3, 1.0, 60.0])
def test_a_share_that_rounds_to_one_leaves_the_logarithm_finite(size):
    """In float32, as in training; the released code takes log(1 − p), −∞ there."""
    method = build("mds", bits=1024).float()
    logits = size * method.codewords()[[0, 1]].clone()
    logits.requires_grad_()
    batch = batch_of(logits, one_hot(0, 2))
    batch = replace(batch, labels=batch.labels.float(), features=batch.features.float())
    shares = (method.codewords() @ method.codewords()[0] / 32).softmax(dim=0)
    assert float(shares[0]) == 1
    terms = method.loss(batch)
    sum(terms.values()).backward()
    assert all(torch.isfinite(term) for term in terms.values()) and torch.isfinite(logits.grad).all()
    of_the_others = 32 - math.log(CLASSES - 1)  # the second item is close to the centre of a class that it is not of
    assert float(terms["centres"].detach()) == pytest.approx((32 + of_the_others) / (2 * CLASSES), rel=1e-3)


def test_it_is_a_mean_over_classes_too_and_can_be_weighed():
    logits, labels = random((6, BITS)), LABELS["single"]
    once, ten = (terms_of(build("mds", centres=w), logits, labels)["centres"] for w in (1.0, 10.0))
    assert ten == pytest.approx(10 * once)


def test_centres_are_those_of_the_codebook_of_this_name_behind_batch_norm():
    method = build("mds", bits=16)
    wanted = make_codebook("mds", CLASSES, 16, seed=3).codes.to_signs()
    assert np.array_equal(method.codewords().numpy(), wanted)
    assert isinstance(method.head[1], torch.nn.BatchNorm1d) and method.head[0].bias is not None


def test_only_similar_pairs_pull():
    method = build("mds", pairs_from=0.0, centres=0.0, quantisation=0.0)
    assert (gradient(method, random((4, BITS)), LABELS["no_positive_pair"]) == 0).all()
    assert (gradient(method, random((3, BITS)), LABELS["no_negative_pair"]) != 0).any()
