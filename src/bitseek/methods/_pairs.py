"""Losses over pairs of items: the pairs, the memory bank, and the base of the methods that use them."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitseek.codebooks import make_codebook
from bitseek.methods._base import Batch, Method, Task
from bitseek.methods._recipe import Recipe, Zeta


@dataclass(frozen=True)
class Pairs:
    """The items of a batch, each paired with others.

    Attributes:
        codes: (b, K) float, real-valued codes of the first items.
        others: (n, K) float, those of the second items.
        labels: (b, C) multi-hot, of the first items.
        other_labels: (n, C) multi-hot, of the second.
        counted: (b, n) float, 1 for the pairs that count, else 0; an item with itself never counts.
    """

    codes: Tensor
    others: Tensor
    labels: Tensor
    other_labels: Tensor
    counted: Tensor

    @cached_property
    def similar(self) -> Tensor:
        """(b, n) float, s_ij: 1 where the two items share a class, else 0."""
        return (self.labels @ self.other_labels.T > 0).to(self.labels.dtype)

    def label_cosines(self) -> Tensor:
        """Share of common classes, cos(y_i, y_j), (b, n) in [0, 1]; 0 for an item without labels."""
        lengths = self.labels.norm(dim=1).unsqueeze(1) * self.other_labels.norm(dim=1)
        cosines: Tensor = self.labels @ self.other_labels.T / lengths.where(lengths > 0, 1.0)
        return cosines

    def inner_products(self) -> Tensor:
        """v_i · v_j, (b, n)."""
        return self.codes @ self.others.T

    def squared_distances(self) -> Tensor:
        """‖v_i − v_j‖², summed over the bits, (b, n)."""
        return squared_distances(self.codes, self.others)

    def balance(self) -> Tensor:
        """|S| / |S1| for similar pairs and |S| / |S0| for the others, (b, n): both kinds weigh the same in a mean."""
        total = self.counted.sum()
        ones = (self.similar * self.counted).sum()
        zeros = total - ones
        return torch.where(self.similar > 0, total / ones.clamp(min=1), total / zeros.clamp(min=1))

    def contrast(self, margin: float) -> Tensor:
        """½ s D + ½ (1 − s) max(M − D, 0) with D = ‖v_i − v_j‖², mean over the pairs."""
        distance = self.squared_distances()
        return self.mean(self.similar * distance + (1 - self.similar) * F.relu(margin - distance)) / 2

    def mean(self, values: Tensor) -> Tensor:
        """Mean of (b, n) values over the pairs that count; 0 if none does."""
        return (values * self.counted).sum() / self.counted.sum().clamp(min=1)


def batch_pairs(codes: Tensor, labels: Tensor) -> Pairs:
    """Every pair of two items of one batch, counted once: of (b, K) codes and (b, C) multi-hot labels."""
    return Pairs(codes, codes, labels, labels, codes.new_ones(len(codes), len(codes)).triu(1))


class MemoryBank(nn.Module):
    """U of (N, K): row i holds the last code that was computed for training item i, without a gradient.

    Rows that no step has filled yet are left out of every pair. (In the field's released code they are zeros without
    a class, which count as dissimilar to all.) All of it is state that is saved and resumed with the method.
    """

    codes: Tensor
    labels: Tensor
    seen: Tensor

    def __init__(self, items: int, bits: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(items, bits))
        self.register_buffer("labels", torch.zeros(items, classes))
        self.register_buffer("seen", torch.zeros(items, dtype=torch.bool))

    def pairs(self, codes: Tensor, batch: Batch) -> Pairs:
        """Write a batch into the bank, then pair each of its items with every filled row but its own.

        Args:
            codes: (b, K) float, codes of the batch.
            batch: its `labels` and `index`.
        """
        # A new tensor, not a write in place: an earlier step whose gradient is still to come keeps its own rows.
        self.codes = self.codes.index_copy(0, batch.index, codes.detach().to(self.codes.dtype))
        self.labels[batch.index] = batch.labels.to(self.labels.dtype)
        self.seen[batch.index] = True
        rows = torch.arange(len(self.seen), device=self.seen.device)
        counted = self.seen & (batch.index.unsqueeze(1) != rows)
        return Pairs(codes, self.codes, batch.labels, self.labels.to(batch.labels.dtype), counted.to(codes.dtype))


class PairRecipe(Recipe):
    """Adds the choice of the pairs."""

    memory: bool = False
    """Pair each item of the batch with the last code of every training item instead of with its batch."""


class PairMethod(Method):
    """A method whose loss is a mean over pairs: those of a batch, or of a batch and the memory bank."""

    recipe_class: ClassVar[type[Recipe]] = PairRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.bank = MemoryBank(task.items, task.bits, task.classes) if self.recipe.memory else None

    def pairs(self, codes: Tensor, batch: Batch) -> Pairs:
        """The pairs of a batch whose items have these (b, K) real-valued codes."""
        return batch_pairs(codes, batch.labels) if self.bank is None else self.bank.pairs(codes, batch)


def squared_distances(codes: Tensor, others: Tensor) -> Tensor:
    """‖v_i − v_j‖², summed over the bits: (b, K), (n, K) → (b, n); never below 0."""
    squares = codes.square().sum(dim=1).unsqueeze(1) + others.square().sum(dim=1)
    return torch.addmm(squares, codes, others.T, alpha=-2).clamp(min=0)


def pair_entropy(logit: Tensor, similar: Tensor) -> Tensor:
    """log(1 + e^θ) − s θ: minus the log-likelihood of s under P(s = 1) = σ(θ); finite for every finite θ."""
    return F.softplus(logit) - similar * logit


def hinge_of_strangers(units: Tensor, labels: Tensor, zeta: float) -> Tensor:
    """max(cos − ζ, 0), mean over the pairs of items that have more than one class each and none in common; 0 if none.

    Xu et al., "HyP² Loss", ACM Multimedia 2022: proxies of the classes alone leave such items where they mix.

    Args:
        units: (b, K) float of length 1.
        labels: (b, C) multi-hot.
        zeta: ζ.
    """
    pairs = batch_pairs(units, labels)
    several = (labels.sum(dim=1) > 1).to(units)
    strangers = pairs.counted * (1 - pairs.similar) * several.unsqueeze(1) * several
    return (strangers * F.relu(pairs.inner_products() - zeta)).sum() / strangers.sum().clamp(min=1)


def reachable_cosine(classes: int, bits: int, zeta: Zeta = "spread") -> float:
    """ζ; `spread` for 1 − 2 d / K, d the minimum distance of this codebook: a cosine that C codes can have at once."""
    if zeta != "spread":
        return zeta
    return 1 - 2 * make_codebook("spread", classes, bits).minimum_distance / bits
