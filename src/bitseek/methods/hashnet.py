"""HashNet: weighted pairwise likelihood on tanh(β u), whose β grows until the codes are binary.

Cao, Long, Wang, Yu, "HashNet: Deep Learning to Hash by Continuation", ICCV 2017.
"""

import math
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._pairs import PairMethod, PairRecipe, Pairs, pair_entropy
from bitseek.methods._recipe import Augment, BatchSize, Optimiser, OrNone, Share, Shares


class HashNetRecipe(PairRecipe):
    """The settings of the released code, which halves the rate after every 2,000 of 10,000 steps."""

    alpha: OrNone[PositiveFloat] = None
    """α, scale of the inner product in the likelihood; by default 10 / K, as the released code advises.
    (Re-implementations use 0.1 or 1.)"""
    pair_weights: PositiveFloat | Literal["batch", "classes"] = "batch"
    """What makes up for the rarity of similar pairs. `batch`: |S| / |S1| and |S| / |S0|, counted in the batch, as
    in the paper; `classes`: similar pairs weigh C times as much and the weights are divided by their sum, as in the
    released code, whose factor is |S| / |S1| of the training set; a number: that factor."""
    beta_growth: NonNegativeFloat = 50.0
    """g of the continuation β = √(1 + g · progress); 50 takes it from 1 to 7.1, as in the released code."""
    beta_stages: PositiveInt = 50
    """Number of steps in which it grows."""
    batch_size: BatchSize = 72
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 3e-3
    drop_at: Shares = (0.2, 0.4, 0.6, 0.8)
    drop_by: Share = 0.5
    augment: Augment = "resized-crop"


class HashNet(PairMethod):
    """The weighted likelihood of pairs of tanh codes.

    The weighted mean over the pairs of log(1 + e^(α Ω)) − α s Ω, with Ω = v_i · v_j and v = tanh(β u).

    The released code pairs two independent batches of 36; here all pairs of one batch of 72 are formed, or with
    `memory`, as in a common re-implementation, each item of the batch with the last code of every training item.

    An item is never paired with itself. Re-implementations that take all b² entries of V Vᵀ count such pairs as
    similar: their product is already the largest, so that they teach next to nothing, but they raise |S1| and so take
    weight from the true similar pairs: an item of one of C balanced classes has (b − 1) / C of those beside itself,
    hence with C = 100 and b = 72 the weight of a true pair falls to 0.4 of what it is here. Their small gradient pushes
    |v| to 1.
    """

    card = Card(
        title="HashNet: Deep Learning to Hash by Continuation",
        authors="Cao et al.",
        year=2017,
        labels="multi",
        head="linear",
        idea="pairwise likelihood, weighted against the rarity of similar pairs; tanh(β u) becomes sign(u) as β grows",
    )
    recipe_class = HashNetRecipe
    recipe: HashNetRecipe

    def beta(self, progress: float) -> float:
        """β at this share of the training."""
        stages = self.recipe.beta_stages
        return math.sqrt(1 + self.recipe.beta_growth * math.floor(progress * stages) / stages)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the weighted log-likelihood of the pairs."""
        pairs = self.pairs(torch.tanh(self.beta(batch.progress) * batch.logits), batch)
        alpha = 10 / self.task.bits if self.recipe.alpha is None else self.recipe.alpha
        entropy = pair_entropy(alpha * pairs.inner_products(), pairs.similar)
        return {"likelihood": self._weighted_mean(pairs, entropy)}

    def _weighted_mean(self, pairs: Pairs, entropy: Tensor) -> Tensor:
        if self.recipe.pair_weights == "batch":
            return pairs.mean(pairs.balance() * entropy)
        factor = float(self.task.classes if self.recipe.pair_weights == "classes" else self.recipe.pair_weights)
        weight = torch.where(pairs.similar > 0, factor, 1.0).to(entropy.dtype)
        mean_weight = pairs.mean(weight)
        return pairs.mean(weight * entropy) / torch.where(mean_weight > 0, mean_weight, 1.0)
