"""DSHSD: a contrastive loss on tanh codes, and a classifier on them.

Wu, Li, Zhang, Ke, Wang, Zhang, "Deep Supervised Hashing Based on Stable Distribution", IEEE Access 2019.
"""

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import sigmoid_cross_entropy, softmax_cross_entropy
from bitseek.methods._pairs import batch_pairs
from bitseek.methods._recipe import BatchSize, Recipe
from bitseek.methods._supervised import ClassifierMethod


class DSHSDRecipe(Recipe):
    """The settings of the common PyTorch re-implementation."""

    alpha: NonNegativeFloat = 0.05
    """α, weight of the contrastive term."""
    epochs: PositiveInt = 250
    batch_size: BatchSize = 64
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 0.0


class DSHSD(ClassifierMethod):
    """The cross-entropy of a classifier without bias on v = tanh(u), and the contrastive loss of pairs.

    α times the mean over the pairs of ½ s D + ½ (1 − s) max(2 K − D, 0) with D = ‖v_i − v_j‖². The classifier is a
    softmax (eq. 7), or where items can have several classes a sigmoid for each of them, summed over the classes (eq.
    8).

    The re-implementation makes the classifier inside of its loss and never gives it to the optimiser, so that the codes
    are trained towards random projections; here it learns with the head.
    """

    card = Card(
        title="Deep Supervised Hashing Based on Stable Distribution",
        authors="Wu et al.",
        year=2019,
        labels="multi",
        head="linear",
        idea="a classifier on tanh codes, which a contrastive loss keeps far apart for different classes",
    )
    recipe_class = DSHSDRecipe
    recipe: DSHSDRecipe

    def build_classifier(self) -> nn.Linear:
        """Linear without bias."""
        return nn.Linear(self.task.bits, self.task.classes, bias=False)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy, and the contrast of the pairs."""
        codes = batch.logits.tanh()
        entropy = sigmoid_cross_entropy if self.task.multi_label else softmax_cross_entropy
        contrast = batch_pairs(codes, batch.labels).contrast(2 * self.task.bits)
        return {
            "classification": entropy(self.classifier(codes), batch.labels),
            "contrastive": self.recipe.alpha * contrast,
        }
