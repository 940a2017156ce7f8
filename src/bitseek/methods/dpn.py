"""Deep polarised network: a hinge that pushes each bit past a margin on the side of its target.

Fan, Ng, Ju, Zhang, Chan, "Deep Polarized Network for Supervised Learning of Accurate Binary Hashing Codes", IJCAI 2020.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card, Task
from bitseek.methods._losses import softmax_cross_entropy
from bitseek.methods._recipe import Optimiser, Recipe, Share, Shares
from bitseek.methods._supervised import CodebookMethod, CodebookRecipe
from bitseek.models import LinearHead


class DPNRecipe(CodebookRecipe):
    """The settings of the released code; the rate falls at 100 of 200 epochs."""

    epochs: PositiveInt = 200
    optimiser: Optimiser = "sgd"
    backbone_lr: NonNegativeFloat = 1.0
    drop_at: Shares = (0.5,)
    margin: PositiveFloat = 1.0
    """m, the least product of a logit and its target that costs nothing."""
    classification: NonNegativeFloat = 0.0
    """Weight of the cross-entropy of a classifier on the features."""
    multi_label_loss: Literal["sigmoid", "softmax"] = "sigmoid"
    """That cross-entropy where items can have several classes: `sigmoid`, the mean binary cross-entropy over items
    and classes, as in the released code, or `softmax` against y / Σ y, mean over the items that have a label."""
    regularisation: NonNegativeFloat = 0.0
    """Weight of mean v²; the authors advise 0.001 where training is unstable."""
    update_every: NonNegativeInt = 0
    """Number of epochs between new estimates of the targets from the codes; 0 for never."""
    update_share: Share = 1.0
    """Share of the items of a class, those nearest to its target, from which it is estimated."""


class DPN(CodebookMethod):
    """The polarisation loss Σ_k max(0, m − v_k t_k), t the codeword of the class; mean over the items (eq. 2).

    With several labels it is summed over the classes of an item; an item without labels adds nothing to it. (In the
    sigmoid form of the optional cross-entropy such an item is a negative of every class.)

    With `update_every` a target becomes the majority of the codes of its class, bit by bit. Where the released code
    makes a tie 0 and a class without items NaN, the bit stays as it was here.

    (A common re-implementation has a ternary variant whose loss is that of rounded logits, which have no gradient: it
    trains nothing. It is not here.)
    """

    card = Card(
        title="Deep Polarized Network for Supervised Learning of Accurate Binary Hashing Codes",
        authors="Fan et al.",
        year=2020,
        labels="multi",
        head="linear without bias",
        idea="a hinge on each bit, which is 0 past the margin on the side of its codeword",
    )
    recipe_class = DPNRecipe
    recipe: DPNRecipe
    last_signs: Tensor
    last_labels: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.classifier = nn.Linear(task.features, task.classes) if self.recipe.classification else None
        rows = task.items if self.recipe.update_every else 0
        self.register_buffer("last_signs", torch.zeros(rows, task.bits, dtype=torch.int8))  # 0: not seen yet
        self.register_buffer("last_labels", torch.zeros(rows, task.classes, dtype=torch.bool))

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear without bias."""
        return LinearHead(task.features, task.bits, bias=False)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The polarisation, and the two optional terms where they have a weight."""
        if self.recipe.update_every and self.training:
            self.last_signs[batch.index] = signs(batch.logits).to(torch.int8)
            self.last_labels[batch.index] = batch.labels > 0
        terms = {"polarisation": polarisation(batch.logits, batch.labels, self.book, self.recipe.margin)}
        if self.classifier is not None:
            scores = self.classifier(batch.features)
            if self.task.multi_label and self.recipe.multi_label_loss == "sigmoid":
                entropy = F.binary_cross_entropy_with_logits(scores, batch.labels)
            else:
                entropy = softmax_cross_entropy(scores, batch.labels)
            terms["classification"] = self.recipe.classification * entropy
        if self.recipe.regularisation:
            terms["regularisation"] = self.recipe.regularisation * batch.logits.square().mean()
        return terms

    def start_epoch(self, epoch: int) -> None:
        """Estimate the targets anew, every so many epochs."""
        if self.recipe.update_every and epoch and epoch % self.recipe.update_every == 0:
            for c in range(self.task.classes):
                own = self.last_signs[self.last_labels[:, c]].to(self.book)
                self.book[c] = majority(own, self.book[c], self.recipe.update_share)


def majority(codes: Tensor, codeword: Tensor, share: float) -> Tensor:
    """The majority of a share of (n, K) ±1 codes, those nearest to a (K,) codeword; a tie keeps its bit, n may be 0."""
    nearest = (codes @ codeword).argsort(descending=True, stable=True)[: max(1, int(share * len(codes)))]
    votes = codes[nearest].sum(dim=0)
    return torch.where(votes == 0, codeword, signs(votes))


def polarisation(logits: Tensor, labels: Tensor, codewords: Tensor, margin: float) -> Tensor:
    """Σ_k max(0, m − v_k t_k), summed over the classes of an item, mean over the items that have a label.

    Args:
        logits: (b, K) float, v.
        labels: (b, C) multi-hot.
        codewords: (C, K) ±1, t.
        margin: m.
    """
    item, own = labels.nonzero(as_tuple=True)  # pairs of item and class: b × C × K would not fit for many classes
    hinge = (margin - logits[item] * codewords[own]).clamp(min=0)
    return hinge.sum() / (labels.sum(dim=1) > 0).sum().clamp(min=1)
