"""Central similarity quantisation: each item towards the hash centre of its classes, bit by bit.

Yuan, Wang, Zhang, Tay, Jie, Liu, Feng, "Central Similarity Quantization for Efficient Image and Video Retrieval",
CVPR 2020.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bitseek.codebooks import codebook
from bitseek.methods.base import Augment, Batch, Card, Method, Recipe, Task
from bitseek.methods.mlp import MlpHead


@dataclass(frozen=True, kw_only=True)
class CSQRecipe(Recipe):
    """Adds to the recipe.

    The defaults are those of the released code for ResNet-50; with AlexNet it takes lr=1e-4, quantisation=0.001 and
    dropout=0, with several labels backbone_lr=0.05. Its schedule, × 0.7 after every 10 of 90 epochs, comes to × 0.06
    in the end; here it is the one drop of the trainer.

    Attributes:
        quantisation: λ, weight of mean (|v| − 1)².
        hidden_layers: how many layers of D units with ReLU are before the last; the paper has 2.
        dropout: share of the entries dropped after the first of them.
        codebook: name of the codebook of the centres; see `bitseek codebooks`. (cisip-FIRe takes `bernoulli`.)
    """

    epochs: int = 90
    batch_size: int = 64
    lr: float = 1e-3
    backbone_lr: float = 0.01
    weight_decay: float = 0.0
    drop_at: float = 0.5
    augment: Augment = "crop"
    quantisation: float = 0.05
    hidden_layers: int = 2
    dropout: float = 0.5
    codebook: str = "hadamard"


class CSQ(Method):
    """BCE(½(v + 1), ½(c + 1)) + λ mean (|v| − 1)², v = tanh(u), c the centre of the item (eqs. 5 and 7).

    The centre of several classes is the majority of theirs, bit by bit; ties are filled from one random code that is
    drawn once and kept with the weights. An item without labels has no centre and adds the second term only. As
    ½(tanh u + 1) = σ(2u), the cross-entropy is computed from u: it stays finite where tanh has run into ±1. The
    pairwise term of the released code, which is not in the paper, is left out.
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
    recipe: CSQRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        book = codebook(self.recipe.codebook, task.classes, task.bits, seed=task.seed)
        self.register_buffer("book", torch.from_numpy(book.codes.to_signs()).float())
        filling = np.random.default_rng((task.seed, 0xC59)).integers(0, 2, task.bits)
        self.register_buffer("filling", torch.from_numpy(2 * filling - 1).float())

    @classmethod
    def build_head(cls, task: Task, recipe: CSQRecipe) -> MlpHead:
        """Linear layers with ReLU, as wide as the features."""
        return MlpHead(task.features, (task.features,) * recipe.hidden_layers, task.bits, dropout=recipe.dropout)

    def codewords(self) -> Tensor:
        """(C, K) ±1."""
        return self.get_buffer("book")

    def centres(self, labels: Tensor) -> Tensor:
        """(b, C) multi-hot → (b, K) ±1, the centre of each item."""
        votes = labels @ self.codewords().to(labels)
        return torch.where(votes == 0, self.get_buffer("filling").to(labels), votes.sign())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy with the centres, and the pull of |v| to 1."""
        targets = (self.centres(batch.labels) + 1) / 2
        entropy = F.binary_cross_entropy_with_logits(2 * batch.logits, targets, reduction="none").mean(dim=1)
        labelled = (batch.labels.sum(dim=1) > 0).to(entropy)
        error = (batch.logits.tanh().abs() - 1).square().mean()
        return {
            "centre": (entropy * labelled).sum() / labelled.sum().clamp(min=1),
            "quantisation": self.recipe.quantisation * error,
        }
