"""HashNet: weighted pairwise likelihood on tanh(β u), whose β grows until the codes are binary.

Cao, Long, Wang, Yu, "HashNet: Deep Learning to Hash by Continuation", ICCV 2017.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bitseek.methods.base import Augment, Batch, Card, Method, Optimiser, Recipe, Task
from bitseek.methods.pairs import Pairs, batch_pairs, pair_entropy
from bitseek.models.head import LinearHead


@dataclass(frozen=True, kw_only=True)
class HashNetRecipe(Recipe):
    """Adds to the recipe.

    Attributes:
        alpha: α, scale of the inner product in the likelihood; by default 10 / K, as the released code advises.
            (Re-implementations use 0.1 or 1.)
        weights: what makes up for the rarity of similar pairs. `batch`: |S| / |S1| and |S| / |S0|, counted in the
            batch, as in the paper; `classes`: similar pairs weigh C times as much and the weights are divided by their
            sum, as in the released code, whose factor is |S| / |S1| of the training set; a number: that factor.
        beta_growth: g of the continuation β = √(1 + g · progress); 50 takes it from 1 to 7.1, as in the released code.
        beta_stages: in how many steps it grows.
    """

    alpha: float | None = None
    weights: float | Literal["batch", "classes"] = "batch"
    beta_growth: float = 50.0
    beta_stages: int = 50
    batch_size: int = 72
    optimiser: Optimiser = "sgd"
    lr: float = 3e-3
    augment: Augment = "resized-crop"


class HashNet(Method):
    """The weighted likelihood of pairs of tanh codes.

    The weighted mean over the pairs of log(1 + e^(α Ω)) − α s Ω, with Ω = v_i · v_j and v = tanh(β u).

    The released code pairs two independent batches of 36; here all pairs of one batch of 72 are formed. It also halves
    the learning rate every 2000 of 10000 iterations; here it drops once, like everywhere.
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

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.alpha = 10 / task.bits if self.recipe.alpha is None else self.recipe.alpha

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear; the tanh lives in the loss."""
        return LinearHead(task.features, task.bits, bias=True)

    def beta(self, progress: float) -> float:
        """β at this share of the training."""
        stages = self.recipe.beta_stages
        return math.sqrt(1 + self.recipe.beta_growth * math.floor(progress * stages) / stages)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the weighted log-likelihood of the pairs."""
        pairs = batch_pairs(torch.tanh(self.beta(batch.progress) * batch.logits), batch.labels)
        entropy = pair_entropy(self.alpha * pairs.inner_products(), pairs.similar)
        return {"likelihood": self._weighted_mean(pairs, entropy)}

    def _weighted_mean(self, pairs: Pairs, entropy: Tensor) -> Tensor:
        if self.recipe.weights == "batch":
            return pairs.mean(pairs.balance() * entropy)
        factor = float(self.task.classes if self.recipe.weights == "classes" else self.recipe.weights)
        weight = torch.where(pairs.similar > 0, factor, 1.0).to(entropy.dtype)
        mean_weight = pairs.mean(weight)
        return pairs.mean(weight * entropy) / torch.where(mean_weight > 0, mean_weight, 1.0)
