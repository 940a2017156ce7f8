"""Class contrast: items of one class get the same code, and those of other classes another one.

Ours. The contrast of an item with each other item of its class is that of Khosla et al., "Supervised Contrastive
Learning", NeurIPS 2020, Eq. 2, but that the others of the class are not among what it is compared with; on codes, as in
CIBHash. What it reaches against the methods of the field, and what of that its head does, is in docs/ledger.md.
"""

from collections.abc import Iterator

import numpy as np
from pydantic import PositiveFloat
from torch import Tensor, nn

from bitseek.errors import DataError
from bitseek.labels import Labels
from bitseek.methods._base import Batch, Card, Method
from bitseek.methods._contrast import ContrastRecipe, against_strangers, half_batches
from bitseek.methods._recipe import Width, for_heads
from bitseek.methods._samplers import Classmates


class ClassContrastRecipe(ContrastRecipe):
    """Chosen for heads, on held-out items of CIFAR-10 and CIFAR-100 (docs/auto.md); the rest is what all have."""

    temperature: PositiveFloat = 0.2
    """τ, of the contrast."""
    hidden: Width = 512


class ClassContrast(Method):
    """−log of e^(c_ij / τ) / [e^(c_ij / τ) + Σ_r e^(c_ir / τ)] for items i, j of a class, c the cosines of their codes.

    The sum goes over the strangers r of i in the batch, that share no class with it, the mean over the rows there that
    do, then over all rows i that have any. An item without labels is a stranger of all. Codes are sign(u), whose
    gradient goes to σ(u).
    """

    card = Card(
        title="Contrast of classes",
        authors="bitseek",
        year=2026,
        labels="multi",
        head="batch norm, dropout, linear, ReLU, linear",
        idea="the same code for items of a class, another one for strangers",
    )
    recipe_class = ClassContrastRecipe
    head_recipe = for_heads(lr=3e-3)
    recipe: ClassContrastRecipe
    head_class = nn.Linear

    def sample(self, labels: Labels, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Every item once, half a batch at a time, and a classmate of each; without the last partial batch.

        So an epoch has twice the steps that it has for a method without pairs.

        Raises:
            DataError: no two items share a class.
        """
        drawn = Classmates(labels)
        if not len(drawn.with_any):
            raise DataError("class contrast needs two items that share a class, and no two of the training items do")
        for items in half_batches(len(labels), self.recipe.batch_size, generator):
            yield np.concatenate([items, drawn.of(items, generator)])

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The contrast of every item's classmates in the batch with its strangers there."""
        shared = batch.labels @ batch.labels.T > 0
        same = batch.index.unsqueeze(1) == batch.index
        strangers = (~shared & ~same).to(batch.logits.dtype)
        return {"contrast": against_strangers(batch.logits, shared & ~same, strangers, self.recipe.temperature)}
