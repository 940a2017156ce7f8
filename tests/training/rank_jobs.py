"""What the processes of test_ranks.py run: a program, whose first argument is the name of the job."""

import dataclasses
import os
import runpy
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

import numpy as np
import torch

import bitseek
from bitseek.images import Pixels
from bitseek.methods import METHODS, method_class
from bitseek.models import (
    any_rank,
    gathered,
    gathered_objects,
    join_ranks,
    mean_gradients,
    on_first_rank,
    place_in_whole,
    rank,
    sum_gradients,
    synchronise_batch_norm,
)
from bitseek.training import _loop

GRADIENT = [name for name in METHODS if method_class(name).by_gradient]
SETTINGS = {
    "bits": 8, "epochs": 4, "batch_size": 32, "optimiser": "sgd", "lr": 1e-5, "backbone": "small-cnn", "size": 16,
}  # fmt: skip
"""20 steps. SGD, because Adam turns rounding where a gradient is zero into whole steps; small ones, because what ReLU
and margins switch on or off lets rounding grow from step to step in any number of processes."""

EXACT = SETTINGS | {"lr": 1e-3, "epochs": 2}
"""For training in float64, where rounding has no room to grow within 6 steps of the usual length."""

FEW = 96
"""Items of each of those trainings: three batches."""

VISION = {"backbone": "test_vit", "size": 32, "weights": None}
"""A backbone without batch norm."""


@cache
def digits(items=160):
    data = bitseek.load_protocol("digits")
    return dataclasses.replace(data, train=data.train[:items])


@contextmanager
def in_float64() -> Iterator[None]:
    """Networks are made, and inputs and labels become, float64 where they would be float32."""
    with patch.object(torch.Tensor, "float", torch.Tensor.double):
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def _methods() -> None:
    with in_float64():
        made = {
            name: bitseek.train(name, digits(FEW), device="cpu", precision="fp32", **EXACT).state_dict()
            for name in GRADIENT
        }
    if rank() == 0:
        torch.save(made, "methods.pt")


def _parts() -> None:
    """Gathering, batch norm and gradients in float64, against the same computed from all rows on each rank."""
    device = join_ranks(torch.device("cpu"))
    torch.manual_seed(0)
    whole = torch.randn(7, 3, 4, 4, dtype=torch.float64)
    networks = [
        torch.nn.Sequential(torch.nn.Conv2d(3, 5, 2), torch.nn.BatchNorm2d(5), torch.nn.Tanh(), torch.nn.Flatten())
        for _ in range(2)
    ]
    networks[1].load_state_dict(networks[0].state_dict())
    alone, shared = (network.double().to(memory_format=torch.channels_last) for network in networks)
    synchronise_batch_norm(shared)
    rows = slice(0, 2) if rank() == 0 else slice(2, 7)
    assert place_in_whole(rows.stop - rows.start, device) == rows
    for inputs, network in ((whole, alone), (whole[rows], shared)):
        features = network(inputs)
        features = features if network is alone else gathered(features)
        ((features @ features.T).cos().sum()).backward()  # over pairs: no sum over the items
    sum_gradients(shared.parameters())
    for one, other in zip(alone.parameters(), shared.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-12, atol=1e-12)
        assert other.grad.stride() == other.stride()  # in memory, too: there are optimisers that pair them so
    for one, other in zip(alone.buffers(), shared.buffers(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-12)
    alone.zero_grad()
    mean_gradients(alone.parameters())
    assert all(parameter.grad is None for parameter in alone.parameters())  # what nobody has stays absent
    assert any_rank([rank() == 1, False], device) == [True, False]
    assert gathered_objects(rank()) == [0, 1] and on_first_rank(rank) == 0
    try:
        on_first_rank(lambda: bitseek.load_protocol("nothing"))
    except bitseek.BitseekError as error:
        assert "nothing" in str(error)
    hasher = bitseek.train("orthohash", digits(), device="cpu", **SETTINGS | {"epochs": 1})
    pixels = Pixels(np.random.default_rng(0).integers(0, 256, (9, 28, 28), np.uint8))
    assert len(hasher.encode(pixels)) == 9
    seen = []
    hasher.backbone.register_forward_hook(lambda _module, _inputs, features: seen.append(len(features)))
    adapted = hasher.adapted(pixels)
    assert sum(seen) in (4, 5), "each rank computes its share"
    squares = np.stack([hasher.preprocess.square(np.stack([image] * 3, axis=-1)) for image in pixels.array])
    outputs = hasher.head[0](torch.from_numpy(hasher.features_of(squares))).detach()
    torch.testing.assert_close(adapted.head[1].running_mean, outputs.mean(dim=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(adapted.head[1].running_var, outputs.var(dim=0), atol=1e-5, rtol=1e-4)
    assert len(set(gathered_objects(adapted.fingerprint))) == 1
    sys.stdout.write("parts agree")


def _command() -> None:
    options = "--bits 16 --size 16 --epochs 2 --set lr=0.001 batch_size=64 --out run"
    sys.argv[1:] = ["train", "orthohash", "digits", *options.split()]
    runpy.run_module("bitseek", run_name="__main__")


def _parts_of_batches() -> None:
    hasher = bitseek.train("hashnet", digits(), device="cpu", precision="fp32", accumulate=3, **SETTINGS | VISION)
    if rank() == 0:
        torch.save(hasher.state_dict(), "parts.pt")


def _half(step: int = 7, resume: bool = False) -> None:
    """Stopped after some steps, by Ctrl-C on one rank only."""

    def stop(so_far: dict) -> None:
        if rank() == 1 and so_far["step"] >= step:
            os.kill(os.getpid(), signal.SIGINT)

    _loop.SECONDS_BETWEEN_CALLS = 0
    try:
        bitseek.train("orthohash", digits(), device="cpu", out="half", progress=stop, resume=resume, **SETTINGS)
    except KeyboardInterrupt:
        return
    assert step > 20, "it was not stopped"


if __name__ == "__main__":
    {
        "methods": _methods, "parts": _parts, "command": _command, "half": _half,
        "resume": lambda: _half(int(sys.argv[2]), resume=True), "parts-of-batches": _parts_of_batches,
    }[sys.argv[1]]()  # fmt: skip
