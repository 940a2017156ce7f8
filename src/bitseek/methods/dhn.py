"""DHN: pairwise cross-entropy on tanh codes, and a smooth distance of the codes from ±1.

Zhu, Long, Wang, Cao, "Deep Hashing Network for Efficient Similarity Retrieval", AAAI 2016.
"""

import math
from typing import Literal

import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._pairs import PairMethod, PairRecipe, pair_entropy
from bitseek.methods._recipe import BatchSize, Optimiser, for_heads


class DHNRecipe(PairRecipe):
    """Rates and weights of the authors' Caffe code."""

    activation: Literal["tanh", "none"] = "tanh"
    """`tanh`, as in the paper, or `none`."""
    scale: PositiveFloat = 1.0
    """Of the inner product in the likelihood; 1 in the paper."""
    quantisation: NonNegativeFloat = 0.1
    """λ, weight of log cosh(|z| − 1)."""
    batch_size: BatchSize = 64
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 2e-4


class DHN(PairMethod):
    """The likelihood of pairs of tanh codes, and their distance from ±1.

    The mean over the pairs of log(1 + e^θ) − s θ with θ = z_i · z_j and z = tanh u, and λ times the mean of
    log cosh(|z| − 1) over items and bits.

    A common PyTorch re-implementation has no tanh, θ = ½ u_i · u_j and a memory bank: `activation="none"`,
    `scale=0.5`, `memory=True`.
    """

    card = Card(
        title="Deep Hashing Network for Efficient Similarity Retrieval",
        authors="Zhu et al.",
        year=2016,
        labels="multi",
        head="linear",
        idea="pairwise cross-entropy on tanh codes, with a log-cosh pull of every output to ±1",
    )
    recipe_class = DHNRecipe
    head_recipe = for_heads(scale=0.1, lr=3e-3, epochs=60)
    recipe: DHNRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the pairs, and the quantisation term."""
        codes = batch.logits.tanh() if self.recipe.activation == "tanh" else batch.logits
        pairs = self.pairs(codes, batch)
        entropy = pair_entropy(self.recipe.scale * pairs.inner_products(), pairs.similar)
        error = self.recipe.quantisation * log_cosh(codes.abs() - 1).mean()
        return {"likelihood": pairs.mean(entropy), "quantisation": error}


def log_cosh(x: Tensor) -> Tensor:
    """The function log cosh x, without overflow: x + log(1 + e^(−2x)) − log 2."""
    return x + F.softplus(-2 * x) - math.log(2)
