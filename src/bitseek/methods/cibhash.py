"""CIBHash: contrastive learning of binary codes as an information bottleneck.

Qiu, Su, Ou, Yu, Chen, "Unsupervised Hashing with Contrastive Information Bottleneck", IJCAI 2021.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bitseek.methods.base import Augment, Batch, Card, Method, Recipe, Task
from bitseek.methods.mlp import MlpHead


@dataclass(frozen=True, kw_only=True)
class CIBHashRecipe(Recipe):
    """Adds to the recipe.

    Attributes:
        temperature: τ, of the contrast.
        kl: β, weight of the divergence of the two views.
        hidden: width of the hidden layer of the head.
        dropout: share of the features dropped in training. The frozen VGG16 of the released code has dropout of 0.5
            before its last two layers, active in training. Where features are computed once both views are the same
            but for this.
    """

    epochs: int = 60
    batch_size: int = 64
    lr: float = 1e-3
    backbone_lr: float = 0.0
    weight_decay: float = 0.0
    drop_by: float = 1.0
    augment: Augment = "views"
    temperature: float = 0.3
    kl: float = 1e-3
    hidden: int = 1024
    dropout: float = 0.5


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
        idea="two views of an image shall have the same code, other images another",
    )
    recipe_class = CIBHashRecipe
    recipe: CIBHashRecipe
    views = 2

    @classmethod
    def build_head(cls, task: Task, recipe: CIBHashRecipe) -> MlpHead:
        """One hidden layer."""
        return MlpHead(task.features, (recipe.hidden,), task.bits, input_dropout=recipe.dropout)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The contrast, and the divergence."""
        p = batch.logits.sigmoid()
        signs = torch.where(batch.logits >= 0, 1.0, -1.0).to(p)
        first, second = batch.logits.chunk(2)
        divergence = (bernoulli_kl(first, second.detach()) + bernoulli_kl(second, first.detach())) / 2
        return {
            "contrast": contrast(p + (signs - p).detach(), self.recipe.temperature),
            "divergence": self.recipe.kl * divergence,
        }


def contrast(codes: Tensor, temperature: float) -> Tensor:
    """NT-Xent: −log softmax over the 2b − 1 others of cos / τ, at the other view of the item; mean over all 2b.

    Args:
        codes: (2b, K) float, the first views and then the second; 0 for b = 1, which has nothing to contrast with.
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
