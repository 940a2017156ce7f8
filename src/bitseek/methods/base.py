"""What a method is: the way in which a hasher is trained.

A method is a module with all that training needs beside the backbone: its head, its loss, its sampler, what it learns
or remembers on the way, and its recipe. Everything that asks for a method asks through this contract; nothing asks for
a method by its name. To add one, write its file and its line in `METHODS`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor, nn

from bitseek.errors import BitseekError
from bitseek.models.head import LinearHead

AnyRecipe = TypeVar("AnyRecipe", bound="Recipe")

Augment = Literal["none", "flip", "crop", "resized-crop", "jitter", "views"]
"""What happens to training images, see `Recipe`."""

Optimiser = Literal["adam", "sgd", "rmsprop"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyper-parameters, with the values that the method was published with as defaults.

    A method adds its own in a subclass of this.

    Attributes:
        epochs: passes over the training set.
        batch_size: items in a step.
        optimiser: `adam`, `sgd` (momentum 0.9) or `rmsprop`.
        lr: learning rate of the head and of all that the method learns beside it.
        backbone_lr: learning rate of the backbone, as a multiple of `lr`.
        weight_decay: L2 penalty inside the optimiser.
        drop_at: share of the epochs after which the learning rate is multiplied by `drop_by`.
        drop_by: that factor.
        augment: what happens to training images: `none`, `flip`, `crop` (a random crop, and flip), `resized-crop`
            (random scale and ratio, and flip), `jitter` (flip, brightness and contrast by 5 %), `views` (the strong
            augmentation of contrastive learning).
    """

    epochs: int = 100
    batch_size: int = 256
    optimiser: Optimiser = "adam"
    lr: float = 1e-4
    backbone_lr: float = 0.1
    weight_decay: float = 5e-4
    drop_at: float = 0.8
    drop_by: float = 0.1
    augment: Augment = "flip"

    def changed(self: AnyRecipe, **values: Any) -> AnyRecipe:
        """This recipe with other values; strings (from a command line) are read as the field's type.

        Raises:
            BitseekError: a name that the recipe does not have, or a value that is not of its type.
        """
        types = {field.name: field.type for field in fields(self)}
        unknown = sorted(set(values) - set(types))
        if unknown:
            raise BitseekError(f"there is no hyper-parameter {unknown[0]!r} here; there are {', '.join(sorted(types))}")
        return replace(self, **{name: _read(name, types[name], value) for name, value in values.items()})


