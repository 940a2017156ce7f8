"""What every method promises, for all of METHODS."""

import dataclasses
import json
from typing import get_args

import numpy as np
import pydantic
import pytest
import torch

import bitseek
from bitseek.errors import BitseekError
from bitseek.labels import Labels
from bitseek.methods import METHODS, Batch, Recipe, Task, make_head, make_method, make_recipe, method_class

FEATURES, BITS, CLASSES, ITEMS, SIZE = 12, 8, 5, 40, 20
EACH = pytest.mark.parametrize("name", METHODS)


def build(name, multi_label=False, **recipe):
    cls = METHODS[name]
    torch.manual_seed(0)
    classes = 0 if cls.card.labels == "none" else CLASSES
    task = Task(features=FEATURES, bits=BITS, classes=classes, items=ITEMS, multi_label=multi_label, seed=1)
    method = make_method(cls, task, make_recipe(cls, {"batch_size": SIZE, **recipe}))
    if method.prepares:
        method.prepare(features_of_all(), torch.from_numpy(labels_of_all(method, multi_label)), torch.arange(ITEMS))
    return method


def labels_of_all(method, several=False):
    """(N, C) multi-hot; every third item is without labels where items have several."""
    labels = np.zeros((ITEMS, method.task.classes), np.float32)
    if method.task.classes:
        labels[np.arange(ITEMS), np.arange(ITEMS) % CLASSES] = 1
        if several:
            labels = np.maximum(labels, np.random.default_rng(0).random(labels.shape) < 0.2)
            labels[::3] = 0
    return labels


def features_of_all():
    """(N, D)."""
    return torch.randn(ITEMS, FEATURES, generator=torch.Generator().manual_seed(3))


def batch_for(method, several=False, seed=0, size=None):
    """What training would show it: a batch of its own sampler, a little noise in each view."""
    labels = labels_of_all(method, several)
    index = torch.from_numpy(next(iter(method.sample(Labels.of(labels), np.random.default_rng(seed))))[:size])
    features = features_of_all()[index].repeat(method.views, 1)
    features = features + 0.1 * torch.randn(features.shape, generator=torch.Generator().manual_seed(seed))
    training = method.head.training
    method.head.train(training and len(features) > 1)  # batch norm refuses one item; training never gives it one
    logits = method.head(features)
    method.head.train(training)
    return Batch(
        logits=logits,
        features=features,
        labels=torch.from_numpy(labels)[index],
        index=index,
        progress=0.25,
    )


def fit(method):
    method.fit(features_of_all(), torch.from_numpy(labels_of_all(method)))


@EACH
def test_its_card_is_complete_and_it_is_explained(name):
    cls = METHODS[name]
    card = cls.card
    assert all(str(getattr(card, field.name)).strip() for field in dataclasses.fields(card))
    assert 1980 <= card.year <= 2026
    assert card.labels in get_args(type(card).__annotations__["labels"])
    assert not card.idea.endswith(".")
    assert cls.__doc__ and cls.__doc__ != cls.__base__.__doc__
    assert method_class(name) is cls


@EACH
def test_every_hyper_parameter_is_described_and_can_be_given_as_text(name):
    cls = METHODS[name]
    recipe = make_recipe(cls, {})
    assert isinstance(recipe, Recipe) and recipe == cls.recipe_class()
    for key, field in cls.recipe_class.model_fields.items():
        assert field.description, f"{key} is not described"
    values = recipe.model_dump()
    as_text = {key: "none" if value is None else str(value) for key, value in values.items()}
    assert make_recipe(cls, as_text) == recipe
    assert make_recipe(cls, values) == recipe
    assert make_recipe(cls, {"epochs": "7", "lr": "5e-1"}).model_dump() == values | {"epochs": 7, "lr": 0.5}


@EACH
def test_its_recipe_is_a_value_that_json_keeps(name):
    cls = METHODS[name]
    recipe = make_recipe(cls, {"drop_at": (1 / 3, 0.9)})
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        recipe.lr = 1.0
    written = json.loads(json.dumps(recipe.model_dump(mode="json")))
    assert make_recipe(cls, written) == recipe == cls.recipe_class(**written)
    assert hash(recipe) == hash(make_recipe(cls, written))


