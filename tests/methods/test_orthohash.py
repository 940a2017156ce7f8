"""OrthoHash against a slow loop, and what its released code gets wrong."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import build, check_gradient, gradient, terms_of
from tests.methods.oracles_classification import BITS, CLASSES, LABELS, cosine, cross_entropy, random

from bitseek.errors import BitseekError


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def entropy(z, y):
    return -(y * math.log(sigmoid(z)) + (1 - y) * math.log(1 - sigmoid(z)))


def slow_scores(logits, labels, book, scale, margin, kind):
    scores = np.zeros(labels.shape)
    for i, (v, y) in enumerate(zip(logits, labels, strict=True)):
        for c in range(len(book)):
            cos = cosine(v, book[c])
            if kind == "arc":
                cos = math.cos(math.acos(min(max(cos, -0.99999), 0.99999)) + margin * y[c])
            else:
                cos -= margin * y[c]
            scores[i, c] = scale * cos
    return scores


@pytest.mark.parametrize("kind", ["cos", "arc"])
@pytest.mark.parametrize("scale", [8.0, "sqrt"])
@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case, scale, kind):
    labels, method = LABELS[case], build("orthohash", margin=0.3, scale=scale, margin_type=kind)
    logits, book = random((len(labels), BITS)), method.codewords().numpy()
    s = math.sqrt(BITS) if scale == "sqrt" else scale
    expected = cross_entropy(slow_scores(logits, labels, book, s, 0.3, kind), labels)
    assert terms_of(method, logits, labels) == pytest.approx({"cosine": expected}, rel=1e-6)


@pytest.mark.parametrize("case", LABELS)
def test_sigmoid_and_imbalance(case):
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    method = build("orthohash", multi_label_loss="sigmoid")
    scores = slow_scores(logits, labels, method.codewords().numpy(), 8.0, 0.2, "cos")
    each = [[entropy(z, y) for z, y in zip(*row, strict=True)] for row in zip(scores, labels, strict=True)]
    assert terms_of(method, logits, labels)["cosine"] == pytest.approx(np.mean(each), rel=1e-6)
    weights = [
        [1.0 if y or sigmoid(z) >= 0.7 else 1 / CLASSES for z, y in zip(*row, strict=True)]
        for row in zip(scores, labels, strict=True)
    ]
    expected = (np.array(weights) * np.array(each)).sum() / (np.sum(weights) + 1e-7)
    method = build("orthohash", multi_label_loss="imbalance")
    assert terms_of(method, logits, labels)["cosine"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "kind, slow",
    [
        ("cs", lambda v: np.mean([1 - cosine(row, np.where(row >= 0, 1, -1)) for row in v])),
        ("l1", lambda v: np.mean(np.abs(v - np.where(v >= 0, 1, -1)))),
        ("l2", lambda v: np.mean((v - np.where(v >= 0, 1, -1)) ** 2)),
    ],
)
def test_quantisation_term(kind, slow):
    method = build("orthohash", quantisation=0.5, quantisation_type=kind)
    logits = random((6, BITS))
    terms = terms_of(method, logits, LABELS["single"])
    assert set(terms) == {"cosine", "quantisation"}
    assert terms["quantisation"] == pytest.approx(0.5 * slow(logits))


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("recipe", [{}, {"margin_type": "arc"}, {"multi_label_loss": "sigmoid"}, {"quantisation": 0.3}])
def test_gradient(case, recipe):
    labels = LABELS[case]
    check_gradient(build("orthohash", **recipe), random((len(labels), BITS)), labels)


def test_a_zero_vector_is_finite_and_gets_no_gradient():
    logits = random((3, BITS))
    logits[1] = 0
    method, labels = build("orthohash"), LABELS["single"][:3]
    assert math.isfinite(terms_of(method, logits, labels)["cosine"])
    found = gradient(method, logits, labels)
    assert np.isfinite(found).all() and (found[1] == 0).all() and (found[0] != 0).any()


def test_an_image_without_labels_changes_nothing():
    labels = np.vstack([LABELS["single"], np.zeros((1, CLASSES))])
    logits = random((7, BITS))
    method = build("orthohash")
    assert terms_of(method, logits, labels) == pytest.approx(terms_of(method, logits[:6], labels[:6]))


def test_several_labels_are_not_reduced_to_the_first():
    """The released code trains COCO by argmax of the multi-hot vector (methods.md, peculiarity 1)."""
    labels = np.zeros((1, CLASSES))
    labels[0, [0, 2]] = 1
    pulled = -gradient(build("orthohash"), random((1, BITS)), labels)[0]
    lowest_only = -gradient(build("orthohash"), random((1, BITS)), np.eye(CLASSES)[:1])[0]
    assert not np.allclose(pulled, lowest_only)


def test_the_codebook_is_saved_and_moved_but_not_learnt():
    method = build("orthohash")
    assert "book" in method.state_dict()
    assert all(parameter is not method.codewords() for parameter in method.parameters())
    assert set(np.unique(method.codewords().numpy())) == {-1.0, 1.0}


def test_head_is_linear_without_bias_and_batch_norm():
    method = build("orthohash", features=500, bits=64)
    linear, norm = method.head
    assert linear.bias is None and float(linear.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert isinstance(norm, torch.nn.BatchNorm1d) and norm.affine and norm.momentum == 0.1


def test_unknown_hyper_parameters_are_refused():
    with pytest.raises(BitseekError, match=r"no 'margn'.*margin, margin_type"):
        build("orthohash", margn=0.1)
    with pytest.raises(BitseekError, match=r"margin_type .*'cosine'.*'cos' or 'arc'"):
        build("orthohash", margin_type="cosine")
    with pytest.raises(BitseekError, match=r"scale .*'big'.*number.* or .*'sqrt'"):
        build("orthohash", scale="big")
