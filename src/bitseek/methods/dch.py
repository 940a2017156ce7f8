"""DCH: pairwise likelihood under a Cauchy distribution, which concentrates similar codes within a small Hamming radius.

Cao, Long, Liu, Wang, "Deep Cauchy Hashing for Hamming Space Retrieval", CVPR 2018.
"""

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import unit_vectors
from bitseek.methods._pairs import PairMethod, PairRecipe
from bitseek.methods._recipe import BatchSize, Optimiser

NEAREST = 0.005
"""Share of K that is added to the distance of dissimilar pairs, where the loss has a pole at 0."""


class DCHRecipe(PairRecipe):
    """The settings of the common PyTorch re-implementation."""

    gamma: PositiveFloat = 20.0
    """γ, scale of the Cauchy distribution, in bits."""
    quantisation: NonNegativeFloat = 0.1
    """λ, weight of log(1 + d(|u|, 1) / γ)."""
    epochs: PositiveInt = 150
    batch_size: BatchSize = 128
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5


class DCH(PairMethod):
    """The Cauchy loss of weighted pairs, and a Cauchy distance of the logits from ±1.

    Eq. 8 and 9, with d = ½ K (1 − cos): the mean over the pairs, weighted by |S| / |S1| and |S| / |S0|, of
    log(1 + d / γ) for similar and log(1 + γ / d) for other pairs, and λ log(1 + d(|u|, 1) / γ).

    (Eq. 8 reads s log(d / γ) + log(1 + γ / d), which is the same.) The cost of dissimilar codes that point the same way
    is infinite; released code clips their cosine at 0.99, where no gradient pushes them apart. Here `NEAREST` · K is
    added to their distance instead: the cost stays finite and has a gradient.
    """

    card = Card(
        title="Deep Cauchy Hashing for Hamming Space Retrieval",
        authors="Cao et al.",
        year=2018,
        labels="multi",
        head="linear",
        idea="a Cauchy likelihood of the pairs, which gathers similar codes within a small Hamming radius",
    )
    recipe_class = DCHRecipe
    recipe: DCHRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the weighted log-likelihood of the pairs, and the quantisation term."""
        half, gamma = self.task.bits / 2, self.recipe.gamma
        units = unit_vectors(batch.logits)
        pairs = self.pairs(units, batch)
        distance = half * (1 - pairs.inner_products()).clamp(min=0)
        far = torch.log1p(gamma / (distance + NEAREST * self.task.bits))
        cost = torch.where(pairs.similar > 0, torch.log1p(distance / gamma), far)
        from_signs = half * (1 - units.abs().sum(dim=1) / self.task.bits**0.5).clamp(min=0)
        error = torch.log1p(from_signs / gamma).mean()
        return {"cauchy": pairs.mean(pairs.balance() * cost), "quantisation": self.recipe.quantisation * error}
