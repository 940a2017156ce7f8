"""DSDH: the pairwise likelihood, with discrete codes of the training items that a linear classifier can read.

Li, Sun, He, Tan, "Deep Supervised Discrete Hashing", NeurIPS 2017.
"""

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._discrete import descend_by_bit
from bitseek.methods._pairs import MemoryBank, batch_pairs, pair_entropy
from bitseek.methods._recipe import BatchSize, Optimiser, Recipe, for_heads


class DSDHRecipe(Recipe):
    """The weights of the paper; the optimiser of the common PyTorch re-implementation."""

    classification: PositiveFloat = 1.0
    """μ, weight of ‖Y − B W‖² in the codes of the training items."""
    ridge: PositiveFloat = 0.1
    """ν, weight of ‖W‖² there."""
    quantisation: PositiveFloat = 55.0
    """η, weight of ‖B − U‖²."""
    memory: bool = True
    """Pair each item of the batch with the last logits of every training item, or only with its batch, which at rates
    well above 1e-5 keeps more of the codes apart: all items flee from what all of them were before, and together."""
    sweeps: PositiveInt = 10
    """Times that W and all bits of the codes are solved for before an epoch."""
    epochs: PositiveInt = 150
    batch_size: BatchSize = 128
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5


class DSDH(Method):
    """The likelihood of pairs, and the distance of the logits to discrete codes B of the training items.

    The mean over the pairs of the batch and the last logits U of all items of log(1 + e^θ) − s θ with θ = ½ u_i · u_j,
    and η ‖b_i − u_i‖² / N, mean over the batch: the paper's sums over all pairs and items, divided by their number N².
    Before each epoch, W = argmin μ ‖Y − B W‖² + ν ‖W‖² and, bit by bit, B = argmin μ ‖Y − B W‖² + η ‖B − U‖² (eqs. 11
    and 12) for the items seen so far; before that, b = sign u.

    The classification therefore acts on the network through B. (In the common re-implementation it is a term of the
    loss that has no network output in it, and ‖B − U‖² is missing: nothing but the likelihood trains the network.)
    """

    card = Card(
        title="Deep Supervised Discrete Hashing",
        authors="Li et al.",
        year=2017,
        labels="multi",
        head="linear",
        idea="the likelihood of pairs, and logits close to discrete codes that tell a linear classifier the class",
    )
    recipe_class = DSDHRecipe
    head_recipe = for_heads(epochs=60, memory=False)
    recipe: DSDHRecipe
    codes: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.bank = MemoryBank(task.items, task.bits, task.classes)
        self.register_buffer("codes", torch.zeros(task.items, task.bits))  # 0: not solved for yet

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the pairs, and the distance from the codes."""
        remembered = self.bank.pairs(batch.logits, batch)  # the codes are solved for from the bank in any case
        pairs = remembered if self.recipe.memory else batch_pairs(batch.logits, batch.labels)
        entropy = pair_entropy(pairs.inner_products() / 2, pairs.similar)
        solved = self.codes[batch.index].to(batch.logits)
        codes = torch.where(solved == 0, signs(batch.logits), solved)
        error = (codes - batch.logits).square().sum(dim=1).mean()
        return {"likelihood": pairs.mean(entropy), "quantisation": self.recipe.quantisation / self.task.items * error}

    def start_epoch(self, epoch: int) -> None:
        """Solve for W and B, of the items seen so far."""
        seen = self.bank.seen
        outputs, labels, codes = self.bank.codes[seen], self.bank.labels[seen], self.codes[seen]
        codes = torch.where(codes == 0, signs(outputs), codes)
        for _ in range(self.recipe.sweeps):
            weights = self.regression(codes, labels)
            pull = labels @ weights.T + self.recipe.quantisation / self.recipe.classification * outputs
            codes = descend_by_bit(codes, weights @ weights.T, pull)
        self.codes[seen] = codes

    def regression(self, codes: Tensor, labels: Tensor) -> Tensor:
        """W (K, C) of the ridge regression from codes to labels."""
        ridge = self.recipe.ridge / self.recipe.classification * torch.eye(self.task.bits).to(codes)
        weights: Tensor = torch.linalg.solve(codes.T @ codes + ridge, codes.T @ labels)
        return weights
