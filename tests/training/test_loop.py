"""Steps: against a loop written out by hand, and for all methods the same whether frozen or on features."""

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.training.helpers import FAST, NO_BACKBONE, Killed, history, kill_at, same_state, same_weights

from bitseek.data import Pool, save_features
from bitseek.errors import RunError
from bitseek.images import Loose
from bitseek.methods import METHODS, Batch, Method
from bitseek.models import Draws, augment, build_backbone, derived_seed, seeded
from bitseek.runs import encode_features
from bitseek.training import train
from bitseek.training._loop import codeword_accuracy, finish_step_first
from bitseek.training._optimiser import learning_rate


@pytest.fixture(scope="module")
def features(toy, tmp_path_factory):
    """The features of the toy's images by the backbone that training builds for them, with its description."""
    path = tmp_path_factory.mktemp("features") / "toy.npz"
    backbone = build_backbone("small-cnn", size=8, crop=1.0, seed=3)
    found = encode_features(backbone, toy.pool.images)
    save_features(path, toy, found.features, backbone.config.model_dump(mode="json"))
    return path


@pytest.mark.parametrize("name", METHODS)
def test_frozen_is_training_on_features_for_every_method(name, toy, features):
    """The same weights, bit for bit: nothing depends on how much randomness the backbone's construction took."""
    options = {"epochs": 2, "batch_size": 80} if METHODS[name].by_gradient else {}
    common = {"bits": 8, "device": "cpu", "seed": 3, **options}
    torch.rand(7)
    frozen = train(name, toy, frozen=True, backbone="small-cnn", size=8, **common)
    torch.rand(11)
    on_features = train(name, f"features:{features}", **common)
    assert same_state(frozen.head, on_features.head)
    with seeded(3, "method"):
        untrained = METHODS[name](frozen.config.task, frozen.config.full_recipe).head
    assert not same_state(untrained, frozen.head), "it was trained"


def by_hand(name, data, seed, **recipe):
    """The training as a page of a paper would have it: no checkpoints, no log, no progress."""
    cls = METHODS[name]
    hyper = cls.recipe_class(**recipe)
    backbone = build_backbone("small-cnn", size=8, crop=1.0, seed=seed).to(memory_format=torch.channels_last)
    labels = data.pool.labels[data.train]
    config = train(name, data, seed=seed, **{**FAST, **recipe}).config
    with seeded(seed, "method"):
        method: Method = cls(config.task, hyper)
    optimiser = torch.optim.Adam(
        [
            {"params": [*backbone.parameters()], "lr": hyper.lr * hyper.backbone_lr},
            {"params": [*method.parameters()], "lr": hyper.lr},
        ],
        weight_decay=hyper.weight_decay,
    )
    step, state = 0, torch.get_rng_state()
    for epoch in range(hyper.epochs):
        method.start_epoch(epoch)
        method.train(), backbone.train()
        optimiser.param_groups[1]["lr"] = learning_rate(hyper, epoch)
        optimiser.param_groups[0]["lr"] = learning_rate(hyper, epoch) * hyper.backbone_lr
        batches = list(method.sample(labels, np.random.default_rng(derived_seed(seed, "order", epoch))))
        for done, batch in enumerate(batches):
            step += 1
            torch.default_generator.manual_seed(derived_seed(seed, "step", step))
            pixels = torch.from_numpy(data.pool.images.rows(data.train[batch]))[:, None].expand(-1, 3, -1, -1)
            draws = Draws(torch.Generator().manual_seed(derived_seed(seed, "augment", step)), len(batch))
            views = [
                augment(pixels, hyper.augment, backbone.preprocess, draws, mirror=False) for _ in range(method.views)
            ]
            inputs = backbone(torch.cat(views).contiguous(memory_format=torch.channels_last))
            terms = method.loss(
                Batch(
                    logits=method.head(inputs),
                    features=inputs,
                    labels=torch.from_numpy(labels.multi_hot(batch)).float(),
                    index=torch.from_numpy(batch),
                    progress=(epoch + done / len(batches)) / hyper.epochs,
                )
            )
            optimiser.zero_grad()
            sum(terms.values()).backward()
            optimiser.step()
    torch.set_rng_state(state)
    return backbone, method