def _read(name: str, kind: Any, value: Any) -> Any:
    """A value as the type of its field: bool, int, float, str, a Literal, or a union of them."""
    choices = get_args(kind) if get_args(kind) else (kind,)
    literals = [choice for choice in choices if not isinstance(choice, type)]
    plain = [choice for outer in choices for choice in (get_args(outer) or (outer,)) if not isinstance(choice, type)]
    if value in (plain or literals) and not isinstance(value, bool):
        return value
    for choice in (bool, int, float, str, type(None)):
        if choice not in choices:
            continue
        if choice is type(None) and value in (None, "none"):
            return None
        if choice is bool and str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
        if choice in (int, float) and not isinstance(value, bool):
            try:
                number = choice(value)
            except (TypeError, ValueError):
                continue
            if number == float(value):
                return number
        if choice is str and isinstance(value, str):
            return value
    expected = [repr(c) for c in plain] + [c.__name__ for c in choices if isinstance(c, type)]
    raise BitseekError(f"hyper-parameter {name} is {' or '.join(expected)}, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a method is, for those who choose one.

    Attributes:
        title: of the paper.
        authors: first author and others.
        year: of publication.
        labels: what it needs to know of a training item: `single` class, `multi` (any number of classes), or `none`.
        head: what its head is, in a few words.
        idea: one sentence.
    """

    title: str
    authors: str
    year: int
    labels: Literal["single", "multi", "none"]
    head: str
    idea: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a method is to be trained on.

    Attributes:
        features: length of the backbone's output, D.
        bits: length of the code, K.
        classes: number of classes, C; 0 without labels.
        items: number of training items, N.
        multi_label: whether an item can have several classes.
        seed: for what the method draws (codebooks).
    """

    features: int
    bits: int
    classes: int
    items: int
    multi_label: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What the loss of a method sees of one step.

    A method with v views sees the first view of all b items, then the second of all, and so on.

    Attributes:
        logits: (v·b, K) float, output of the head.
        features: (v·b, D) float, output of the backbone.
        labels: (b, C) float, multi-hot.
        index: (b,) int64, number of each item in the training set, 0 … N−1.
        progress: share of the training that is done, in [0, 1).
    """

    logits: Tensor
    features: Tensor
    labels: Tensor
    index: Tensor
    progress: float = 0.0


class Method(nn.Module):
    """The contract; see the module.

    Attributes:
        card: what it is.
        recipe_class: its hyper-parameters and their defaults.
        views: how many augmented views of each item a step shows.
        by_gradient: False for a method that is fitted on features in one go, by `fit`.
        head: features → logits.
    """

    card: ClassVar[Card]
    recipe_class: ClassVar[type[Recipe]] = Recipe
    views: ClassVar[int] = 1
    by_gradient: ClassVar[bool] = True
    recipe: Any
    head: nn.Module

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__()
        self.task = task
        self.recipe = self.recipe_class() if recipe is None else recipe
        if task.multi_label and self.card.labels == "single":
            raise BitseekError(
                f"{type(self).__name__} needs items with one class each; this protocol has items with several: "
                "choose a method whose labels are 'multi' or 'none' (see: bitseek methods)"
            )
        if task.classes < 2 and self.card.labels != "none":
            raise BitseekError(
                f"{type(self).__name__} needs labels of at least 2 classes, this protocol has {task.classes}; "
                "methods without labels: see bitseek methods"
            )
        self.head = self.build_head(task, self.recipe)

    @classmethod
    def build_head(cls, task: Task, recipe: Any) -> nn.Module:
        """The head, with fresh weights: all that a trained hasher needs of its method."""
        return LinearHead(task.features, task.bits)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss by name, weighted: their sum is what is minimised."""
        raise BitseekError(f"{type(self).__name__} is fitted on features and has no loss")

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Fit the head in one go, for methods without gradients.

        Args:
            features: (N, D) float, of the training set.
            labels: (N, C) float, multi-hot.
        """
        raise BitseekError(f"{type(self).__name__} is trained by gradients and has no fit")

    def start_epoch(self, epoch: int) -> None:
        """Called once before each epoch, 0 … epochs−1.

        What it changes must be buffers or parameters: a run that is resumed within an epoch does not call it again.
        What depends on the time alone is better taken from `Batch.progress`.
        """

    def sample(self, labels: np.ndarray, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Batches of one epoch, as arrays of item numbers. By default: a shuffle, the last partial batch dropped.

        Args:
            labels: (N,) classes, −1 for none, or (N, C) multi-hot.
            generator: all randomness comes from here.
        """
        order = generator.permutation(len(labels))
        size = min(self.recipe.batch_size, len(order))
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]

    def codewords(self) -> Tensor | None:
        """(C, K) ±1 target codes, for methods that have them; training then logs the codeword accuracy."""
        return None


def class_distribution(labels: Tensor) -> Tensor:
    """Y / Σ y: the labels of an item as a distribution over the classes; all zero for an item without labels.

    Args:
        labels: (b, C) multi-hot.
    """
    return labels / labels.sum(dim=1, keepdim=True).clamp(min=1)


def softmax_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """−Σ_c q_c log softmax(z)_c with q = y / Σ y, mean over the items that have a label; 0 if none has.

    Args:
        scores: (b, C) float, z.
        labels: (b, C) multi-hot, y.
    """
    entropy = -(class_distribution(labels) * scores.log_softmax(dim=1)).sum()
    return entropy / (labels.sum(dim=1) > 0).sum().clamp(min=1)


def similar(labels: Tensor, others: Tensor) -> Tensor:
    """s_ij = 1 where two items share a class, else 0: (b, C), (n, C) multi-hot → (b, n) float."""
    return (labels @ others.T > 0).to(labels.dtype)


def straight_through_sign(logits: Tensor) -> Tensor:
    """±1 by the rule of bits (0 gives +1) forward, the identity backward."""
    signs = torch.where(logits >= 0, 1.0, -1.0).to(logits.dtype)
    return logits + (signs - logits).detach()
