"""What is put in front of a head: by hand in NumPy, with every method, and through a whole run."""

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build, tensor
from tests.methods.oracles_classification import CLASSES, FEATURES, LABELS, random

import bitseek
from bitseek.data import Pool, Protocol
from bitseek.errors import BitseekError, RunError
from bitseek.images import Features
from bitseek.methods import METHODS, Task, forget_features, make_head, make_recipe

TAKES = [name for name, cls in METHODS.items() if cls.takes_front]
TASK = Task(features=FEATURES, bits=8, classes=CLASSES, items=12)
FRONT = {"standardise": True, "hidden": 12, "dropout": 0.25}


def weights(layer):
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def test_logits_are_those_by_hand():
    head = build("hashnet", bits=8, **FRONT).head
    norm, dropout, hidden, relu, last = head
    features = random((40, FEATURES)) * np.arange(1, FEATURES + 1) + 100
    head.train()(tensor(features))
    x = (features - features.mean(axis=0)) / np.sqrt(features.var(axis=0, ddof=1) + norm.eps)
    for layer in (hidden, last):
        weight, bias = weights(layer)
        x = x @ weight.T + bias
        x = np.maximum(x, 0) if layer is hidden else x
    assert head.eval()(tensor(features)).detach().numpy() == pytest.approx(x)
    assert dropout.p == 0.25 and hidden.out_features == 12 and isinstance(relu, torch.nn.ReLU)


@pytest.mark.parametrize(
    ("front", "layers"),
    [
        ({}, ["LinearHead"]),
        ({"dropout": 0.5}, ["LinearHead"]),
        ({"standardise": True}, ["BatchNorm1d", "LinearHead"]),
        ({"hidden": 3}, ["Linear", "ReLU", "LinearHead"]),
        ({"hidden": 3, "dropout": "0.5"}, ["Dropout", "Linear", "ReLU", "LinearHead"]),
    ],
)
def test_each_layer_is_there_if_it_was_asked_for(front, layers):
    head = make_head(METHODS["hashnet"], TASK, make_recipe(METHODS["hashnet"], front))
    found = list(head) if isinstance(head, torch.nn.Sequential) else [head]
    assert [type(layer).__name__ for layer in found] == layers


def test_with_nothing_in_front_the_weights_are_those_of_the_head_alone():
    torch.manual_seed(0)
    alone = METHODS["mds"].build_head(TASK, METHODS["mds"].recipe_class()).state_dict()
    torch.manual_seed(0)
    made = make_head(METHODS["mds"], TASK, METHODS["mds"].recipe_class()).state_dict()
    assert alone.keys() == made.keys() and all(torch.equal(alone[key], made[key]) for key in alone)


@pytest.mark.parametrize("name", TAKES)
def test_every_other_method_learns_through_it(name):
    cls = METHODS[name]
    method = build(name, bits=8, **FRONT)
    views, labels = method.views, np.zeros((6, 0)) if cls.card.labels == "none" else LABELS["single"]
    features = tensor(random((6 * views, FEATURES)))
    method.train()
    if method.prepares:
        method.prepare(features[:6], tensor(labels), torch.arange(6))
    method.start_epoch(0)
    loss = sum(method.loss(batch_of(method.head(features), labels, features)).values())
    if loss.requires_grad:
        loss.backward()
        hidden = next(layer for layer in method.head if isinstance(layer, torch.nn.Linear))
        assert torch.isfinite(hidden.weight.grad).all()
    assert method.head(features).shape == (6 * views, 8)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in TAKES])
@pytest.mark.parametrize("front", [{"standardise": True}, {"hidden": 3}])
def test_a_method_that_looks_into_its_head_or_fits_it_takes_none(name, front):
    with pytest.raises(BitseekError, match="asks for the features as they are: leave out hidden and standardise"):
        build(name, **front)
    build(name, dropout=0.5)


def test_statistics_begin_anew_where_they_are_those_of_all_batches():
    """Those of a head's own batch norm, a moving mean, do not."""
    head = build("orthohash", bits=8, **FRONT).head.train()
    head(tensor(random((20, FEATURES)) + 5))
    own = head[-1].running_mean.clone()
    assert head[0].num_batches_tracked == 1 and head[0].running_mean.abs().min() > 1
    forget_features(head)
    assert head[0].num_batches_tracked == 0 and not head[0].running_mean.any()
    assert torch.equal(head[-1].running_mean, own) and own.any()


