"""PCA hashing: the signs of the leading principal components.

Wang, Kumar, Chang, "Semi-Supervised Hashing for Large-Scale Search", TPAMI 2012, as the baseline PCAH.
"""

from torch import Tensor

from bitseek.methods._base import Card
from bitseek.methods._projection import PrincipalProjection, principal_components


class PCAHash(PrincipalProjection):
    """The signs of the K leading principal components of the centred features. More bits than features: an error."""

    card = Card(
        title="Semi-Supervised Hashing for Large-Scale Search (baseline PCAH)",
        authors="Wang et al.",
        year=2012,
        labels="none",
        head="centred projection on principal components",
        idea="the signs of the directions of largest variance",
    )
    nests = True

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Principal components of the features."""
        mean, components = principal_components(features, self.task.bits)
        self.head.set(mean=mean, projection=components)
