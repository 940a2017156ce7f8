"""ISDH: the likelihood of pairs that share all classes or none, and a probability for those that share some.

Zhang, Zou, Wang, Lin, Chen, "Instance Similarity Deep Hashing for Multi-Label Image Retrieval", arXiv 1803.02987v1,
2018: the first version of IDHN.
"""

from pydantic import NonNegativeFloat
from torch import Tensor

from bitseek.methods._base import Card
from bitseek.methods._pairs import Pairs
from bitseek.methods._recipe import for_heads
from bitseek.methods.idhn import IDHN, IDHNRecipe


class ISDHRecipe(IDHNRecipe):
    """The settings of the released code."""

    backbone_lr: NonNegativeFloat = 0.001
    gamma: NonNegativeFloat = 10.0
    """γ, weight of the pairs that share all of their classes or none."""


class ISDH(IDHN):
    """The loss of pairs with the soft similarity r_ij = cos(y_i, y_j) in [0, 1], on v = u / (1 + |u|).

    Pairs that share all of their classes (r = 1) or none (r = 0) have γ (log(1 + e^θ) − r θ) with θ = 5 / K v_i · v_j,
    all others (r − σ(θ))². To the mean over all pairs comes λ mean ||v| − 1|. Where items have one class each no pair
    is of the second kind.
    """

    card = Card(
        title="Instance Similarity Deep Hashing for Multi-Label Image Retrieval",
        authors="Zhang et al.",
        year=2018,
        labels="multi",
        head="linear",
        idea="pairs are as likely to be similar as their share of common classes is large",
    )
    recipe_class = ISDHRecipe
    head_recipe = for_heads(lr=3e-3)
    recipe: ISDHRecipe

    def all_or_none(self, pairs: Pairs) -> Tensor:
        """The weighted likelihood, (b, n)."""
        return self.recipe.gamma * super().all_or_none(pairs)

    def some_shared(self, pairs: Pairs, share: Tensor) -> Tensor:
        """The squared difference of the probability and the share of common classes, (b, n)."""
        return (share - (self.scale * pairs.inner_products()).sigmoid()).square()
