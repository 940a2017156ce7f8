"""DTSH: the likelihood of triplet labels.

Wang, Shi, Kitani, "Deep Supervised Hashing with Triplet Labels", ACCV 2016.
"""

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.methods._base import Batch, Card, Method
from bitseek.methods._losses import distance_to_signs
from bitseek.methods._recipe import BatchSize, Optimiser, OrNone, Recipe, for_heads
from bitseek.methods._triplets import batch_triplets


class DTSHRecipe(Recipe):
    """The settings of the common PyTorch re-implementation."""

    margin: OrNone[NonNegativeFloat] = None
    """α; by default the paper's K / 2. Released re-implementations use 5."""
    scale: PositiveFloat = 0.5
    """Of the inner product, θ = scale · u_i · u_j: ½ in the paper, 1 in re-implementations."""
    quantisation: NonNegativeFloat = 1.0
    """λ, weight of the mean of (u − sign u)²."""
    anchor_as_positive: bool = False
    """An item is also its own positive, as in re-implementations; with many classes and small batches it is often
    the only one."""
    epochs: PositiveInt = 150
    batch_size: BatchSize = 128
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5


class DTSH(Method):
    """The likelihood of triplets, and the quantisation error.

    The mean over the anchors of the mean over their triplets of log(1 + e^(−t)), with t = θ_ap − θ_an − α, and λ
    times the mean of (u − sign u)².

    All triplets of a batch are formed. An anchor without a positive or a negative is left out. (Re-implementations
    clip t at −100 against overflow, where the triplets that are most wrong have no gradient; nothing is clipped here.)
    """

    card = Card(
        title="Deep Supervised Hashing with Triplet Labels",
        authors="Wang et al.",
        year=2016,
        labels="multi",
        head="linear",
        idea="the likelihood that an item is closer to one of its class than to one of another, by a margin",
    )
    recipe_class = DTSHRecipe
    head_recipe = for_heads(batch_size=64, lr=3e-4)
    recipe: DTSHRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the triplets, and the quantisation error."""
        logits = batch.logits
        margin = self.task.bits / 2 if self.recipe.margin is None else self.recipe.margin
        triplets = batch_triplets(batch.labels, both_ways=True, anchor_as_positive=self.recipe.anchor_as_positive)
        surplus = triplets.gaps(self.recipe.scale * logits @ logits.T, -margin, blank=torch.inf)
        likelihood = triplets.mean_of_anchors(F.softplus(-surplus))
        error = self.recipe.quantisation * distance_to_signs(logits).mean()
        return {"likelihood": likelihood, "quantisation": error}
