"""Plain cross-entropy."""

import pytest
from tests.methods.harness import build, check_gradient, terms_of
from tests.methods.oracles_classification import BITS, LABELS, affine, cross_entropy, random


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS[case], build("ce")
    logits = random((len(labels), BITS))
    expected = cross_entropy(affine(method.classifier, logits), labels)
    assert terms_of(method, logits, labels) == pytest.approx({"classification": expected})


@pytest.mark.parametrize("case", ["single", "several", "unlabelled", "none_labelled", "one_item"])
def test_gradient(case):
    check_gradient(build("ce"), random((len(LABELS[case]), BITS)), LABELS[case])
