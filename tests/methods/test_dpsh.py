"""Deep pairwise supervised hashing."""

import numpy as np
import pytest
from tests.methods.harness import build, check_gradient, gradient, terms_of
from tests.methods.oracles import bank_list, batch_list, likelihood, sign_error
from tests.methods.oracles_classification import BITS, ITEMS, LABELS, numeric_gradient, random


@pytest.mark.parametrize("case", LABELS)
def test_pairs_of_a_batch(case):
    """Unweighted: a known framework slips HashNet's weights in."""
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    terms = terms_of(build("dpsh", memory=False), logits, labels)
    assert terms["likelihood"] == pytest.approx(likelihood(batch_list(logits, labels), 0.5))


@pytest.mark.parametrize("case", LABELS)
def test_pairs_with_the_memory_bank(case):
    method, rows = build("dpsh"), {}
    for seed, labels in enumerate([LABELS["several"], LABELS[case]]):
        logits, index = random((len(labels), BITS), seed=seed), range(len(labels))
        rows |= {i: (logits[i], labels[i]) for i in index}
        terms = terms_of(method, logits, labels)
        assert terms["likelihood"] == pytest.approx(likelihood(bank_list(logits, labels, index, rows), 0.5))
    share = 10 * BITS / ITEMS
    slow = numeric_gradient(
        lambda u: likelihood(bank_list(u, labels, index, rows), 0.5) + share * sign_error(u), logits
    )
    assert gradient(method, logits, labels) == pytest.approx(slow, abs=1e-6)


def test_quantisation_of_the_paper_and_of_re_implementations():
    logits, labels = random((6, BITS)), LABELS["single"]
    summed_over_bits = sign_error(logits) * BITS
    assert terms_of(build("dpsh"), logits, labels)["quantisation"] == pytest.approx(10 / ITEMS * summed_over_bits)
    terms = terms_of(build("dpsh", quantisation=0.1, quantisation_over="bits"), logits, labels)
    assert terms["quantisation"] == pytest.approx(0.1 * sign_error(logits))


@pytest.mark.parametrize("case", LABELS)
def test_gradient(case):
    labels = LABELS[case]
    check_gradient(build("dpsh", memory=False), random((len(labels), BITS)), labels)


def test_huge_logits_do_not_overflow():
    logits = np.where(random((6, BITS)) > 0, 1e3, -1e3)
    assert np.isfinite(gradient(build("dpsh"), logits, LABELS["several"])).all()
