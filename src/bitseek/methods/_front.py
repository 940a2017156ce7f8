"""What the head of any method can have in front of it: standardised features, and a hidden layer."""

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from bitseek.errors import BitseekError
from bitseek.methods._recipe import Recipe

if TYPE_CHECKING:
    from bitseek.methods._base import Method, Task


def make_head(cls: "type[Method]", task: "Task", recipe: Recipe) -> nn.Module:
    """The head of a method with initial weights, with what its recipe puts in front of it.

    A trained hasher needs nothing else of its method.

    Raises:
        BitseekError: something is put in front of a head that the method looks into, or fits to the features.
    """
    layers: list[nn.Module] = []
    if recipe.standardise:
        # momentum=None: the plain mean of all batches, for a moving one still shows where it started after few steps
        layers.append(nn.BatchNorm1d(task.features, affine=False, momentum=None))
    if recipe.hidden:
        layers += [nn.Dropout(recipe.dropout)] if recipe.dropout else []
        layers += [nn.Linear(task.features, recipe.hidden), nn.ReLU()]
        task = replace(task, features=recipe.hidden)
    if layers and not cls.takes_front:
        raise BitseekError(f"{cls.__name__} asks for the features as they are: leave out hidden and standardise")
    head = cls.build_head(task, recipe)
    if not layers:
        return head
    return nn.Sequential(*layers, *(head if isinstance(head, nn.Sequential) else [head]))


def forget_features(head: nn.Module) -> None:
    """Let batch norm that takes the mean of all batches begin anew: features of a network in training change."""
    for module in head.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum is None:
            module.reset_running_stats()
