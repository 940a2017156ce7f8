"""Angular DSH: a classifier by angles with a margin, whose class directions are far apart as codes.

Zhou, Huang, Lee, Wang, "Angular Deep Supervised Hashing for Image Retrieval", IEEE Access 2019.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._losses import softmax_cross_entropy, unit_vectors, with_margin
from bitseek.methods._recipe import BatchSize, Recipe


class AngularDSHRecipe(Recipe):
    """The settings of the framework cisip-FIRe."""

    scale: PositiveFloat = 10.0
    """s, of the cosines."""
    margin: NonNegativeFloat = 0.2
    """m, subtracted from the cosine of an item's own classes, or added to its angle."""
    margin_type: Literal["cos", "arc"] = "cos"
    """`cos`, on the cosine, or `arc`, on the angle."""
    alpha: NonNegativeFloat = 1.0
    """α, weight of the mean distance of the classes, which is maximised."""
    beta: NonNegativeFloat = 1.0
    """β, weight of the variance of these distances."""
    batch_size: BatchSize = 64


class AngularDSH(Method):
    """Cross-entropy of s (cos(u, w_c) − m y_c) with learnt directions w_c, − α mean d + β var d of the classes.

    d is the distance of two classes as a share of the bits, ½ (1 − b_c · b_e / K) with b = tanh(√K w / ‖w‖): an entry
    of b is ±0.76 where all bits of a class are equally sure. With several labels the target is y / Σ y; an item without
    labels adds nothing.

    (cisip-FIRe takes tanh of the vector of length 1, so that b_c · b_e is within ±1 whatever the classes are: d stays
    at K / 2 ± ½ and both terms do next to nothing. For several labels it adds a class in the mean direction of the
    item's classes, against which these themselves count as wrong.)
    """

    card = Card(
        title="Angular Deep Supervised Hashing for Image Retrieval",
        authors="Zhou et al.",
        year=2019,
        labels="multi",
        head="linear",
        idea="a classifier by angles with a margin, with class directions that are far apart as codes, all equally",
    )
    recipe_class = AngularDSHRecipe
    recipe: AngularDSHRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.directions = nn.Parameter(nn.init.xavier_normal_(torch.empty(task.classes, task.bits)))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy, and the two terms of the distances between classes."""
        directions = unit_vectors(self.directions)
        cosines = unit_vectors(batch.logits) @ directions.T
        scores = self.recipe.scale * with_margin(cosines, self.recipe.margin * batch.labels, self.recipe.margin_type)
        distances = class_distances(directions)
        return {
            "cosine": softmax_cross_entropy(scores, batch.labels),
            "distance": -self.recipe.alpha * distances.mean(),
            "variance": self.recipe.beta * distances.var(correction=0),
        }


def class_distances(directions: Tensor) -> Tensor:
    """½ (1 − b_c · b_e / K) of each two of (C, K) unit vectors, with b = tanh(√K w); (C (C − 1) / 2,)."""
    classes, bits = directions.shape
    codes = (bits**0.5 * directions).tanh()
    first, second = torch.triu_indices(classes, classes, 1, device=codes.device)
    distances: Tensor = (1 - (codes @ codes.T)[first, second] / bits) / 2
    return distances
