"""DPSH: the likelihood of pairwise labels under half the inner product of two codes.

Li, Wang, Kang, "Feature Learning Based Deep Supervised Hashing with Pairwise Labels", IJCAI 2016.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bitseek.methods.bank import MemoryBank
from bitseek.methods.base import Batch, Card, Method, Optimiser, Recipe, Task
from bitseek.methods.pairs import batch_pairs, distance_to_signs, pair_entropy
from bitseek.models.head import LinearHead


@dataclass(frozen=True, kw_only=True)
class DPSHRecipe(Recipe):
    """Adds to the recipe.

    Attributes:
        memory: pair each item of the batch with the last code of every training item, as the paper's algorithm does,
            or with the others of its batch. Rows of the bank are up to an epoch old: at a high learning rate the batch
            answers to codes that are gone, and the training oscillates; the batch alone bears a far higher one.
        quantisation: η, weight of (u − sign u)².
        quantisation_over: `items`: the paper's balance of both terms: η / N times the sum over the bits, mean over the
            batch. `bits`: η times the mean over items and bits, as later re-implementations do (with η = 0.1, which
            is nearly the same at N = 5000 and K = 48 but not elsewhere).
    """

    memory: bool = True
    quantisation: float = 10.0
    quantisation_over: Literal["items", "bits"] = "items"
    epochs: int = 150
    batch_size: int = 128
    optimiser: Optimiser = "rmsprop"
    lr: float = 1e-5
    backbone_lr: float = 1.0
    weight_decay: float = 1e-5


class DPSH(Method):
    """The likelihood of pairs, and the quantisation error.

    The mean over the pairs of log(1 + e^θ) − s θ with θ = ½ u_i · u_j, and η (u − sign u)².

    The paper sums over all pairs of the N training items and over the items; divided by the number of pairs this is a
    mean over pairs and η / N times a mean over items. The optimiser is that of the common PyTorch re-implementation;
    the authors' code tunes plain SGD from 0.05 down.
    """

    card = Card(
        title="Feature Learning Based Deep Supervised Hashing with Pairwise Labels",
        authors="Li et al.",
        year=2016,
        labels="multi",
        head="linear",
        idea="the likelihood of pairwise labels under half the inner product of real codes, kept close to ±1",
    )

    recipe_class = DPSHRecipe
    recipe: DPSHRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.bank = MemoryBank(task.items, task.bits, task.classes) if self.recipe.memory else None

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear."""
        return LinearHead(task.features, task.bits, bias=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the pairs, and the quantisation error."""
        logits = batch.logits
        pairs = batch_pairs(logits, batch.labels) if self.bank is None else self.bank.pairs(logits, batch)
        entropy = pair_entropy(pairs.inner_products() / 2, pairs.similar)
        over_items = self.recipe.quantisation_over == "items"
        share = self.task.bits / self.task.items if over_items else 1.0
        error = self.recipe.quantisation * share * distance_to_signs(logits).mean()
        return {"likelihood": pairs.mean(entropy), "quantisation": error}
