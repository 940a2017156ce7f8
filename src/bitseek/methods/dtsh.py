"""DTSH: the likelihood of triplet labels.

Wang, Shi, Kitani, "Deep Supervised Hashing with Triplet Labels", ACCV 2016.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bitseek.methods.base import Batch, Card, Method, Optimiser, Recipe, Task
from bitseek.methods.pairs import batch_triplets, distance_to_signs
from bitseek.models.head import LinearHead


@dataclass(frozen=True, kw_only=True)
class DTSHRecipe(Recipe):
    """Adds to the recipe.

    Attributes:
        margin: α; by default the paper's K / 2. Released re-implementations use 5.
        scale: of the inner product, θ = scale · u_i · u_j: ½ in the paper, 1 in re-implementations.
        quantisation: λ, weight of the mean of (u − sign u)².
        anchor_as_positive: an item is also its own positive, as in re-implementations; with many classes and small
            batches it is often the only one.
    """

    margin: float | None = None
    scale: float = 0.5
    quantisation: float = 1.0
    anchor_as_positive: bool = False
    epochs: int = 150
    batch_size: int = 128
    optimiser: Optimiser = "rmsprop"
    lr: float = 1e-5
    backbone_lr: float = 1.0
    weight_decay: float = 1e-5


class DTSH(Method):
    """The likelihood of triplets, and the quantisation error.

    The mean over the anchors of the mean over their triplets of log(1 + e^(−t)), with t = θ_ap − θ_an − α, and λ
    times the mean of (u − sign u)².

    All triplets of a batch are formed. An anchor without a positive or a negative is left out. (Re-implementations
    clip t at −100 against overflow, which takes the gradient from the triplets that are most wrong; nothing is
    clipped here.)
    """

    card = Card(
        title="Deep Supervised Hashing with Triplet Labels",
        authors="Wang et al.",
        year=2016,
        labels="multi",
        head="linear",
        idea="the likelihood that an item is closer to one of its class than to one of another, by a margin",
    )

    recipe_class = DTSHRecipe
    recipe: DTSHRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.margin = task.bits / 2 if self.recipe.margin is None else self.recipe.margin

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear."""
        return LinearHead(task.features, task.bits, bias=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the triplets, and the quantisation error."""
        logits = batch.logits
        triplets = batch_triplets(batch.labels, both_ways=True, anchor_as_positive=self.recipe.anchor_as_positive)
        surplus = triplets.gaps(self.recipe.scale * logits @ logits.T, -self.margin, blank=torch.inf)
        likelihood = triplets.mean_of_anchors(F.softplus(-surplus))
        error = self.recipe.quantisation * distance_to_signs(logits).mean()
        return {"likelihood": likelihood, "quantisation": error}
