"""Gradient accumulation: the backbone sees a batch in parts, head and loss see the whole of it.

So a step is that of the whole batch whatever its loss is over (pairs, triplets, a memory bank, statistics of the
batch), and no method knows of parts. Each part goes through the backbone twice, once for its features and once for
their gradient, and what the backbone computed in between is forgotten (Gao et al., "Scaling Deep Contrastive Learning
Batch Size under Memory Limited Setup", RepL4NLP 2021, by torch's own checkpointing). What mixes the items of a batch
inside the backbone cannot be had in parts, and is refused.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bitseek.errors import BitseekError


def in_parts(network: Callable[[Tensor], Tensor], inputs: Tensor, parts: int) -> Tensor:
    """(n, D) features of n inputs, at most n / parts of which are in the network at once, forwards and backwards."""
    if parts == 1:
        return network(inputs)
    return torch.cat([checkpoint(network, part, use_reentrant=False) for part in inputs.chunk(parts)])


def check_parts(backbone: nn.Module | None, parts: int) -> None:
    """Refuse to cut batches of a backbone that is trained and whose output for an item depends on the others.

    Args:
        backbone: that is trained; None where none is.
        parts: of each batch.

    Raises:
        BitseekError: it has batch norm; the message names the first such layer.
    """
    if backbone is None or parts == 1:
        return
    for name, layer in backbone.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            raise BitseekError(
                f"accumulate={parts} would change the training: {name} of the backbone is batch norm "
                f"({type(layer).__name__}), whose statistics are those of the whole batch. Take accumulate=1, several "
                "processes (they share the statistics), a backbone without batch norm (a vision transformer, "
                "convnext), or keep the backbone as it is (backbone_lr=0)"
            )
