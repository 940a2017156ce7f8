"""Spectral hashing: the smoothest waves along the principal components.

Weiss, Torralba, Fergus, "Spectral Hashing", NIPS 2008.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bitseek.methods.base import Card, Method, Recipe, Task
from bitseek.methods.projection import principal_components


class SpectralHead(nn.Module):
    """logit_k = sin(½π + ω_k (p_k·(f − mean) − lowest_k)), a wave along one principal component.

    Args:
        features: length of the input, D.
        bits: length of the code, K.
    """

    mean: Tensor
    projection: Tensor
    lowest: Tensor
    frequency: Tensor

    def __init__(self, features: int, bits: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("projection", torch.zeros(features, bits))
        self.register_buffer("lowest", torch.zeros(bits))
        self.register_buffer("frequency", torch.zeros(bits))

    def forward(self, features: Tensor) -> Tensor:
        """(b, D) features → (b, K) logits."""
        along = (features - self.mean) @ self.projection - self.lowest
        return torch.cos(self.frequency * along)


class SpectralHashing(Method):
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
    by_gradient = False
    head: SpectralHead

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> SpectralHead:
        """Waves that are all of frequency 0 before they are fitted."""
        return SpectralHead(task.features, task.bits)

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Principal components, their ranges, and the K slowest waves."""
        count = min(self.task.bits, self.task.features, max(len(features) - 1, 1))
        mean, components = principal_components(features, count)
        scores = (features.double().cpu().numpy() - mean) @ components
        lowest, ranges = scores.min(axis=0), np.ptp(scores, axis=0)
        component, mode = slowest_modes(ranges, self.task.bits)
        span = np.where(ranges > 0, ranges, 1.0)
        for name, value in (
            ("mean", mean),
            ("projection", components[:, component]),
            ("lowest", lowest[component]),
            ("frequency", mode * np.pi / span[component]),
        ):
            self.head.get_buffer(name).copy_(torch.from_numpy(value))


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
