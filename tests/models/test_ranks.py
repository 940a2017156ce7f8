"""What a process does before and beside the messages of several; tests/training/test_ranks.py has the messages."""

import os
import socket
import subprocess

import pytest
import torch
import torch.distributed as dist
import warm
from torch import nn

from bitseek.errors import BitseekError
from bitseek.models import _ranks, join_ranks


@pytest.fixture
def group():
    """A process group of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


PORTIONS = """
import numpy as np, torch
from bitseek.models import _ranks, gathered_array, join_ranks, rank
device, _ranks._MESSAGE_BYTES = join_ranks(torch.device("cpu")), 64
for cut in (3, 0, 10):
    whole = np.arange(20, dtype=np.float32).reshape(10, 2)
    own = whole[:cut] if rank() == 0 else whole[cut:]
    np.testing.assert_array_equal(gathered_array(own, device), whole)
assert gathered_array(whole[:0], device).shape == (0, 2)
"""


def test_arrays_go_a_portion_at_a_time():
    """Two rows of each rank in a message; ranks have unequal numbers of rows, or none."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen([warm.python(), "-c", PORTIONS], env=os.environ | common | {"RANK": str(number)})
        for number in range(2)
    ]
    assert [process.wait(timeout=300) for process in started] == [0, 0]


def test_alone_nothing_is_joined(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_ranks(torch.device("cuda")) == torch.device("cuda") and not dist.is_initialized()


def test_each_process_needs_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BitseekError, match=r"process 2 of this machine finds 2: .* --nproc-per-node 2"):
        join_ranks(torch.device("cuda"))
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert _ranks._own_gpu() == torch.device("cuda", 1)
    monkeypatch.delenv("LOCAL_RANK")
    assert _ranks._own_gpu() == torch.device("cuda", 0)  # rank 2 of machines with two
    with pytest.raises(BitseekError, match="not on mps"):
        join_ranks(torch.device("mps"))
    assert not dist.is_initialized()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_batch_norm_of_several_ranks_keeps_the_digits_of_its_statistics(group, kind):
    """As torch's own does where the backbone runs in bfloat16: its statistics and sums are those of float32."""
    torch.manual_seed(0)
    rows = (100 + torch.randn(37, 3, 5, 7)).to(kind)
    own, shared = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    wanted = own(rows)
    found = _ranks._normalised(shared, nn.BatchNorm2d.forward, rows)
    assert found.dtype == kind
    torch.testing.assert_close(found, wanted, rtol=1e-2 if kind == torch.bfloat16 else 1e-4, atol=1e-4)
    torch.testing.assert_close(shared.running_mean, own.running_mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(shared.running_var, own.running_var, rtol=1e-3, atol=1e-3)


def test_the_gradient_of_batch_norm_is_that_of_torchs_own(group):
    torch.manual_seed(0)
    rows = torch.randn(6, 3, 4, dtype=torch.float64)
    found = []
    for shared in (False, True):
        norm, given = nn.BatchNorm1d(3).double(), rows.clone().requires_grad_()
        nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
        out = _ranks._normalised(norm, nn.BatchNorm1d.forward, given) if shared else norm(given)
        out.sin().sum().backward()
        found.append((out, given.grad, norm.weight.grad, norm.bias.grad))
    for own, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, own, rtol=1e-10, atol=1e-12)
