"""PCA hashing: the signs of the leading principal components.

Wang, Kumar, Chang, "Semi-Supervised Hashing for Large-Scale Search", TPAMI 2012, as the baseline PCAH.
"""

from torch import Tensor

from bitseek.methods.base import Card, Recipe, Task
from bitseek.methods.projection import Projection, need_features, principal_components


class PCAHash(Projection):
    """The signs of the K leading principal components of the centred features. More bits than features: an error."""

    card = Card(
        title="Semi-Supervised Hashing for Large-Scale Search (baseline PCAH)",
        authors="Wang et al.",
        year=2012,
        labels="none",
        head="centred projection on principal components",
        idea="the signs of the directions of largest variance",
    )

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        need_features(task)
        super().__init__(task, recipe)

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Principal components of the features."""
        self.head.set(*principal_components(features, self.task.bits))
