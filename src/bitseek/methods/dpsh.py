"""DPSH: the likelihood of pairwise labels under half the inner product of two codes.

Li, Wang, Kang, "Feature Learning Based Deep Supervised Hashing with Pairwise Labels", IJCAI 2016.
"""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import distance_to_signs
from bitseek.methods._pairs import PairMethod, PairRecipe, pair_entropy
from bitseek.methods._recipe import BatchSize, Optimiser, Shares, for_heads


class DPSHRecipe(PairRecipe):
    """The optimiser of the common PyTorch re-implementation; the rate falls after every 50 epochs, as published.

    The memory bank is that of the paper's algorithm. Its rows are up to an epoch old: at a high learning rate the batch
    is compared with outdated codes, and the training oscillates; pairs of the batch alone allow a far higher one.
    """

    memory: bool = True
    quantisation: NonNegativeFloat = 10.0
    """η, weight of (u − sign u)²."""
    quantisation_over: Literal["items", "bits"] = "items"
    """`items`: the paper's balance of both terms: η / N times the sum over the bits, mean over the batch. `bits`: η
    times the mean over items and bits, as later re-implementations do (with η = 0.1, which is nearly the same at N
    = 5000 and K = 48 but not elsewhere)."""
    epochs: PositiveInt = 150
    batch_size: BatchSize = 128
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5
    drop_at: Shares = (1 / 3, 2 / 3)


class DPSH(PairMethod):
    """The likelihood of pairs, and the quantisation error.

    The mean over the pairs of log(1 + e^θ) − s θ with θ = ½ u_i · u_j, and η (u − sign u)².

    The paper sums over all pairs of the N training items and over the items; divided by the number of pairs this is a
    mean over pairs and η / N times a mean over items. The optimiser is that of the common PyTorch re-implementation;
    the authors' code has plain SGD from 0.05 down.
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
    head_recipe = for_heads(epochs=60, memory=False)
    recipe: DPSHRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the pairs, and the quantisation error."""
        pairs = self.pairs(batch.logits, batch)
        entropy = pair_entropy(pairs.inner_products() / 2, pairs.similar)
        share = self.task.bits / self.task.items if self.recipe.quantisation_over == "items" else 1.0
        error = self.recipe.quantisation * share * distance_to_signs(batch.logits).mean()
        return {"likelihood": pairs.mean(entropy), "quantisation": error}
