"""What a recipe adds to any method: nested codes (NHL), a second view (DHD), pairs of strangers (HyP²).

Jang, Gu, Ko, Yoo, Cho, "Deep Hash Distillation for Image Retrieval", ECCV 2022, has the second view, Xu et al., "HyP²
Loss", ACM Multimedia 2022, the strangers; nested codes are described in `_nested`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from bitseek.errors import BitseekError
from bitseek.labels import Labels
from bitseek.methods._base import Batch, Method, Task
from bitseek.methods._front import own_head
from bitseek.methods._losses import self_distillation, unit_vectors
from bitseek.methods._nested import cosines_from, dominance_weights, hash_weight, row_gradients
from bitseek.methods._pairs import hinge_of_strangers, reachable_cosine
from bitseek.methods._recipe import Recipe


def make_method(cls: type[Method], task: Task, recipe: Recipe | None = None) -> Method:
    """The method with all that its recipe says; a plain one where it adds nothing.

    Raises:
        BitseekError: the recipe adds what this method cannot have.
    """
    chosen = cls.recipe_class() if recipe is None else recipe
    nested = len(cls.lengths_of(task, chosen)) > 1
    if nested and not cls.nests:
        raise BitseekError(f"the first bits of {cls.__name__} are not a code in their own right: leave out lengths")
    if chosen.second_view and (not cls.by_gradient or cls.views != 1):
        why = "has two views of its own" if cls.by_gradient else "is fitted on features, which have one view"
        raise BitseekError(f"{cls.__name__} {why}: leave out second_view")
    if chosen.strangers and cls.card.labels != "multi":
        raise BitseekError(
            f"strangers are items of several classes, and {cls.__name__} asks for labels {cls.card.labels!r}: leave "
            "out strangers, or take a method whose labels are 'multi' (see: bitseek methods)"
        )
    if cls.by_gradient and (nested or chosen.second_view or chosen.strangers):
        return Extended(cls, task, chosen)
    return cls(task, chosen)


class Extended(Method):
    """Σ_l w_l (L_l + β hinge of strangers + λ (1 − cos(v, v')) + λ D_l) over the lengths l of nested codes.

    Every length has a method of its own, with its classifier or memory bank, and with codewords that are the first bits
    of those of the next longer one; all read the first bits of one head. L_l sees the first view alone; v' is the code
    of the second.

    Attributes:
        parts: a method for each length, ascending.
    """

    def __init__(self, base: type[Method], task: Task, recipe: Recipe) -> None:
        nn.Module.__init__(self)
        self.task, self.recipe = task, recipe
        alone = recipe.model_copy(update={"lengths": ()})
        # The longest first: it draws the weights that it draws where nothing is nested.
        made = {bits: self.of_length(bits, base, alone) for bits in reversed(self.lengths)}
        self.head = made[task.bits].head
        for part in made.values():
            del part.head
            object.__setattr__(part, "head", self.head)  # not registered there: its weights are those of this module
        self.parts = nn.ModuleList(made[bits] for bits in self.lengths)
        if shorter := self.methods[:-1]:
            self.methods[-1].lead(shorter)
        self.views = 2 if recipe.second_view else base.views
        self.zetas = [
            reachable_cosine(task.classes, bits, recipe.zeta) if recipe.strangers else 0.0 for bits in self.lengths
        ]
        if recipe.length_weights == "dominance":
            self.hash_weight()  # refuses a head without such a layer before anything is trained

    def of_length(self, bits: int, base: type[Method], recipe: Recipe) -> Method:
        """The method with codes of so many bits; what is wrong with a shorter length is said of it."""
        try:
            return base(replace(self.task, bits=bits), recipe)
        except BitseekError as error:
            if bits == self.task.bits:
                raise
            raise BitseekError(f"length {bits} of nested codes: {error}; or leave it out of lengths") from None

    @property
    def methods(self) -> list[Method]:
        """The parts by their type."""
        return [cast(Method, part) for part in self.parts]

    @property
    def augments(self) -> tuple[str, ...]:
        """That of the method, and that of the second view."""
        return (self.recipe.augment, self.recipe.second_augment) if self.recipe.second_view else super().augments

    @property
    def prepares(self) -> bool:
        """Whether one of the parts does."""
        return any(part.prepares for part in self.methods)

    def prepare(self, features: Tensor, labels: Tensor, index: Tensor) -> None:
        """Prepare every part, the shortest first, since the longer ones may look at it."""
        for part in self.methods:
            part.prepare(features, labels, index)

    def start_epoch(self, epoch: int) -> None:
        """Start it in every part."""
        for part in self.methods:
            part.start_epoch(epoch)

    def sample(self, labels: Labels, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """The batches of the longest; the others are told the labels."""
        return [part.sample(labels, generator) for part in self.methods][-1]

    def codewords(self) -> Tensor | None:
        """Those of the whole code."""
        return self.methods[-1].codewords()

    def item_codes(self) -> Tensor | None:
        """Those of the whole code."""
        return self.methods[-1].item_codes()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of every length, whose number follows their name where there are several."""
        logits = [batch.logits[:, :bits] for bits in self.lengths]
        terms = [
            self.terms(part, replace(batch, logits=own), zeta)
            for part, own, zeta in zip(self.methods, logits, self.zetas, strict=True)
        ]
        if self.recipe.length_distillation:
            for own, shorter, longer in zip(terms, logits, logits[1:], strict=False):
                own["distillation"] = self.recipe.length_distillation * cosines_from(shorter, longer)
        if len(terms) == 1:
            return terms[0]
        weights = self.weights([torch.stack(list(own.values())).sum() for own in terms])
        return {
            f"{name}_{bits}": weight * term
            for bits, weight, own in zip(self.lengths, weights, terms, strict=True)
            for name, term in own.items()
        }

    def terms(self, part: Method, batch: Batch, zeta: float) -> dict[str, Tensor]:
        """The terms of one length, (v·b, K_l) logits, and what the recipe adds to each length."""
        items = len(batch.labels)
        first = batch
        if self.recipe.second_view:
            first = replace(batch, logits=batch.logits[:items], features=batch.features[:items])
        terms = dict(part.loss(first))
        if self.recipe.strangers:
            units = unit_vectors(first.logits[:items])
            terms["strangers"] = self.recipe.strangers * hinge_of_strangers(units, batch.labels, zeta)
        if self.recipe.second_view:
            distance = self_distillation(first.logits, batch.logits[items:])
            terms["second_view"] = self.recipe.second_view * distance
        return terms

    def weights(self, objectives: list[Tensor]) -> list[float]:
        """w_l, whose sum is the number of lengths: 1, or by dominance where there is a gradient to look at."""
        if self.recipe.length_weights == "equal" or not all(each.requires_grad for each in objectives):
            return [1.0] * len(objectives)
        return dominance_weights(row_gradients(objectives, self.hash_weight(), self.lengths))

    def hash_weight(self) -> Tensor:
        """(K, D) weights whose rows are the bits: of the head of the method, not of a hidden layer in front of it."""
        return hash_weight(own_head(self.head, self.recipe), self.task.bits)
