"""Deep polarised network."""

import numpy as np
import pytest
from tests.methods.harness import batch_of, build, check_gradient, gradient, terms_of
from tests.methods.oracles import softplus
from tests.methods.oracles_classification import BITS, FEATURES, LABELS, affine, cross_entropy, random

from bitseek.methods import Task
from bitseek.methods.dpn import DPN, DPNRecipe


def slow(logits, labels, book, margin):
    total, labelled = 0.0, 0
    for v, y in zip(logits, labels, strict=True):
        labelled += bool(y.sum())
        for c in range(len(book)):
            if y[c]:
                total += sum(max(0.0, margin - v[k] * book[c, k]) for k in range(len(v)))
    return total / max(labelled, 1)


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("dpn", margin=0.8)
    logits = random((len(labels), BITS))
    expected = slow(logits, labels, method.codewords().numpy(), 0.8)
    assert terms_of(method, logits, labels) == pytest.approx({"polarisation": expected})


def binary_cross_entropy(scores, labels):
    return np.mean([softplus(z) - y * z for z, y in zip(scores.ravel(), labels.ravel(), strict=True)])


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize(("form", "slow_entropy"), [("sigmoid", binary_cross_entropy), ("softmax", cross_entropy)])
def test_optional_terms(case, form, slow_entropy):
    labels, method = LABELS[case], build("dpn", classification=0.5, regularisation=0.001, multi_label_loss=form)
    logits, features = random((len(labels), BITS)), random((len(labels), FEATURES), seed=4)
    terms = terms_of(method, logits, labels, features)
    assert terms["classification"] == pytest.approx(0.5 * slow_entropy(affine(method.classifier, features), labels))
    assert terms["regularisation"] == pytest.approx(0.001 * np.mean(logits**2))


def test_with_one_class_an_item_the_classifier_has_a_softmax():
    method = DPN(Task(features=FEATURES, bits=BITS, classes=4, items=6), DPNRecipe(classification=1.0)).double()
    logits, features = random((6, BITS)), random((6, FEATURES), seed=4)
    expected = cross_entropy(affine(method.classifier, features), LABELS["single"])
    assert terms_of(method, logits, LABELS["single"], features)["classification"] == pytest.approx(expected)


@pytest.mark.parametrize("case", LABELS)
def test_gradient(case):
    labels = LABELS[case]
    check_gradient(build("dpn", regularisation=0.1), random((len(labels), BITS)), labels)


def test_a_bit_past_the_margin_is_left_alone_and_the_others_are_pushed():
    method = build("dpn")
    target = method.codewords().numpy()[1]
    logits = np.array([1.5, 0.5, -0.5, -2.0, 3.0]) * target
    expected = np.array([0, -1, -1, -1, 0]) * target
    assert gradient(method, logits[None], LABELS["one_item"])[0] == pytest.approx(expected)


def test_summed_over_bits_not_averaged():
    """swuxyj's version is the mean over the bits: K times less at the same learning rate."""
    assert terms_of(build("dpn"), np.zeros((1, BITS)), LABELS["one_item"])["polarisation"] == BITS


def test_codewords_are_saved_and_depend_on_the_seed_of_the_task():
    assert "book" in build("dpn").state_dict()
    first, same, other = (build("dpn", bits=32, seed=seed).codewords() for seed in (1, 1, 2))
    assert (first == same).all()
    assert (first != other).any()


def slow_update(codes, labels, book, share):
    """The majority of the share of a class nearest to its codeword; ties and empty classes keep what was."""
    updated = book.copy()
    for c in range(len(book)):
        own = [code for code, y in zip(codes, labels, strict=True) if y[c]]
        own.sort(key=lambda code: sum(a != b for a, b in zip(code, book[c], strict=True)))
        own = own[: max(1, int(share * len(own)))]
        for k in range(book.shape[1]):
            votes = sum(code[k] for code in own)
            updated[c, k] = book[c, k] if votes == 0 else np.sign(votes)
    return updated


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("case", ["single", "several", "unlabelled", "none_labelled"])
def test_targets_become_the_majority_of_their_class(case, share):
    """In the released code a tie gives 0 and a class without items NaN, and only the lowest class of an item counts."""
    labels, method = LABELS[case], build("dpn", update_every=2, update_share=share)
    logits, book = random((len(labels), BITS)), method.codewords().numpy().copy()
    method.loss(batch_of(logits, labels))
    for epoch in (0, 1):
        method.start_epoch(epoch)
        assert (method.codewords().numpy() == book).all()
    method.start_epoch(2)
    assert (method.codewords().numpy() == slow_update(np.sign(logits), labels, book, share)).all()
    assert (np.abs(method.codewords().numpy()) == 1).all()


def test_targets_stay_by_default_and_nothing_is_remembered():
    method = build("dpn")
    book = method.codewords().clone()
    method.loss(batch_of(random((6, BITS)), LABELS["single"]))
    method.start_epoch(10)
    assert (method.codewords() == book).all()
    assert method.last_signs.numel() == 0
