"""Spectral hashing: the smoothest waves along the principal components.

Weiss, Torralba, Fergus, "Spectral Hashing", NIPS 2008.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bitseek.methods._base import Card
from bitseek.methods._projection import Projection, ProjectionHead, principal_components


class SpectralHead(ProjectionHead):
    """logit_k = sin(½π + ω_k (p_k·(f − mean) − lowest_k)), a wave along one principal component."""

    lowest: Tensor
    frequency: Tensor

    def __init__(self, features: int, bits: int) -> None:
        super().__init__(features, bits)
        self.register_buffer("lowest", torch.zeros(bits))
        self.register_buffer("frequency", torch.zeros(bits))

    def forward(self, features: Tensor) -> Tensor:
        """(b, D) features → (b, K) logits."""
        return torch.cos(self.frequency * (super().forward(features) - self.lowest))


class SpectralHashing(Projection):
    """Signs of the K eigenfunctions of smallest eigenvalue, for a uniform distribution on the box of the components.

    Along component d, which spans [lowest_d, lowest_d + R_d], they are sin(½π + ω π / R_d (x_d − lowest_d)) for
    ω = 1, 2, …, and their eigenvalue grows with ω / R_d (§3): a long component gets several bits before a short one
    gets its first. Bits may therefore outnumber features. A component without any spread gets none.
    """

    card = Card(
        title="Spectral Hashing",
        authors="Weiss et al.",
        year=2008,
        labels="none",
        head="waves along principal components",
        idea="the smoothest functions on the data that are balanced and uncorrelated, cut at 0",
    )
    head_class = SpectralHead

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Principal components, their ranges, and the K slowest waves."""
        count = min(self.task.bits, self.task.features, max(len(features) - 1, 1))
        mean, components = principal_components(features, count)
        scores = (features.double().cpu().numpy() - mean) @ components
        lowest, ranges = scores.min(axis=0), np.ptp(scores, axis=0)
        component, mode = slowest_modes(ranges, self.task.bits)
        frequency = mode * np.pi / np.where(ranges > 0, ranges, 1.0)[component]
        projection = components[:, component]
        self.head.set(mean=mean, projection=projection, lowest=lowest[component], frequency=frequency)


def slowest_modes(
    ranges: Float[np.ndarray, " d"], bits: int
) -> tuple[Int[np.ndarray, " bits"], Int[np.ndarray, " bits"]]:
    """The K pairs of component d and mode ω = 1, 2, … with the smallest ω / R_d; ties to the first component.

    Args:
        ranges: R, the spread of each component, 0 or more.
        bits: K.
    """
    modes = np.arange(1, bits + 1)
    with np.errstate(divide="ignore"):
        rate = modes[:, None] / np.where(ranges > np.finfo(np.float32).eps * ranges.max(initial=0.0), ranges, 0.0)
    if not np.isfinite(rate).any():  # all training items are the same
        rate = np.repeat(modes[:, None].astype(float), len(ranges), axis=1)
    chosen = np.argsort(rate, axis=None, kind="stable")[:bits]
    return chosen % len(ranges), modes[chosen // len(ranges)]
