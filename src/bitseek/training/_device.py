"""Where a training computes, in which precision, and the random states that it borrows."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bitseek import __version__
from bitseek.errors import BitseekError


def use_bfloat16(device: torch.device, precision: str) -> bool:
    """Whether the backbone runs under bfloat16 autocast: `bf16`, `fp32`, or `auto` for that where the hardware has it.

    Raises:
        BitseekError: another precision.
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise BitseekError(f"precision is auto, bf16 or fp32, got {precision!r}")
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Without matrix tiles, bfloat16 on a CPU is emulated for half of the layers and slower than float32.
    return bool(device.type == "cpu" and torch.cpu._is_amx_tile_supported())


def environment(device: torch.device) -> dict[str, str]:
    """Versions and hardware, for the record."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "bitseek": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": f"{device.type} ({name}, {torch.get_num_threads()} threads)",
    }


@contextmanager
def default_generators(device: torch.device) -> Iterator[list[torch.Generator]]:
    """The default generators of the CPU and of the device; at the end their states are what they were before."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    elif device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    states = [generator.get_state() for generator in generators]
    try:
        yield generators
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
