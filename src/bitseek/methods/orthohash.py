"""OrthoHash: one cosine loss against fixed binary codewords, batch norm for balance.

Hoe, Ng, Zhang, Chan, Song, Xiang, "One Loss for All: Deep Hashing with a Single Cosine Similarity based Learning
Objective", NeurIPS 2021.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import distance_to_signs, softmax_cross_entropy, with_margin
from bitseek.methods._recipe import Augment, for_heads
from bitseek.methods._supervised import CodebookMethod, CodebookRecipe
from bitseek.models import BatchNormHead


class OrthoHashRecipe(CodebookRecipe):
    """The settings of the released code; the rate falls at 80 of 100 epochs."""

    margin: NonNegativeFloat = 0.2
    """m, subtracted from the cosine of an item's own classes, or added to its angle."""
    margin_type: Literal["cos", "arc"] = "cos"
    """`cos` (the paper's OrthoCos) or `arc` (OrthoArc)."""
    scale: PositiveFloat | Literal["sqrt"] = 8.0
    """s, or `sqrt` for √K."""
    multi_label_loss: Literal["softmax", "sigmoid", "imbalance"] = "softmax"
    """`softmax` against y / Σ y, `sigmoid` (mean binary cross-entropy), or `imbalance` (the same, weighted 1 on
    positives and confident mistakes and 1 / C elsewhere)."""
    quantisation: NonNegativeFloat = 0.0
    """Weight of the optional term that pulls the logits to their signs."""
    quantisation_type: Literal["cs", "l1", "l2"] = "cs"
    """`cs` (1 − cos), `l1` or `l2` (mean distance of the entries)."""
    augment: Augment = "jitter"


class OrthoHash(CodebookMethod):
    """Maximise the cosine between the logits of an item and the codeword of its class, by a margin.

    The defaults are those of the released code. The paper's scale √K is `scale="sqrt"` (they agree at 64 bits).
    With several labels, the margin applies to each of an item's classes, and by default the target is y / Σ y; an
    item without labels adds nothing to the loss. (The released code trains COCO on the lowest class alone.)
    """

    card = Card(
        title="One Loss for All: Deep Hashing with a Single Cosine Similarity based Learning Objective",
        authors="Hoe et al.",
        year=2021,
        labels="multi",
        head="linear without bias, batch norm",
        idea="one cosine loss against fixed binary codewords; batch norm balances the bits",
    )
    recipe_class = OrthoHashRecipe
    head_recipe = for_heads(lr=3e-2)
    recipe: OrthoHashRecipe
    head_class = BatchNormHead

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cosine (or angular) margin loss, and the quantisation term where it has a weight."""
        scale = self.task.bits**0.5 if self.recipe.scale == "sqrt" else self.recipe.scale
        cosines = cosine(batch.logits, self.book)
        scores = scale * with_margin(cosines, self.recipe.margin * batch.labels, self.recipe.margin_type)
        terms = {"cosine": self._classify(scores, batch.labels)}
        if self.recipe.quantisation:
            error = quantisation_error(batch.logits, self.recipe.quantisation_type)
            terms["quantisation"] = self.recipe.quantisation * error
        return terms

    def _classify(self, scores: Tensor, labels: Tensor) -> Tensor:
        if not self.task.multi_label or self.recipe.multi_label_loss == "softmax":
            return softmax_cross_entropy(scores, labels)
        entropy = F.binary_cross_entropy_with_logits(scores, labels, reduction="none")
        if self.recipe.multi_label_loss == "sigmoid":
            return entropy.mean()
        mistaken = (scores.detach().sigmoid() >= 0.7) != labels.bool()
        weight = torch.where(mistaken | labels.bool(), 1.0, 1 / self.task.classes)
        return (weight * entropy).sum() / (weight.sum() + 1e-7)


def cosine(logits: Tensor, codewords: Tensor) -> Tensor:
    """cos(v_i, o_c), (b, C); 0, without a gradient, for a logit vector that is all zero.

    Args:
        logits: (b, K) float, v.
        codewords: (C, K) ±1, o.
    """
    norm = logits.norm(dim=1, keepdim=True)
    unit = torch.where(norm > 0, logits / norm.where(norm > 0, 1.0), 0.0)
    cosines: Tensor = unit @ codewords.T / codewords.shape[1] ** 0.5
    return cosines


def quantisation_error(logits: Tensor, kind: Literal["cs", "l1", "l2"]) -> Tensor:
    """Distance of the logits from their signs, mean over the batch: 1 − cos, mean |v − sign v|, or its square."""
    if kind == "cs":
        return (1 - F.cosine_similarity(logits, signs(logits), dim=1)).mean()
    return (logits - signs(logits)).abs().mean() if kind == "l1" else distance_to_signs(logits).mean()
