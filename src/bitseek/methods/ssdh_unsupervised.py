"""Unsupervised SSDH: pairs that are clearly near or far in the space of the features stay so as codes.

Yang, Deng, Liu, Liu, Tao, Gao, "Semantic Structure-based Unsupervised Deep Hashing", IJCAI 2018.
"""

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._losses import unit_vectors
from bitseek.methods._pairs import batch_pairs
from bitseek.methods._recipe import BatchSize, Optimiser, Recipe, Shares


class SSDHUnsupervisedRecipe(Recipe):
    """The settings of the common PyTorch re-implementation, whose rate is constant."""

    near: NonNegativeFloat = 2.0
    """α: a pair is similar if its distance is so many deviations below the most frequent one."""
    far: NonNegativeFloat = 2.0
    """β: it is dissimilar if its distance is so many deviations above."""
    bins: PositiveInt = 100
    """Of the histogram in which the most frequent distance is looked for."""
    sampled: PositiveInt = 4000
    """Number of items whose distances to one another make the histogram; at most all."""
    epochs: PositiveInt = 50
    batch_size: BatchSize = 24
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 1e-3
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5
    drop_at: Shares = ()


class SSDHUnsupervised(Method):
    """Mean |s| (v_i · v_j / K − s)² over the pairs of a batch, with v = tanh u and s ∈ {−1, 0, 1}: no labels needed.

    The cosine distances of the features of two items, before training, are taken for two half-Gaussians that meet at
    the most frequent one, m: with deviation σ₁ below and σ₂ above, s = 1 where d ≤ m − α σ₁, −1 where d ≥ m + β σ₂,
    else 0, and such pairs do not count. An item with itself is no pair.

    The features are kept, one row an item, so that a pair has the same s all the time whatever becomes of the backbone.
    They are as long as the backbone's output: that much is added to the run. (The re-implementation keeps s, N × N; it
    counts each item with itself among the distances, takes the lower edge of the fullest bin for m, and bins only
    distances up to 1.)
    """

    card = Card(
        title="Semantic Structure-based Unsupervised Deep Hashing",
        authors="Yang et al.",
        year=2018,
        labels="none",
        head="linear",
        idea="pairs that are far nearer or farther than most keep that as codes",
    )
    recipe_class = SSDHUnsupervisedRecipe
    recipe: SSDHUnsupervisedRecipe
    structure: Tensor
    limits: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.register_buffer("structure", torch.zeros(task.items, task.features))
        self.register_buffer("limits", torch.tensor([-torch.inf, torch.inf]))  # no pair counts before `prepare`

    @property
    def prepares(self) -> bool:
        """Always: the structure is that of the features."""
        return True

    def prepare(self, features: Tensor, labels: Tensor, index: Tensor) -> None:
        """Keep the features, and find the two limits."""
        units = unit_vectors(features)
        self.structure[index] = units.to(self.structure)
        rows = np.random.default_rng((self.task.seed, 0x55D4)).permutation(len(units))[: self.recipe.sampled]
        some = units[torch.from_numpy(np.sort(rows)).to(units.device)].double()
        pairs = torch.triu_indices(len(some), len(some), 1, device=some.device)
        distances = (1 - some @ some.T)[pairs[0], pairs[1]].cpu().numpy()
        found = limits(distances, self.recipe.bins, self.recipe.near, self.recipe.far)
        self.limits.copy_(torch.tensor(found, dtype=torch.float64))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The squared difference of the pairs that count."""
        pairs = batch_pairs(batch.logits.tanh(), batch.logits.new_zeros(len(batch.logits), 0))
        units = self.structure[batch.index].to(batch.logits)
        distance = 1 - units @ units.T
        wanted = (distance <= self.limits[0]).to(distance) - (distance >= self.limits[1]).to(distance)
        error = (pairs.inner_products() / self.task.bits - wanted).square()
        return {"structure": pairs.mean(wanted.abs() * error)}


def limits(distances: np.ndarray, bins: int, near: float, far: float) -> tuple[float, float]:
    """The limits m − α σ₁ and m + β σ₂ about the middle m of the fullest bin, σ² = mean (d − m)² on each side."""
    if not len(distances):
        return -np.inf, np.inf
    counts, edges = np.histogram(distances, bins)
    middle = float(edges[counts.argmax()] + edges[counts.argmax() + 1]) / 2
    below, above = (
        np.square(part - middle) for part in (distances[distances <= middle], distances[distances > middle])
    )
    sides = [float(np.sqrt(part.mean())) if len(part) else 0.0 for part in (below, above)]
    return middle - near * sides[0], middle + far * sides[1]
