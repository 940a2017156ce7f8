"""All triplets of a batch: an anchor, a positive of a class of its own, a negative of none of its classes."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Triplets:
    """The triplets of a batch: P pairs of an anchor and a positive, each with all negatives of its anchor.

    Attributes:
        pairs: (P,) int64, pairs of an anchor and a positive as places in a flat (b, b) matrix.
        alike: (b, b) bool, whether two items share a class; those of an anchor's row that do not are its negatives.
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
        """The value of (anchor, positive) minus that of (anchor, negative) plus a margin: (b, b) → (P, b).

        Args:
            values: of all pairs of the batch.
            margin: added to each gap.
            blank: the infinity where the second item is no negative; a loss is 0 there, without gradient.
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
