"""The schedule against a loop over the epochs, and who learns at which rate."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bitseek.methods import METHODS, Recipe, Task, make_recipe
from bitseek.training._optimiser import learning_rate, make_optimiser, set_learning_rate


def slow_rates(lr, epochs, drop_at, drop_by):
    """One rate an epoch: walk through the epochs, and multiply when a drop is reached."""
    rates, rate = [], lr
    waiting = sorted(share * epochs for share in drop_at)
    for epoch in range(epochs):
        while waiting and epoch >= int(waiting[0] + 1e-6):
            waiting.pop(0)
            rate *= drop_by
        rates.append(rate)
    return rates


@given(
    st.integers(1, 300),
    st.lists(st.floats(0.01, 1.0), max_size=6).map(tuple),
    st.floats(0.05, 1.0),
)
def test_the_rate_drops_at_each_share(epochs, drop_at, drop_by):
    recipe = Recipe(lr=0.5, epochs=epochs, drop_at=drop_at, drop_by=drop_by)
    fast = [learning_rate(recipe, epoch) for epoch in range(epochs)]
    assert fast == pytest.approx(slow_rates(0.5, epochs, drop_at, drop_by))


@pytest.mark.parametrize(
    "epochs, drop_at, drop_by, expected",
    [
        (5, (0.8,), 0.1, [1, 1, 1, 1, 0.1]),
        (3, (), 0.1, [1, 1, 1]),
        (4, (0.5, 0.75), 0.5, [1, 1, 0.5, 0.25]),
        (1, (0.8,), 0.1, [0.1]),  # ⌊0.8 · 1⌋ = 0: all of one epoch
        (2, (1.0,), 0.1, [1, 1]),
    ],
)
def test_known_schedules(epochs, drop_at, drop_by, expected):
    recipe = Recipe(lr=1.0, epochs=epochs, drop_at=drop_at, drop_by=drop_by)
    assert [learning_rate(recipe, epoch) for epoch in range(epochs)] == pytest.approx(expected)


def test_a_step_schedule_drops_after_every_tenth_epoch_whatever_the_rounding():
    """CSQ: × 0.7 after every 10 of 90 epochs. 7 / 9 of 90 is 70, though not in floating point for each such share."""
    recipe = Recipe(lr=1.0, epochs=90, drop_at=tuple(i / 9 for i in range(1, 9)), drop_by=0.7)
    assert [learning_rate(recipe, epoch) for epoch in range(90)] == pytest.approx([0.7 ** (e // 10) for e in range(90)])
    for whole in (7, 30, 90, 97):
        for part in range(1, whole):
            recipe = Recipe(lr=1.0, epochs=whole, drop_at=part / whole, drop_by=0.5)
            assert (learning_rate(recipe, part), learning_rate(recipe, part - 1)) == (0.5, 1.0)


def a_method(**recipe):
    cls = METHODS["ce"]
    return cls(Task(features=6, bits=4, classes=3, items=9), cls.recipe_class(**recipe))


@pytest.mark.parametrize("name, kind", [("adam", "Adam"), ("sgd", "SGD"), ("rmsprop", "RMSprop")])
def test_head_classifier_and_backbone_learn_at_their_own_rates(name, kind):
    method, backbone = a_method(optimiser=name, lr=0.1, backbone_lr=0.25, weight_decay=1e-3), nn.Linear(2, 6)
    optimiser = make_optimiser(method, backbone, method.recipe)
    assert type(optimiser).__name__ == kind
    set_learning_rate(optimiser, 0.05)
    rate_of = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert {rate_of[id(p)] for p in backbone.parameters()} == {0.0125}
    assert {rate_of[id(p)] for p in [*method.head.parameters(), *method.classifier.parameters()]} == {0.05}
    assert len(rate_of) == len([*method.parameters(), *backbone.parameters()])
    assert all(group["weight_decay"] == 1e-3 for group in optimiser.param_groups)
    assert name != "sgd" or all(group["momentum"] == 0.9 for group in optimiser.param_groups)
    assert optimiser.param_groups[-1]["lr"] == 0.05, "the last group is the one that the log shows"


def test_a_frozen_backbone_has_no_group():
    method = a_method()
    (group,) = make_optimiser(method, None, method.recipe).param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in method.parameters()}


def test_adam_is_fused_for_a_head_alone():
    """Whose time its steps are; a whole network is trained to the weights that it was trained to before."""
    method = a_method()
    assert make_optimiser(method, None, method.recipe).param_groups[0]["fused"] is True
    assert not any(group["fused"] for group in make_optimiser(method, nn.Linear(2, 6), method.recipe).param_groups)


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if cls.by_gradient])
def test_what_a_method_learns_lies_in_memory_as_its_gradients_do(name):
    """Or Adam, fused, would pair a parameter with the gradient of another place."""
    cls = METHODS[name]
    method = cls(Task(features=24, bits=16, classes=6, items=40), make_recipe(cls, {}, frozen=True))
    assert all(parameter.is_contiguous() for parameter in method.parameters())


def test_sgd_steps_as_the_formula_says():
    method = a_method(optimiser="sgd", lr=0.1, weight_decay=0.01)
    weight = method.head.weight
    optimiser = make_optimiser(method, None, method.recipe)
    expected, velocity = weight.detach().clone(), torch.zeros_like(weight)
    for epoch in range(3):
        set_learning_rate(optimiser, 0.1 / (epoch + 1))
        optimiser.zero_grad()
        (weight**2).sum().backward()
        optimiser.step()
        velocity = 0.9 * velocity + 2 * expected + 0.01 * expected
        expected = expected - 0.1 / (epoch + 1) * velocity
    assert torch.allclose(weight, expected, atol=1e-6)