@pytest.mark.parametrize("name", ["orthohash", "cibhash", "hashnet"])
def test_the_loop_is_the_loop_of_a_paper(name, toy):
    recipe = {
        "epochs": 2,
        "batch_size": 60,
        "lr": 1e-3,
        "drop_at": "0.5",
        "augment": "crop",
        "optimiser": "adam",
        "backbone_lr": 0.5,
    }
    hasher = train(name, toy, seed=2, **{**FAST, **recipe})
    backbone, method = by_hand(name, toy, 2, **recipe)
    for ours, theirs in ((hasher.head, method.head), (hasher.backbone, backbone)):
        for key, tensor in theirs.state_dict().items():
            assert torch.allclose(ours.state_dict()[key], tensor, atol=1e-6), key


@pytest.mark.parametrize("backbone_lr", [0.0, 0.5])
def test_a_backbone_whose_rate_is_0_stays_as_it_is(toy, backbone_lr):
    hasher = train("orthohash", toy, **FAST, backbone_lr=backbone_lr)
    fresh = build_backbone("small-cnn", size=8, crop=1.0)
    assert same_state(fresh, hasher.backbone) == (backbone_lr == 0)
    assert not hasher.config.frozen, "the images are augmented"


@pytest.mark.parametrize("step", [1, 4, 5, 8])
@pytest.mark.parametrize("name", ["orthohash", "dpsh", "jmlh"])
def test_killed_at_any_step_and_resumed(name, toy, tmp_path, step):
    """4 steps an epoch; a head alone, a memory bank, and a loss that draws random bits."""
    options = {"bits": 8, "backbone": "small-cnn", "size": 8, "epochs": 2, "batch_size": 60, "device": "cpu"}
    train(name, toy, out=tmp_path / "whole", **options)
    with pytest.raises(Killed):
        train(name, toy, out=tmp_path / "run", checkpoint_seconds=0.0, progress=kill_at(step), **options)
    torch.rand(5)
    train(name, toy, out=tmp_path / "run", resume=True, **options)
    assert same_weights(tmp_path / "whole", tmp_path / "run") and history(tmp_path / "whole") == history(
        tmp_path / "run"
    )


def test_progress_says_how_far_it_is(toy):
    calls = []
    train("orthohash", toy, **FAST, progress=calls.append)
    assert [(call["epoch"], call["step"]) for call in calls if call["step"] % 4 == 0] == [(1, 4), (2, 8)]
    assert all(call["epochs"] == 2 and call["steps"] == 8 and call["seconds_left"] >= 0 for call in calls)
    assert calls[-1]["seconds_left"] == 0 and set(calls[-1]["terms"]) == {"loss", "cosine", "codeword_accuracy"}


def test_batches_without_two_readable_items_are_an_error(toy, tmp_path):
    """An epoch in which nothing was trained is not passed over in silence."""
    pictures = [toy.pool.images.array[i] if i == toy.train[0] else tmp_path / f"{i}.jpg" for i in range(len(toy.pool))]
    pool = Pool(Loose(tuple(pictures)), toy.pool.labels, toy.pool.classes, tuple(map(str, range(len(toy.pool)))))
    data = replace(toy, pool=pool)
    with pytest.raises(
        RunError, match=r"no batch of epoch 1 had 2 items .* of 240 training items are unreadable: .*jpg"
    ):
        train("orthohash", data, out=tmp_path / "run", **{**FAST, "batch_size": 2, "epochs": 1})
    assert train("orthohash", toy, out=tmp_path / "run", **FAST).config.complete


def test_codeword_accuracy_counts_any_class_of_an_item():
    words = torch.tensor([[1.0, 1, 1], [-1, -1, -1], [1, -1, 1]])
    logits = torch.tensor([[0.2, 0.1, 3], [-1, -2, -0.1], [0.1, 0.1, 0.1]])
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1]])
    assert float(codeword_accuracy(logits, words, labels)) == pytest.approx(2 / 3)


def test_the_first_ctrl_c_is_noted_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with finish_step_first() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_signals_are_left_alone(toy):
    found = []
    thread = threading.Thread(target=lambda: found.append(train("orthohash", toy, **NO_BACKBONE, size=8)))
    thread.start()
    thread.join()
    assert found[0].config.complete
