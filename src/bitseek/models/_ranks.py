"""Several processes that compute one step together: each takes its rows of a batch, all see the whole of it.

A process is a *rank* of torch's default process group (`torchrun` starts them). Without a group there is one rank, and
everything here does nothing.
"""

import atexit
import math
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from bitseek.errors import BitseekError

Value = TypeVar("Value")

_PATIENCE = timedelta(hours=2)
"""For a message of another rank. NCCL's own ten minutes are less than one rank may take longer than another to encode
a large database; `torchrun` ends all of them at once if one dies."""

_MESSAGE_BYTES = 256 << 20
"""Of an array, most that goes through a device at once: what the processors' memory holds may be too much for a GPU."""


def join_ranks(device: torch.device) -> torch.device:
    """Join the processes that `torchrun` started, if it did; the device of this one.

    Messages go by NCCL between GPUs, and by gloo between CPUs.

    Args:
        device: the kind that was asked for. Of several GPUs each process takes its own.

    Raises:
        BitseekError: more processes than GPUs, or a kind of device that cannot exchange messages.
    """
    starts = not _is_on() and dist.is_available() and os.environ.get("WORLD_SIZE", "1") != "1"
    if not starts and ranks() == 1:
        return device
    if device.type == "cuda":
        device = _own_gpu()
        torch.cuda.set_device(device)  # at first: objects are sent by way of the current device
    elif device.type != "cpu":
        raise BitseekError(f"several processes compute on GPUs by CUDA, or on CPUs, not on {device.type}: --device cpu")
    if starts:
        try:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
        except ValueError as error:
            raise BitseekError(
                f"WORLD_SIZE is {os.environ['WORLD_SIZE']!r}, but the processes cannot join ({error}); start them by "
                "torchrun, or unset WORLD_SIZE for one process"
            ) from error
        atexit.register(dist.destroy_process_group)
    return device


def on_first_rank(work: Callable[[], Value]) -> Value:
    """What a function gives on rank 0, on every rank; and what it raises there, if that is a `BitseekError`."""
    if ranks() == 1:
        return work()
    said: list[Any] = [None, None]
    if rank() == 0:
        try:
            said[0] = work()
        except BitseekError as error:
            said[1] = error
    dist.broadcast_object_list(said)
    if said[1] is not None:
        raise said[1]
    value: Value = said[0]
    return value


def rank() -> int:
    """The number of this process, 0 … ranks − 1."""
    return dist.get_rank() if _is_on() else 0


def ranks() -> int:
    """How many processes there are."""
    return dist.get_world_size() if _is_on() else 1


