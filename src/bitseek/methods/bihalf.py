"""Bi-half: in every batch, half of the items have a bit set.

Li, van Gemert, "Deep Unsupervised Image Hashing by Maximizing Bit Entropy", AAAI 2021.
"""

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from bitseek.methods._base import Batch, Card, Method
from bitseek.methods._losses import cosine_difference, straight_through
from bitseek.methods._recipe import Augment, BatchSize, Optimiser, Recipe, Shares
from bitseek.methods._supervised import ClassifierMethod

TITLE = "Deep Unsupervised Image Hashing by Maximizing Bit Entropy"


class BiHalfRecipe(Recipe):
    """The weight of the released code; the batch size is that of the framework cisip-FIRe."""

    batch_size: BatchSize = 64
    gamma: NonNegativeFloat = 6.0
    """γ, weight of the pull of the logits to their codes."""


class BiHalfUnsupervisedRecipe(BiHalfRecipe):
    """The settings of the released code: the backbone stays as it is; the rate falls after every 120 of 300 epochs."""

    epochs: PositiveInt = 300
    batch_size: BatchSize = 32
    optimiser: Optimiser = "sgd"
    backbone_lr: NonNegativeFloat = 0.0
    drop_at: Shares = (0.4, 0.8)
    augment: Augment = "none"


class BiHalf(ClassifierMethod):
    """Cross-entropy of a classifier on bi-half codes; the supervised use of the layer, as in cisip-FIRe.

    With several labels the target is y / Σ y; an item without labels is in the halves and adds nothing else.
    """

    card = Card(
        title=TITLE,
        authors="Li and van Gemert",
        year=2021,
        labels="multi",
        head="linear",
        idea="a classifier on codes of which each bit is set in half of the batch",
    )
    recipe_class = BiHalfRecipe
    recipe: BiHalfRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy on the codes, and the pull to them."""
        codes = bi_half(batch.logits)
        return {
            "classification": self.classify(straight_through(batch.logits, codes), batch),
            "quantisation": self.recipe.gamma * pull(batch.logits, codes),
        }


class BiHalfUnsupervised(Method):
    """(cos(b_i, b_j) − cos(f_i, f_j))² between the two halves of a batch, on bi-half codes b: no labels needed."""

    card = Card(
        title=TITLE,
        authors="Li and van Gemert",
        year=2021,
        labels="none",
        head="linear",
        idea="the cosines of codes, of which each bit is set in half of the batch, follow those of the features",
    )
    recipe_class = BiHalfUnsupervisedRecipe
    recipe: BiHalfUnsupervisedRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The difference of the cosines, and the pull to the codes."""
        codes = bi_half(batch.logits)
        return {
            "similarity": cosine_difference(straight_through(batch.logits, codes), batch.features),
            "quantisation": self.recipe.gamma * pull(batch.logits, codes),
        }


def bi_half(logits: Tensor) -> Tensor:
    """+1 for the ⌊b / 2⌋ items with the largest value of a bit, −1 for the others, (b, K); no gradient.

    Equal values are ordered by their place in the batch, so that the halves are always exact. (A threshold at the
    median, as in cisip-FIRe, gives other counts for ties and odd batches.) Eq. 4, the optimal transport to a fair bit.
    """
    order = logits.detach().argsort(dim=0, descending=True, stable=True)
    codes = torch.full_like(logits, -1.0, requires_grad=False)
    return codes.scatter_(0, order[: len(logits) // 2], 1.0)


def pull(logits: Tensor, codes: Tensor) -> Tensor:
    """½ mean (u − b)²: its gradient (u − b) / (bK) is what the layer of eq. 6 adds, times γ, in the backward pass."""
    return (logits - codes).square().mean() / 2
