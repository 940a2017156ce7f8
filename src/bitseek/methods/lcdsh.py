"""LCDSH: the pairwise likelihood, and signs whose similarities are as likely as those of the logits.

Zhu, Gao, "Locality-Constrained Deep Supervised Hashing for Image Retrieval", IJCAI 2017.
"""

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card
from bitseek.methods._pairs import PairMethod, PairRecipe, pair_entropy
from bitseek.methods._recipe import BatchSize, Optimiser


class LCDSHRecipe(PairRecipe):
    """The settings of the common PyTorch re-implementation."""

    locality: NonNegativeFloat = 3.0
    """λ, weight of the difference between the likelihood of the logits and that of their signs."""
    epochs: PositiveInt = 350
    batch_size: BatchSize = 128
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5


class LCDSH(PairMethod):
    """The likelihood of pairs, and the locality that binarisation must keep.

    The mean over the pairs of log(1 + e^θ) − s θ with θ = ½ u_i · u_j, and λ times the mean of
    (σ(θ) − σ(½ sign u_i · sign u_j))², whose gradient goes to θ.

    (The re-implementation clips θ at ±50, where the pairs that are most wrong have no gradient; nothing is clipped
    here.)
    """

    card = Card(
        title="Locality-Constrained Deep Supervised Hashing for Image Retrieval",
        authors="Zhu and Gao",
        year=2017,
        labels="multi",
        head="linear",
        idea="the likelihood of pairs, with signs whose pairwise similarities are those of the real codes",
    )
    recipe_class = LCDSHRecipe
    recipe: LCDSHRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the pairs, and the locality."""
        pairs = self.pairs(batch.logits, batch)
        theta = pairs.inner_products() / 2
        of_signs = signs(pairs.codes) @ signs(pairs.others).T / 2
        difference = (theta.sigmoid() - of_signs.sigmoid()).square()
        return {
            "likelihood": pairs.mean(pair_entropy(theta, pairs.similar)),
            "locality": self.recipe.locality * pairs.mean(difference),
        }
