"""MDS: items towards minimal-distance-separated centres, and towards those of their class in a memory bank.

Wang, Pan, Liu, Lai, Yin, Liu, "Deep Hashing with Minimal-Distance-Separated Hash Centers", CVPR 2023.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from bitseek.methods._base import Batch, Card, Task
from bitseek.methods._losses import magnitude_error, unit_vectors
from bitseek.methods._pairs import MemoryBank
from bitseek.methods._recipe import Augment, BatchSize, CodebookName, Optimiser, Recipe, Shares
from bitseek.methods._supervised import CodebookMethod, CodebookRecipe
from bitseek.models import LinearHead


class MDSRecipe(CodebookRecipe):
    """The settings of the released code, whose rate is constant and whose pairs begin with the tenth epoch.

    It trains for 1,000 epochs at most and cuts gradients to a norm of 5, which is not done here.
    """

    codebook: CodebookName = "mds"
    centres: NonNegativeFloat = 1.0
    """Weight of the cross-entropy with the centres; it is a mean over the classes too, so it falls as 1 / C. (An
    independent comparison takes 10.)"""
    pairs: NonNegativeFloat = 1.0
    """Weight of the similar pairs."""
    pairs_from: Annotated[float, Field(ge=0, lt=1)] = 0.09
    """Share of the training after which they count."""
    quantisation: NonNegativeFloat = 1e-4
    """Weight of mean (|v| − 1)²."""
    batch_size: BatchSize = 64
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5
    drop_at: Shares = ()
    augment: Augment = "crop"


class MDS(CodebookMethod):
    """−mean [y log p + (1 − y) log(1 − p)] over items and classes, p = softmax(√K cos(v, o)), v = tanh u.

    To it comes the mean of log(1 + exp(½ (1 − cos(v_i, U_j)))) over the similar pairs of an item of the batch and one
    of the memory bank, which holds the last code of each training item, and the pull of |v| to 1.

    The bank of the released code begins as noise, holds codes of a slow copy of the network whose batch norm is not
    copied with it, and pairs each item with itself. Here it begins empty, holds the last codes, and pairs with others.
    Where p rounds to 1, log(1 − p) of that code is −∞; here it is computed from the scores of the other classes.
    """

    card = Card(
        title="Deep Hashing with Minimal-Distance-Separated Hash Centers",
        authors="Wang et al.",
        year=2023,
        labels="multi",
        head="linear, batch norm",
        idea="centres with a least distance from one another; similar items pull through a memory bank",
    )
    recipe_class = MDSRecipe
    recipe: MDSRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.bank = MemoryBank(task.items, task.bits, task.classes)

    @classmethod
    def build_head(cls, task: Task, recipe: MDSRecipe) -> nn.Sequential:
        """Linear and batch norm."""
        return nn.Sequential(LinearHead(task.features, task.bits), nn.BatchNorm1d(task.bits))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy with the centres, the similar pairs once they count, and the pull of |v| to 1."""
        codes, units = batch.logits.tanh(), unit_vectors(batch.logits.tanh())
        scores = units @ self.book.T  # √K cos: a codeword has the length √K
        own, other = batch.labels * scores.log_softmax(dim=1), (1 - batch.labels) * log_of_the_others(scores)
        pairs = self.bank.pairs(units, batch)
        counted = pairs.counted * pairs.similar
        pull = (counted * F.softplus((1 - pairs.inner_products()) / 2)).sum() / counted.sum().clamp(min=1)
        weight = self.recipe.pairs if batch.progress >= self.recipe.pairs_from else 0.0
        return {
            "centres": -self.recipe.centres * (own + other).mean(),
            "pairs": weight * pull,
            "quantisation": self.recipe.quantisation * magnitude_error(codes, 2),
        }


def log_of_the_others(scores: Tensor) -> Tensor:
    """log(1 − softmax(z)_c), (b, C), finite for all finite z; at least 2 classes."""
    log_share = scores.log_softmax(dim=1)
    largest = F.one_hot(scores.argmax(dim=1), scores.shape[1]).bool()
    rest = log_share.masked_fill(largest, -torch.inf).logsumexp(dim=1, keepdim=True)
    small = log_share.masked_fill(largest, -1.0).exp()
    return torch.where(largest, rest, torch.log1p(-small))
