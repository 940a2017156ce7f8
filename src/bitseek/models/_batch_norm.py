"""Batch norm of a head, estimated anew on the images that are searched.

Running statistics from the training images do not fit other kinds of images: the bits lose their balance. OrthoHash's
supplement resets γ = 1 and β = 0 and takes mean and variance from the database; that is what makes its figures on
landmarks possible (methods of the supplement, instance-level retrieval).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bitseek.errors import BitseekError
from bitseek.models._ranks import gathered_objects


@torch.no_grad()
def estimate_batch_norm(head: nn.Module, features: Iterable[Tensor]) -> None:
    """Put the statistics of these features into the batch norm of a head, in place.

    Args:
        head: a sequence of layers of which the last is a `BatchNorm1d`.
        features: batches (b, D) of the database, or of the share of this rank; more than one item in all.

    Raises:
        BitseekError: the head has no batch norm at its end, or there is nothing to estimate from.
    """
    layers = list(head.children())
    if not layers or not isinstance(layers[-1], nn.BatchNorm1d):
        raise BitseekError("this method's head does not end in batch norm, so there is nothing to estimate anew")
    norm, before = layers[-1], nn.Sequential(*layers[:-1]).eval()
    count = 0
    total = torch.zeros(norm.num_features, dtype=torch.float64)
    squares = torch.zeros_like(total)
    for batch in features:
        outputs = before(batch).double().cpu()
        count += len(outputs)
        total += outputs.sum(dim=0)
        squares += outputs.square().sum(dim=0)
    count, total, squares = (sum(of_ranks) for of_ranks in zip(*gathered_objects((count, total, squares)), strict=True))
    if count < 2:
        raise BitseekError(f"statistics need at least 2 items, got {count}")
    mean = total / count
    variance = (squares / count - mean.square()).clamp(min=0) * count / (count - 1)
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.fill_(1.0)
    norm.bias.fill_(0.0)
