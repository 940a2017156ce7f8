"""Which items are held out, what they are measured by, and which weights are kept."""

import dataclasses

import numpy as np
import pytest
import torch
from tests.training.helpers import FAST, Killed, history, kill_at, same_state, same_weights

from bitseek.codes import hamming_distances
from bitseek.data import Pool, Protocol
from bitseek.errors import BitseekError
from bitseek.images import Features
from bitseek.methods import METHODS
from bitseek.runs import encode
from bitseek.training import _loop, train
from bitseek.training._validation import Items, hold_out, validate, validation_epochs


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.9])
def test_the_training_items_are_cut_in_two(toy, share):
    kept, held = hold_out(toy, share, 0)
    assert len(held) == round(share * len(toy.train))
    assert sorted([*kept, *held]) == sorted(toy.train)
    for part in (kept, held):  # both in the order of the protocol
        places = [toy.train.tolist().index(i) for i in part]
        assert places == sorted(places)
    assert np.array_equal(hold_out(toy, share, 0)[1], held)
    assert not share or not np.array_equal(hold_out(toy, share, 1)[1], held)


@pytest.mark.parametrize("share", [-0.1, 1.0, 7.0])
def test_a_share_is_a_share(toy, share):
    with pytest.raises(BitseekError, match="share of the training items"):
        hold_out(toy, share, 0)


def test_about_ten_times_and_at_the_end():
    assert validation_epochs(3) == {1, 2, 3} and validation_epochs(1) == {1}
    assert validation_epochs(100) == set(range(10, 101, 10)) and 95 in validation_epochs(95)


def unlabelled(toy):
    return Protocol("mine", Pool(toy.pool.images, np.full(len(toy.pool), -1), ()), toy.train, toy.query, toy.database)


def all_different(toy):
    """Each training item is of a class of its own."""
    labels = np.full(len(toy.pool), -1)
    labels[toy.train] = np.arange(len(toy.train))
    names = tuple(map(str, range(len(toy.train))))
    return Protocol("mine", Pool(toy.pool.images, labels, names), toy.train, toy.query, toy.database)


@pytest.mark.parametrize("data", [unlabelled, all_different])
def test_validation_that_cannot_tell_weights_apart_is_refused_before_anything_is_written(toy, data, tmp_path):
    protocol = data(toy)
    with pytest.raises(BitseekError, match=r"none of them shares a label.*leave validation out"):
        train("bihalf-unsupervised", protocol, validation=0.1, out=tmp_path / "run", **FAST)
    assert not (tmp_path / "run").exists()
    train("bihalf-unsupervised", protocol, out=tmp_path / "run", **FAST)


def test_a_method_that_is_fitted_has_nothing_to_choose(toy, tmp_path):
    with pytest.raises(BitseekError, match="fitted in one go"):
        train("itq", toy, validation=0.1, out=tmp_path / "run", bits=8, size=8)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("k", [None, 5])
@pytest.mark.parametrize("denominator", ["retrieved", "relevant", "min"])
def test_the_score_is_the_mean_average_precision_of_the_protocol(toy, several, k, denominator):
    """Against the definition, as the mean over random orders of the items at equal distance."""
    labels = toy.pool.labels.multi_hot() if several else toy.pool.labels
    data = dataclasses.replace(toy, pool=Pool(toy.pool.images, labels, toy.pool.classes), k=k, denominator=denominator)
    hasher = train("orthohash", data, **FAST)
    kept, held = hold_out(data, 0.1, 0)
    items = Items(data.pool.images, data.pool.labels, kept, held)
    score = validate(hasher, items, hasher.config)
    distances = hamming_distances(
        encode(hasher, data.pool.images, held).codes, encode(hasher, data.pool.images, kept).codes
    )
    rng, numbers, drawn = np.random.default_rng(0), toy.pool.labels.numbers, []
    for _ in range(60):
        for row, query in enumerate(held):
            order = np.lexsort((rng.random(len(kept)), distances[row]))
            relevant = numbers[kept][order] == numbers[query]
            total, relevant = relevant.sum(), relevant[:k]
            precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
            out_of = {"retrieved": relevant.sum(), "relevant": total, "min": min(total, len(relevant))}[denominator]
            drawn.append((precision * relevant).sum() / out_of if out_of and relevant.any() else 0.0)
    assert score == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(len(drawn)) + 1e-3)