BEYOND = {
    "minimum": lambda bound: bound - 1,
    "exclusiveMinimum": lambda bound: bound,
    "maximum": lambda bound: bound + 0.01,
    "exclusiveMaximum": lambda bound: bound,
}


def impossible(schema):
    """Values that a field with this JSON schema must refuse."""
    if "anyOf" in schema:
        parts = [part for part in schema["anyOf"] if part["type"] != "null"]
        return [value for part in parts for value in impossible(part) if part["type"] != "string" or len(parts) == 1]
    if schema["type"] == "array":
        return [(0.5, value) for value in impossible(schema["items"])] + impossible(schema["items"])
    if schema["type"] in ("integer", "number"):
        assert {"minimum", "exclusiveMinimum"} & schema.keys(), "a number has a lower bound"
        return [beyond(schema[key]) for key, beyond in BEYOND.items() if key in schema] + ["many", "nan", "inf"]
    return ["nonsense"]


@EACH
def test_a_value_out_of_range_is_refused_with_its_name(name):
    cls = METHODS[name]
    for key, schema in cls.recipe_class.model_json_schema()["properties"].items():
        assert impossible(schema)
        for value in impossible(schema):
            with pytest.raises(BitseekError, match=rf"^{key} ") as error:
                make_recipe(cls, {key: value})
            assert repr(value) in str(error.value) and "\n" not in str(error.value)


WRONG = [
    *({"epochs": value} for value in (0, -3, 1.5, "many")),
    *({"batch_size": value} for value in (1, 0)),  # batch norm of one item is constant: nothing would be trained
    *({"lr": value} for value in (-1, 0, float("nan"), float("inf"), "fast")),
    *({"drop_at": value} for value in (5, 0, -0.1, "0.5,7", (0.5, 2))),
    *({"drop_by": value} for value in (0, 1.5)),
    *({key: -1e-9} for key in ("backbone_lr", "weight_decay")),
    {"optimiser": "best"},
    {"augment": "all"},
]


@EACH
def test_no_method_loosens_the_ranges_that_all_share(name):
    for values in WRONG:
        (key,) = values
        with pytest.raises(BitseekError, match=f"^{key} "):
            make_recipe(METHODS[name], values)


@EACH
def test_an_unknown_hyper_parameter_is_an_error_that_lists_the_known_ones(name):
    with pytest.raises(BitseekError, match=r"no 'nonsense'.*batch_size.*epochs"):
        make_recipe(METHODS[name], {"nonsense": 1})


@EACH
def test_it_says_what_labels_it_needs(name):
    cls = METHODS[name]
    task = Task(features=FEATURES, bits=BITS, classes=CLASSES, items=ITEMS, multi_label=True)
    without = dataclasses.replace(task, classes=0, multi_label=False)
    if cls.card.labels == "single":
        with pytest.raises(BitseekError, match="one class each"):
            cls(task)
    else:
        cls(task)
    if cls.card.labels == "none":
        cls(without)
    else:
        with pytest.raises(BitseekError, match="at least 2 classes"):
            cls(without)


@EACH
@pytest.mark.parametrize("several", [False, True], ids=["one-class", "several-classes"])
@pytest.mark.parametrize("size", [None, 2, 1], ids=["batch", "two", "one"])
def test_its_loss_terms_are_named_finite_and_train_the_head(name, several, size):
    cls = METHODS[name]
    if several and cls.card.labels == "single":
        pytest.skip("needs items with one class each")
    method = build(name, multi_label=several).train()
    if not cls.by_gradient:
        with pytest.raises(BitseekError, match="no loss"):
            method.loss(batch_for(method, several, size=size))
        return
    with pytest.raises(BitseekError, match="no fit"):
        fit(method)
    method.start_epoch(0)
    terms = method.loss(batch_for(method, several, size=size))
    assert terms
    for term_name, term in terms.items():
        assert term_name.isidentifier()
        assert term_name.islower()
        assert term.shape == ()
        assert torch.isfinite(term)
    sum(terms.values()).backward()
    for parameter_name, parameter in method.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), parameter_name
    if size is None:
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.head.parameters())
        lazy = [key for key, p in method.named_parameters() if p.grad is None]
        assert not lazy, f"these are never trained: {lazy}"