def rows_of_rank(total: int) -> slice:
    """Which of `total` rows this process computes: one after another, those of all ranks make up the whole."""
    here, all_ = rank(), ranks()
    return slice(here * total // all_, (here + 1) * total // all_)


def place_in_whole(own: int, device: torch.device) -> slice:
    """Where this rank's rows are among those of all ranks.

    Args:
        own: how many it has; other ranks may have another number.
        device: of the group's messages.
    """
    lengths = _lengths(own, device)
    first = sum(lengths[: rank()])
    return slice(first, first + own)


def any_rank(flags: list[bool], device: torch.device) -> list[bool]:
    """Whether each flag is set on any rank; the answer is the same on all."""
    if ranks() == 1:
        return flags
    seen = torch.tensor(flags, dtype=torch.int32, device=device)
    dist.all_reduce(seen, dist.ReduceOp.MAX)
    return [bool(flag) for flag in seen]


def gathered(rows: Tensor) -> Tensor:
    """The rows of all ranks, in their order, on every rank; ranks may have different numbers of them.

    The gradient of a loss that every rank computes alike from the whole is, on each rank, that of its own rows: there
    is one loss, and summing the gradients of the ranks' shared parameters gives its gradient.
    """
    if ranks() == 1:
        return rows
    result: Tensor = _Gathered.apply(rows)
    return result


def gathered_array(rows: np.ndarray, device: torch.device) -> np.ndarray:
    """`gathered` for an array, a portion of each rank's rows at a time.

    Args:
        rows: (r, …) of this rank.
        device: of the group's messages.
    """
    if ranks() == 1:
        return rows
    lengths = _lengths(len(rows), device)
    at_once = max(1, _MESSAGE_BYTES // (ranks() * rows.itemsize * max(1, math.prod(rows.shape[1:]))))
    of_ranks: list[list[np.ndarray]] = [[rows[:0]] for _ in lengths]
    for start in range(0, max(lengths), at_once):
        portion = torch.from_numpy(rows[start : start + at_once]).to(device)
        counts = [min(max(length - start, 0), at_once) for length in lengths]
        for of_rank, part in zip(of_ranks, _parts(portion, counts), strict=True):
            of_rank.append(part.cpu().numpy())
    return np.concatenate([part for of_rank in of_ranks for part in of_rank])


def gathered_objects(value: Any) -> list[Any]:
    """A small value of each rank, on every rank."""
    values = [value] * ranks()
    if ranks() > 1:
        dist.all_gather_object(values, value)
    return values


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the gradients that the ranks have of their own rows; one that a rank lacks counts as 0."""
    if ranks() > 1:
        _reduce(parameters, 1.0)


def mean_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Make gradients that all ranks computed alike equal to the last bit, so that rounding never parts the ranks."""
    if ranks() > 1:
        _reduce(parameters, 1 / ranks())


def _reduce(parameters: Iterable[nn.Parameter], factor: float) -> None:
    """In one message for each type of number; what no rank has a gradient of is left without one."""
    by_type: dict[torch.dtype, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            by_type.setdefault(parameter.dtype, []).append(parameter)
    for together in by_type.values():
        has = torch.tensor([one.grad is not None for one in together], dtype=torch.int32, device=together[0].device)
        dist.all_reduce(has, dist.ReduceOp.MAX)
        together = [one for one, any_has in zip(together, has.tolist(), strict=True) if any_has]
        if not together:
            continue
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in together]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat *= factor
        parts = flat.split([one.numel() for one in together])
        for parameter, gradient, part in zip(together, gradients, parts, strict=True):
            # copied, not a view of `part`: torch promises a gradient that lies in memory as its parameter does
            parameter.grad = gradient.copy_(part.view_as(gradient))


def synchronise_batch_norm(network: nn.Module) -> None:
    """Let every batch norm of a network take mean and variance over the rows of all ranks, in training.

    Torch's own `SyncBatchNorm` computes on GPUs only, so each module gets a `forward` that does the same on any device.
    """
    for module in network.modules() if ranks() > 1 else ():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.forward = partial(_normalised, module, type(module).forward)  # type: ignore[method-assign]


def _is_on() -> bool:
    return dist.is_available() and dist.is_initialized()


def _own_gpu() -> torch.device:
    """The GPU of this process, by its number among those of its machine."""
    there = torch.cuda.device_count()
    number = int(os.environ.get("LOCAL_RANK", int(os.environ.get("RANK", rank())) % max(1, there)))
    if number >= there:
        raise BitseekError(
            f"each process takes a GPU of its own, and process {number} of this machine finds {there}: start no more "
            f"than there are (torchrun --nproc-per-node {there}), or compute on the CPU (--device cpu)"
        )
    return torch.device("cuda", number)


def _lengths(own: int, device: torch.device) -> list[int]:
    """How many rows each rank has."""
    if ranks() == 1:
        return [own]
    counts = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(ranks())]
    dist.all_gather(counts, torch.tensor([own], device=device))
    return [int(count) for count in counts]


def _parts(rows: Tensor, lengths: list[int]) -> list[Tensor]:
    """The rows of each rank, which has so many of them."""
    padded = rows.new_zeros(max(lengths), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return [part[:length] for part, length in zip(parts, lengths, strict=True)]


class _Gathered(torch.autograd.Function):
    """All rows forward, this rank's share of the gradient backward."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        lengths = _lengths(len(rows), rows.device)
        first = sum(lengths[: rank()])
        ctx.own = slice(first, first + len(rows))
        return torch.cat(_parts(rows, lengths))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient[ctx.own].contiguous()


class _Standardised(torch.autograd.Function):
    """Rows less their mean, over their standard deviation, of all ranks: one message forward and one backward.

    Each rank's variance is around its own mean, and they are put together without a loss of digits (Chan et al.,
    "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979).
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes, shape = _but_channels(rows)
        count = rows.numel() // rows.shape[1]
        own = torch.stack(torch.var_mean(rows, axes, correction=0)) if count else rows.new_zeros(2, rows.shape[1])
        sent = torch.cat([own.reshape(-1), rows.new_tensor([count])])
        parts = [torch.empty_like(sent) for _ in range(ranks())]
        dist.all_gather(parts, sent)
        variances, means, counts = torch.stack(parts).split([rows.shape[1], rows.shape[1], 1], dim=1)
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        variance = (counts * (variances + (means - mean).square())).sum(0) / total
        inverse = torch.rsqrt(variance + eps)
        scaled = (rows - mean.view(shape)) * inverse.view(shape)
        ctx.save_for_backward(scaled, inverse, total)
        ctx.mark_non_differentiable(mean, variance, total)
        return scaled, mean, variance, total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        scaled, inverse, total = ctx.saved_tensors
        axes, shape = _but_channels(scaled)
        sums = torch.stack([gradient.sum(axes), (gradient * scaled).sum(axes)])
        dist.all_reduce(sums)
        along, with_scaled = (sums / total).view(2, *shape)
        return (gradient - along - scaled * with_scaled) * inverse.view(shape), None


def _but_channels(rows: Tensor) -> tuple[list[int], list[int]]:
    """The axes over which batch norm takes its statistics, and the shape in which they fit the rows."""
    return [axis for axis in range(rows.ndim) if axis != 1], [1, -1, *[1] * (rows.ndim - 2)]


def _normalised(norm: Any, alone: Any, rows: Tensor) -> Tensor:
    """Batch norm over the rows of all ranks, and what its module does after it.

    In float32 at least, as torch's own is: eight binary digits hold neither a mean nor the number of rows.
    """
    if not norm.training:
        result: Tensor = alone(norm, rows)
        return result
    given, rows = rows.dtype, rows.to(torch.promote_types(rows.dtype, torch.float32))
    rows, mean, variance, count = _Standardised.apply(rows, norm.eps)
    if norm.track_running_stats:
        with torch.no_grad():
            norm.num_batches_tracked.add_(1)
            share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
            norm.running_var.lerp_((variance * count / (count - 1)).to(norm.running_var.dtype), share)
    if norm.affine:
        shape = _but_channels(rows)[1]
        rows = rows * norm.weight.view(shape) + norm.bias.view(shape)
    else:
        rows = rows.clone()  # an activation in place may follow, and the backward pass needs them as they are
    rows = rows.to(given)
    for after in ("drop", "act"):  # timm's batch norms hold an activation
        if hasattr(norm, after):
            rows = getattr(norm, after)(rows)
    return rows
