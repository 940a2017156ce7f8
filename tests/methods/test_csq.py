"""Central similarity quantisation."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import build, check_gradient, gradient, terms_of
from tests.methods.oracles import batch_list, likelihood
from tests.methods.oracles_classification import BITS, LABELS, one_hot, random, tensor


def slow_centre(y, book, filling):
    centre = []
    for k in range(book.shape[1]):
        votes = sum(book[c, k] for c in range(len(y)) if y[c])
        centre.append(filling[k] if votes == 0 else math.copysign(1, votes))
    return centre


def slow(logits, labels, book, filling):
    total, labelled = 0.0, 0
    for u, y in zip(logits, labels, strict=True):
        if y.sum() == 0:
            continue
        labelled += 1
        for k, c in enumerate(slow_centre(y, book, filling)):
            p = (math.tanh(u[k]) + 1) / 2
            t = (c + 1) / 2
            total -= (t * math.log(p) + (1 - t) * math.log(1 - p)) / len(u)
    return total / max(labelled, 1)


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("csq", quantisation=0.3)
    logits = random((len(labels), BITS))
    expected = {
        "centre": slow(logits, labels, method.book.numpy(), method.filling.numpy()),
        "quantisation": 0.3 * np.mean([(abs(math.tanh(u)) - 1) ** 2 for u in logits.ravel()]),
    }
    assert terms_of(method, logits, labels) == pytest.approx(expected)


@pytest.mark.parametrize("case", LABELS)
def test_gradient(case):
    labels = LABELS[case]
    check_gradient(build("csq", quantisation=0.3), random((len(labels), BITS)), labels)


@pytest.mark.parametrize("case", LABELS)
def test_the_pairs_of_the_released_code_are_an_option(case):
    labels, method = LABELS[case], build("csq", pairwise=0.4)
    logits = random((len(labels), BITS))
    expected = 0.4 * likelihood(batch_list(np.tanh(logits), labels), 10 / BITS)
    assert terms_of(method, logits, labels)["likelihood"] == pytest.approx(expected)
    check_gradient(method, logits, labels)
    assert "likelihood" not in terms_of(build("csq"), logits, labels)


def test_several_classes_have_the_majority_of_their_centres_and_ties_one_fixed_filling():
    method = build("csq", bits=8, classes=4)
    book, filling = method.book.numpy(), method.filling.numpy()
    labels = one_hot(2, (0, 1), (0, 1, 3), (0, 1, 2, 3), (1, 2))
    centres = method.centres(tensor(labels)).numpy()
    assert (centres == np.array([slow_centre(y, book, filling) for y in labels])).all()
    assert (centres[0] == book[2]).all()
    tied = book[0] + book[1] == 0
    assert tied.any()
    assert (centres[1][tied] == filling[tied]).all()
    assert (method.centres(tensor(labels)).numpy() == centres).all(), "the filling is the same in every step"
    other = build("csq", bits=8, classes=4, seed=9)
    other.load_state_dict(method.state_dict())
    assert (other.centres(tensor(labels)).numpy() == centres).all(), "and after loading"


@pytest.mark.parametrize(("bits", "classes"), [(12, 10), (48, 21), (5, 4), (16, 81), (100, 10), (1, 2)])
def test_any_number_of_bits(bits, classes):
    """Hadamard centres of the references need a power of two."""
    book = build("csq", bits=bits, classes=classes, hidden_layers=0).codewords()
    assert book.shape == (classes, bits)
    assert len(np.unique(book.numpy(), axis=0)) == classes


def test_centres_are_hadamard_by_default():
    """cisip-FIRe draws Bernoulli centres under this name."""
    book = build("csq", bits=16, classes=10).codewords()
    assert (book @ book.T == 16 * torch.eye(10)).all()


def test_saturated_bits_keep_a_finite_loss_and_a_gradient():
    """tanh is exactly 1 from 20 on: the logarithm of 1 − tanh would be −∞, and a clamp would have no gradient."""
    method = build("csq", quantisation=0.0)
    logits = -1e4 * method.codewords().numpy()[1][None]
    assert terms_of(method, logits, LABELS["one_item"])["centre"] == pytest.approx(2e4)
    assert (np.abs(gradient(method, logits, LABELS["one_item"])) > 0).all()


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_head_has_the_layers_asked_for(layers):
    method = build("csq", hidden_layers=layers)
    assert sum(isinstance(module, torch.nn.Linear) for module in method.head.modules()) == layers + 1
    assert method.head(tensor(random((3, 6)))).shape == (3, BITS)
