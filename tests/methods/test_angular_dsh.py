"""Angular DSH."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, check_gradient, check_loss, terms_of
from tests.methods.oracles import mean
from tests.methods.oracles_classification import BITS, CLASSES, LABELS, cosine, cross_entropy, random, tensor


def slow_distances(directions):
    lengths = [math.sqrt(sum(x * x for x in w)) for w in directions]
    k = len(directions[0])
    codes = [[math.tanh(math.sqrt(k) * x / n) for x in w] for w, n in zip(directions, lengths, strict=True)]
    pairs = [(a, b) for i, a in enumerate(codes) for b in codes[i + 1 :]]
    return [(1 - sum(x * y for x, y in zip(a, b, strict=True)) / k) / 2 for a, b in pairs]


def slow(method, logits, labels, kind):
    directions = method.directions.detach().numpy()
    scores = np.zeros((len(logits), CLASSES))
    for i, c in np.ndindex(scores.shape):
        value, margin = cosine(logits[i], directions[c]), 0.3 * labels[i, c]
        scores[i, c] = 10 * (value - margin if kind == "cos" else math.cos(math.acos(value) + margin))
    distances = slow_distances(directions)
    return {
        "cosine": cross_entropy(scores, labels),
        "distance": -0.5 * mean(distances),
        "variance": 2 * mean((d - mean(distances)) ** 2 for d in distances),
    }


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("kind", ["cos", "arc"])
def test_loss_is_that_of_a_slow_loop(case, kind):
    labels, method = LABELS[case], build("angular-dsh", margin=0.3, margin_type=kind, alpha=0.5, beta=2)
    logits = random((len(labels), BITS))
    check_loss(method, lambda u: slow(method, u, labels, kind), logits, labels)
    check_gradient(method, logits, labels)


def test_the_distances_between_classes_follow_their_directions():
    """cisip-FIRe takes tanh of unit vectors: opposite classes are K / 2 + ½ bits apart there, equal ones K / 2 − ½."""
    method = build("angular-dsh", bits=64, classes=2, alpha=1.0, beta=1.0)
    measured = []
    for second in (1.0, -1.0):
        with torch.no_grad():
            method.directions.copy_(tensor(np.array([np.ones(64), second * np.ones(64)])))
        terms = terms_of(method, random((2, 64)), np.eye(2))
        measured.append(-terms["distance"])
        assert terms["variance"] == 0  # of one pair of classes; divided by 0 elsewhere
    assert measured[1] - measured[0] == pytest.approx(math.tanh(1) ** 2)


def test_the_regularisers_spread_the_directions():
    method = build("angular-dsh", alpha=1.0, beta=1.0)
    before = slow_distances(method.directions.detach().numpy())
    optimiser = torch.optim.Adam(method.parameters(), 0.05)
    for _ in range(100):
        optimiser.zero_grad()
        terms = method.loss(batch_of(random((6, BITS)), LABELS["none_labelled"].repeat(2, 0)))
        (terms["distance"] + terms["variance"]).backward()
        optimiser.step()
    after = slow_distances(method.directions.detach().numpy())
    assert min(after) > min(before) + 0.1
