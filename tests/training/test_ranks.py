"""Several processes that train together do what one process does, for every method."""

import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import warm
from once import once
from tests.training import rank_jobs
from tests.training.rank_jobs import EXACT, FEW, GRADIENT, SETTINGS, VISION, digits

import bitseek
from bitseek.models import (
    any_rank,
    gathered,
    gathered_array,
    gathered_objects,
    on_first_rank,
    place_in_whole,
    rank,
    ranks,
    rows_of_rank,
    synchronise_batch_norm,
)


def run(folder: Path, *arguments: str, processes: int = 2) -> list[str]:
    """A job in several processes; what each has printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for number in range(processes):
        environment = os.environ | {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes), "RANK": str(number),
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        command = [warm.python(), rank_jobs.__file__, *arguments]
        started.append(
            subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        )
    said = [process.communicate(timeout=500) for process in started]
    assert all(process.returncode == 0 for process in started), b"\n".join(error for _, error in said).decode()
    return [out.decode() for out, _ in said]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes make of every method, in one job."""
    folder = once(tmp_path_factory, "ranks", lambda folder: run(folder, "methods"))
    return torch.load(folder / "methods.pt", weights_only=True)


@pytest.mark.parametrize("name", GRADIENT)
def test_two_processes_train_what_one_does(name, together, unchecked):
    """To the last digits of float64, weights and running statistics alike: nothing but the order of sums differs."""
    with rank_jobs.in_float64():
        alone = bitseek.train(name, digits(FEW), device="cpu", precision="fp32", **EXACT).state_dict()
    both = together[name]
    assert alone.keys() == both.keys()
    for key, tensor in alone.items():
        assert tensor.dtype in (torch.float64, torch.int64), key
        torch.testing.assert_close(both[key], tensor, rtol=1e-9, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("name", ["orthohash", "hashnet"])
def test_the_steps_are_large_enough_to_tell(name, together):
    """The weights move by far more than the bound within which they agree."""
    with rank_jobs.in_float64():
        still = bitseek.train(name, digits(FEW), device="cpu", precision="fp32", **EXACT | {"lr": 1e-12}).state_dict()
    moved = max(float((together[name][key] - still[key]).abs().max()) for key in still if "running" not in key)
    assert moved > 1e-3


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
