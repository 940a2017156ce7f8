"""TBH: an auto-encoder whose binary bottleneck decides which items of a batch share their real-valued one.

Shen, Qin, Chen, Yu, Liu, Zhu, Shen, Shao, "Auto-Encoding Twin-Bottleneck Hashing", CVPR 2020.
"""

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._losses import random_bits
from bitseek.methods._recipe import Augment, BatchSize, Recipe, Shares


class TBHRecipe(Recipe):
    """The settings of the released code, on features of a frozen backbone; the rate is constant."""

    batch_size: BatchSize = 400
    backbone_lr: NonNegativeFloat = 0.0
    weight_decay: NonNegativeFloat = 0.0
    drop_at: Shares = ()
    augment: Augment = "none"
    width: PositiveInt = 1024
    """Width of the hidden layers of the encoder and the decoder."""
    bottleneck: PositiveInt = 512
    """Width L of the real-valued bottleneck."""
    exponent: PositiveFloat = 1.4
    """Of the similarity of two codes, (1 − d / K)^exponent."""
    adversarial: NonNegativeFloat = 1e-3
    """λ, weight of the two discriminators. The released code has 1, on 4096 features without normalisation; where the
    error of restoring is small, the encoder then meets the discriminators only, and all items get one code."""


class TBH(Method):
    """½ ‖x − x̂‖² of an auto-encoder on the features x, mean over the items, + λ (L₁ + L₂) of two discriminators.

    z ∈ {0, 1}^K are stochastic neurons with p = σ(u), r (L) a linear layer beside them on the same hidden layer. The
    items of a batch are a graph with the edges a_ij = (1 − d(z_i, z_j) / K)^1.4, d the Hamming distance; R' = σ(D^−½ A
    D^−½ R W) is decoded to x̂ by two layers (§3.2): codes are good if items with near codes can be restored from one
    another. A discriminator tells z from fair bits, another one R' from U(0, 1). L is the cross-entropy of telling them
    apart, which trains the discriminator alone, and of z or R' being taken for drawn, which trains the encoder alone.

    (The released code has a sigmoid after r and a ReLU after the decoder, and so cannot restore negative features; the
    paper has neither. It takes |d|, which is d for bits, but gives no gradient to equal codes, an item and itself among
    them.)
    """

    card = Card(
        title="Auto-Encoding Twin-Bottleneck Hashing",
        authors="Shen et al.",
        year=2020,
        labels="none",
        head="linear, ReLU, linear",
        idea="features are restored from those of the items with near codes",
    )
    recipe_class = TBHRecipe
    recipe: TBHRecipe
    head: nn.Sequential
    nests = False
    takes_front = False

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        width, bottleneck = self.recipe.width, self.recipe.bottleneck
        self.real_valued = nn.Linear(width, bottleneck)
        self.convolution = nn.Linear(bottleneck, bottleneck)
        self.decoder = nn.Sequential(nn.Linear(bottleneck, width), nn.ReLU(), nn.Linear(width, task.features))
        self.critic_of_bits, self.critic_of_values = nn.Linear(task.bits, 1), nn.Linear(bottleneck, 1)

    @classmethod
    def build_head(cls, task: Task, recipe: TBHRecipe) -> nn.Sequential:
        """One hidden layer."""
        return nn.Sequential(nn.Linear(task.features, recipe.width), nn.ReLU(), nn.Linear(recipe.width, task.bits))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The error of restoring the features, and the cross-entropy of the discriminators."""
        features = batch.features.detach()
        bits = random_bits(batch.logits, draw=self.training)
        hidden = self.head[1](self.head[0](features))
        weights = graph_weights(bits, self.recipe.exponent)
        mixed = (weights @ self.convolution(self.real_valued(hidden))).sigmoid()
        error = (self.decoder(mixed) - features).square().sum(dim=1).mean() / 2
        fair, uniform = self.samples(bits), self.samples(mixed)
        fair = (fair > 0.5).to(bits) if self.training else fair
        doubt = discrimination(self.critic_of_bits, bits, fair)
        doubt = doubt + discrimination(self.critic_of_values, mixed, uniform)
        return {"reconstruction": error, "adversarial": self.recipe.adversarial * doubt}

    def samples(self, values: Tensor) -> Tensor:
        """U(0, 1) in the shape of the values, drawn on the CPU: the same on every device; their mean in evaluation."""
        if not self.training:
            return torch.full_like(values, 0.5)
        return torch.rand(values.shape, dtype=values.dtype).to(values.device)


def graph_weights(bits: Tensor, exponent: float) -> Tensor:
    """D^−½ A D^−½ of (b, K) bits in {0, 1}: a_ij = (1 − d_ij / K)^exponent, D the row sums of A; (b, b)."""
    distance = bits @ (1 - bits).T + (1 - bits) @ bits.T
    edges = (1 - distance / bits.shape[1]).clamp(min=0) ** exponent
    scale = edges.sum(dim=1).rsqrt()
    return scale.unsqueeze(1) * edges * scale


def discrimination(critic: nn.Linear, found: Tensor, drawn: Tensor) -> Tensor:
    """Cross-entropy of a critic that tells drawn from found, and of what is found being taken for drawn.

    The first has a gradient for the critic only, the second for what is found only.
    """
    taken_for_drawn = F.linear(found, critic.weight.detach(), critic.bias.detach())
    told_apart = F.softplus(critic(found.detach())).mean() + F.softplus(-critic(drawn)).mean()
    return told_apart + F.softplus(-taken_for_drawn).mean()
