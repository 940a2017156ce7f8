"""Neighbour contrast: items that are neighbours in feature space get the same code, and strangers another one.

Ours. Neighbours as the positives of a contrast are those of Dwibedi et al., "With a Little Help from My Friends", ICCV
2021 (NNCLR), and of Van Gansbeke et al., "SCAN", ECCV 2020; the contrast on codes is that of CIBHash. What it reaches
against the methods without labels of the field is in docs/ledger.md.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.codes import signs
from bitseek.errors import DataError
from bitseek.labels import Labels
from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._losses import straight_through, unit_vectors
from bitseek.methods._recipe import Augment, DropoutShare, Recipe, Width, for_heads

PAIRS_AT_ONCE = 2**25
"""Cosines that `prepare` holds at once."""
NEVER = -1e9
"""Logarithm of a weight of 0, small beside any cosine / τ of use; not −∞, for a sum over none has no gradient then."""


class NeighbourContrastRecipe(Recipe):
    """Chosen on held-out items of CIFAR-10, CIFAR-100 and MNIST, on features (docs/auto.md).

    Features are standardised: where they share a large offset, the head could begin with one code for all items
    otherwise, which nothing leads away from.
    """

    epochs: PositiveInt = 30
    batch_size: Annotated[int, Field(ge=4)] = 256
    """Items of a step, half of them neighbours of the others; at least 4, so that there can be strangers."""
    lr: PositiveFloat = 3e-3
    backbone_lr: NonNegativeFloat = 0.0
    augment: Augment = "none"
    neighbours: PositiveInt = 5
    """k, number of neighbours of an item, by the cosine of features; at most a third of the others."""
    among: Annotated[int, Field(ge=2)] = 50_000
    """Number of items, drawn at random, among which the neighbours of every item are looked for; at most all."""
    temperature: PositiveFloat = 0.3
    """τ, of the contrast. A higher one keeps apart what is far apart only: coarser classes."""
    standardise: bool = True
    hidden: Width = 256
    dropout: DropoutShare = 0.5


class NeighbourContrast(Method):
    """−log of e^(c_ij / τ) / [e^(c_ij / τ) + Σ_r w_ir e^(c_ir / τ)] for neighbours i, j, c the cosines of their codes.

    No labels are needed: two items are neighbours if one is among the k nearest of the other, of the items that are
    drawn, by the cosine of their features before training, from which the mean μ of these is subtracted. The sum goes
    over the strangers r of i in the batch, the mean over the neighbours of i there, then over all i that have any.
    Codes are sign(u), whose gradient goes to σ(u).

    A stranger that is near is likely of the same class, so it counts less: w_ir = 1 − max(0, cos(f_i − μ, f_r − μ)).
    Where classes are tight, as on features that were trained on them, this leaves out most of what is no stranger at
    all; where they are not it changes little.

    Attributes:
        near: (N, k) int64, the neighbours of each training item by its number; −1 for none.
        centre: (D,) float, μ.
    """

    card = Card(
        title="Contrast of neighbours in feature space",
        authors="bitseek",
        year=2026,
        labels="none",
        head="batch norm, dropout, linear, ReLU, linear",
        idea="the same code for neighbours in feature space, another one for strangers, the more the farther they are",
    )
    recipe_class = NeighbourContrastRecipe
    head_recipe = for_heads(lr=3e-3)
    recipe: NeighbourContrastRecipe
    head_class = nn.Linear
    near: Tensor
    centre: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        count = min(self.recipe.neighbours, max(1, (task.items - 1) // 3))  # the rest are strangers
        self.register_buffer("near", torch.full((task.items, count), -1))  # before `prepare` nothing has a neighbour
        self.register_buffer("centre", torch.zeros(task.features))

    @property
    def prepares(self) -> bool:
        """Always: neighbours are those of the features."""
        return True

    def prepare(self, features: Tensor, labels: Tensor, index: Tensor) -> None:
        """Find the neighbours; of equal cosines any.

        Raises:
            DataError: a feature is not finite.
        """
        if len(bad := index[~features.isfinite().all(dim=1)]):
            raise DataError(
                f"neighbours are looked for among finite features; those of {len(bad)} of {len(index)} training items "
                f"are not, the first is number {int(bad[0])}: leave them out"
            )
        self.centre.copy_(features.mean(dim=0))
        units = unit_vectors(features - self.centre.to(features))
        drawn = np.random.default_rng((self.task.seed, 0xC0)).permutation(len(units))[: self.recipe.among]
        some = torch.from_numpy(np.sort(drawn)).to(units.device)
        if len(some) < 2:
            return  # too few could be read, and nothing has a neighbour
        count = min(self.near.shape[1], len(some) - 1)
        for rows in torch.arange(len(units), device=units.device).split(max(1, PAIRS_AT_ONCE // len(some))):
            cosines = (units[rows] @ units[some].T).masked_fill(rows.unsqueeze(1) == some, -torch.inf)
            self.near[index[rows], :count] = index[some[cosines.topk(count, dim=1).indices]]

    def sample(self, labels: Labels, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Every item once, half a batch at a time, and one neighbour of each; without the last partial batch."""
        near, order = self.near.cpu().numpy(), generator.permutation(len(labels))
        half = min(self.recipe.batch_size // 2, len(labels))
        for start in range(0, len(labels) - half + 1, half):
            items = order[start : start + half]
            drawn = generator.integers(0, np.maximum(1, (near[items] >= 0).sum(axis=1)))
            partners = near[items, drawn]
            yield np.concatenate([items, np.where(partners < 0, items, partners)])

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The contrast of every item's neighbours in the batch with its strangers there."""
        near = (self.near[batch.index].unsqueeze(2) == batch.index).any(dim=1)
        same = batch.index.unsqueeze(1) == batch.index
        neighbours = (near | near.T) & ~same
        units = unit_vectors(batch.features.detach() - self.centre.to(batch.features))
        weights = (1 - (units @ units.T).clamp(0, 1)).masked_fill(neighbours | same, 0)
        return {"contrast": against_strangers(batch.logits, neighbours, weights, self.recipe.temperature)}


def against_strangers(logits: Tensor, own: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """−log of e^(c_ij / τ) / [e^(c_ij / τ) + Σ_r w_ir e^(c_ir / τ)], mean over the j of i, then over all i with any.

    c are the cosines of the codes sign(u), whose gradient goes to σ(u). 0 if no item has its own.

    Args:
        logits: (b, K) float, u.
        own: (b, b) bool, whether j shall have the code of i.
        weights: (b, b) float, w_ir ≥ 0, of each stranger r; 0 for what is none.
        temperature: τ.
    """
    codes = unit_vectors(straight_through(logits.sigmoid(), signs(logits)))
    cosines = codes @ codes.T / temperature
    strangers = torch.logsumexp(cosines + weights.log().clamp(min=NEVER), dim=1, keepdim=True)
    losses = F.softplus(strangers - cosines) * own
    counts = own.sum(dim=1)
    return (losses.sum(dim=1) / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)
