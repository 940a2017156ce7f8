"""GreedyHash: the sign in the forward pass, its gradient passed on as it is.

Su, Zhang, Han, Tian, "Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN", NeurIPS 2018.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from bitseek.methods.base import (
    Augment,
    Batch,
    Card,
    Method,
    Optimiser,
    Recipe,
    Task,
    softmax_cross_entropy,
    straight_through_sign,
)
from bitseek.methods.halves import cosine_difference
from bitseek.models.head import LinearHead


@dataclass(frozen=True, kw_only=True)
class GreedyHashRecipe(Recipe):
    """Adds to the recipe.

    The defaults are those for CIFAR-10 (I); for ImageNet the authors take alpha=1, epochs=100, drop_at=0.8,
    augment=crop.

    Attributes:
        alpha: α, weight of mean | |u| − 1 |^power.
        power: p.
    """

    epochs: int = 50
    batch_size: int = 32
    optimiser: Optimiser = "sgd"
    lr: float = 1e-3
    backbone_lr: float = 1.0
    drop_at: float = 0.6
    augment: Augment = "none"
    alpha: float = 0.1
    power: float = 3.0


@dataclass(frozen=True, kw_only=True)
class GreedyHashUnsupervisedRecipe(GreedyHashRecipe):
    """The settings of the released code without labels: the backbone stays as it is, the learning rate constant."""

    epochs: int = 60
    lr: float = 1e-4
    backbone_lr: float = 0.0
    drop_by: float = 1.0


class GreedyHash(Method):
    """Cross-entropy of a classifier without bias on h = sign(u), with dL/du = dL/dh, + α mean ||u| − 1|³ (§3.2).

    With several labels the target is y / Σ y; an item without labels has the second term only.
    """

    card = Card(
        title="Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN",
        authors="Su et al.",
        year=2018,
        labels="multi",
        head="linear",
        idea="a classifier sees the signs; the gradient passes them unchanged",
    )
    recipe_class = GreedyHashRecipe
    recipe: GreedyHashRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.classifier = nn.Linear(task.bits, task.classes, bias=False)

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear, with bias."""
        return LinearHead(task.features, task.bits, bias=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy on the signs, and the pull of |u| to 1."""
        scores = self.classifier(straight_through_sign(batch.logits))
        return {
            "classification": softmax_cross_entropy(scores, batch.labels),
            "quantisation": self.recipe.alpha * magnitude_error(batch.logits, self.recipe.power),
        }


class GreedyHashUnsupervised(Method):
    """(cos(h_i, h_j) − cos(f_i, f_j))² between the two halves of a batch, + α mean ||u| − 1|³: no labels needed."""

    card = Card(
        title="Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN",
        authors="Su et al.",
        year=2018,
        labels="none",
        head="linear",
        idea="the cosines of the codes follow those of the features",
    )
    recipe_class = GreedyHashUnsupervisedRecipe
    recipe: GreedyHashUnsupervisedRecipe

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear, with bias."""
        return LinearHead(task.features, task.bits, bias=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The difference of the cosines, and the pull of |u| to 1."""
        return {
            "similarity": cosine_difference(straight_through_sign(batch.logits), batch.features),
            "quantisation": self.recipe.alpha * magnitude_error(batch.logits, self.recipe.power),
        }


def magnitude_error(logits: Tensor, power: float) -> Tensor:
    """Mean over all entries of | |u| − 1 |^power."""
    return (logits.abs() - 1).abs().pow(power).mean()
