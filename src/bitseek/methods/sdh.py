"""SDH: similar items within a small scatter, others far apart, with independent bits of large variance.

Erin Liong, Lu, Wang, Moulin, Zhou, "Deep Hashing for Compact Binary Codes Learning", CVPR 2015.
"""

from pydantic import NonNegativeFloat
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import distance_to_signs
from bitseek.methods._pairs import PairMethod, PairRecipe
from bitseek.methods._recipe import BatchSize, for_heads
from bitseek.methods.sdhc import orthogonality_error
from bitseek.models import LinearHead


class SDHRecipe(PairRecipe):
    """The batch size of the framework cisip-FIRe; weights with which the bits stay different.

    Its weights are variance=1 and orthogonality=0.001: a bit that separates the classes best is then learnt K times.
    """

    batch_size: BatchSize = 64
    quantisation: NonNegativeFloat = 1e-3
    """λ₀, weight of mean (v − sign v)²."""
    variance: NonNegativeFloat = 0.01
    """λ₁, weight of the variance that is maximised, and of the scatter."""
    scatter: NonNegativeFloat = 1.0
    """α, weight of the scatter beside the variance."""
    orthogonality: NonNegativeFloat = 10.0
    """λ₂, weight of mean (W Wᵀ − I)²."""


class SDH(PairMethod):
    """λ₀ mean (v − sign v)² − λ₁ ½ [tr(vᵀv) / (bK) + α (between − within)] + λ₂ mean (W Wᵀ − I)², v = tanh(u).

    Between is the mean of ‖v_i − v_j‖² / K over dissimilar pairs, within that over similar ones, W the weights of the
    head. SDH-C (`sdhc`) has a classifier in place of the pairs.

    cisip-FIRe has the all-ones matrix in place of the identity I, which makes all bits the same instead of independent,
    and forms the scatter as b² matrices of K × K, of which it needs the traces; here it is formed from the distances.
    """

    card = Card(
        title="Deep Hashing for Compact Binary Codes Learning",
        authors="Erin Liong et al.",
        year=2015,
        labels="multi",
        head="linear",
        idea="small scatter within classes and large between them, large variance, orthogonal projections",
    )
    recipe_class = SDHRecipe
    head_recipe = for_heads(lr=9e-3)
    recipe: SDHRecipe
    nests = False
    takes_front = False
    head: LinearHead

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The four terms."""
        codes = batch.logits.tanh()
        pairs = self.pairs(codes, batch)
        within_less_between = (2 * pairs.similar - 1) * pairs.balance() * pairs.squared_distances() / self.task.bits
        return {
            "quantisation": self.recipe.quantisation * distance_to_signs(codes).mean(),
            "variance": -self.recipe.variance * codes.square().mean() / 2,
            "scatter": self.recipe.variance * self.recipe.scatter * pairs.mean(within_less_between) / 2,
            "orthogonality": self.recipe.orthogonality * orthogonality_error(self.head.weight),
        }
