"""Devices, precision, and random states that are left as they were."""

import numpy as np
import pytest
import torch

from bitseek.errors import BitseekError
from bitseek.models import derived_seed, pick_device
from bitseek.training._device import default_generators, environment, use_bfloat16


def test_a_device_is_found_or_refused():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("cuda:99", "tpu-of-mine", "xla"):
        with pytest.raises(BitseekError, match=f"no device '{name}'"):
            pick_device(name)


def test_precision():
    cpu = torch.device("cpu")
    assert use_bfloat16(cpu, "bf16") and not use_bfloat16(cpu, "fp32")
    assert isinstance(use_bfloat16(cpu, "auto"), bool)
    with pytest.raises(BitseekError, match="precision is auto, bf16 or fp32, got 'fp64'"):
        use_bfloat16(cpu, "fp64")


def test_the_environment_is_text():
    found = environment(torch.device("cpu"))
    assert set(found) == {"bitseek", "python", "torch", "device"} and found["device"].startswith("cpu (")


def test_a_derived_seed_belongs_to_its_purpose():
    seeds = {derived_seed(*key) for key in [(0, "step"), (1, "step"), (0, "order"), (0, "step", 1), (0, "step", 11)]}
    assert len(seeds) == 5 and all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(3, "order", 2) == 2791521319878466030, "the same on every machine, or no run could be repeated"
    numbers = np.array([derived_seed(0, "step", i) for i in range(2000)], np.float64) / 2**63
    assert abs(numbers.mean() - 0.5) < 0.03 and len(set(numbers.tolist())) == 2000


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_the_default_generators_come_back(error):
    before = torch.get_rng_state()
    expected = torch.rand(4)
    torch.set_rng_state(before)
    try:
        with default_generators(torch.device("cpu")) as generators:
            assert generators == [torch.default_generator]
            generators[0].manual_seed(5)
            torch.rand(100)
            if error is not None:
                raise error
    except (KeyboardInterrupt, ValueError) as raised:
        assert type(raised) is error
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_the_generator_of_the_gpu_comes_back_too():
    device = torch.device("cuda")
    before = torch.cuda.get_rng_state()
    with default_generators(device) as generators:
        generators[1].manual_seed(5)
        first = torch.rand(3, device=device)
        generators[1].manual_seed(5)
        assert torch.equal(torch.rand(3, device=device), first)
    assert torch.equal(torch.cuda.get_rng_state(), before)
