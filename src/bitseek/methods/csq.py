"""Central similarity quantisation: each item towards the hash centre of its classes, bit by bit.

Yuan, Wang, Zhang, Tay, Jie, Liu, Feng, "Central Similarity Quantization for Efficient Image and Video Retrieval",
CVPR 2020.
"""

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card, Task
from bitseek.methods._losses import magnitude_error
from bitseek.methods._pairs import batch_pairs, pair_entropy
from bitseek.methods._recipe import Augment, BatchSize, CodebookName, DropoutShare, Recipe, Share, Shares, for_heads
from bitseek.methods._supervised import CodebookMethod, CodebookRecipe


class CSQRecipe(CodebookRecipe):
    """The settings of the released code for ResNet-50; the rate is multiplied by 0.7 after every 10 of 90 epochs.

    With AlexNet the code takes lr=1e-4, quantisation=0.001 and dropout=0, with several labels backbone_lr=0.05. (The
    framework cisip-FIRe draws the centres from the codebook `bernoulli`.)
    """

    epochs: PositiveInt = 90
    batch_size: BatchSize = 64
    lr: PositiveFloat = 1e-3
    backbone_lr: NonNegativeFloat = 0.01
    weight_decay: NonNegativeFloat = 0.0
    drop_at: Shares = tuple(step / 9 for step in range(1, 9))
    drop_by: Share = 0.7
    augment: Augment = "crop"
    quantisation: NonNegativeFloat = 0.05
    """λ, weight of mean (|v| − 1)²."""
    pairwise: NonNegativeFloat = 0.0
    """λ₁, weight of the likelihood of pairs that the released code has beside the paper's two terms."""
    hidden_layers: NonNegativeInt = 2
    """Number of layers of D units with ReLU before the last; the paper has 2."""
    dropout: DropoutShare = 0.5
    """Share of the entries dropped after the first of them, and of the features in front of `hidden`."""
    codebook: CodebookName = "hadamard"


class CSQ(CodebookMethod):
    """BCE(½(v + 1), ½(c + 1)) + λ mean (|v| − 1)², v = tanh(u), c the centre of the item (eqs. 5 and 7).

    The centre of several classes is the majority of theirs, bit by bit; ties are filled from one random code that is
    drawn once and saved with the weights. An item without labels has no centre and adds the second term only. As
    ½(tanh u + 1) = σ(2u), the cross-entropy is computed from u: it stays finite where tanh is ±1.

    The released code can add λ₁ times the mean of log(1 + e^θ) − s θ, θ = 10 / K v_i · v_j, which is not in the paper;
    `pairwise` is that λ₁. It takes each item of the first half of a batch with each of the second; here all pairs of
    the batch.
    """

    card = Card(
        title="Central Similarity Quantization for Efficient Image and Video Retrieval",
        authors="Yuan et al.",
        year=2020,
        labels="multi",
        head="three linear layers with ReLU between them",
        idea="each bit is a binary classification: the bit of the Hadamard centre of the item's classes",
    )
    recipe_class = CSQRecipe
    head_recipe = for_heads(hidden_layers=0, dropout=0.0)
    recipe: CSQRecipe
    filling: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        filling = np.random.default_rng((task.seed, 0xC59)).integers(0, 2, task.bits)
        self.register_buffer("filling", torch.from_numpy(2 * filling - 1).float())

    @classmethod
    def build_head(cls, task: Task, recipe: CSQRecipe) -> nn.Sequential:
        """Hidden layers as wide as the features, and a linear one."""
        width = task.features
        hidden = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(recipe.hidden_layers)]
        for layer in hidden[:1]:
            layer.append(nn.Dropout(recipe.dropout))
        return nn.Sequential(*hidden, nn.Linear(width, task.bits))

    def centres(self, labels: Tensor) -> Tensor:
        """(b, C) multi-hot → (b, K) ±1, the centre of each item."""
        votes = labels @ self.book.to(labels)
        return torch.where(votes == 0, self.filling.to(labels), signs(votes))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy with the centres, the pull of |v| to 1, and the likelihood of pairs if it has a weight."""
        targets = (self.centres(batch.labels) + 1) / 2
        entropy = F.binary_cross_entropy_with_logits(2 * batch.logits, targets, reduction="none").mean(dim=1)
        labelled = (batch.labels.sum(dim=1) > 0).to(entropy)
        codes = batch.logits.tanh()
        terms = {
            "centre": (entropy * labelled).sum() / labelled.sum().clamp(min=1),
            "quantisation": self.recipe.quantisation * magnitude_error(codes, 2),
        }
        if self.recipe.pairwise:
            pairs = batch_pairs(codes, batch.labels)
            likelihood = pair_entropy(10 / self.task.bits * pairs.inner_products(), pairs.similar)
            terms["likelihood"] = self.recipe.pairwise * pairs.mean(likelihood)
        return terms
