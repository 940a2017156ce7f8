"""The contrast of codes: each item's own against strangers."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bitseek.codes import signs
from bitseek.methods._losses import straight_through, unit_vectors
from bitseek.methods._recipe import DropoutShare, Recipe

NEVER = -1e9
"""Logarithm of a weight of 0, small beside any cosine / τ of use; not −∞, for a sum over none has no gradient then."""


class ContrastRecipe(Recipe):
    """What both contrasts have.

    Features are standardised: where they share a large offset, the head could begin with one code for all items
    otherwise, which nothing leads away from.
    """

    batch_size: Annotated[int, Field(ge=4)] = 256
    """Items of a step, half of them the others' own, classmates or neighbours; at least 4, so that there can be
    strangers."""
    standardise: bool = True
    dropout: DropoutShare = 0.5


def against_strangers(logits: Tensor, own: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """−log of e^(c_ij / τ) / [e^(c_ij / τ) + Σ_r w_ir e^(c_ir / τ)], mean over the j of i, then over all i with any.

    c are the cosines of the codes sign(u), whose gradient goes to σ(u). 0 if no item has its own.

    Args:
        logits: (b, K) float, u.
        own: (b, b) bool, whether j shall have the code of i.
        weights: (b, b) float, w_ir ≥ 0, of each stranger r; 0 for what is none.
        temperature: τ.
    """
    codes = unit_vectors(straight_through(logits.sigmoid(), signs(logits)))
    cosines = codes @ codes.T / temperature
    strangers = torch.logsumexp(cosines + weights.log().clamp(min=NEVER), dim=1, keepdim=True)
    losses = F.softplus(strangers - cosines) * own
    counts = own.sum(dim=1)
    return (losses.sum(dim=1) / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)


def half_batches(items: int, batch_size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Every item number once, in random order, half a batch at a time; without the last partial one."""
    order = generator.permutation(items)
    size = min(max(1, batch_size // 2), items)
    for start in range(0, items - size + 1, size):
        yield order[start : start + size]
