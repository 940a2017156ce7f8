"""Plain cross-entropy: a classifier behind a narrow layer, whose signs are the code.

The baseline of every supervised method, as in Hoe et al., "One Loss for All", NeurIPS 2021, Table 1.
"""

from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._recipe import BatchSize, Recipe
from bitseek.methods._supervised import ClassifierMethod


class CrossEntropyRecipe(Recipe):
    """The settings of the framework cisip-FIRe; the rate falls once, at 80 of 100 epochs."""

    batch_size: BatchSize = 64


class CrossEntropy(ClassifierMethod):
    """−log softmax(W v + b)_y on the continuous code v, and nothing that pulls v to its signs.

    With several labels the target is y / Σ y; an item without labels adds nothing to the loss.
    """

    card = Card(
        title="Cross-entropy and sign: the baseline of 'One Loss for All'",
        authors="Hoe et al.",
        year=2021,
        labels="multi",
        head="linear",
        idea="a classifier on the continuous code, which is cut at 0 afterwards",
    )
    recipe_class = CrossEntropyRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy."""
        return {"classification": self.classify(batch.logits, batch)}
