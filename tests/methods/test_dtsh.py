"""Deep supervised hashing with triplet labels."""

import numpy as np
import pytest
from tests.methods.harness import build, check_gradient, gradient, terms_of
from tests.methods.oracles import inner, mean, sign_error, softplus, triplets
from tests.methods.oracles_classification import BITS, LABELS, random


def slow(logits, labels, scale, margin, itself=False):
    of_anchor = [[] for _ in labels]
    for a, p, n in triplets(labels, both_ways=True, anchor_as_positive=itself):
        t = scale * inner(logits[a], logits[p]) - scale * inner(logits[a], logits[n]) - margin
        of_anchor[a].append(softplus(t) - t)
    return mean(mean(one) for one in of_anchor if one)


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    assert terms_of(build("dtsh"), logits, labels) == pytest.approx(
        {"likelihood": slow(logits, labels, 0.5, BITS / 2), "quantisation": sign_error(logits)}
    )


@pytest.mark.parametrize("case", LABELS)
def test_the_form_of_re_implementations(case):
    labels = LABELS[case]
    logits = random((len(labels), BITS))
    method = build("dtsh", scale=1.0, margin=5.0, anchor_as_positive=True)
    assert terms_of(method, logits, labels)["likelihood"] == pytest.approx(slow(logits, labels, 1, 5, itself=True))


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("itself", [False, True])
def test_gradient(case, itself):
    labels = LABELS[case]
    check_gradient(build("dtsh", anchor_as_positive=itself), random((len(labels), BITS)), labels)


def test_the_margin_is_half_the_bits():
    for bits in (12, 64):
        terms = terms_of(build("dtsh", bits=bits), np.zeros((6, bits)), LABELS["single"])
        assert terms["likelihood"] == pytest.approx(softplus(bits / 2))


def test_the_triplets_that_are_most_wrong_are_pushed_most():
    """Re-implementations clip t at −100 and leave these alone."""
    labels = np.eye(4)[[0, 0, 1]]
    logits = np.stack([np.full(BITS, 30.0), np.full(BITS, -30.0), np.full(BITS, 30.0)])
    push = gradient(build("dtsh", quantisation=0.0), logits, labels)
    assert (np.abs(push[1]) > 1).all()
    assert np.isfinite(push).all()
