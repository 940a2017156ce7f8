"""How much of a device there is to take."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bitseek.errors import BitseekError

LEAST_MEMORY = 1 << 12
"""Bytes below which a bound makes no sense."""

_OF_THE_CPU = 2 << 30


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, or that torch keeps for later; of a CPU, which all programs share, 2 GiB."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory()) - int(torch.mps.current_allocated_memory())
    return _OF_THE_CPU


@contextmanager
def enough_memory(device: torch.device, advice: str) -> Iterator[None]:
    """What is done in the block, or a `BitseekError` if the device has too little memory for it, with what to do."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise BitseekError(f"{device} has too little memory ({reason}); {advice}") from error
