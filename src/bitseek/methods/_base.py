"""The contract of a method: how a hasher is trained.

A method is a module with all that training needs besides the backbone: its head, its loss, its sampler, its further
parameters, its state per training item, and its recipe. Code outside of this package uses methods through this contract
only, never by name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor, nn

from bitseek.errors import BitseekError
from bitseek.labels import Labels
from bitseek.methods._front import make_head
from bitseek.methods._recipe import HEAD_RECIPE, Recipe, for_heads
from bitseek.models import LinearHead


@dataclass(frozen=True, kw_only=True)
class Card:
    """The description of a method.

    Attributes:
        title: of the paper.
        authors: first author and others.
        year: of publication.
        labels: what it needs to know of a training item: `single` class, `multi` (any number of classes), or `none`.
        head: the head in a few words.
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
    """What a method is trained on.

    Attributes:
        features: length of the backbone's output, D.
        bits: length of the code, K.
        classes: number of classes, C; 0 without labels.
        items: number of training items, N.
        multi_label: whether an item can have several classes.
        seed: of what the method draws with NumPy (codebooks, projections). Parameters are initialised from torch's
            default generator, which training seeds.
    """

    features: int
    bits: int
    classes: int
    items: int
    multi_label: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The input of a loss. With v views: the first view of all b items, then the second of all, and so on.

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
    """The base of all methods. Everything that a loss depends on is a parameter or a buffer, or comes in the batch.

    Attributes:
        card: its description.
        recipe_class: its hyper-parameters and their defaults.
        head_recipe: what differs from `HEAD_RECIPE` where only its head is trained, on features that do not change.
        views: number of augmented views of each item in a batch.
        by_gradient: False for a method that is fitted on features in one go, by `fit`.
        takes_codebook: whether its codewords are those of the codebook that its recipe names.
        takes_front: whether its recipe can put standardised features and a hidden layer in front of its head: the loss
            does not look into the head, which is not fitted to the features.
        nests: whether the first bits can be a code in their own right: the loss asks for logits, not for the head's
            layers, or each bit is found without those after it.
        head_class: makes the head, of D and K, unless `build_head` does.
        head: features → logits.
    """

    card: ClassVar[Card]
    recipe_class: ClassVar[type[Recipe]] = Recipe
    head_recipe: ClassVar[Mapping[str, Any]] = for_heads()
    views: int = 1
    by_gradient: ClassVar[bool] = True
    takes_codebook: ClassVar[bool] = False
    takes_front: ClassVar[bool] = True
    nests: ClassVar[bool] = True
    head_class: ClassVar[type[nn.Module]] = LinearHead
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
        self.head = make_head(type(self), task, self.recipe)

    @classmethod
    def build_head(cls, task: Task, recipe: Any) -> nn.Module:
        """The head of this method with initial weights, without what `make_head` puts in front of it."""
        return cls.head_class(task.features, task.bits)

    @classmethod
    def lengths_of(cls, task: Task, recipe: Recipe) -> tuple[int, ...]:
        """Lengths in bits of which the first so many are a code in their own right: ascending, the last is K."""
        return recipe.nested(task.bits)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Those of this method: `(K,)` where its codes are not nested."""
        return self.lengths_of(self.task, self.recipe)

    @property
    def augments(self) -> tuple[str, ...]:
        """The augmentation of each view."""
        return (self.recipe.augment,) * self.views

    @property
    def prepares(self) -> bool:
        """Whether training calls `prepare`, for which it must compute the features of all training items once."""
        return False

    def prepare(self, features: Tensor, labels: Tensor, index: Tensor) -> None:
        """Look at the training items as they are before the first step, without gradients.

        It may change buffers and parameters only: a run that is resumed does not call it again.

        Args:
            features: (n, D) float, without augmentation, the backbone in evaluation mode.
            labels: (n, C) float, multi-hot.
            index: (n,) int64, number of each item in the training set; items that cannot be read are missing.
        """

    def lead(self, shorter: Sequence["Method"]) -> None:
        """Agree with the shorter lengths of nested codes, ascending, on the bits that they share.

        Called once, of the longest, as they are made; `prepare` is called of the shorter ones first.
        """

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted terms of the loss by name; training minimises their sum."""
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

        It may change buffers and parameters only: a run that is resumed within an epoch does not call it again. What
        depends on the time alone is better computed from `Batch.progress`.
        """

    def sample(self, labels: Labels, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Batches of one epoch as arrays of item numbers; by default a shuffle without the last partial batch.

        Args:
            labels: of the N training items.
            generator: the only source of randomness.
        """
        order = generator.permutation(len(labels))
        size = min(self.recipe.batch_size, len(order))
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]

    def codewords(self) -> Tensor | None:
        """(C, K) ±1 target codes, for methods that have them; training then logs the codeword accuracy."""
        return None

    def item_codes(self) -> Tensor | None:
        """(N, K) ±1 codes of the training items, for methods that learn them beside the head.

        Where the database consists of training items, they can stand in it for the codes that the head gives, while
        queries are encoded by the head: an asymmetric search.
        """
        return None


def make_recipe(cls: type[Method], values: Mapping[str, Any], *, frozen: bool = False) -> Recipe:
    """The recipe of a method with some values changed; text is read as the type of its field.

    Args:
        cls: the method.
        values: hyper-parameters that differ from the defaults.
        frozen: whether only a head is trained, on features that do not change: then `HEAD_RECIPE` with the method's
            own `head_recipe` are the defaults. The published recipe is that of a whole network.

    Raises:
        BitseekError: an unknown hyper-parameter, or a value that is not allowed; it says which, and what is allowed.
    """
    defaults = {**HEAD_RECIPE, **cls.head_recipe} if frozen and cls.by_gradient else {}
    return cls.recipe_class(**{**defaults, **values})
