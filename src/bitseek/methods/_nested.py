"""NHL: one layer gives codes of all lengths, each the first bits of the longer ones.

He, Zhang, Li, Huang, Wu, Chen, "Nested Hash Layer: A Plug-and-play Module for Multiple-length Hash Code Learning",
arXiv 2412.08922, 2024. In the released code CSQ is overwritten by another method,
with both options the longest length loses its loss, and norms are always those of the shortest length's gradient; here
each length has the method that was asked for, its own loss, and its own norm.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bitseek.errors import BitseekError
from bitseek.methods._losses import unit_vectors


def cosines_from(shorter: Tensor, longer: Tensor) -> Tensor:
    """D = ‖G(u) − G(u')‖² / n² with G(u)_ij = cos(u_i, u_j): a length learns from a longer one, not the other way.

    Args:
        shorter: (n, K) float, u.
        longer: (n, K') float, u'; no gradient goes to it.
    """
    own, taught = unit_vectors(shorter), unit_vectors(longer.detach())
    return (own @ own.T - taught @ taught.T).square().mean()


def hash_weight(head: nn.Module, bits: int) -> Tensor:
    """(K, D) weights of the last linear layer with K outputs.

    Raises:
        BitseekError: the head has none.
    """
    layers = [layer for layer in head.modules() if isinstance(layer, nn.Linear) and layer.out_features == bits]
    if not layers:
        raise BitseekError(
            f"length_weights='dominance' looks at the weights of a linear layer of {bits} outputs, and "
            f"{type(head).__name__} has none: take length_weights='equal'"
        )
    return layers[-1].weight


def row_gradients(objectives: Sequence[Tensor], weight: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """Gradient of the objective of each length in the (K, D) weights of the hash layer; only its own rows, (K_l, D)."""
    gradients = [
        torch.autograd.grad(each, weight, retain_graph=True, allow_unused=True, materialize_grads=True)[0]
        for each in objectives
    ]
    return [gradient[:bits] for gradient, bits in zip(gradients, lengths, strict=True)]


def dominance_weights(gradients: Sequence[Tensor]) -> list[float]:
    """w_l for L lengths, whose sum is L: a longer length cannot turn the step of a shorter one round.

    For lengths l < m, restricted to the rows of l, α_lm = ‖g_l‖² / ((L − 1) |g_l · g_m|) where g_l · g_m < 0 and
    |g_l · g_m| > ‖g_l‖² / (L − 1), else 1; it is at most α_{l, l+1} (the next length). w_1 = 1, w_m = Π_{l<m} α_lm.

    Args:
        gradients: (K_l, D) of each length, ascending.
    """
    count = len(gradients)
    weights = [1.0] * count
    for short, own in enumerate(gradients[:-1]):
        square = float(own.square().sum()) / (count - 1)
        limit = 1.0
        for long in range(short + 1, count):
            against = -float((own * gradients[long][: len(own)]).sum())
            alpha = min(square / against if against > square else 1.0, limit)
            limit = alpha if long == short + 1 else limit
            weights[long] *= alpha
    return [count * weight / sum(weights) for weight in weights]
