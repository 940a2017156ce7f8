"""Auto-encoding twin-bottleneck hashing."""

import math

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, terms_of
from tests.methods.oracles import mean, softplus
from tests.methods.oracles_classification import BITS, FEATURES, affine_rows, numeric_gradient, random, tensor

from bitseek.methods.tbh import discrimination, graph_weights

SIZES = {"six": 6, "two": 2, "one": 1}
BOTTLENECK = 4
MODES = {"training": True, "evaluation": False}


def make(**recipe):
    return build("tbh", classes=0, width=7, bottleneck=BOTTLENECK, **recipe)


def sigmoid(u):
    return 1 / (1 + np.exp(-u))


def raw(method):
    """A copy of the parameters by name: training and the slow loop cannot change each other's."""
    return {name: values.numpy().copy() for name, values in method.state_dict().items()}


def layer(arrays, name, rows):
    return affine_rows(arrays[f"{name}.weight"], arrays[f"{name}.bias"], rows)


def slow_hidden(arrays, features):
    return np.maximum(layer(arrays, "head.0", features), 0)


def slow_weights(bits):
    """The Hamming distance is x + y − 2 x y of each bit, since |x − y| has no gradient where two bits are equal.

    That of an item from itself is 0 for bits, but has a gradient as well, as in the loss.
    """
    b = range(len(bits))
    distances = [[mean(x + y - 2 * x * y for x, y in zip(bits[i], bits[j], strict=True)) for j in b] for i in b]
    edges = [[(1 - d) ** 1.4 for d in row] for row in distances]
    degrees = [sum(row) for row in edges]
    return np.array([[edges[i][j] / math.sqrt(degrees[i] * degrees[j]) for j in b] for i in b])


def slow_found(arrays, bits, features):
    """What either critic judges: z, and R' of the graph."""
    values = layer(arrays, "convolution", layer(arrays, "real_valued", slow_hidden(arrays, features)))
    return {"critic_of_bits": bits, "critic_of_values": sigmoid(slow_weights(bits) @ values)}


def slow(arrays, bits, features, drawn, fixed=None):
    """The terms with λ = 0.5.

    Args:
        drawn: what either critic is to tell from what is found.
        fixed: (arrays, bits) that are constant where the loss stops the gradient: a critic learns to tell from what was
            found with them, and what is found is judged by the critics in them.
    """
    found = slow_found(arrays, bits, features)
    judges, judged = (fixed[0], slow_found(*fixed, features)) if fixed else (arrays, found)
    doubt = 0.0
    for critic in found:
        doubt += mean(softplus(t) for t in layer(arrays, critic, judged[critic]).ravel())
        doubt += mean(softplus(-t) for t in layer(arrays, critic, drawn[critic]).ravel())
        doubt += mean(softplus(-t) for t in layer(judges, critic, found[critic]).ravel())
    inner = np.maximum(layer(arrays, "decoder.0", found["critic_of_values"]), 0)
    restored = layer(arrays, "decoder.2", inner)
    error = mean(sum((a - x) ** 2) / 2 for a, x in zip(restored, features, strict=True))
    return {"reconstruction": error, "adversarial": 0.5 * doubt}


def draw(size, training, seed=5):
    """Thresholds of the neurons and what the critics are shown, in the order of the loss; means in evaluation."""
    torch.manual_seed(seed)
    shapes = [(size, width) for width in (BITS, BITS, BOTTLENECK)]
    values = [torch.rand(shape, dtype=torch.float64).numpy() if training else np.full(shape, 0.5) for shape in shapes]
    torch.manual_seed(seed)  # the loss comes next, and draws the same
    threshold, fair, uniform = values
    fair = (fair > 0.5).astype(float) if training else fair
    return threshold, {"critic_of_bits": fair, "critic_of_values": uniform}


@pytest.mark.parametrize("training", MODES.values(), ids=MODES)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_loss_is_that_of_a_slow_loop_with_the_same_draws(size, training):
    method, logits = make(adversarial=0.5).train(training), random((size, BITS))
    features = random((size, FEATURES), seed=4)
    threshold, drawn = draw(size, training)
    bits = (sigmoid(logits) >= threshold).astype(float)
    expected = slow(raw(method), bits, features, drawn)
    assert terms_of(method, logits, np.zeros((size, 0)), features) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("training", MODES.values(), ids=MODES)
def test_gradient_of_the_logits_and_of_all_parameters_is_that_of_a_slow_loop(training):
    """The thresholds and what is drawn are constants.

    The gradient passes the bits, z = Z + σ(u) − σ(u'), as if Z = [σ(u) ≥ ε] and u' = u were constants: z is Z, and its
    derivative that of σ(u). The logits come from the head, whose parameters so have a gradient from both bottlenecks.
    """
    method, features = make(adversarial=0.5).train(training), random((6, FEATURES), seed=4)
    start = raw(method)
    first_logits = layer(start, "head.2", slow_hidden(start, features))
    threshold, drawn = draw(6, training)
    bits = (sigmoid(first_logits) >= threshold).astype(float)
    # At distance K central differences of (1 − d / K)^1.4 are off by the 0.4th power of their step.
    assert (slow_weights(bits) > 0).all() and 0 < bits.mean() < 1

    logits = method.head(tensor(features))
    logits.retain_grad()
    terms = method.loss(batch_of(logits, np.zeros((6, 0)), features))
    sum(terms.values()).backward()
    found = {"logits": logits.grad} | {name: values.grad for name, values in method.named_parameters()}

    def total(name, array):
        arrays = start | {name: array}
        own = array if name == "logits" else layer(arrays, "head.2", slow_hidden(arrays, features))
        passed = bits + sigmoid(own) - sigmoid(first_logits)
        return sum(slow(arrays, passed, features, drawn, fixed=(start, bits)).values())

    assert total("logits", first_logits) == pytest.approx(float(sum(terms.values()).detach()), rel=1e-6)
    for name, values in (start | {"logits": first_logits}).items():
        expected = numeric_gradient(lambda array: total(name, array), values)  # noqa: B023
        assert found[name].numpy() == pytest.approx(expected, rel=1e-6, abs=1e-6), name
        assert np.abs(expected).max() > 1e-4, name


def test_the_graph_joins_items_with_near_codes():
    bits = tensor(np.array([[1, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0.0]]))
    assert graph_weights(bits, 1.4).numpy() == pytest.approx(slow_weights(bits.numpy()))
    assert graph_weights(bits, 1.4)[0, 2] == 0
    soft = tensor(np.random.default_rng(0).random((4, 3)), grad=True)
    assert graph_weights(soft, 1.4).detach().numpy() == pytest.approx(slow_weights(soft.detach().numpy()))
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
