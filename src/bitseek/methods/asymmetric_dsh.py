"""Asymmetric DSH: the codes of the database are learnt one by one, a network only for the queries.

Jiang, Li, "Asymmetric Deep Supervised Hashing", AAAI 2018.
"""

from collections.abc import Iterator

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.labels import Labels
from bitseek.methods._base import Batch, Card, Task
from bitseek.methods._discrete import DiscreteMethod, descend_by_bit, label_sets
from bitseek.methods._recipe import BatchSize, Optimiser, Recipe, Shares

ROWS = 4096
"""Training items whose similarities to the sampled ones are in memory at a time."""


class AsymmetricDSHRecipe(Recipe):
    """The settings of the released code; its rate falls after every 10 of 50 iterations, which are epochs here."""

    gamma: NonNegativeFloat = 200.0
    """γ, weight of the distance of an output from the learnt code of its item."""
    sampled: PositiveInt = 2000
    """|Ω|, number of items that the network is trained on in one epoch; at most all."""
    passes: PositiveInt = 3
    """Times that it sees each of them there."""
    epochs: PositiveInt = 50
    batch_size: BatchSize = 64
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 1e-3
    backbone_lr: NonNegativeFloat = 1.0
    drop_at: Shares = (0.2, 0.4, 0.6, 0.8)


class AsymmetricDSH(DiscreteMethod):
    """(ũ_i · v_j − K S_ij)² for sampled items i and all training items j, and γ ‖v_i − ũ_i‖², with ũ = tanh u.

    Eq. 3, divided by N and by the number of sampled items. V (N, K) ±1 are the codes of the training items, S is 1 for
    similar items and −r for others, with r the ratio of their numbers. In an epoch the network is trained on a sample Ω
    of the items; before the next, V is solved for bit by bit, given the outputs of these items (eq. 9). V starts at
    random (the released code starts from zeros, so that the first iteration trains the network towards 0).

    `item_codes` gives V for an asymmetric search, the published evaluation, where the database is the training set; in
    any other, the head encodes both sides. (A common re-implementation drops V and always does the second.)
    """

    card = Card(
        title="Asymmetric Deep Supervised Hashing",
        authors="Jiang and Li",
        year=2018,
        labels="multi",
        head="linear",
        idea="codes of all training items, and a network whose products with them are the similarities",
    )
    recipe_class = AsymmetricDSHRecipe
    recipe: AsymmetricDSHRecipe
    outputs: Tensor
    sampled: Tensor
    ratio: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.register_buffer("outputs", torch.zeros(task.items, task.bits))
        self.register_buffer("sampled", torch.zeros(task.items, dtype=torch.bool))  # since V was last solved for
        self.register_buffer("ratio", torch.ones(()))

    def labels_are_known(self) -> None:
        """The ratio r, over all pairs of training items."""
        sets, _, counts = label_sets(self.labels)
        share = counts.to(sets) / len(self.labels)
        alike = share @ (sets @ sets.T > 0).to(sets) @ share
        self.ratio.copy_(alike / (1 - alike).clamp(min=1 / len(self.labels) ** 2))

    def batches(self, labels: Labels, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Batches of the sampled items, several times; the last of a time can be smaller."""
        items = generator.permutation(len(labels))[: self.recipe.sampled]
        size = self.recipe.batch_size
        for _ in range(self.recipe.passes):
            order = generator.permutation(items)
            yield from (order[start : start + size] for start in range(0, len(order) - 1, size))

    def similarity(self, labels: Tensor, others: Tensor) -> Tensor:
        """S, (b, C), (n, C) → (b, n): 1 where two items share a class, else −r."""
        return torch.where(labels @ others.T > 0, 1.0, -self.ratio.to(labels))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The similarities with all training items, and the distance from the own code."""
        outputs = batch.logits.tanh()
        self.outputs[batch.index] = outputs.detach().to(self.outputs)
        self.sampled[batch.index] = True
        codes = self.codes.to(outputs)
        wanted = self.task.bits * self.similarity(batch.labels, self.labels.to(outputs))
        own = (codes[batch.index] - outputs).square().sum(dim=1).mean()
        return {
            "similarity": (outputs @ codes.T - wanted).square().mean(),
            "codes": self.recipe.gamma / self.task.items * own,
        }

    def start_epoch(self, epoch: int) -> None:
        """Solve for the codes, given the outputs for the items that were sampled in the last epoch."""
        self.codes.copy_(self.item_codes())
        self.sampled.zero_()

    def item_codes(self) -> Tensor:
        """V, (N, K) ±1, solved for with the outputs since the last epoch began."""
        if not self.sampled.any():
            return self.codes
        outputs, labels = self.outputs[self.sampled], self.labels[self.sampled]
        pull = torch.cat([self.task.bits * self.similarity(rows, labels) @ outputs for rows in self.labels.split(ROWS)])
        pull[self.sampled] += self.recipe.gamma * outputs
        return descend_by_bit(self.codes, outputs.T @ outputs, pull)
