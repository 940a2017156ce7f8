"""PCDH: pairs compared on features and on tanh codes, and a classifier on discrete codes behind them.

Chen, Lu, "Deep Discrete Hashing with Pairwise Correlation Learning", Neurocomputing 2020.
"""

import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card, Task
from bitseek.methods._losses import sigmoid_cross_entropy, softmax_cross_entropy, straight_through
from bitseek.methods._pairs import batch_pairs
from bitseek.methods._recipe import BatchSize, Optimiser, Recipe
from bitseek.methods._supervised import ClassifierMethod
from bitseek.models import LinearHead


class PCDHRecipe(Recipe):
    """The weights of the common PyTorch re-implementation, which trains a network of its own."""

    alpha: NonNegativeFloat = 1.0
    """α, weight of the pairs of features."""
    beta: NonNegativeFloat = 1.0
    """β, weight of the classifier."""
    width: PositiveInt = 1024
    """Width of the feature layer."""
    epochs: PositiveInt = 150
    batch_size: BatchSize = 64
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5


class PCDH(ClassifierMethod):
    """The squared contrast of pairs of h = tanh(V x) and of x = W f, and the cross-entropy of b = sign(A h).

    The contrast is the mean over the pairs of ½ s D + ½ (1 − s) max(2 K − D, 0)², with D = ‖h_i − h_j‖² or, times α,
    ‖x_i − x_j‖²; β weighs the cross-entropy of a classifier without bias. It is a softmax, or where items can have
    several classes a sigmoid for each of them, summed. The gradient of b goes to u = A h where |u| ≤ 1.

    The re-implementation thresholds u without passing a gradient on, so that A is never trained, and the classifier
    trains nothing but itself.
    """

    card = Card(
        title="Deep Discrete Hashing with Pairwise Correlation Learning",
        authors="Chen and Lu",
        year=2020,
        labels="multi",
        head="linear, linear with tanh, linear",
        idea="pairs compared before and after a tanh layer, and a classifier on the signs of a further one",
    )
    recipe_class = PCDHRecipe
    recipe: PCDHRecipe
    head: nn.Sequential
    nests = False
    takes_front = False

    @classmethod
    def build_head(cls, task: Task, recipe: PCDHRecipe) -> nn.Sequential:
        """Features, tanh codes, and the layer whose signs are the codes."""
        codes = nn.Sequential(LinearHead(recipe.width, task.bits), nn.Tanh())
        return nn.Sequential(nn.Linear(task.features, recipe.width), codes, nn.Linear(task.bits, task.bits))

    def build_classifier(self) -> nn.Linear:
        """Linear without bias."""
        return nn.Linear(self.task.bits, self.task.classes, bias=False)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The contrast of codes and of features, and the cross-entropy of the discrete codes."""
        features = self.head[0](batch.features)
        codes = straight_through(batch.logits.clamp(-1, 1), signs(batch.logits))
        entropy = sigmoid_cross_entropy if self.task.multi_label else softmax_cross_entropy
        return {
            "codes": self.contrast(self.head[1](features), batch.labels),
            "features": self.recipe.alpha * self.contrast(features, batch.labels),
            "classification": self.recipe.beta * entropy(self.classifier(codes), batch.labels),
        }

    def contrast(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """½ s D + ½ (1 − s) max(2 K − D, 0)², mean over the pairs."""
        pairs = batch_pairs(vectors, labels)
        distance = pairs.squared_distances()
        apart = F.relu(2 * self.task.bits - distance).square()
        return pairs.mean(pairs.similar * distance + (1 - pairs.similar) * apart) / 2
