"""DBDH: the pairwise likelihood on binary codes, whose bits are balanced.

Zheng, Zhang, Lu, "Deep Balanced Discrete Hashing for Image Retrieval", Neurocomputing 2020.
"""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import straight_through
from bitseek.methods._pairs import PairMethod, PairRecipe, pair_entropy
from bitseek.methods._recipe import BatchSize, Optimiser, Shares, for_heads


class DBDHRecipe(PairRecipe):
    """The optimiser of the common PyTorch re-implementation, whose rate falls after every 50 epochs.

    It pairs each item with the last code of every training item (`memory=true`). At a rate above its 1e-5, as from
    scratch, all items then flee from what all of them were a while ago, turn round together and keep one code: on small
    digits with Adam at 1e-3 the mAP is .10, and .94 with the pairs of the batch.
    """

    codes: Literal["signs", "clipped"] = "signs"
    """`signs`: the likelihood is that of sign u, whose gradient is that of u clipped to [−1, 1], the paper's discrete
    training; `clipped`: that of the clipped u itself, as in the re-implementation."""
    alpha: NonNegativeFloat = 0.1
    """α, weight of the balance."""
    balance_over: Literal["items", "bits"] = "items"
    """`items`: each bit is +1 for half of the items of a batch; `bits`: each item has as many +1 as −1, as in the
    re-implementation."""
    epochs: PositiveInt = 150
    batch_size: BatchSize = 128
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5
    drop_at: Shares = (1 / 3, 2 / 3)


class DBDH(PairMethod):
    """The likelihood of pairs of discrete codes, and the balance of their bits.

    The mean over the pairs of log(1 + e^θ) − s θ with θ = ½ b_i · b_j, b = sign u, and α mean_k (mean_i b_ik)². The
    gradient passes the sign where |u| ≤ 1 and is 0 elsewhere.

    The common re-implementation trains on u clipped to ±1, and its balance is that of the bits of one code, which
    leaves a bit that is the same for all items alone: `codes="clipped"`, `balance_over="bits"`.
    """

    card = Card(
        title="Deep Balanced Discrete Hashing for Image Retrieval",
        authors="Zheng et al.",
        year=2020,
        labels="multi",
        head="linear",
        idea="the likelihood of pairs of signs, whose gradient passes the clipped logits; balanced bits",
    )
    recipe_class = DBDHRecipe
    head_recipe = for_heads(codes="clipped")
    recipe: DBDHRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the pairs, and the balance."""
        codes = batch.logits.clamp(-1, 1)
        if self.recipe.codes == "signs":
            codes = straight_through(codes, signs(batch.logits))
        pairs = self.pairs(codes, batch)
        entropy = pair_entropy(pairs.inner_products() / 2, pairs.similar)
        balance = codes.mean(dim=0 if self.recipe.balance_over == "items" else 1).square().mean()
        return {"likelihood": pairs.mean(entropy), "balance": self.recipe.alpha * balance}
