"""Deep hashing network."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import build, check_gradient, gradient, terms_of
from tests.methods.oracles import bank_list, batch_list, likelihood, mean
from tests.methods.oracles_classification import BITS, LABELS, numeric_gradient, random

from bitseek.methods.dhn import log_cosh


def quantisation(codes):
    return mean(math.log(math.cosh(abs(x) - 1)) for x in np.ravel(codes))


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    codes = np.tanh(logits)
    assert terms_of(build("dhn"), logits, labels) == pytest.approx(
        {"likelihood": likelihood(batch_list(codes, labels), 1), "quantisation": 0.1 * quantisation(codes)}
    )


@pytest.mark.parametrize("case", LABELS)
def test_the_re_implementation_with_a_bank_and_without_tanh(case):
    method, rows = build("dhn", activation="none", scale=0.5, memory=True, quantisation=0.3), {}
    for seed, labels in enumerate([LABELS["several"], LABELS[case]]):
        logits, index = random((len(labels), BITS), seed=seed), range(len(labels))
        rows |= {i: (logits[i], labels[i]) for i in index}
        terms = terms_of(method, logits, labels)
        assert terms["likelihood"] == pytest.approx(likelihood(bank_list(logits, labels, index, rows), 0.5))
    slow = numeric_gradient(
        lambda u: likelihood(bank_list(u, labels, index, rows), 0.5) + 0.3 * quantisation(u), logits
    )
    assert gradient(method, logits, labels) == pytest.approx(slow, abs=1e-6)


@pytest.mark.parametrize("case", LABELS)
def test_gradient(case):
    labels = LABELS[case]
    check_gradient(build("dhn"), random((len(labels), BITS)), labels)


def test_log_cosh_where_cosh_overflows():
    values = torch.tensor([-1e4, -3.0, 0.0, 0.5, 1e4], dtype=torch.float64)
    expected = [1e4 - math.log(2), math.log(math.cosh(3)), 0, math.log(math.cosh(0.5)), 1e4 - math.log(2)]
    assert log_cosh(values).tolist() == pytest.approx(expected)


def test_the_code_is_the_sign_of_the_logits():
    """The tanh is in the loss; the head gives what it gives."""
    method = build("dhn")
    features = torch.from_numpy(random((9, 6)))
    logits = method.head(features)
    assert torch.allclose(logits, features @ method.head.weight.T + method.head.bias)
    assert torch.equal(logits >= 0, logits.tanh() >= 0)
