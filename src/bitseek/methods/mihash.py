"""MIHash: the mutual information between the distance of two codes and whether their items are similar.

Cakir, He, Bargal, Sclaroff, "Hashing with Mutual Information", TPAMI 2019, after "MIHash: Online Hashing with Mutual
Information", ICCV 2017.
"""

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.methods._base import Batch, Card, Task
from bitseek.methods._pairs import PairMethod, PairRecipe
from bitseek.methods._recipe import BatchSize, Optimiser, OrNone, Share, Shares
from bitseek.models import LinearHead


class MIHashRecipe(PairRecipe):
    """The settings of the released code, whose rate is halved after every 10 of 50 epochs."""

    bins: OrNone[PositiveInt] = None
    """Number of intervals into which the distances 0 … K are cut; by default one for every two bits."""
    scale: PositiveFloat = 1.0
    """Of the logits: v = tanh(scale · u / 2)."""
    epochs: PositiveInt = 50
    batch_size: BatchSize = 256
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 0.1
    backbone_lr: NonNegativeFloat = 0.01
    drop_at: Shares = (0.2, 0.4, 0.6, 0.8)
    drop_by: Share = 0.5


class MIHash(PairMethod):
    """Minus the mutual information I(D; S) of the distance to an item and the similarity with it, mean over the items.

    D = ½ (K − v_i · v_j) with v = tanh(½ u), between 0 and K. Its distribution given S = 1 or S = 0 is a histogram over
    the other items of the batch: each distance is shared between the two nodes beside it, linearly (§3.3), so that the
    histogram has a gradient. I = H(D) − p₁ H(D | S = 1) − p₀ H(D | S = 0) in nats is 0 for an item with others of one
    kind only, and at most H(S). At logits of 0 the gradient vanishes: the head therefore starts from the released
    code's weights, N(0, 2 / D), and biases, N(0, 2 / K).

    (cisip-FIRe minimises I, the contrary of what is meant; it counts an item as a negative of its own, at distance 0;
    and its 16 nodes stop one interval short of K, where distances are lost.)
    """

    card = Card(
        title="Hashing with Mutual Information",
        authors="Cakir et al.",
        year=2019,
        labels="multi",
        head="linear",
        idea="distances to similar and to other items whose histograms do not overlap",
    )
    recipe_class = MIHashRecipe
    recipe: MIHashRecipe

    @classmethod
    def build_head(cls, task: Task, recipe: MIHashRecipe) -> LinearHead:
        """Linear, with larger weights and random biases."""
        head = LinearHead(task.features, task.bits)
        nn.init.normal_(head.weight, std=(2 / task.features) ** 0.5)
        nn.init.normal_(head.bias, std=(2 / task.bits) ** 0.5)
        return head

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the mutual information."""
        pairs = self.pairs((self.recipe.scale * batch.logits / 2).tanh(), batch)
        counted = pairs.counted if self.bank else pairs.counted + pairs.counted.T  # of each item, all others
        distance = (1 - pairs.inner_products() / self.task.bits) / 2
        nodes = soft_histogram(distance, self.recipe.bins or -(-self.task.bits // 2))
        near = (nodes * (pairs.similar * counted).unsqueeze(2)).sum(dim=1)
        far = (nodes * ((1 - pairs.similar) * counted).unsqueeze(2)).sum(dim=1)
        total = counted.sum(dim=1).clamp(min=1)
        # Of counts n that sum to p N: p H(n / (p N)) = −Σ (n / N) log (n / N) + p log p.
        of_kinds = entropy(torch.stack([near.sum(dim=1), far.sum(dim=1)], dim=1) / total.unsqueeze(1))
        conditional = entropy(near / total.unsqueeze(1)) + entropy(far / total.unsqueeze(1)) - of_kinds
        information = entropy((near + far) / total.unsqueeze(1)) - conditional
        return {"information": -information.mean()}


def soft_histogram(shares: Tensor, bins: int) -> Tensor:
    """Values in [0, 1], (b, n), as weights of the `bins` + 1 nodes 0, 1 / bins, … 1: (b, n, bins + 1).

    A value weighs on the two nodes beside it, on the nearer one more; its weights sum to 1.
    """
    nodes = torch.arange(bins + 1, device=shares.device)
    return (1 - (shares.clamp(0, 1).unsqueeze(2) * bins - nodes).abs()).clamp(min=0)


def entropy(shares: Tensor) -> Tensor:
    """−Σ p log p in nats over the last axis, (b, m) → (b,), with 0 log 0 = 0, without a gradient."""
    return -(shares * shares.where(shares > 0, 1.0).log()).sum(dim=1)
