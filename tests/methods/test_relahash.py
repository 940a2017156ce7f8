"""RelaHash: relative position over the batch."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, gradient, terms_of
from tests.methods.oracles_classification import BITS, LABELS, cross_entropy, random, tensor

FACTORS = ["paper", "released"]


def slow(logits, labels, book, beta, margin, factor):
    """The formula of the paper, or of the released code, with b the number of rows."""
    b, bits = logits.shape
    mean = sum(logits[i, k] for i in range(b) for k in range(bits)) / (b * bits)
    frobenius = math.sqrt(sum((logits[i, k] - mean) ** 2 for i in range(b) for k in range(bits)))
    scale = math.sqrt(b * bits) if factor == "paper" else 1.0
    scores = np.zeros((b, len(book)))
    for i in range(b):
        for c in range(len(book)):
            relative = sum(scale * (logits[i, k] - mean) / frobenius * book[c, k] for k in range(bits))
            scores[i, c] = beta * (relative / math.sqrt(bits) - margin * labels[i, c])
    return cross_entropy(scores, labels)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case, factor):
    labels = LABELS[case]
    method = build("relahash", factor=factor, items=len(labels), beta=3.0, margin=0.4)
    logits = random((len(labels), BITS))
    expected = slow(logits, labels, method.codewords().numpy(), 3.0, 0.4, factor)
    assert terms_of(method, logits, labels) == pytest.approx({"relative": expected})


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("case", ["single", "several", "unlabelled", "none_labelled", "one_item"])
def test_gradient(case, factor):
    method = build("relahash", factor=factor, batch_size=6)
    check_gradient(method, random((len(LABELS[case]), BITS)), LABELS[case])


@pytest.mark.parametrize("factor", FACTORS)
def test_equal_logits_have_no_direction_and_no_nan(factor):
    labels, method = LABELS["single"], build("relahash", factor=factor, beta=3.0, margin=0.4)
    expected = cross_entropy(-3.0 * 0.4 * labels, labels)
    for value in (0.0, 2.0):
        logits = np.full((6, BITS), value)
        assert terms_of(method, logits, labels) == pytest.approx({"relative": expected})
        assert np.isfinite(gradient(method, logits, labels)).all()


def test_the_two_factors_are_one_family():
    """Without √(bK), β and m mean what β / √(bK) and m √(bK) mean with it."""
    labels, logits, root = LABELS["single"], random((6, BITS)), math.sqrt(6 * BITS)
    released = build("relahash", factor="released", batch_size=6, beta=8.0, margin=0.5)
    paper = build("relahash", factor="paper", batch_size=6, beta=8.0 / root, margin=0.5 * root)
    assert terms_of(released, logits, labels) == pytest.approx(terms_of(paper, logits, labels))


@pytest.mark.parametrize("factor", FACTORS)
def test_scores_do_not_shrink_with_the_number_of_rows(factor):
    """The released code divides by √b of the batch at hand: the same items twice would have other scores."""
    labels, logits = LABELS["several"], random((6, BITS))
    method = build("relahash", factor=factor, batch_size=6)
    twice = terms_of(method, np.concatenate([logits, logits]), np.concatenate([labels, labels]))
    assert twice == pytest.approx(terms_of(method, logits, labels))


@pytest.mark.parametrize("factor", FACTORS)
def test_in_evaluation_an_item_does_not_depend_on_its_batch(factor):
    labels, logits = LABELS["single"], random((6, BITS))
    method = build("relahash", factor=factor, batch_size=6)
    for _ in range(3):
        terms_of(method, logits + 0.3, labels)
    method.eval()
    alone = [terms_of(method, logits[i : i + 1], labels[i : i + 1])["relative"] for i in range(6)]
    assert terms_of(method, logits, labels)["relative"] == pytest.approx(np.mean(alone))
    assert len(set(np.round(alone, 6))) > 1


def test_running_averages_reach_the_batch_and_are_saved():
    labels, logits = LABELS["single"], random((6, BITS))
    method = build("relahash")
    for _ in range(300):
        terms_of(method, logits, labels)
    assert float(method.running_centre) == pytest.approx(logits.mean())
    assert float(method.running_variance) == pytest.approx(logits.var())
    assert {"book", "running_centre", "running_variance"} <= method.state_dict().keys()
    training = terms_of(method, logits, labels)
    assert terms_of(method.eval(), logits, labels) == pytest.approx(training)


def test_codes_come_from_the_running_statistics_of_batch_norm():
    method, features = build("relahash"), tensor(random((7, 6), seed=1, scale=2))
    with torch.no_grad():
        for _ in range(20):
            method.head(features)
        method.eval()
        together = method.head(features) >= 0
        alone = torch.cat([method.head(features[i : i + 1]) for i in range(7)]) >= 0
    assert torch.equal(together, alone)


def test_behind_batch_norm_the_whole_batch_is_that_of_the_norms_own_shift_and_scale():
    """Why the paper's score of an item does not depend on which other items came: μ and ‖·‖ follow from γ and β."""
    method = build("relahash")
    linear, norm = method.head
    with torch.no_grad():
        linear.weight.normal_()
        norm.weight.copy_(tensor([0.5, 1.0, 2.0, 1.5, 0.7]))
        norm.bias.copy_(tensor([0.1, -0.2, 0.3, 0.0, 0.4]))
        for seed in range(3):
            logits = method.head(tensor(random((50, 6), seed=seed)))
            mean = float(norm.bias.mean())
            assert float(logits.mean()) == pytest.approx(mean)
            expected = float((norm.weight**2 + (norm.bias - mean) ** 2).mean())
            assert float((logits - mean).square().mean()) == pytest.approx(expected, rel=1e-4)


def test_an_item_without_labels_adds_nothing():
    """The released code takes it for an item of every class."""
    assert terms_of(build("relahash"), random((3, BITS)), LABELS["none_labelled"]) == {"relative": 0.0}


def test_relative_position_has_mean_0_and_mean_square_1():
    method = build("relahash")
    relative = method.relative(batch_of(random((6, BITS)) * 3 + 5, LABELS["single"]).logits)
    assert float(relative.mean()) == pytest.approx(0, abs=1e-12)
    assert float(relative.square().mean()) == pytest.approx(1)
