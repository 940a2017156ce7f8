"""SDH-C: deep hashing with quantisation, variance and orthogonality terms, and a classifier.

Erin Liong, Lu, Wang, Moulin, Zhou, "Deep Hashing for Compact Binary Codes Learning", CVPR 2015, with a classifier in
place of its pairs, as Hoe et al., "One Loss for All", NeurIPS 2021, compare with it.
"""

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import distance_to_signs
from bitseek.methods._recipe import BatchSize, Recipe
from bitseek.methods._supervised import ClassifierMethod
from bitseek.models import LinearHead


class SDHCRecipe(Recipe):
    """The weights with which Hoe et al. compare; the batch size is that of the framework cisip-FIRe."""

    batch_size: BatchSize = 64
    quantisation: NonNegativeFloat = 1e-3
    """λ₀, weight of mean (v − sign v)²."""
    variance: NonNegativeFloat = 1e-3
    """λ₁, weight of the variance that is maximised."""
    orthogonality: NonNegativeFloat = 1e-3
    """λ₂, weight of mean (W Wᵀ − I)²."""
    classification: NonNegativeFloat = 1.0
    """α, weight of the cross-entropy."""


class SDHC(ClassifierMethod):
    """λ₀ mean (v − sign v)² − λ₁ ½ tr(vᵀv) / (bK) + λ₂ mean (W Wᵀ − I)² + α cross-entropy, v = tanh(u).

    W are the weights of the head, α that of the classification.

    cisip-FIRe has the all-ones matrix in place of the identity I, which makes all bits the same instead of
    independent; and it does not divide the trace by b, so that the weight of the variance grows with the batch (its
    λ₁ is `variance` = 0.064 at its batch of 64).
    """

    card = Card(
        title="Deep Hashing for Compact Binary Codes Learning",
        authors="Erin Liong et al.",
        year=2015,
        labels="multi",
        head="linear",
        idea="a classifier on tanh; small quantisation error, large variance, orthogonal projections",
    )
    recipe_class = SDHCRecipe
    recipe: SDHCRecipe
    nests = False
    takes_front = False
    head: LinearHead

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The four terms."""
        v = batch.logits.tanh()
        return {
            "classification": self.recipe.classification * self.classify(v, batch),
            "quantisation": self.recipe.quantisation * distance_to_signs(v).mean(),
            "variance": -self.recipe.variance * v.square().mean() / 2,
            "orthogonality": self.recipe.orthogonality * orthogonality_error(self.head.weight),
        }


def orthogonality_error(weight: Tensor) -> Tensor:
    """Mean over the entries of (W Wᵀ − I)², for W (K, D): 0 when the K projections are orthonormal."""
    gram = weight @ weight.T
    return (gram - torch.eye(len(gram)).to(gram)).square().mean()