def test_the_best_weights_are_kept(toy, tmp_path, monkeypatch):
    scores = iter([0.3, 0.7, 0.5])
    seen = []

    def scored(hasher, *_):
        seen.append({name: tensor.clone() for name, tensor in hasher.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(_loop, "validate", scored)
    hasher = train("orthohash", toy, validation=0.2, out=tmp_path / "run", **{**FAST, "epochs": 3})
    assert [line["validation_mAP"] for line in history(tmp_path / "run")] == [0.3, 0.7, 0.5]
    kept = {name: tensor for name, tensor in hasher.state_dict().items() if name != "codewords"}
    assert all(torch.equal(kept[name], seen[1][name]) for name in kept)
    assert not all(torch.equal(kept[name], seen[2][name]) for name in kept)


@pytest.mark.parametrize("score", [0.0, 0.5])
def test_of_equal_scores_the_later_weights_are_kept(toy, monkeypatch, score):
    """Where mAP is 0 in each epoch, the first epoch's weights are no better than the last's."""
    plain = {**FAST, "epochs": 3}
    monkeypatch.setattr(_loop, "validate", lambda *_: score)
    last = train("orthohash", toy, validation=0.2, **plain)
    monkeypatch.setattr(_loop, "validation_epochs", lambda _: ())
    assert same_state(train("orthohash", toy, validation=0.2, **plain), last)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_best_weights_survive_a_kill(toy, tmp_path, monkeypatch, frozen):
    options = {**FAST, "epochs": 4, "validation": 0.2, "frozen": frozen}

    def falling(hasher, items, config, threads=None):
        return 1 / (1 + len(falling.calls.append(0) or falling.calls))

    falling.calls = []
    monkeypatch.setattr(_loop, "validate", falling)
    train("orthohash", toy, out=tmp_path / "whole", **options)
    falling.calls.clear()
    with pytest.raises(Killed):
        train("orthohash", toy, out=tmp_path / "run", checkpoint_seconds=0.0, progress=kill_at(10), **options)
    train("orthohash", toy, out=tmp_path / "run", resume=True, **options)
    assert same_weights(tmp_path / "whole", tmp_path / "run")
    assert history(tmp_path / "whole") == history(tmp_path / "run")


def test_codewords_and_classifier_are_of_the_epoch_that_was_kept(toy, tmp_path, monkeypatch):
    """Not the head of one epoch with the classifier of another."""
    one = train("ce", toy, out=tmp_path / "one", validation=0.2, **{**FAST, "epochs": 1, "drop_at": "none"})
    scores = iter([0.9, 0.1, 0.1])
    monkeypatch.setattr(_loop, "validate", lambda *_: next(scores))
    three = train("ce", toy, out=tmp_path / "three", validation=0.2, **{**FAST, "epochs": 3, "drop_at": "none"})
    assert same_state(one, three)
    assert same_weights(tmp_path / "one", tmp_path / "three")


def test_on_features_validation_runs_the_head_alone(toy):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(toy.pool), 6)).astype(np.float32)
    features[np.arange(len(features)), toy.pool.labels.numbers % 6] += 4
    data = dataclasses.replace(toy, pool=Pool(Features((features,)), toy.pool.labels, toy.pool.classes))
    seen = []
    hasher = train("orthohash", data, bits=8, epochs=2, batch_size=40, lr=1e-2, validation=0.25, progress=seen.append)
    assert hasher.backbone is None and hasher.config.items == 180 and seen[-1]["step"] == 2 * (180 // 40)


def test_every_gradient_method_can_be_validated():
    assert {name for name, cls in METHODS.items() if not cls.by_gradient} == {"lsh", "pcah", "itq", "spectral", "imh"}
