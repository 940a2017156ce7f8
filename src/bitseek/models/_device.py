"""The device that a name stands for."""

from typing import Any

import torch

from bitseek.errors import BitseekError


def pick_device(name: Any = "auto") -> torch.device:
    """The device of that name, or a `torch.device`; `auto` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        BitseekError: this machine has no such device.
    """
    if isinstance(name, str) and name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise BitseekError(f"there is no device {name!r} here ({reason}); give cpu, cuda or auto") from error
    return device
