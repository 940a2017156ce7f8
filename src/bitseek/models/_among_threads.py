"""A batch on a CPU, shared out among threads each of which runs the whole network on its part.

Torch lets its threads share each layer instead. They meet some hundred times a batch, and wait by spinning: as soon as
others want a processor too (those who decode the next images, another program), most of the time is spent so.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

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
    """What a network gives for a batch, (n, D), by as many threads as torch would use here.

    Args:
        network: from (m, …) to (m, D) on the CPU, called by several threads at once.
        batch: (n, …); fewer than twice `LEAST` are one part, whose layers torch's threads share.
    """
    threads = torch.get_num_threads()
    parts = min(threads, len(batch) // LEAST)
    if parts < 2:
        return network(batch)
    try:
        pool = _pool(threads)
        shares = [pool.submit(network, part) for part in np.array_split(batch, parts)]
    except RuntimeError:  # no further thread may be started, or the interpreter is about to end
        return network(batch)
    return torch.cat([share.result() for share in shares])


def _be_alone() -> None:
    """Give the calling thread no helpers in torch."""
    torch.get_num_threads()  # the first call in a thread sets the number of all; what comes after holds
    torch.set_num_threads(1)


_pools: dict[int, ThreadPoolExecutor] = {}
_starting = threading.Lock()


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that have no helpers in torch, for the whole process; started when first needed.

    Raises:
        RuntimeError: they cannot be started.
    """
    with _starting:
        if threads not in _pools:
            pool = ThreadPoolExecutor(threads, "network", initializer=_be_alone)
            together = threading.Barrier(threads + 1)
            try:
                for _ in range(threads):
                    pool.submit(together.wait)
                together.wait()
            except RuntimeError:
                together.abort()
                pool.shutdown()
                raise
            finally:
                torch.set_num_threads(threads)  # which was set to 1 for all threads that begin from now on, too
            _pools[threads] = pool
        return _pools[threads]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # a forked child has none of its parent's threads
