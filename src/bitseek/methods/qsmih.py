"""QSMIH: the quadratic mutual information of codes and classes, on the unit sphere.

Passalis, Tefas, "Deep Supervised Hashing using Quadratic Spherical Mutual Information for Efficient Image Retrieval",
Signal Processing: Image Communication 2021.
"""

from pydantic import NonNegativeFloat
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import magnitude_error, unit_vectors
from bitseek.methods._pairs import PairMethod, PairRecipe
from bitseek.methods._recipe import BatchSize


class QSMIHRecipe(PairRecipe):
    """The weight of the paper's hashing regulariser."""

    quantisation: NonNegativeFloat = 0.01
    """α, weight of mean | |u| − 1 |."""
    batch_size: BatchSize = 128


class QSMIH(PairMethod):
    """The square-clamped information potentials of pairs, and the distance of the logits from ±1.

    The mean over the pairs of s (Y − 1)² + Y² |S1| / |S|, with Y = ½ (1 + cos(u_i, u_j)), and α mean ||u| − 1|: similar
    items point the same way, and any two items are dissimilar as far as the first allows. (Written as (s Y − 1)² in the
    paper, which is larger by the constant share of dissimilar pairs.) |S1| / |S| is counted in the batch.

    The regulariser is on u. (On the unit vector u / ‖u‖, as it has been coded, it asks for ±1 of entries that are 1 /
    √K when all bits are equally sure, and so favours codes with few sure bits.)
    """

    card = Card(
        title="Deep Supervised Hashing using Quadratic Spherical Mutual Information for Efficient Image Retrieval",
        authors="Passalis and Tefas",
        year=2021,
        labels="multi",
        head="linear",
        idea="the largest quadratic mutual information of the directions of the codes and their classes",
    )
    recipe_class = QSMIHRecipe
    recipe: QSMIHRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the quadratic mutual information, and the pull of |u| to 1."""
        pairs = self.pairs(unit_vectors(batch.logits), batch)
        closeness = (1 + pairs.inner_products()) / 2
        cost = pairs.similar * (closeness - 1).square() + pairs.mean(pairs.similar) * closeness.square()
        return {
            "information": pairs.mean(cost),
            "quantisation": self.recipe.quantisation * magnitude_error(batch.logits),
        }
