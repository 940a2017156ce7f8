"""DSH: a contrastive loss on pairs of real-valued codes that are pulled to ±1.

Liu, Wang, Shan, Chen, "Deep Supervised Hashing for Fast Image Retrieval", CVPR 2016.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitseek.methods.bank import MemoryBank
from bitseek.methods.base import Batch, Card, Method, Optimiser, Recipe, Task
from bitseek.methods.pairs import Pairs, batch_pairs
from bitseek.models.head import LinearHead


@dataclass(frozen=True, kw_only=True)
class DSHRecipe(Recipe):
    """Adds to the recipe.

    Attributes:
        form: which pairs are formed. `batch`: all of a batch, as the paper proposes for training and its released
            code does; `pairs`: disjoint ones, the first half of a batch with the second, Eq. 3 literally; `bank`:
            each item of the batch with the last code of every training item, as a widely used re-implementation does.
        margin: M, on the distance summed over the bits; by default the paper's 2 K. Two codes of ±1 that differ in at
            least half of their bits cost nothing then.
        alpha: α, weight of the distance of the logits from ±1, summed over the bits.
        init: what the weights of the head start from: `normal`, N(0, 0.01²), or `xavier` (Glorot and Bengio, 2010),
            √(2 / (D + K)) as standard deviation. From very small weights on features that are not centred all bits
            grow along one direction, and classes may end with one code: they differ by magnitude then, not by sign.
    """

    form: Literal["batch", "pairs", "bank"] = "batch"
    margin: float | None = None
    alpha: float = 0.01
    init: Literal["normal", "xavier"] = "normal"
    epochs: int = 280
    batch_size: int = 200
    optimiser: Optimiser = "sgd"
    lr: float = 1e-3
    backbone_lr: float = 1.0
    weight_decay: float = 4e-3
    drop_at: float = 6 / 7


class DSH(Method):
    """The contrastive loss of pairs, and the distance of the logits from ±1.

    Eq. 3: the mean over the pairs of ½ s D + ½ (1 − s) max(M − D, 0) + α (r_i + r_j), with D = ‖u_i − u_j‖² and
    r = ‖|u| − 1‖₁.

    The mean over all pairs of a batch is what the released code computes too (a sum over i < j divided by b (b − 1));
    but it adds α r once an item, not once for either side of a pair, and so do the forms `batch` and `bank` here.
    The recipe is that of the released CIFAR-10 network, which is trained from scratch. The re-implementation with a
    memory bank adds 0.1 times the mean of |1 − |u|| over items and bits: alpha = 0.1 / K here.
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

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.margin = 2.0 * task.bits if self.recipe.margin is None else self.recipe.margin
        self.bank = MemoryBank(task.items, task.bits, task.classes) if self.recipe.form == "bank" else None

    @classmethod
    def build_head(cls, task: Task, recipe: DSHRecipe) -> LinearHead:
        """Linear."""
        head = LinearHead(task.features, task.bits, bias=True)
        if recipe.init == "xavier":
            nn.init.xavier_normal_(head.weight)
        return head

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The contrastive term and the distance from ±1."""
        pairs = self._pairs(batch)
        distance = pairs.squared_distances()
        contrast = pairs.similar * distance + (1 - pairs.similar) * F.relu(self.margin - distance)
        from_signs = (batch.logits.abs() - 1).abs().sum(dim=1).mean()
        sides = 2 if self.recipe.form == "pairs" else 1
        return {"contrastive": pairs.mean(contrast / 2), "signs": self.recipe.alpha * sides * from_signs}

    def _pairs(self, batch: Batch) -> Pairs:
        if self.bank is not None:
            return self.bank.pairs(batch.logits, batch)
        pairs = batch_pairs(batch.logits, batch.labels)
        return disjoint(pairs) if self.recipe.form == "pairs" else pairs


def disjoint(pairs: Pairs) -> Pairs:
    """Of all pairs of a batch, item i of the first half with item i of the second; an odd one out has no partner."""
    b = len(pairs.codes)
    rows = torch.arange(b, device=pairs.counted.device)
    partner = (rows.unsqueeze(1) + b // 2 == rows) & (rows.unsqueeze(1) < b // 2)
    return replace(pairs, counted=pairs.counted * partner)
