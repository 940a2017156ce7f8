"""GreedyHash: the sign in the forward pass, its gradient passed on unchanged.

Su, Zhang, Han, Tian, "Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN", NeurIPS 2018.
"""

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card, Method
from bitseek.methods._losses import cosine_difference, magnitude_error, straight_through
from bitseek.methods._recipe import Augment, BatchSize, Optimiser, Recipe, Shares
from bitseek.methods._supervised import ClassifierMethod

TITLE = "Greedy Hash: Towards Fast Optimization for Accurate Hash Coding in CNN"


class GreedyHashUnsupervisedRecipe(Recipe):
    """The settings of the released code without labels: the backbone stays as it is, the learning rate constant."""

    epochs: PositiveInt = 60
    batch_size: BatchSize = 32
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 1e-4
    backbone_lr: NonNegativeFloat = 0.0
    drop_at: Shares = ()
    augment: Augment = "none"
    alpha: NonNegativeFloat = 0.1
    """α, weight of mean | |u| − 1 |^power."""
    power: PositiveFloat = 3.0
    """P."""


class GreedyHashRecipe(GreedyHashUnsupervisedRecipe):
    """The settings of the released code for CIFAR-10 (I), whose rate falls at 30 of 50 epochs.

    For CIFAR-10 (II) it falls at 20 of 40, and for ImageNet the authors take alpha=1, epochs=100, drop_at=0.8,
    augment=crop.
    """

    epochs: PositiveInt = 50
    lr: PositiveFloat = 1e-3
    backbone_lr: NonNegativeFloat = 1.0
    drop_at: Shares = (0.6,)
    classifier_bias: bool = False
    """Whether the classifier has a bias: not in the released code, but in that of cisip-FIRe. A bias can favour a
    class whatever the code is, which the distances of codes cannot."""


class GreedyHash(ClassifierMethod):
    """Cross-entropy of a classifier on h = sign(u), with dL/du = dL/dh, + α mean ||u| − 1|³ (§3.2).

    The classifier has no bias unless `classifier_bias` asks for one. With several labels the target is y / Σ y; an item
    without labels has the second term only.

    (In the common PyTorch re-implementation, until August 2022, the classifier was no parameter of the optimiser: codes
    were trained towards random projections.)
    """

    card = Card(
        title=TITLE,
        authors="Su et al.",
        year=2018,
        labels="multi",
        head="linear",
        idea="a classifier on the signs; the gradient passes them unchanged",
    )
    recipe_class = GreedyHashRecipe
    recipe: GreedyHashRecipe

    def build_classifier(self) -> nn.Linear:
        """Linear, by default without bias."""
        return nn.Linear(self.task.bits, self.task.classes, bias=self.recipe.classifier_bias)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy on the signs, and the pull of |u| to 1."""
        codes = straight_through(batch.logits, signs(batch.logits))
        error = magnitude_error(batch.logits, self.recipe.power)
        return {"classification": self.classify(codes, batch), "quantisation": self.recipe.alpha * error}


class GreedyHashUnsupervised(Method):
    """(cos(h_i, h_j) − cos(f_i, f_j))² between the two halves of a batch, + α mean ||u| − 1|³: no labels needed."""

    card = Card(
        title=TITLE,
        authors="Su et al.",
        year=2018,
        labels="none",
        head="linear",
        idea="the cosines of the codes follow those of the features",
    )
    recipe_class = GreedyHashUnsupervisedRecipe
    recipe: GreedyHashUnsupervisedRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The difference of the cosines, and the pull of |u| to 1."""
        codes = straight_through(batch.logits, signs(batch.logits))
        error = magnitude_error(batch.logits, self.recipe.power)
        return {"similarity": cosine_difference(codes, batch.features), "quantisation": self.recipe.alpha * error}
