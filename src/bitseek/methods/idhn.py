"""IDHN: the likelihood of pairs that share all classes or none, a regression on the share of classes of the others.

Zhang, Zou, Lin, Chen, Wang, "Improved Deep Hashing with Soft Pairwise Similarity for Multi-Label Image Retrieval",
IEEE Transactions on Multimedia 2019.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import magnitude_error
from bitseek.methods._pairs import PairMethod, PairRecipe, Pairs, pair_entropy
from bitseek.methods._recipe import BatchSize, OrNone, Recipe, Share, Shares, for_heads

ALL = 1 - 1e-5
"""The cosine of two label vectors from which they are the same, with allowance for rounding."""


class IDHNRecipe(PairRecipe):
    """The settings of the released code, whose rate is halved after every 500 of 3,125 steps.

    The common PyTorch re-implementation has scale=0.5, gamma=0.1·K, memory=true and RMSprop at 1e-5 for all layers.
    """

    scale: OrNone[PositiveFloat] = None
    """α of the likelihood's θ = α v_i · v_j; by default 5 / K."""
    gamma: NonNegativeFloat = 0.1
    """γ, weight of the pairs that share some of their classes, before the factor K."""
    quantisation: NonNegativeFloat = 0.1
    """λ, weight of mean | |v| − 1 |."""
    batch_size: BatchSize = 128
    lr: PositiveFloat = 1e-3
    backbone_lr: NonNegativeFloat = 0.01
    weight_decay: NonNegativeFloat = 0.0
    drop_at: Shares = (0.16, 0.32, 0.48, 0.64, 0.8, 0.96)
    drop_by: Share = 0.5


class IDHN(PairMethod):
    """The loss of pairs with the soft similarity r_ij = cos(y_i, y_j) in [0, 1], on v = u / (1 + |u|).

    Pairs that share all of their classes (r = 1) or none (r = 0) have the likelihood log(1 + e^θ) − r θ with θ = 5 / K
    v_i · v_j, all others γ K (½ (v_i · v_j / K + 1) − r)²: the share of equal bits is to be r. To the mean over all
    pairs comes λ mean ||v| − 1|. Where items have one class each no pair is of the second kind.

    The common PyTorch re-implementation has θ = ½ v_i · v_j and weighs the others K times as much. It compares ½ v_i ·
    v_j + K with 2 r K, as if ½ v_i · v_j reached ±K; it cannot exceed ±K / 2, so that codes with just the right share
    of equal bits are pushed on.
    """

    card = Card(
        title="Improved Deep Hashing with Soft Pairwise Similarity for Multi-Label Image Retrieval",
        authors="Zhang et al.",
        year=2019,
        labels="multi",
        head="linear",
        idea="as large a share of equal bits as the share of common classes; a likelihood where that is all or none",
    )
    recipe_class: ClassVar[type[Recipe]] = IDHNRecipe
    head_recipe = for_heads(lr=9e-3)
    recipe: IDHNRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The term of the pairs, and the pull of |v| to 1."""
        codes = F.softsign(batch.logits)
        pairs = self.pairs(codes, batch)
        share = pairs.label_cosines()
        cost = torch.where((share > 0) & (share < ALL), self.some_shared(pairs, share), self.all_or_none(pairs))
        return {"pairs": pairs.mean(cost), "quantisation": self.recipe.quantisation * magnitude_error(codes)}

    @property
    def scale(self) -> float:
        """α."""
        return float(5 / self.task.bits if self.recipe.scale is None else self.recipe.scale)

    def all_or_none(self, pairs: Pairs) -> Tensor:
        """The likelihood of (b, n) pairs of which `similar` tells all."""
        return pair_entropy(self.scale * pairs.inner_products(), pairs.similar)

    def some_shared(self, pairs: Pairs, share: Tensor) -> Tensor:
        """The squared difference between the share of equal bits and that wanted, (b, n)."""
        equal = (pairs.inner_products() / self.task.bits + 1) / 2
        return self.recipe.gamma * self.task.bits * (equal - share).square()
