"""DHN: pairwise cross-entropy on tanh codes, and a smooth distance of the codes from ±1.

Zhu, Long, Wang, Cao, "Deep Hashing Network for Efficient Similarity Retrieval", AAAI 2016.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from bitseek.methods.bank import MemoryBank
from bitseek.methods.base import Batch, Card, Method, Optimiser, Recipe, Task
from bitseek.methods.pairs import batch_pairs, pair_entropy
from bitseek.models.head import LinearHead


@dataclass(frozen=True, kw_only=True)
class DHNRecipe(Recipe):
    """Adds to the recipe.

    Attributes:
        activation: `tanh`, as in the paper, or `none`.
        scale: of the inner product in the likelihood; 1 in the paper.
        memory: pair each item of the batch with the last code of every training item instead of with its batch.
        quantisation: λ, weight of log cosh(|z| − 1).
    """

    activation: Literal["tanh", "none"] = "tanh"
    scale: float = 1.0
    memory: bool = False
    quantisation: float = 0.1
    batch_size: int = 64
    optimiser: Optimiser = "sgd"
    lr: float = 2e-4


class DHN(Method):
    """The likelihood of pairs of tanh codes, and their distance from ±1.

    The mean over the pairs of log(1 + e^θ) − s θ with θ = z_i · z_j and z = tanh u, and λ times the mean of
    log cosh(|z| − 1) over items and bits.

    A common PyTorch re-implementation has no tanh, θ = ½ u_i · u_j and a memory bank: `activation="none"`,
    `scale=0.5`, `memory=True`. Rates and weights are those of the authors' Caffe code.
    """

    card = Card(
        title="Deep Hashing Network for Efficient Similarity Retrieval",
        authors="Zhu et al.",
        year=2016,
        labels="multi",
        head="linear",
        idea="pairwise cross-entropy on tanh codes, with a log-cosh pull of every output to ±1",
    )

    recipe_class = DHNRecipe
    recipe: DHNRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.bank = MemoryBank(task.items, task.bits, task.classes) if self.recipe.memory else None

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear; the tanh lives in the loss."""
        return LinearHead(task.features, task.bits, bias=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the pairs, and the quantisation term."""
        codes = batch.logits.tanh() if self.recipe.activation == "tanh" else batch.logits
        pairs = batch_pairs(codes, batch.labels) if self.bank is None else self.bank.pairs(codes, batch)
        entropy = pair_entropy(self.recipe.scale * pairs.inner_products(), pairs.similar)
        error = self.recipe.quantisation * log_cosh(codes.abs() - 1).mean()
        return {"likelihood": pairs.mean(entropy), "quantisation": error}


def log_cosh(x: Tensor) -> Tensor:
    """The function log cosh x, without overflow: x + log(1 + e^(−2x)) − log 2."""
    return x + F.softplus(-2 * x) - math.log(2)