@EACH
def test_its_state_is_all_that_its_logits_and_its_loss_depend_on(name):
    """Saved after a few steps and loaded into a fresh method: the same logits, the same loss."""
    method = build(name).train()
    if METHODS[name].by_gradient:
        optimiser = torch.optim.Adam(method.parameters(), 0.05)
        method.start_epoch(0)
        for step in range(3):
            optimiser.zero_grad()
            sum(method.loss(batch_for(method, seed=step)).values()).backward()
            optimiser.step()
    else:
        fit(method)
    cls = METHODS[name]
    other = make_method(cls, dataclasses.replace(method.task, seed=99), method.recipe)
    other.load_state_dict({key: value.clone() for key, value in method.state_dict().items()})
    losses = []
    for module in (method, other):
        module.eval()
        with torch.no_grad():
            batch = batch_for(module, seed=7)
            losses.append(
                [float(term) for term in module.loss(batch).values()] if cls.by_gradient else batch.logits.tolist()
            )
    assert losses[0] == losses[1]
    features = torch.randn(20, FEATURES)
    assert torch.equal(method.head(features), other.head(features))
    head = make_head(cls, method.task, method.recipe).eval()
    head.load_state_dict(method.head.state_dict())
    assert torch.equal(head(features), method.head(features)), "a trained hasher is the head alone"


@EACH
def test_nothing_of_it_is_left_behind_on_another_device(name):
    """All tensors are parameters or buffers: on the device without data every one of them follows."""
    method = build(name).to("meta")
    for module in method.modules():
        for key, value in vars(module).items():
            assert not isinstance(value, torch.Tensor), f"{type(module).__name__}.{key} does not move with the method"
    assert {tensor.device.type for tensor in method.state_dict().values()} <= {"meta"}


@EACH
def test_it_draws_its_batches_from_the_generator_given(name):
    method = build(name)
    if not METHODS[name].by_gradient:
        return
    labels = Labels.of(np.arange(ITEMS) % CLASSES)
    first, same, other = (
        [batch.tolist() for batch in method.sample(labels, np.random.default_rng(seed))] for seed in (0, 0, 1)
    )
    assert first == same != other
    assert first
    assert all(0 <= item < ITEMS for batch in first for item in batch)


@EACH
def test_a_code_does_not_depend_on_its_batch(name):
    method = build(name)
    if not METHODS[name].by_gradient:
        fit(method)
    method.eval()
    features = torch.randn(9, FEATURES, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        together = method.head(features)
        alone = torch.cat([method.head(features[i : i + 1]) for i in range(9)])
    assert together.shape == (9, BITS)
    assert torch.allclose(together, alone, atol=1e-5)


class Killed(Exception):
    """As if the process had ended here."""


@pytest.fixture(scope="module")
def digits():
    return bitseek.load_protocol("digits")


@EACH
def test_a_killed_training_resumes_to_the_same_codes(name, digits, tmp_path):
    """A few steps on `digits`: trained whole; killed and resumed; saved and loaded. All give the same logits."""
    options = {
        "protocol": dataclasses.replace(digits, train=digits.train[::5], origin=None),
        "bits": BITS,
        "backbone": "small-cnn",
        "size": 8,
        "epochs": 2,
        "batch_size": 80,
        "seed": 5,
        "device": "cpu",
        "weights": None,
    }
    whole = bitseek.train(name, out=tmp_path / "whole", **options)

    def kill(state):
        if state["step"] >= 4:
            raise Killed

    if METHODS[name].by_gradient:
        with pytest.raises(Killed):
            bitseek.train(name, out=tmp_path / "killed", checkpoint_seconds=0.0, progress=kill, **options)
    bitseek.train(name, out=tmp_path / "killed", resume=METHODS[name].by_gradient, **options)
    images = digits.pool.images.rows(digits.query[:40])
    expected = whole.logits(images)
    assert len(np.unique(expected, axis=0)) > 1
    for run in ("whole", "killed"):
        assert np.array_equal(bitseek.load(tmp_path / run).logits(images), expected), run
