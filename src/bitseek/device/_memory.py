"""How much of a device there is to take."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bitseek.errors import BitseekError

LEAST_MEMORY = 1 << 12
"""Bytes below which a bound makes no sense."""

_OF_THE_CPU = 2 << 30


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; of a CPU, whose memory is that of all programs, two gigabytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory()) - int(torch.mps.current_allocated_memory())
    return _OF_THE_CPU


@contextmanager
def enough_memory(device: torch.device) -> Iterator[None]:
    """What is done in the block, or a `BitseekError` if the device has too little memory for it."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise BitseekError(
            f"{device} has too little memory ({reason}); give memory=… (bytes that may be taken), or search for fewer "
            "queries, or a smaller k, at once"
        ) from error
