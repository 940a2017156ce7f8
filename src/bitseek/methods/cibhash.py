"""CIBHash: contrastive learning of binary codes as an information bottleneck.

Qiu, Su, Ou, Yu, Chen, "Unsupervised Hashing with Contrastive Information Bottleneck", IJCAI 2021.
"""

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card, Method
from bitseek.methods._losses import straight_through
from bitseek.methods._recipe import Augment, BatchSize, DropoutShare, Recipe, Shares, Width, for_heads


class CIBHashRecipe(Recipe):
    """The settings of the released code; the rate is constant."""

    epochs: PositiveInt = 60
    batch_size: BatchSize = 64
    lr: PositiveFloat = 1e-3
    backbone_lr: NonNegativeFloat = 0.0
    weight_decay: NonNegativeFloat = 0.0
    drop_at: Shares = ()
    augment: Augment = "views"
    temperature: PositiveFloat = 0.3
    """τ, of the contrast."""
    kl: NonNegativeFloat = 1e-3
    """β, weight of the divergence of the two views."""
    hidden: Width = 1024
    dropout: DropoutShare = 0.5
    """Share of the features dropped in training. The frozen VGG16 of the released code has dropout of 0.5 before
    its last two layers, active in training. Where features are computed once, both views are the same but for
    this, and with `hidden=0`, which has none, not even for this."""


class CIBHash(Method):
    """NT-Xent on the codes of two views of each item, + β ½ [KL(p ‖ q) + KL(q ‖ p)] of their probabilities.

    p = σ(u), the code z = sign(p − ½) with dL/dp = dL/dz; in each KL the gradient goes to the first argument only.
    """

    card = Card(
        title="Unsupervised Hashing with Contrastive Information Bottleneck",
        authors="Qiu et al.",
        year=2021,
        labels="none",
        head="dropout, linear, ReLU, linear",
        idea="the same code for two views of an image, another one for other images",
    )
    recipe_class = CIBHashRecipe
    head_recipe = for_heads(hidden=256, lr=3e-3)
    recipe: CIBHashRecipe
    head_class = nn.Linear
    views = 2

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The contrast, and the divergence."""
        codes = straight_through(batch.logits.sigmoid(), signs(batch.logits))
        first, second = batch.logits.chunk(2)
        divergence = (bernoulli_kl(first, second.detach()) + bernoulli_kl(second, first.detach())) / 2
        return {
            "contrast": contrast(codes, self.recipe.temperature),
            "divergence": self.recipe.kl * divergence,
        }


def contrast(codes: Tensor, temperature: float) -> Tensor:
    """NT-Xent: −log softmax over the 2b − 1 others of cos / τ, at the other view of the item; mean over all 2b.

    Args:
        codes: (2b, K) float, the first views and then the second; 0 for b = 1, where there is no other item.
        temperature: τ.
    """
    unit = F.normalize(codes, dim=1)
    cosines = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    other_view = torch.arange(len(codes), device=codes.device).roll(len(codes) // 2)
    return F.cross_entropy(cosines, other_view)


def bernoulli_kl(logits: Tensor, others: Tensor) -> Tensor:
    """Σ_k KL(Bern(σ(u_k)) ‖ Bern(σ(w_k))) in nats, mean over the items; (b, K) both. Finite for all finite logits."""
    p = logits.sigmoid()
    ones = p * (F.logsigmoid(logits) - F.logsigmoid(others))
    zeros = (1 - p) * (F.logsigmoid(-logits) - F.logsigmoid(-others))
    return (ones + zeros).sum(dim=1).mean()
