"""Bi-half: in every batch, half of the items have a bit set.

Li, van Gemert, "Deep Unsupervised Image Hashing by Maximizing Bit Entropy", AAAI 2021.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bitseek.methods.base import Augment, Batch, Card, Method, Optimiser, Recipe, Task, softmax_cross_entropy
from bitseek.methods.halves import cosine_difference
from bitseek.models.head import LinearHead


@dataclass(frozen=True, kw_only=True)
class BiHalfRecipe(Recipe):
    """Adds to the recipe.

    Attributes:
        gamma: γ, weight of the pull of the logits to their codes.
    """

    batch_size: int = 64
    gamma: float = 6.0


@dataclass(frozen=True, kw_only=True)
class BiHalfUnsupervisedRecipe(BiHalfRecipe):
    """The settings of the released code: the backbone stays as it is.

    It drops the learning rate after epochs 120 and 240 of 300; the trainer drops it once.
    """

    epochs: int = 300
    batch_size: int = 32
    optimiser: Optimiser = "sgd"
    backbone_lr: float = 0.0
    drop_at: float = 0.4
    augment: Augment = "none"


class BiHalf(Method):
    """Cross-entropy of a classifier on bi-half codes; the supervised use of the layer, as in cisip-FIRe.

    With several labels the target is y / Σ y; an item without labels is in the halves and adds nothing else.
    """

    card = Card(
        title="Deep Unsupervised Image Hashing by Maximizing Bit Entropy",
        authors="Li and van Gemert",
        year=2021,
        labels="multi",
        head="linear",
        idea="a classifier on codes of which each bit is set in half of the batch",
    )
    recipe_class = BiHalfRecipe
    recipe: BiHalfRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.classifier = nn.Linear(task.bits, task.classes)

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear, with bias."""
        return LinearHead(task.features, task.bits, bias=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy on the codes, and the pull to them."""
        codes = bi_half(batch.logits)
        return {
            "classification": softmax_cross_entropy(
                self.classifier(straight_through(batch.logits, codes)), batch.labels
            ),
            "quantisation": self.recipe.gamma * pull(batch.logits, codes),
        }


class BiHalfUnsupervised(Method):
    """(cos(b_i, b_j) − cos(f_i, f_j))² between the two halves of a batch, on bi-half codes b: no labels needed."""

    card = Card(
        title="Deep Unsupervised Image Hashing by Maximizing Bit Entropy",
        authors="Li and van Gemert",
        year=2021,
        labels="none",
        head="linear",
        idea="the cosines of codes, of which each bit is set in half of the batch, follow those of the features",
    )
    recipe_class = BiHalfUnsupervisedRecipe
    recipe: BiHalfUnsupervisedRecipe

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear, with bias."""
        return LinearHead(task.features, task.bits, bias=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The difference of the cosines, and the pull to the codes."""
        codes = bi_half(batch.logits)
        return {
            "similarity": cosine_difference(straight_through(batch.logits, codes), batch.features),
            "quantisation": self.recipe.gamma * pull(batch.logits, codes),
        }


def bi_half(logits: Tensor) -> Tensor:
    """+1 for the ⌊b / 2⌋ items with the largest value of a bit, −1 for the others, (b, K); no gradient.

    Equal values are told apart by their place in the batch, so that the halves are always exact. (A threshold at the
    median, as in cisip-FIRe, gives other counts for ties and odd batches.) Eq. 4, the optimal transport to a fair bit.
    """
    order = logits.detach().argsort(dim=0, descending=True, stable=True)
    codes = torch.full_like(logits, -1.0, requires_grad=False)
    return codes.scatter_(0, order[: len(logits) // 2], 1.0)


def straight_through(logits: Tensor, codes: Tensor) -> Tensor:
    """The codes forward, the identity backward."""
    return logits + (codes - logits).detach()


def pull(logits: Tensor, codes: Tensor) -> Tensor:
    """½ mean (u − b)²: its gradient (u − b) / (bK) is what the layer of eq. 6 adds, times γ, in the backward pass."""
    return (logits - codes).square().mean() / 2
