"""Batches in parts: the step of the whole batch for every kind of loss, and refused where it would be another."""

import dataclasses

import pytest
import torch
from tests.training.helpers import same_state
from torch import nn
from unchecked import unchecked

from bitseek.errors import BitseekError, ShapeError
from bitseek.models import build_backbone
from bitseek.training import train
from bitseek.training._accumulation import check_parts, in_parts

VISION = {
    "backbone": "test_vit", "size": 32, "bits": 8, "epochs": 1, "batch_size": 16, "optimiser": "sgd", "lr": 1e-3,
    "precision": "fp32", "device": "cpu", "weights": None,
}  # fmt: skip
KINDS = ["orthohash", "relahash", "hashnet", "dtsh", "bihalf", "cibhash"]
"""Codewords and batch norm of the head, statistics of the whole batch, a memory bank, triplets, two views."""


@pytest.fixture
def few(toy):
    """Three batches."""
    return dataclasses.replace(toy, train=toy.train[:48])


@pytest.mark.parametrize("name", KINDS)
def test_the_training_is_that_of_whole_batches(name, few):
    whole, parts = (train(name, few, **VISION, accumulate=n).state_dict() for n in (1, 3))
    for key, tensor in whole.items():
        torch.testing.assert_close(parts[key], tensor, rtol=1e-5, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}")


def test_the_steps_are_large_enough_to_tell(few):
    moved, still = (train("orthohash", few, **VISION | {"lr": lr}).state_dict() for lr in (1e-3, 1e-12))
    assert max(float((moved[key] - still[key]).abs().max()) for key in moved if key.startswith("backbone")) > 3e-5


@pytest.mark.parametrize("parts", [1, 2, 5, 7, 40])
def test_gradients_are_those_of_the_whole_and_no_more_is_in_the_network_at_once(parts):
    torch.manual_seed(0)
    network, inputs = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 4)).double(), torch.randn(7, 6).double()
    sizes = []
    network.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))

    def gradients(features):
        network.zero_grad()
        (features @ features.T).cos().sum().backward()  # over pairs: no sum over the items
        return [parameter.grad.clone() for parameter in network.parameters()]

    expected = gradients(network(inputs))
    sizes.clear()
    features = in_parts(network, inputs, parts)
    for found, wanted in zip(gradients(features), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    assert max(sizes) == -(-7 // parts) and sum(sizes) == (7 if parts == 1 else 14)
    torch.testing.assert_close(features, network(inputs))


def test_both_times_dropout_draws_the_same():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.ones(50).double())
    features = in_parts(lambda rows: nn.functional.dropout(rows * weight, 0.5), torch.rand(8, 50).double(), 4)
    assert 0.3 < float((features == 0).double().mean()) < 0.7
    features.sum().backward()
    torch.testing.assert_close(weight.grad, features.detach().sum(dim=0))  # of f = mask · x · w at w = 1


def test_without_gradients_nothing_is_kept():
    with torch.no_grad():
        assert not in_parts(nn.Linear(3, 2), torch.randn(5, 3), 2).requires_grad


def test_batch_norm_is_refused_by_name_and_nothing_is_written(toy, tmp_path):
    options = VISION | {"backbone": "small-cnn", "size": 8, "accumulate": 2, "out": tmp_path / "run"}
    with pytest.raises(BitseekError, match=r"accumulate=2 would change the training: network\.1 .*BatchNorm2d"):
        train("orthohash", toy, **options)
    assert not (tmp_path / "run").exists()
    with pytest.raises(BitseekError, match="is batch norm"):
        check_parts(build_backbone("test_resnet", size=32), 2)
    check_parts(build_backbone("test_resnet", size=32), 1)
    check_parts(build_backbone("test_vit", size=32), 2)


@pytest.mark.parametrize("kept", [{"backbone_lr": 0.0}, {"frozen": True}])
def test_a_backbone_that_stays_as_it_is_may_have_batch_norm(kept, few):
    options = VISION | {"backbone": "small-cnn", "size": 8, "lr": 1e-3} | kept
    assert same_state(train("orthohash", few, **options), train("orthohash", few, **options, accumulate=4))


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2"])
def test_no_number_of_parts(bad, toy):
    with pytest.raises(ShapeError, match="accumulate is a whole number of 1 or more"):
        unchecked(train)("orthohash", toy, **VISION, accumulate=bad)
