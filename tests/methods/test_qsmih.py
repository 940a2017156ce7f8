"""QSMIH."""

import numpy as np
import pytest
from tests.methods.harness import build, check_gradient, check_loss, check_loss_with_bank, gradient, terms_of
from tests.methods.oracles import bank_list, batch_list, mean
from tests.methods.oracles_classification import BITS, LABELS, cosine, random


def slow(logits, pairs):
    share = mean(s for *_, s in pairs)
    closeness = [((1 + cosine(u, v)) / 2, s) for u, v, s in pairs]
    return {
        "information": mean(((y - 1) ** 2 if s else 0.0) + y**2 * share for y, s in closeness),
        "quantisation": 0.01 * mean(abs(abs(u) - 1) for u in np.ravel(logits)),
    }


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("qsmih")
    logits = random((len(labels), BITS))
    check_loss(method, lambda u: slow(u, batch_list(u, labels)), logits, labels)
    check_gradient(method, logits, labels)


@pytest.mark.parametrize("case", LABELS)
def test_pairs_with_the_memory_bank(case):
    def of_bank(logits, labels, index, rows):
        return slow(logits, bank_list(logits, labels, index, rows))

    check_loss_with_bank(build("qsmih", memory=True), of_bank, case)


def test_it_is_the_square_of_the_paper_less_a_constant():
    labels, logits = LABELS["several"], random((6, BITS))
    pairs = batch_list(logits, labels)
    paper = mean((s * (1 + cosine(u, v)) / 2 - 1) ** 2 for u, v, s in pairs)
    paper += mean(((1 + cosine(u, v)) / 2) ** 2 for u, v, _ in pairs) / (len(pairs) / sum(s for *_, s in pairs))
    dissimilar = mean(not s for *_, s in pairs)
    assert terms_of(build("qsmih"), logits, labels)["information"] == pytest.approx(paper - dissimilar)


def test_codes_of_plus_and_minus_one_cost_nothing():
    """On unit vectors, as in swuxyj's version, the regulariser is K − √K at the least for codes that use all bits."""
    codes = np.sign(random((6, BITS)))
    assert terms_of(build("qsmih"), codes, LABELS["single"])["quantisation"] == 0


def test_logits_that_are_all_zero_have_a_finite_gradient():
    assert np.isfinite(gradient(build("qsmih"), np.zeros((4, BITS)), LABELS["no_positive_pair"])).all()
