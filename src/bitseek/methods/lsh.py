"""Locality-sensitive hashing: random directions.

Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002.
"""

import numpy as np
from torch import Tensor

from bitseek.methods._base import Card
from bitseek.methods._projection import Projection


class LSH(Projection):
    """The sign of W (f − mean), W ~ N(0, 1): two items differ in a bit with probability angle / π.

    The features are centred on the mean of the training set. (cisip-FIRe does not centre: for features that are never
    negative, all angles are then small and many bits nearly constant.) Any number of bits is possible.
    """

    card = Card(
        title="Similarity Estimation Techniques from Rounding Algorithms",
        authors="Charikar",
        year=2002,
        labels="none",
        head="centred random projection",
        idea="the signs of random projections differ as the angle does",
    )
    nests = True

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Take the mean, and draw the directions from the seed of the task."""
        generator = np.random.default_rng((self.task.seed, 0x15B))
        directions = generator.standard_normal((self.task.features, self.task.bits))
        self.head.set(mean=features.double().mean(dim=0).cpu().numpy(), projection=directions)
