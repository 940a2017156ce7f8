"""SSDH: a classifier on sigmoid units that are pushed to 0 or 1 and are 1 half of the time.

Yang, Lin, Chen, "Supervised Learning of Semantics-Preserving Hash via Deep Convolutional Neural Networks", TPAMI 2018.
"""

from pydantic import NonNegativeFloat
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._recipe import Recipe
from bitseek.methods._supervised import ClassifierMethod


class SSDHRecipe(Recipe):
    """The weights of the paper."""

    binary: NonNegativeFloat = 1.0
    """Weight of the term that pushes the units to 0 or 1."""
    balance: NonNegativeFloat = 1.0
    """Weight of the term by which half of the units of an item are 1."""


class SSDH(ClassifierMethod):
    """Cross-entropy − binary · mean (a − ½)² + balance · mean (ā − ½)², for a = σ(u) and ā its mean over the bits.

    With several labels the target is y / Σ y. (Another SSDH, of 2018, is unsupervised: it learns the structure of the
    distances between features, and has nothing but the name in common.)
    """

    card = Card(
        title="Supervised Learning of Semantics-Preserving Hash via Deep Convolutional Neural Networks",
        authors="Yang et al.",
        year=2018,
        labels="multi",
        head="linear",
        idea="a classifier on units that are close to 0 or 1, half of them each",
    )
    recipe_class = SSDHRecipe
    recipe: SSDHRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The three terms, weighted; a sigmoid is at least ½ where its logit is at least 0, so the bits agree."""
        units = batch.logits.sigmoid()
        return {
            "classification": self.classify(units, batch),
            "binary": -self.recipe.binary * (units - 0.5).square().mean(),
            "balance": self.recipe.balance * (units.mean(dim=1) - 0.5).square().mean(),
        }
