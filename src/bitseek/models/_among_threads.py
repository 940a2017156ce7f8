"""A batch on a CPU, shared out among threads each of which runs the whole network on its part.

Torch lets its threads share each layer instead. They meet some hundred times a batch, and wait by spinning: as soon as
others want a processor too (those who decode the next images, another program), most of the time is spent so.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from torch import Tensor

from bitseek.kernels.threads import is_alone, spread
from bitseek.models._backbone import Backbone
from bitseek.models._pixels import as_tensor, colours, normalise

LEAST = 16
"""Images in a part: in smaller ones, ordering the weights anew for each layer takes longer than using them."""


@torch.inference_mode()
def features_of(backbone: Backbone, squares: np.ndarray) -> Tensor:
    """(n, D) float32 outputs of a backbone, where it is, for (n, s, s, 3) uint8 squares of `Preprocess.square`."""
    device = next(backbone.parameters()).device

    @torch.inference_mode()  # which holds for one thread
    def network(part: np.ndarray) -> Tensor:
        inputs = normalise(colours(as_tensor(part).to(device, non_blocking=True)), backbone.preprocess)
        features: Tensor = backbone(inputs.contiguous(memory_format=torch.channels_last)).float()
        return features

    return among_threads(network, squares) if device.type == "cpu" else network(squares)


def among_threads(network: Callable[[np.ndarray], Tensor], batch: np.ndarray) -> Tensor:
    """What a network gives for a batch, (n, D), by as many threads as torch would use here; by one that is `alone`.

    Args:
        network: from (m, …) to (m, D) on the CPU, called by several threads at once.
        batch: (n, …); fewer than twice `LEAST` are one part, whose layers torch's threads share.
    """
    threads = torch.get_num_threads()
    if is_alone() or min(threads, len(batch) // LEAST) < 2 or _library() is None:
        with alone_in_torch():
            return network(batch)
    parts = np.array_split(batch, min(threads, len(batch) // LEAST))
    found: list[Tensor] = [torch.empty(0)] * len(parts)

    def work(start: int, stop: int) -> None:
        with _without_helpers():
            for i in range(start, stop):
                found[i] = network(parts[i])

    spread(work, len(parts), threads=threads)
    return torch.cat(found)


def threads_on(device: torch.device) -> int:
    """How many threads may run a network on a device at a time, each `alone`: torch's on a CPU, else 1."""
    return torch.get_num_threads() if device.type == "cpu" and _library() is not None else 1


@contextmanager
def alone_in_torch() -> Iterator[None]:
    """In the block, a calling thread that is `alone` has no helpers in torch either."""
    if not is_alone() or _library() is None:
        yield
        return
    with _without_helpers():
        yield


@contextmanager
def _without_helpers() -> Iterator[None]:
    """In the block, torch has one thread for what the calling thread computes; its own setter is for all threads."""
    library = _library()
    assert library is not None
    before = torch.get_num_threads()  # the first call in a thread sets its number to that of all
    library.omp_set_num_threads(1)
    # MKL has a number of its own, once somebody has set it, as torch.set_num_threads does.
    of_mkl = library.MKL_Set_Num_Threads_Local(1) if hasattr(library, "MKL_Set_Num_Threads_Local") else None
    try:
        yield
    finally:
        library.omp_set_num_threads(before)
        if of_mkl is not None:
            library.MKL_Set_Num_Threads_Local(of_mkl)


@cache
def _library() -> ctypes.CDLL | None:
    """What torch computes with, if that is by OpenMP: only then can a thread have a number of its own."""
    library = ctypes.CDLL(torch._C.__file__)
    return library if hasattr(library, "omp_set_num_threads") else None
