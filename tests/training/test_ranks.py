"""Several processes that train together do what one process does, for every method."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import bitseek
from bitseek.images import Pixels
from bitseek.methods import METHODS, method_class
from bitseek.models import (
    any_rank,
    gathered,
    gathered_array,
    gathered_objects,
    mean_gradients,
    on_first_rank,
    place_in_whole,
    rank,
    ranks,
    rows_of_rank,
    sum_gradients,
    synchronise_batch_norm,
)

GRADIENT = [name for name in METHODS if method_class(name).by_gradient]
SETTINGS = {"bits": 8, "epochs": 4, "batch_size": 32, "optimiser": "sgd", "lr": 1e-5, "backbone": "small-cnn"}
"""20 steps. SGD, because Adam turns rounding where a gradient is zero into whole steps; small ones, because what ReLU
and margins switch on or off lets rounding grow from step to step in any number of processes."""

VISION = {"backbone": "test_vit", "size": 32, "weights": None}
"""A backbone without batch norm."""


def digits():
    data = bitseek.load_protocol("digits")
    return dataclasses.replace(data, train=data.train[:160])


def run(folder: Path, *arguments: str, processes: int = 2) -> list[str]:
    """This file as a program in several processes; what each has printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for number in range(processes):
        environment = os.environ | {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes), "RANK": str(number),
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        command = [sys.executable, __file__, *arguments]
        started.append(
            subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        )
    said = [process.communicate(timeout=500) for process in started]
    assert all(process.returncode == 0 for process in started), b"\n".join(error for _, error in said).decode()
    return [out.decode() for out, _ in said]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes make of every method."""
    folder = tmp_path_factory.mktemp("ranks")
    run(folder, "methods")
    return torch.load(folder / "methods.pt", weights_only=True)


@pytest.mark.parametrize("name", GRADIENT)
def test_two_processes_train_what_one_does(name, together, unchecked):
    hasher = bitseek.train(name, digits(), device="cpu", precision="fp32", **SETTINGS)
    alone, both = hasher.state_dict(), together[name]
    assert alone.keys() == both.keys()
    for key, tensor in alone.items():
        # torch's own batch norm loses digits in its running statistics (1e-4 of a variance), hence their own bound.
        # PCDH clips by straight-through signs, which makes whole steps of rounding: 2e-5 was seen.
        bound = 1e-3 if "running" in key else 1e-4 if name == "pcdh" else 1e-5
        torch.testing.assert_close(
            both[key], tensor, rtol=bound, atol=bound, msg=lambda text, key=key: f"{key}: {text}"
        )


@pytest.mark.parametrize("name", ["orthohash", "hashnet"])
def test_the_steps_are_large_enough_to_tell(name, together):
    """The weights move by far more than the bound within which they agree."""
    still = bitseek.train(name, digits(), device="cpu", precision="fp32", **SETTINGS | {"lr": 1e-12}).state_dict()
    moved = max(float((together[name][key] - still[key]).abs().max()) for key in still if "running" not in key)
    assert moved > 1e-4


def test_the_parts_agree_with_one_process(tmp_path):
    assert all("parts agree" in said for said in run(tmp_path, "parts"))


def test_a_run_of_two_processes_resumes_in_one_and_is_measured_by_both(tmp_path):
    """The command itself, as torchrun starts it: one run folder, one report, and the checkpoint fits any number."""
    first, second = run(tmp_path, "command")
    assert "mAP" in first and not second
    assert (tmp_path / "run" / "report.json").is_file()
    assert bitseek.evaluate(bitseek.load(tmp_path / "run")).mAP > 0.2
    run(tmp_path, "half")
    resumed = bitseek.train("orthohash", digits(), device="cpu", out=tmp_path / "half", resume=True, **SETTINGS)
    whole = bitseek.train("orthohash", digits(), device="cpu", **SETTINGS)
    for (name, one), other in zip(whole.head.named_parameters(), resumed.head.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5, msg=name)


def test_a_run_of_one_process_resumes_in_two_and_then_in_three(tmp_path):
    def stop(so_far):
        if so_far["step"] >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bitseek.train(
            "orthohash", digits(), device="cpu", out=tmp_path / "half", progress=stop, checkpoint_seconds=0, **SETTINGS
        )
    run(tmp_path, "resume", "12", processes=2)
    run(tmp_path, "resume", "1000", processes=3)
    resumed = bitseek.load(tmp_path / "half")
    assert resumed.config.complete
    whole = bitseek.train("orthohash", digits(), device="cpu", **SETTINGS)
    for (name, one), other in zip(whole.head.named_parameters(), resumed.head.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5, msg=name)


def test_two_processes_and_three_parts_of_a_batch_train_what_one_does_with_the_whole(tmp_path):
    run(tmp_path, "parts-of-batches")
    both = torch.load(tmp_path / "parts.pt", weights_only=True)
    whole = bitseek.train("hashnet", digits(), device="cpu", precision="fp32", **SETTINGS | VISION).state_dict()
    for key, tensor in whole.items():
        torch.testing.assert_close(both[key], tensor, rtol=1e-5, atol=1e-5, msg=key)


def test_alone_everything_is_the_whole():
    rows = torch.arange(6.0).reshape(3, 2).requires_grad_()
    assert (rank(), ranks(), rows_of_rank(5)) == (0, 1, slice(0, 5))
    assert gathered(rows) is rows and place_in_whole(3, rows.device) == slice(0, 3)
    assert any_rank([True, False], rows.device) == [True, False] and gathered_objects("a") == ["a"]
    assert on_first_rank(lambda: 7) == 7 and len(gathered_array(np.zeros(2), rows.device)) == 2
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    synchronise_batch_norm(network)
    assert "forward" not in vars(network[0])


# --- what the processes run ------------------------------------------------------------------------------------


def _methods() -> None:
    made = {
        name: bitseek.train(name, digits(), device="cpu", precision="fp32", **SETTINGS).state_dict()
        for name in GRADIENT
    }
    if rank() == 0:
        torch.save(made, "methods.pt")


def _parts() -> None:
    """Gathering, batch norm and gradients in float64, against the same computed from all rows on each rank."""
    from bitseek.models import join_ranks

    device = join_ranks(torch.device("cpu"))
    torch.manual_seed(0)
    whole = torch.randn(7, 3, 4, 4, dtype=torch.float64)
    networks = [
        torch.nn.Sequential(torch.nn.Conv2d(3, 5, 2), torch.nn.BatchNorm2d(5), torch.nn.Tanh(), torch.nn.Flatten())
        for _ in range(2)
    ]
    networks[1].load_state_dict(networks[0].state_dict())
    alone, shared = (network.double() for network in networks)
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
    sys.stdout.write("parts agree")


def _command() -> None:
    sys.argv[1:] = [
        "train",
        "orthohash",
        "digits",
        "--bits",
        "16",
        "--epochs",
        "2",
        "--set",
        "lr=0.001",
        "batch_size=64",
        "--out",
        "run",
    ]
    import runpy

    runpy.run_module("bitseek", run_name="__main__")


def _parts_of_batches() -> None:
    hasher = bitseek.train("hashnet", digits(), device="cpu", precision="fp32", accumulate=3, **SETTINGS | VISION)
    if rank() == 0:
        torch.save(hasher.state_dict(), "parts.pt")


def _half(step: int = 7, resume: bool = False) -> None:
    """Stopped after some steps, by Ctrl-C on one rank only."""
    import signal

    def stop(so_far: dict) -> None:
        if rank() == 1 and so_far["step"] >= step:
            os.kill(os.getpid(), signal.SIGINT)

    from bitseek.training import _loop

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
