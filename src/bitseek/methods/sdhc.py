"""SDH-C: deep hashing with quantisation, variance and orthogonality terms, and a classifier.

Erin Liong, Lu, Wang, Moulin, Zhou, "Deep Hashing for Compact Binary Codes Learning", CVPR 2015, with a classifier in
place of its pairs, as Hoe et al., "One Loss for All", NeurIPS 2021, compare with it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bitseek.methods.base import Batch, Card, Method, Recipe, Task, softmax_cross_entropy
from bitseek.models.head import LinearHead


@dataclass(frozen=True, kw_only=True)
class SDHCRecipe(Recipe):
    """Adds to the recipe.

    Attributes:
        quantisation: λ₀, weight of mean (v − sign v)².
        variance: λ₁, weight of the variance that is maximised.
        orthogonality: λ₂, weight of mean (W Wᵀ − I)².
        classification: α, weight of the cross-entropy.
    """

    batch_size: int = 64
    quantisation: float = 1e-3
    variance: float = 1e-3
    orthogonality: float = 1e-3
    classification: float = 1.0


class SDHC(Method):
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
    head: LinearHead

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.classifier = nn.Linear(task.bits, task.classes)

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear, with bias."""
        return LinearHead(task.features, task.bits, bias=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The four terms."""
        v = batch.logits.tanh()
        signs = torch.where(v >= 0, 1.0, -1.0).to(v)
        return {
            "classification": self.recipe.classification * softmax_cross_entropy(self.classifier(v), batch.labels),
            "quantisation": self.recipe.quantisation * (v - signs).square().mean(),
            "variance": -self.recipe.variance * v.square().mean() / 2,
            "orthogonality": self.recipe.orthogonality * orthogonality_error(self.head.weight),
        }


def orthogonality_error(weight: Tensor) -> Tensor:
    """Mean over the entries of (W Wᵀ − I)², for W (K, D): 0 when the K projections are orthonormal."""
    gram = weight @ weight.T
    return (gram - torch.eye(len(gram)).to(gram)).square().mean()
