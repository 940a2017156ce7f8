"""Pairs and triplets of items: which of them a loss counts, and what it measures on them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bitseek.methods.base import similar


@dataclass(frozen=True)
class Pairs:
    """The items of a batch, each paired with others.

    Attributes:
        codes: (b, K) float, real-valued codes of the first items.
        others: (n, K) float, those of the second items.
        similar: (b, n) float, s_ij: 1 where the two items share a class, else 0.
        counted: (b, n) float, 1 for the pairs that count; never for an item with itself, which teaches nothing.
    """

    codes: Tensor
    others: Tensor
    similar: Tensor
    counted: Tensor

    def inner_products(self) -> Tensor:
        """v_i · v_j, (b, n)."""
        return self.codes @ self.others.T

    def squared_distances(self) -> Tensor:
        """‖v_i − v_j‖², summed over the bits, (b, n)."""
        return squared_distances(self.codes, self.others)

    def balance(self) -> Tensor:
        """|S| / |S1| for similar pairs and |S| / |S0| for the others, (b, n): both kinds weigh the same in a mean."""
        total = self.counted.sum()
        ones = (self.similar * self.counted).sum()
        zeros = total - ones
        return torch.where(self.similar > 0, total / ones.clamp(min=1), total / zeros.clamp(min=1))

    def mean(self, values: Tensor) -> Tensor:
        """Mean of (b, n) values over the pairs that count; 0 if none does."""
        return (values * self.counted).sum() / self.counted.sum().clamp(min=1)


def batch_pairs(codes: Tensor, labels: Tensor) -> Pairs:
    """Every pair of two items of one batch, counted once.

    Args:
        codes: (b, K) float.
        labels: (b, C) multi-hot.
    """
    counted = codes.new_ones(len(codes), len(codes)).triu(1)
    return Pairs(codes, codes, similar(labels, labels), counted)


@dataclass(frozen=True)
class Triplets:
    """The triplets of a batch: P pairs of an anchor and a positive, each with all negatives of its anchor.

    Attributes:
        pairs: (P,) int64, of an anchor and a positive: place in a flat (b, b) matrix.
        alike: (b, b) bool, whether two items share a class; for an anchor, all others are negatives.
        counts: (b,) int64, number of triplets of each anchor.
    """

    pairs: Tensor
    alike: Tensor
    counts: Tensor

    def __len__(self) -> int:
        """Number of triplets."""
        return int(self.counts.sum())

    @property
    def anchors(self) -> Tensor:
        """(P,) int64, positions in the batch."""
        return self.pairs // len(self.alike)

    def gaps(self, values: Tensor, margin: float, *, blank: float) -> Tensor:
        """The value of (anchor, positive) minus that of (anchor, negative) plus a margin: of (b, b) values, (P, b).

        Args:
            values: of all pairs of the batch.
            margin: added to each.
            blank: an infinity that stands where there is no triplet; a loss is 0 there, without gradient.
        """
        near = values.reshape(-1).index_select(0, self.pairs) + margin
        return near.unsqueeze(1) + (-values).masked_fill(self.alike, blank).index_select(0, self.anchors)

    def mean(self, losses: Tensor) -> Tensor:
        """Mean of (P, b) losses over all triplets; 0 if there is none."""
        return losses.sum() / self.counts.sum().clamp(min=1)

    def mean_of_anchors(self, losses: Tensor) -> Tensor:
        """Mean over each anchor's triplets, then over the anchors that have any; 0 if none has."""
        sums = losses.new_zeros(len(self.counts)).index_add(0, self.anchors, losses.sum(dim=1))
        return (sums / self.counts.clamp(min=1)).sum() / (self.counts > 0).sum().clamp(min=1)


def batch_triplets(labels: Tensor, *, both_ways: bool, anchor_as_positive: bool = False) -> Triplets:
    """All triplets of a batch.

    Args:
        labels: (b, C) multi-hot.
        both_ways: of two items of a class, each is once the anchor and once the positive; else the first is the anchor.
        anchor_as_positive: each item that has a class is also its own positive.
    """
    alike = labels @ labels.T > 0
    wanted = alike.triu(0 if anchor_as_positive else 1)
    if both_ways:
        wanted = wanted | wanted.T
    counts = wanted.sum(dim=1) * (len(labels) - alike.sum(dim=1))
    return Triplets(wanted.flatten().nonzero().squeeze(1), alike, counts)


def squared_distances(codes: Tensor, others: Tensor) -> Tensor:
    """‖v_i − v_j‖², summed over the bits: (b, K), (n, K) → (b, n); never below 0."""
    squares = codes.square().sum(dim=1).unsqueeze(1) + others.square().sum(dim=1)
    return torch.addmm(squares, codes, others.T, alpha=-2).clamp(min=0)


def pair_entropy(logit: Tensor, similar: Tensor) -> Tensor:
    """log(1 + e^θ) − s θ: minus the log-likelihood of s under P(s = 1) = σ(θ); safe for any θ."""
    return F.softplus(logit) - similar * logit


def distance_to_signs(logits: Tensor) -> Tensor:
    """(u − sign u)², (b, K), with sign(0) = +1 and no gradient through the sign."""
    return (logits - torch.where(logits >= 0, 1.0, -1.0).detach()).square()
