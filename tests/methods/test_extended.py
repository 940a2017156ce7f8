"""What a recipe adds to any method: a second view, pairs of strangers, codewords that are assigned; and resuming."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from tests.methods.harness import build, check_gradient, check_loss, terms_of
from tests.methods.oracles import mean, share
from tests.methods.oracles_classification import (
    BITS,
    CLASSES,
    FEATURES,
    LABELS,
    cosine,
    numeric_gradient,
    one_hot,
    random,
    tensor,
)

import bitseek
from bitseek.errors import BitseekError
from bitseek.methods import METHODS, Task, make_method, make_recipe
from bitseek.methods._supervised import nearest_assignment

STRANGERS = {**LABELS, "strangers": one_hot((0, 1), (2, 3), (0, 2), (1, 3), 0, None)}


@pytest.mark.parametrize("name", ["orthohash", "csq", "hashnet", "greedyhash"])
@pytest.mark.parametrize("case", ["single", "unlabelled", "one_item"])
def test_a_second_view_learns_the_code_of_the_first(name, case):
    labels, method = LABELS[case], build(name, second_view=0.3)
    n = len(labels)
    logits = random((2 * n, BITS))
    terms = terms_of(method, logits, labels)
    alone = terms_of(build(name), logits[:n], labels)
    distances = [1 - cosine(np.tanh(w), np.tanh(u)) for u, w in zip(logits[:n], logits[n:], strict=True)]
    assert terms == pytest.approx(alone | {"second_view": 0.3 * mean(distances)}, rel=1e-9)
    assert method.augments == (method.recipe.augment, "views")


def test_its_gradient_goes_to_the_second_view_alone():
    labels, method = LABELS["single"], build("orthohash", second_view=0.3)
    logits = random((12, BITS))
    taught = np.tanh(logits[:6])

    def slow(u):
        alone = terms_of(build("orthohash"), u[:6], labels)
        distances = [1 - cosine(np.tanh(w), v) for w, v in zip(u[6:], taught, strict=True)]
        return alone | {"second_view": 0.3 * mean(distances)}

    check_loss(method, slow, logits, labels)
    assert (numeric_gradient(lambda u: slow(u)["cosine"], logits)[6:] == 0).all()


@pytest.mark.parametrize("name", ["orthohash", "dch", "csq"])
@pytest.mark.parametrize("case", STRANGERS)
def test_strangers_are_pushed_apart_up_to_zeta(name, case):
    labels, method = STRANGERS[case], build(name, strangers=0.4, zeta=0.1)
    logits = random((len(labels), BITS))
    logits[1:2] = 0.5 * logits[:1] + 0.3
    several = [i for i, y in enumerate(labels) if sum(y) > 1]
    pairs = [(i, j) for i, j in itertools.combinations(several, 2) if not share(labels[i], labels[j])]
    hinges = mean(max(cosine(logits[i], logits[j]) - 0.1, 0) for i, j in pairs)
    terms = terms_of(method, logits, labels)
    assert terms == pytest.approx(terms_of(build(name), logits, labels) | {"strangers": 0.4 * hinges}, rel=1e-9)
    check_gradient(method, logits, labels)


def test_it_is_the_pair_term_of_hyp2():
    labels, logits = STRANGERS["strangers"], np.tile(random((1, BITS)), (6, 1))
    added = terms_of(build("hyp2", beta=0, strangers=0.5, zeta=0.2), logits, labels)
    own = terms_of(build("hyp2", beta=0.5, zeta=0.2), logits, labels)
    assert added["strangers"] == pytest.approx(own["pairs"]) and own["pairs"] > 0


def refused(name, **recipe):
    task = Task(features=FEATURES, bits=BITS, classes=CLASSES, items=12)
    with pytest.raises(BitseekError) as error:
        make_method(METHODS[name], task, make_recipe(METHODS[name], recipe))
    return str(error.value)


def test_what_a_method_cannot_have_is_refused():
    assert "two views of its own" in refused("cibhash", second_view=0.1)
    assert "one view" in refused("itq", second_view=0.1)
    assert "several classes" in refused("bihalf-unsupervised", strangers=0.5)
    assert "several classes" in refused("lsh", strangers=0.5)


# --- assignment -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_assignment_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    means, words = rng.normal(size=(5, 6)), rng.choice([-1.0, 1.0], (5, 6))
    found = nearest_assignment(tensor(means), tensor(words)).numpy()
    best = max(sum(means[c] @ words[order[c]] for c in range(5)) for order in itertools.permutations(range(5)))
    assert sorted(found) == list(range(5))
    assert (means * words[found]).sum() == pytest.approx(best)
    shifted = nearest_assignment(tensor(means + 7 * rng.normal(size=6)), tensor(words)).numpy()
    assert (means * words[shifted]).sum() == pytest.approx(best)  # what all classes have in common plays no part


def test_too_many_classes_are_told():
    with pytest.raises(BitseekError, match=r"10000 classes at most; there are 10001.*drawn"):
        nearest_assignment(torch.zeros(10_001, 1), torch.zeros(10_001, 1))


@pytest.mark.parametrize("name", ["orthohash", "relahash", "dpn", "csq", "mds"])
def test_before_training_each_class_gets_the_nearest_codeword(name):
    drawn, method = build(name, bits=12), build(name, bits=12, assignment="nearest")
    assert method.prepares and not drawn.prepares
    rng = np.random.default_rng(0)
    labels = np.eye(CLASSES)[rng.integers(0, CLASSES, 40)]
    features = rng.normal(size=(40, FEATURES)) + 3 * labels @ rng.normal(size=(CLASSES, FEATURES))
    norm = {key: value.clone() for key, value in method.head.state_dict().items()}
    method.prepare(tensor(features), tensor(labels), torch.arange(40))
    words, before = method.codewords().numpy(), drawn.codewords().numpy()
    assert sorted(map(tuple, words)) == sorted(map(tuple, before))
    method.head.eval()
    logits = method.head(tensor(features)).detach().numpy()
    units = logits / np.linalg.norm(logits, axis=1, keepdims=True)
    means = np.array([units[labels[:, c] == 1].mean(axis=0) for c in range(CLASSES)])
    best = max(
        sum(means[c] @ before[order[c]] for c in range(CLASSES)) for order in itertools.permutations(range(CLASSES))
    )
    assert (means * words).sum() == pytest.approx(best)
    assert all(torch.equal(norm[key], value) for key, value in method.head.state_dict().items())


# --- in a training ----------------------------------------------------------------------------------------------------


class Killed(Exception):
    """As if the process had ended here."""


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("orthohash", {"lengths": (8,), "second_view": 0.1, "assignment": "nearest", "length_weights": "dominance"}),
        ("dhd", {"lengths": (8,), "length_distillation": 0.1}),
    ],
)
def test_a_killed_training_resumes_to_the_same_codes(name, recipe, tmp_path):
    digits = bitseek.load_protocol("digits")
    options = {
        "protocol": dataclasses.replace(digits, train=digits.train[::5], origin=None),
        "bits": 16, "backbone": "small-cnn", "size": 8, "epochs": 2, "batch_size": 80, "seed": 5, "device": "cpu",
        "weights": None,
    } | recipe  # fmt: skip
    whole = bitseek.train(name, out=tmp_path / "whole", **options)

    def kill(state):
        if state["step"] >= 4:
            raise Killed

    with pytest.raises(Killed):
        bitseek.train(name, out=tmp_path / "killed", checkpoint_seconds=0.0, progress=kill, **options)
    bitseek.train(name, out=tmp_path / "killed", resume=True, **options)
    images = digits.pool.images.rows(digits.query[:40])
    expected = whole.logits(images)
    assert len(np.unique(expected, axis=0)) > 1
    for run in ("whole", "killed"):
        assert np.array_equal(bitseek.load(tmp_path / run).logits(images), expected), run


def test_the_method_sees_the_features_of_its_training_items_before_the_first_step(monkeypatch):
    """Those of the backbone as it is, in the order of their numbers, whether the backbone is trained or frozen."""
    digits = bitseek.load_protocol("digits")
    data = dataclasses.replace(digits, train=digits.train[::9], origin=None)
    seen = {}
    for frozen in (False, True):

        def note(self, features, labels, index, frozen=frozen):
            seen[frozen] = (features, labels, index)

        monkeypatch.setattr(METHODS["shc"], "prepare", note)
        bitseek.train("shc", data, bits=8, backbone="small-cnn", weights=None, size=8, epochs=1, batch_size=64,
                      device="cpu", frozen=frozen)  # fmt: skip
    for trained, fixed in zip(seen[False], seen[True], strict=True):
        assert torch.allclose(trained, fixed, atol=1e-6)
    features, labels, index = seen[True]
    assert index.tolist() == list(range(len(data.train))) and len(features) == len(index)
    assert torch.equal(
        labels.argmax(dim=1), torch.from_numpy(np.asarray(data.pool.labels[data.train].multi_hot()).argmax(axis=1))
    )
