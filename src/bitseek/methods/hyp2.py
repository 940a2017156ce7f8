"""HyP²: learnt proxies of the classes, and pairs of items with several labels, up to the angle that codes can have.

Xu, Chai, Xu, Yuan, Fan, Wang, "HyP² Loss: Beyond Hypersphere Metric Space for Multi-label Image Retrieval", ACM
Multimedia 2022.
"""

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._losses import unit_vectors
from bitseek.methods._pairs import hinge_of_strangers, reachable_cosine
from bitseek.methods._recipe import BatchSize, Optimiser, Recipe, Share, Shares


class HyP2Recipe(Recipe):
    """The settings of the released code with AlexNet; it has twice the rate for the proxies.

    Its ζ comes from a table of linear codes, whose minimum distance is no larger than that of `spread`.
    """

    beta: NonNegativeFloat = 0.5
    """β, weight of the pairs. (`strangers` is the same term for any other method.)"""
    batch_size: BatchSize = 100
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 0.01
    backbone_lr: NonNegativeFloat = 1.0
    drop_at: Shares = tuple(step / 10 for step in range(1, 10))
    drop_by: Share = 0.5


class HyP2(Method):
    """1 − cos(u, p_c) for an item's classes, max(cos(u, p_c) − ζ, 0) for others, and β max(cos(u_i, u_j) − ζ, 0).

    Each is a mean: over the pairs of an item and a class of its own, over those of an item and another class, and over
    the pairs of two items that have more than one class each and none in common; 0 where there are none. The proxies
    p_c are learnt. C codes of K bits cannot all have cosines below some ζ, and beyond it nothing is pushed apart. Where
    items have one class each there is no pair.
    """

    card = Card(
        title="HyP² Loss: Beyond Hypersphere Metric Space for Multi-label Image Retrieval",
        authors="Xu et al.",
        year=2022,
        labels="multi",
        head="linear",
        idea="towards proxies of the own classes, and away from those of others as far as codes can be apart",
    )
    recipe_class = HyP2Recipe
    recipe: HyP2Recipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        std = (2 / task.classes) ** 0.5  # the proxies are normalised: it only sets how fast they turn
        self.proxies = nn.Parameter(std * torch.randn(task.classes, task.bits))
        self.zeta = reachable_cosine(task.classes, task.bits, self.recipe.zeta)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The two terms of the proxies, and that of the pairs."""
        units, labels = unit_vectors(batch.logits), batch.labels
        cosines = units @ unit_vectors(self.proxies).T
        hinge = F.relu(cosines - self.zeta)
        return {
            "own": (labels * (1 - cosines)).sum() / labels.sum().clamp(min=1),
            "other": ((1 - labels) * hinge).sum() / (1 - labels).sum().clamp(min=1),
            "pairs": self.recipe.beta * hinge_of_strangers(units, labels, self.zeta),
        }
