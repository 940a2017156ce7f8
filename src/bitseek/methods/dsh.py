"""DSH: a contrastive loss on pairs of real-valued codes that are pulled to ±1.

Liu, Wang, Shan, Chen, "Deep Supervised Hashing for Fast Image Retrieval", CVPR 2016.
"""

from dataclasses import replace
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.methods._base import Batch, Card, Task
from bitseek.methods._pairs import PairMethod, Pairs
from bitseek.methods._recipe import BatchSize, Optimiser, OrNone, Recipe, Shares
from bitseek.models import LinearHead


class DSHRecipe(Recipe):
    """The settings of the released CIFAR-10 network; the rate falls at 60,000 and 65,000 of 70,000 steps."""

    form: Literal["batch", "pairs", "bank"] = "batch"
    """Which pairs are formed. `batch`: all of a batch, as the paper proposes for training and its released code
    does; `pairs`: disjoint ones, the first half of a batch with the second, Eq. 3 literally; `bank`: each item of
    the batch with the last code of every training item, as a common re-implementation does."""
    margin: OrNone[PositiveFloat] = None
    """M, on the distance summed over the bits; by default the paper's 2 K, at which two codes of ±1 that differ in
    at least half of their bits cost nothing."""
    alpha: NonNegativeFloat = 0.02
    """α, weight of the distance of an item's logits from ±1, summed over the bits. Eq. 3 adds 0.01 of it for either
    side of a pair: 0.02 an item."""
    init: Literal["normal", "xavier"] = "normal"
    """Initial weights of the head: `normal`, N(0, 0.01²), or `xavier` (Glorot and Bengio, 2010), with the standard
    deviation √(2 / (D + K)). From very small weights on features that are not centred all bits grow along one
    direction, and classes may end with one code: they differ by magnitude then, not by sign."""
    epochs: PositiveInt = 280
    batch_size: BatchSize = 200
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 1e-3
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 4e-3
    drop_at: Shares = (6 / 7, 13 / 14)

    @property
    def memory(self) -> bool:
        """Whether there is a memory bank."""
        return self.form == "bank"


class DSH(PairMethod):
    """The contrastive loss of pairs, and the distance of the logits from ±1.

    The mean over the pairs of ½ s D + ½ (1 − s) max(M − D, 0), with D = ‖u_i − u_j‖², and α times the mean over the
    items of r = ‖|u| − 1‖₁. This is Eq. 3, ½ s D + ½ (1 − s) max(M − D, 0) + 0.01 (r_i + r_j), for α = 0.02: the mean
    of r_i + r_j over the pairs is twice that of r over the items.

    The released code has the same value of the pair term (a sum over i < j divided by b (b − 1)) and 0.01 r once an
    item, but it passes back half of the gradient of its pair term. Its gradient is therefore half of ours with
    α = 0.02, in agreement with the paper, and α = 0.01 would be half of what either of them trains with. The recipe is
    that of the released CIFAR-10 network, which is trained from scratch. The re-implementation with a memory bank adds
    0.1 times the mean of |1 − |u|| over items and bits: alpha = 0.1 / K here.
    """

    card = Card(
        title="Deep Supervised Hashing for Fast Image Retrieval",
        authors="Liu et al.",
        year=2016,
        labels="multi",
        head="linear",
        idea="similar pairs together, others apart by a margin of half the bits, all outputs close to −1 or +1",
    )
    recipe_class = DSHRecipe
    recipe: DSHRecipe

    @classmethod
    def build_head(cls, task: Task, recipe: DSHRecipe) -> LinearHead:
        """Linear."""
        head = LinearHead(task.features, task.bits)
        if recipe.init == "xavier":
            nn.init.xavier_normal_(head.weight)
        return head

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The contrastive term and the distance from ±1."""
        pairs = self.pairs(batch.logits, batch)
        if self.recipe.form == "pairs":
            pairs = disjoint(pairs)
        margin = 2 * self.task.bits if self.recipe.margin is None else self.recipe.margin
        from_signs = (batch.logits.abs() - 1).abs().sum(dim=1).mean()
        return {"contrastive": pairs.contrast(margin), "signs": self.recipe.alpha * from_signs}


def disjoint(pairs: Pairs) -> Pairs:
    """Of all pairs of a batch, item i of the first half with item i of the second; an odd last item has no partner."""
    b = len(pairs.codes)
    rows = torch.arange(b, device=pairs.counted.device)
    partner = (rows.unsqueeze(1) + b // 2 == rows) & (rows.unsqueeze(1) < b // 2)
    return replace(pairs, counted=pairs.counted * partner)
