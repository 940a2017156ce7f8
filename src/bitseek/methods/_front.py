"""What the head of any method can have in front of it: standardised features, and a hidden layer."""

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

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
    front: list[nn.Module] = []
    if recipe.standardise:
        # momentum=None: the plain mean of all batches, for a moving one still shows where it started after few steps
        front.append(nn.BatchNorm1d(task.features, affine=False, momentum=None))
    if recipe.hidden:
        front += [nn.Dropout(recipe.dropout)] if recipe.dropout else []
        front += [nn.Linear(task.features, recipe.hidden), nn.ReLU()]
        task = replace(task, features=recipe.hidden)
    if front and not cls.takes_front:
        raise BitseekError(f"{cls.__name__} asks for the features as they are: leave out hidden and standardise")
    head = cls.build_head(task, recipe)
    if not front:
        return head
    return nn.Sequential(*front, *(head if isinstance(head, nn.Sequential) else [head]))


def own_head(head: nn.Module, recipe: Recipe) -> nn.Module:
    """A head that `make_head` has made, without what it put in front."""
    front = int(recipe.standardise) + (2 + bool(recipe.dropout) if recipe.hidden else 0)
    return head[front:] if front and isinstance(head, nn.Sequential) else head


def standardise_by(head: nn.Module, features: Tensor) -> None:
    """Let a head that standardises features do so by these, (n, D), as after an epoch of them; by one it cannot."""
    first = next(head.children(), None)
    if isinstance(first, nn.BatchNorm1d) and first.momentum is None and len(features) > 1:
        first.reset_running_stats()
        first.train()(features)


def forget_features(head: nn.Module) -> None:
    """Let batch norm that takes the mean of all batches begin anew: features of a network in training change."""
    for module in head.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum is None:
            module.reset_running_stats()
