"""GreedyHash, with and without labels."""

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, gradient, terms_of
from tests.methods.oracles_classification import (
    BITS,
    FEATURES,
    LABELS,
    affine,
    cosine_difference,
    cross_entropy,
    numeric_gradient,
    one_hot,
    random,
    tensor,
)


def slow_pull(logits, alpha):
    return alpha * np.mean([abs(abs(u) - 1) ** 3 for u in logits.ravel()])


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("greedyhash", alpha=0.3)
    logits = random((len(labels), BITS))
    expected = {
        "classification": cross_entropy(affine(method.classifier, np.sign(logits)), labels),
        "quantisation": slow_pull(logits, 0.3),
    }
    assert terms_of(method, logits, labels) == pytest.approx(expected)


@pytest.mark.parametrize("case", LABELS)
def test_the_gradient_of_the_signs_goes_to_the_logits(case):
    labels, method = LABELS[case], build("greedyhash", alpha=0.3)
    logits = random((len(labels), BITS))
    passed = numeric_gradient(lambda h: cross_entropy(affine(method.classifier, h), labels), np.sign(logits))
    pull = numeric_gradient(lambda u: slow_pull(u, 0.3), logits)
    assert gradient(method, logits, labels) == pytest.approx(passed + pull, abs=1e-7)


def test_a_logit_of_zero_is_a_bit_like_any_other():
    """With torch.sign a third symbol would reach the classifier, which no code has."""
    labels, method = LABELS["one_item"], build("greedyhash")
    plus = cross_entropy(affine(method.classifier, np.ones((1, BITS))), labels)
    assert terms_of(method, np.zeros((1, BITS)), labels)["classification"] == pytest.approx(plus)
    assert np.isfinite(gradient(method, np.zeros((1, BITS)), labels)).all()


def test_the_classifier_learns_and_has_no_bias():
    """swuxyj's classifier was not given to the optimiser before its PR 32."""
    method = build("greedyhash")
    assert "classifier.weight" in dict(method.named_parameters())
    assert method.classifier.bias is None
    sum(method.loss(batch_of(random((6, BITS)), LABELS["single"])).values()).backward()
    assert method.classifier.weight.grad.abs().sum() > 0


def test_the_classifier_can_have_a_bias():
    labels, method = LABELS["several"], build("greedyhash", classifier_bias=True)
    logits = random((len(labels), BITS))
    assert method.classifier.bias.abs().sum() > 0
    expected = cross_entropy(affine(method.classifier, np.sign(logits)), labels)
    assert terms_of(method, logits, labels)["classification"] == pytest.approx(expected)


def test_all_labels_of_an_item_count():
    """swuxyj's version trains every data set on the lowest class of an item."""
    logits, method = random((1, BITS)), build("greedyhash")
    both, lowest = (terms_of(method, logits, one_hot(given))["classification"] for given in ((1, 3), 1))
    assert both != pytest.approx(lowest)


UNLABELLED = {"even": 6, "odd": 7, "two": 2, "one": 1}


@pytest.mark.parametrize("size", UNLABELLED.values(), ids=UNLABELLED)
def test_unsupervised_loss_is_that_of_a_slow_loop(size):
    logits, features = random((size, BITS)), random((size, FEATURES), seed=5)
    terms = terms_of(build("greedyhash-unsupervised", alpha=0.2), logits, np.zeros((size, 0)), features)
    expected = {"similarity": cosine_difference(np.sign(logits), features), "quantisation": slow_pull(logits, 0.2)}
    assert terms == pytest.approx(expected)


@pytest.mark.parametrize("size", UNLABELLED.values(), ids=UNLABELLED)
def test_unsupervised_gradient(size):
    method, logits, features = build("greedyhash-unsupervised"), random((size, BITS)), random((size, FEATURES), seed=5)
    passed = numeric_gradient(lambda h: cosine_difference(h, features), np.sign(logits))
    pull = numeric_gradient(lambda u: slow_pull(u, 0.1), logits)
    assert gradient(method, logits, np.zeros((size, 0)), features) == pytest.approx(passed + pull, abs=1e-7)


def test_unsupervised_features_are_targets_and_a_zero_one_is_no_nan():
    features = tensor(random((4, FEATURES)), grad=True)
    with torch.no_grad():
        features[0] = 0
    logits = tensor(random((4, BITS)), grad=True)
    loss = sum(build("greedyhash-unsupervised").loss(batch_of(logits, np.zeros((4, 0)), features)).values())
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert features.grad is None
