"""DFH: a pairwise likelihood with a margin, and logits close to binary centres of the classes.

Li, Pei, Zhang, van Gemert, "Push for Quantization: Deep Fisher Hashing", BMVC 2019.
"""

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._discrete import descend_by_bit
from bitseek.methods._pairs import MemoryBank
from bitseek.methods._recipe import BatchSize, Optimiser, Recipe, for_heads


class DFHRecipe(Recipe):
    """The settings of the common PyTorch re-implementation."""

    margin: NonNegativeFloat = 3.0
    """m, by which θ of a pair has to be on its side."""
    mu: PositiveFloat = 0.1
    """μ, weight of the centre of an item's class in its code. (cisip-FIRe takes 1.)"""
    quantisation: NonNegativeFloat = 0.5
    """η, weight of the mean of (b − u)²."""
    separation: NonNegativeFloat = 1.0
    """ν, weight of the distance between the centres, beside that of the codes to their centre."""
    epochs: PositiveInt = 150
    batch_size: BatchSize = 64
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5


class DFH(Method):
    """The likelihood of pairs with a margin, and the distance of the logits to codes near the centres of their classes.

    The mean over the pairs of the batch and the last logits of all items of s log(1 + e^(m − θ)) +
    (1 − s) log(1 + e^(m + θ)) with θ = ½ u_i · u_j, and η times the mean of (b − u)² with b = sign(μ Σ_c y_c o_c + u),
    for the centres o_c of ±1, which `codewords` gives.

    Before each epoch every centre, bit by bit, is made better by the mean over the items seen so far and the bits of
    (b_i − Σ_c y_ic o_c)², and ν / C² times the sum over c ≠ e of (o_c · o_e − t)². The paper wants t = −K, which is
    possible for two classes only; here t = −K / (C − 1), the least that all pairs of C codes can have, and −K for two.
    (θ is not clipped; elsewhere it is, to [−100, 50], where pairs that are most wrong have no gradient.)
    """

    card = Card(
        title="Push for Quantization: Deep Fisher Hashing",
        authors="Li et al.",
        year=2019,
        labels="multi",
        head="linear",
        idea="a likelihood of pairs with a margin, and codes close to binary centres of the classes that are far apart",
    )
    recipe_class = DFHRecipe
    head_recipe = for_heads(mu=1.0, epochs=60)
    recipe: DFHRecipe
    centres: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        centres = np.random.default_rng((task.seed, 0xDF4)).integers(0, 2, (task.classes, task.bits))
        self.bank = MemoryBank(task.items, task.bits, task.classes)
        self.register_buffer("centres", torch.from_numpy(2 * centres - 1).float())

    def codewords(self) -> Tensor:
        """(C, K) ±1."""
        return self.centres

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the pairs with a margin, and the distance from the codes."""
        pairs = self.bank.pairs(batch.logits, batch)
        side = 1 - 2 * pairs.similar
        entropy = F.softplus(self.recipe.margin + side * pairs.inner_products() / 2)
        error = (self.near_centres(batch.logits, batch.labels) - batch.logits).square().mean()
        return {"likelihood": pairs.mean(entropy), "quantisation": self.recipe.quantisation * error}

    def near_centres(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The codes b, (b, K) ±1."""
        codes: Tensor = signs(self.recipe.mu * labels @ self.centres.to(logits) + logits)
        return codes

    def start_epoch(self, epoch: int) -> None:
        """One sweep over the centres."""
        seen = self.bank.seen
        labels = self.bank.labels[seen]
        codes = self.near_centres(self.bank.codes[seen], labels)
        together, sums = labels.T @ labels, labels.T @ codes
        classes, bits = self.centres.shape
        own, apart = 1 / max(codes.numel(), 1), 2 * self.recipe.separation / classes**2
        for c in range(classes):
            others = self.centres.clone()
            others[c] = 0
            wanted = sums[c] - together[c] @ others
            pull = own * wanted - apart * bits / (classes - 1) * others.sum(dim=0)
            self.centres[c] = descend_by_bit(self.centres[c : c + 1], apart * others.T @ others, pull.unsqueeze(0))[0]
