"""Auto-encoding twin-bottleneck hashing."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, terms_of
from tests.methods.oracles import mean, softplus
from tests.methods.oracles_classification import BITS, FEATURES, affine, numeric_gradient, random, tensor

from bitseek.methods.tbh import discrimination, graph_weights

SIZES = {"six": 6, "two": 2, "one": 1}


def make(**recipe):
    return build("tbh", classes=0, width=7, bottleneck=4, **recipe)


def slow_weights(bits):
    b = range(len(bits))
    edges = [[(1 - mean(abs(x - y) for x, y in zip(bits[i], bits[j], strict=True))) ** 1.4 for j in b] for i in b]
    degrees = [sum(row) for row in edges]
    return np.array([[edges[i][j] / math.sqrt(degrees[i] * degrees[j]) for j in b] for i in b])


def slow(method, bits, features, fair, uniform):
    hidden = np.maximum(affine(method.head[0], features), 0)
    values = affine(method.convolution, affine(method.real_valued, hidden))
    mixed = 1 / (1 + np.exp(-slow_weights(bits) @ values))
    restored = affine(method.decoder[2], np.maximum(affine(method.decoder[0], mixed), 0))
    critics, doubt = (method.critic_of_bits, method.critic_of_values), 0.0
    for critic, found, drawn in zip(critics, (bits, mixed), (fair, uniform), strict=True):
        doubt += mean(softplus(z) for z in affine(critic, found).ravel())
        doubt += mean(softplus(-z) for z in affine(critic, drawn).ravel())
        doubt += mean(softplus(-z) for z in affine(critic, found).ravel())
    error = mean(0.5 * sum((a - x) ** 2) for a, x in zip(restored, features, strict=True))
    return {"reconstruction": error, "adversarial": 0.5 * doubt}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_loss_in_evaluation_is_that_of_a_slow_loop(size):
    method, logits, features = make(adversarial=0.5).eval(), random((size, BITS)), random((size, FEATURES), seed=4)
    bits = (logits >= 0).astype(float)
    expected = slow(method, bits, features, np.full((size, BITS), 0.5), np.full((size, 4), 0.5))
    assert terms_of(method, logits, np.zeros((size, 0)), features) == pytest.approx(expected)


def test_loss_in_training_is_that_of_a_slow_loop_with_the_same_draws():
    method, logits, features = make(adversarial=0.5), random((6, BITS)), random((6, FEATURES), seed=4)
    torch.manual_seed(5)
    found = terms_of(method, logits, np.zeros((6, 0)), features)
    torch.manual_seed(5)
    threshold, fair, uniform = (torch.rand(6, width, dtype=torch.float64).numpy() for width in (BITS, BITS, 4))
    bits = (1 / (1 + np.exp(-logits)) >= threshold).astype(float)
    assert found == pytest.approx(slow(method, bits, features, (fair > 0.5).astype(float), uniform))


def test_the_gradient_passes_the_bits():
    method, logits, features = make(adversarial=0.0).eval(), random((4, BITS)), random((4, FEATURES), seed=4)
    bits, half = (logits >= 0).astype(float), (np.full((4, BITS), 0.5), np.full((4, 4), 0.5))
    values = tensor(logits, grad=True)
    sum(method.loss(batch_of(values, np.zeros((4, 0)), features)).values()).backward()
    p = tensor(bits, grad=True)
    hidden = torch.relu(method.head[0](tensor(features)))
    mixed = (graph_weights(p, 1.4) @ method.convolution(method.real_valued(hidden))).sigmoid()
    ((method.decoder(mixed) - tensor(features)).square().sum() / 8).backward()
    assert values.grad.abs().sum() > 0
    sigmoid = 1 / (1 + np.exp(-logits))
    assert values.grad.numpy() == pytest.approx(p.grad.numpy() * sigmoid * (1 - sigmoid))
    assert slow(method, bits, features, *half)["adversarial"] > 0


def test_the_graph_joins_items_with_near_codes():
    bits = tensor(np.array([[1, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0.0]]))
    assert graph_weights(bits, 1.4).numpy() == pytest.approx(slow_weights(bits.numpy()))
    assert graph_weights(bits, 1.4)[0, 2] == 0
    soft = tensor(np.random.default_rng(0).random((4, 3)), grad=True)
    assert torch.autograd.gradcheck(lambda z: graph_weights(z, 1.4), soft)


def test_a_critic_learns_to_tell_and_what_it_judges_to_be_taken_for_drawn():
    critic = torch.nn.Linear(3, 1).double()
    found, drawn = tensor(random((4, 3)), grad=True), tensor(random((4, 3), seed=1))
    discrimination(critic, found, drawn).backward()
    rows, weight, bias = found.detach().numpy(), critic.weight.detach().numpy()[0], float(critic.bias.detach())
    of_found = numeric_gradient(lambda f: mean(softplus(-(row @ weight + bias)) for row in f), rows)
    of_critic = numeric_gradient(
        lambda w: mean(softplus(f @ w + bias) for f in rows) + mean(softplus(-(d @ w + bias)) for d in drawn.numpy()),
        weight,
    )
    assert found.grad.numpy() == pytest.approx(of_found, abs=1e-6)
    assert critic.weight.grad.numpy()[0] == pytest.approx(of_critic, abs=1e-6)


def test_features_are_targets_and_negative_ones_can_be_restored():
    """With a ReLU after the decoder, as in the released code, no restored feature is below 0."""
    method = make()
    features = tensor(random((4, FEATURES)), grad=True)
    terms = method.loss(batch_of(tensor(random((4, BITS))), np.zeros((4, 0)), features))
    sum(terms.values()).backward()
    assert features.grad is None
    assert (method.decoder(tensor(random((50, 4)))) < 0).any()


def test_it_learns_to_restore_features():
    method = make(adversarial=0.1)
    features = tensor(4 * np.eye(FEATURES)[np.arange(40) % 4] + 0.1 * random((40, FEATURES)))
    optimiser, errors = torch.optim.Adam(method.parameters(), 0.01), []
    torch.manual_seed(0)
    for _ in range(200):
        optimiser.zero_grad()
        terms = method.loss(batch_of(method.head(features), np.zeros((40, 0)), features))
        sum(terms.values()).backward()
        optimiser.step()
        errors.append(float(terms["reconstruction"].detach()))
    assert errors[-1] < 0.5 * errors[0]