def test_after_training_features_are_standardised_by_the_last_epoch():
    """A moving average would still be far from an offset after few steps."""
    head = build("hashnet", **FRONT).head.train()
    for shift in (0.0, 1e3):
        forget_features(head)
        batches = tensor(random((3, 8, FEATURES)) + shift)
        for batch in batches:
            head(batch)
    norm = head[0].eval()
    assert norm.running_mean.numpy() == pytest.approx(batches.mean(dim=(0, 1)).numpy())
    assert norm(batches.flatten(0, 1)).std(dim=0).numpy() == pytest.approx(np.ones(FEATURES), abs=0.2)


def test_few_steps_are_enough_for_standardised_features_that_share_an_offset():
    generator, labels = np.random.default_rng(0), np.tile(np.arange(4), 30)
    features = 3 * generator.normal(size=(4, 32))[labels] + generator.normal(size=(120, 32)) + 1e3
    pool, items = Pool(Features((features.astype(np.float32),)), labels, tuple("abcd")), np.arange(120)
    data = Protocol("offset", pool, items[:60], items[60:], items[60:])
    recipe = {"hidden": 12, "lr": 3e-3, "weights": None, "device": "cpu"}
    found = {on: bitseek.train("hashnet", data, bits=16, standardise=on, **recipe) for on in (True, False)}
    assert bitseek.evaluate(found[True], data).mAP > 0.95 and bitseek.evaluate(found[False], data).mAP < 0.5


def test_codewords_are_assigned_by_features_as_the_head_will_see_them():
    """Shared offsets are no reason for a codeword: the same order with them and without."""
    rng = np.random.default_rng(0)
    classes = np.arange(60) % CLASSES
    features = 3 * rng.normal(size=(CLASSES, FEATURES))[classes] + rng.normal(size=(60, FEATURES))
    orders = []
    for offset in (0.0, 1e4):
        torch.manual_seed(1)
        method = build("dpn", bits=8, assignment="nearest", standardise=True)
        method.prepare(tensor(features + offset), tensor(np.eye(CLASSES)[classes]), torch.arange(60))
        orders.append(method.order.tolist())
        wanted = tensor((features - features.mean(axis=0)) / features.std(axis=0, ddof=1))
        seen = method.head[0].eval()(tensor(features + offset))
        assert seen.numpy() == pytest.approx(wanted.numpy(), abs=1e-3)
    assert orders[0] == orders[1]


@pytest.mark.parametrize("hidden", [8, 9])
def test_a_hidden_layer_is_no_layer_of_bits(hidden):
    """Whose weights have as many rows as there are bits, or not."""
    with pytest.raises(BitseekError, match=r"linear layer of 8 outputs"):
        build("dnnh", bits=8, features=9, lengths=(4,), length_weights="dominance", hidden=hidden)
    method = build("hashnet", bits=8, lengths=(4,), length_weights="dominance", hidden=hidden, dropout=0.5)
    assert method.hash_weight() is method.head[-1].weight


def test_too_wide_a_layer_is_refused():
    with pytest.raises(BitseekError, match="less than or equal to 65536"):
        make_recipe(METHODS["hashnet"], {"hidden": 10**13})


def test_a_run_that_an_earlier_bitseek_wrote_with_other_names_is_told(tmp_path):
    """PCDH's `width` was `hidden`, which is a layer in front by now."""
    digits = bitseek.load_protocol("digits")
    settings = {"bits": 8, "backbone": "small-cnn", "size": 8, "frozen": True, "device": "cpu", "epochs": 1}
    bitseek.train("pcdh", digits, out=tmp_path / "run", width=16, **settings)
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"width"', '"dropout": 0, "hidden"').replace('"hidden": 0,', "", 1))
    with pytest.raises(RunError, match="does not fit this version of bitseek: PCDH asks for the features"):
        bitseek.load(tmp_path / "run")


def test_a_run_with_it_is_loaded_encoded_adapted_and_resumed(tmp_path):
    digits = bitseek.load_protocol("digits")
    settings = {"bits": 16, "backbone": "small-cnn", "size": 8, "frozen": True, "device": "cpu", "epochs": 3}
    front = {"standardise": True, "hidden": 32, "dropout": 0.5, "lengths": (8,)}
    run = tmp_path / "run"
    hasher = bitseek.train("orthohash", digits, out=run, **settings, **front)
    images = digits.pool.images.rows(digits.query[:50])
    again = bitseek.load(run)
    assert np.array_equal(again.encode(images).words, hasher.encode(images).words)
    assert not np.array_equal(again.adapted(images).logits(images), again.logits(images))
    assert bitseek.evaluate(again).mAP > 0.3  # 0.1 is chance
    recipe = again.config.full_recipe
    assert recipe.hidden == 32 and recipe.standardise and recipe.dropout == 0.5
    assert again.prefix(8).encode(images).bits == 8
