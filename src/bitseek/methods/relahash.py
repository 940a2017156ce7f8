"""RelaHash: logits relative to the whole batch, against fixed codewords.

Minh, Viet, Son, Anh, "RelaHash: Deep Hashing with Relative Position", IEEE Access 2023.
"""

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from bitseek.methods._base import Batch, Card, Task
from bitseek.methods._losses import softmax_cross_entropy
from bitseek.methods._recipe import Augment, BatchSize, CodebookName, Recipe, for_heads
from bitseek.methods._supervised import CodebookMethod, CodebookRecipe
from bitseek.models import BatchNormHead

MOMENTUM = 0.1


class RelaHashRecipe(CodebookRecipe):
    """The settings of the released code; the rate falls at 80 of 100 epochs."""

    batch_size: BatchSize = 16
    beta: PositiveFloat = 8.0
    """β, scale of the scores."""
    margin: NonNegativeFloat = 0.5
    """m, subtracted from the score of an item's own classes, before β."""
    factor: Literal["paper", "released"] = "released"
    """`released` leaves out the factor √(bK) of the paper's relative position, as the released code does, for which
    β = 8 and m = 0.5 were chosen; `paper` keeps it, and needs another β and m: see `RelaHash`."""
    codebook: CodebookName = "max-distance"
    augment: Augment = "jitter"


class RelaHash(CodebookMethod):
    """Cross-entropy on β (z*·o / √K − m y), where z* = √(bK) (Z − μ) / ‖Z − μ‖ is the batch of logits Z about its mean.

    μ is the mean and ‖·‖ the Frobenius norm over all b·K entries, so √(bK) / ‖Z − μ‖ is one over their standard
    deviation. Behind batch norm the score of an item hardly depends on the others: mean and spread of a whole batch are
    those of the shift and scale of the norm.

    The released code leaves √(bK) out, which is the same as β / √(bK) for β and m √(bK) for m: the published β = 8 and
    m = 0.5 at b = 16, K = 64 are β = 0.25 and m = 16 of the formula above, where no score z*·o / √K of a code with
    equal entries exceeds √K = 8. With such values the gradient of no item ever vanishes: all pull with almost the same
    strength, and as the norm is fixed, the optimum has every entry at the same distance from 0. That is the source of
    the small quantisation error. With the factor, β = 8 and m = 0.5, easy items stop pulling early; on frozen CIFAR-10
    features the mAP falls from .71 to .56, below plain cross-entropy. Hence the default `factor="released"`.

    Three deviations from the released code: b is the batch size of the recipe, so that the scores of a smaller batch do
    not differ; in evaluation mode the loss takes mean and spread from running averages; and an item without labels,
    which the code gives to every class, adds nothing.
    """

    card = Card(
        title="RelaHash: Deep Hashing with Relative Position",
        authors="Minh et al.",
        year=2023,
        labels="multi",
        head="linear without bias, batch norm",
        idea="scores against codewords after the whole batch is centred and scaled at once",
    )
    recipe_class = RelaHashRecipe
    head_recipe = for_heads(lr=1e-2)
    recipe: RelaHashRecipe
    head_class = BatchNormHead
    running_centre: Tensor
    running_variance: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.register_buffer("running_centre", torch.zeros(()))
        self.register_buffer("running_variance", torch.ones(()))
        entries = min(self.recipe.batch_size, task.items) * task.bits
        self.shrink = entries**-0.5 if self.recipe.factor == "released" else 1.0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy with margin."""
        scores = self.shrink * self.relative(batch.logits) @ self.book.T / self.task.bits**0.5
        scores = self.recipe.beta * (scores - self.recipe.margin * batch.labels)
        return {"relative": softmax_cross_entropy(scores, batch.labels)}

    def relative(self, logits: Tensor) -> Tensor:
        """√(bK) (Z − μ) / ‖Z − μ‖, (b, K); zero where all logits are equal."""
        centre, variance = self.running_centre, self.running_variance
        if self.training:
            centre = logits.mean()
            variance = (logits - centre).square().mean()
            with torch.no_grad():
                self.running_centre.lerp_(centre, MOMENTUM)
                self.running_variance.lerp_(variance, MOMENTUM)
        return (logits - centre) / variance.where(variance > 0, 1.0).sqrt()
