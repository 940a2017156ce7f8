"""DNNH: divide and encode, and its descendant on a pre-trained network."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, gradient, terms_of
from tests.methods.oracles import mean, share, squared_distance, triplets
from tests.methods.oracles_classification import BITS, FEATURES, LABELS, one_hot, random, tensor

from bitseek.labels import Labels
from bitseek.methods import METHODS, Batch, Task
from bitseek.methods.dnnh import piecewise_threshold

TRIPLETS = {
    "valid": one_hot(0, 1, (1, 2), 0, 1, 2, 1, 2, None),
    "some_invalid": one_hot(0, 1, 2, 0, None, 3, 0, 1, 1),
    "none_valid": one_hot(0, None, 1, 1, None, 0, 0, None, 2),
    "one_left_over": one_hot(0, 0, 1, 3),
    "two_left_over": one_hot(0, 0, 1, 3, 2),
} | LABELS


def code(logit, epsilon):
    g = 1 / (1 + math.exp(-logit))
    return 0.0 if g < 0.5 - epsilon else 1.0 if g > 0.5 + epsilon else g


def slow(logits, labels, epsilon, margin):
    codes = [[code(u, epsilon) for u in row] for row in logits]
    t = len(labels) // 3
    return mean(
        max(0.0, margin + squared_distance(codes[i], codes[t + i]) - squared_distance(codes[i], codes[2 * t + i]))
        for i in range(t)
        if share(labels[i], labels[t + i]) and not share(labels[i], labels[2 * t + i])
    )


@pytest.mark.parametrize("case", TRIPLETS)
@pytest.mark.parametrize("epsilon", [0.1, 0.3, 0.5])
def test_loss_is_that_of_a_slow_loop(case, epsilon):
    labels = TRIPLETS[case]
    logits = random((len(labels), BITS))
    terms = terms_of(build("dnnh", epsilon=epsilon, margin=1.5), logits, labels)
    assert terms == pytest.approx({"triplet": slow(logits, labels, epsilon, 1.5)})


@pytest.mark.parametrize("case", TRIPLETS)
@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_gradient(case, epsilon):
    labels = TRIPLETS[case]
    check_gradient(build("dnnh", epsilon=epsilon), random((len(labels), BITS)), labels)


def test_the_threshold_is_0_then_the_value_then_1():
    values = torch.tensor([0.0, 0.29, 0.31, 0.5, 0.69, 0.71, 1.0], requires_grad=True)
    codes = piecewise_threshold(values, 0.2)
    codes.sum().backward()
    assert codes.tolist() == pytest.approx([0, 0, 0.31, 0.5, 0.69, 1, 1])
    assert values.grad.tolist() == [0, 0, 1, 1, 1, 0, 0]


def test_the_code_of_the_paper_is_the_sign_of_the_logits():
    """The paper's code is g >= 1/2 of the sigmoid g; bits are made of logits, of which 0 is the middle."""
    method = build("dnnh")
    logits = method.head(tensor(random((200, FEATURES))))
    assert (logits < 0).any()
    assert torch.equal(logits >= 0, logits.sigmoid() >= 0.5)
    assert torch.equal(logits >= 0, piecewise_threshold(logits.sigmoid(), 0.1) >= 0.5)


def test_the_head_is_a_small_layer_of_its_own_for_each_slice():
    method = build("dnnh", slice_length=7)
    features = random((3, FEATURES))
    weight, bias = (parameter.detach().numpy() for parameter in method.head.divide.parameters())
    encode = method.head.weight.detach().numpy()
    expected = np.zeros((3, BITS))
    for i in range(3):
        for k in range(BITS):
            for j in range(7):
                slice_value = max(0.0, weight[7 * k + j] @ features[i] + bias[7 * k + j])
                expected[i, k] += encode[k, j] * slice_value
    assert method.head(tensor(features)).detach().numpy() == pytest.approx(expected)
    assert METHODS["dnnh"].recipe_class().slice_length == 50


def test_batches_are_triplets():
    labels = np.random.default_rng(0).integers(0, 5, 500)
    batches = list(build("dnnh", batch_size=30).sample(Labels.of(labels), np.random.default_rng(1)))
    assert [len(batch) for batch in batches] == [30] * 16
    for batch in batches:
        anchors, positives, negatives = labels[batch].reshape(3, 10)
        assert (anchors == positives).all()
        assert (anchors != negatives).all()
    assert [len(batch) for batch in build("dnnh").sample(Labels.of(labels[:20]), np.random.default_rng(1))] == [18]


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("margin", [None, 2.0])
def test_all_triplets_of_a_batch(case, margin):
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    codes = np.tanh(logits)
    m = BITS / 4 + 4 if margin is None else margin
    expected = mean(
        max(0.0, squared_distance(codes[a], codes[p]) - squared_distance(codes[a], codes[n]) + m)
        for a, p, n in triplets(labels, both_ways=False)
    )
    assert terms_of(build("dnnh-resnet", margin=margin), logits, labels) == pytest.approx({"triplet": expected})


@pytest.mark.parametrize("case", LABELS)
def test_gradient_of_all_triplets(case):
    labels = LABELS[case]
    check_gradient(build("dnnh-resnet"), random((len(labels), BITS)), labels)


def test_margins_are_a_little_above_a_quarter_of_the_bits():
    for name, margins in (("dnnh-resnet", [8, 20]), ("dnnh", [2, 5])):  # codes in [-1, 1], and in [0, 1]
        for bits, margin in zip((16, 64), margins, strict=True):
            labels = one_hot(0, 0, 1)
            assert terms_of(build(name, bits=bits), np.zeros((3, bits)), labels) == {"triplet": margin}


def test_ten_classes_of_eight_images():
    labels = np.repeat(np.arange(20), 30)
    for batch in build("dnnh-resnet").sample(Labels.of(labels), np.random.default_rng(0)):
        counts = np.bincount(labels[batch], minlength=20)
        assert sorted(counts[counts > 0].tolist()) == [8] * 10


def test_the_loss_leaves_no_graph_behind():
    """The known ResNet-18 variant sums up losses with their graphs; a second backward needs nothing of the first."""
    method = build("dnnh-resnet")
    features = tensor(random((6, FEATURES)))
    for _ in range(2):
        sum(method.loss(batch_of(method.head(features), LABELS["single"])).values()).backward()


def test_a_batch_without_a_triplet_moves_nothing():
    for name in ("dnnh", "dnnh-resnet"):
        for case in ("none_labelled", "no_positive_pair", "one_item", "one_unlabelled"):
            assert not gradient(build(name), random((len(LABELS[case]), BITS)), LABELS[case]).any()


def test_both_learn_in_float32_as_in_training():
    for name in ("dnnh", "dnnh-resnet"):
        method = METHODS[name](Task(features=FEATURES, bits=BITS, classes=4, items=12))
        features = torch.randn(9, FEATURES)
        labels = torch.from_numpy(one_hot(0, 1, 2, 0, 1, 2, 1, 2, 3)).float()
        batch = Batch(logits=method.head(features), features=features, labels=labels, index=torch.arange(9))
        method.loss(batch)["triplet"].backward()
        assert all(torch.isfinite(parameter.grad).all() for parameter in method.parameters())
