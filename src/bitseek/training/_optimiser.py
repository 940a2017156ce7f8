"""The optimiser, and the learning rate of each epoch."""

import math
from typing import Any

import torch
from torch import nn

from bitseek.methods import Method, Recipe


def make_optimiser(method: Method, backbone: nn.Module | None, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of a recipe, over two groups of parameters whose learning rates differ by a factor.

    Args:
        method: head, classifier and whatever else it learns; factor 1.
        backbone: factor `backbone_lr`; None where it is not trained.
        recipe: with the optimiser's name, learning rate and weight decay.
    """
    groups: list[dict[str, Any]] = [{"params": list(method.parameters()), "factor": 1.0}]
    if backbone is not None:
        groups.insert(0, {"params": list(backbone.parameters()), "factor": recipe.backbone_lr})
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay)
    if recipe.optimiser == "rmsprop":
        return torch.optim.RMSprop(groups, recipe.lr, weight_decay=recipe.weight_decay)
    # In one pass over the parameters, not ten: so Adam has 6 % of the processor time of a head with a hidden layer, and
    # a quarter otherwise. Beside the time of a backbone that is nothing, and there it only rounds in another way.
    fused = True if backbone is None else None
    return torch.optim.Adam(groups, recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The rate lr · drop_by ^ (number of shares s in `drop_at` with epoch ≥ ⌊s · epochs⌋), for epoch 0 … epochs − 1."""
    # The small addition makes seven ninths of 90 epochs 70 of them, where rounding errors would make it 69.
    drops = sum(epoch >= math.floor(share * recipe.epochs + 1e-6) for share in recipe.drop_at)
    return float(recipe.lr * recipe.drop_by**drops)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give each group the rate times its factor."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
