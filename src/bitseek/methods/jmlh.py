"""JMLH: binary stochastic neurons as an information bottleneck before a classifier.

Shen, Qin, Chen, Liu, Zhu, Shao, "Embarrassingly Simple Binary Representation Learning", ICCV Workshops 2019.
"""

import math
from typing import Literal

import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._losses import random_bits
from bitseek.methods._recipe import BatchSize, Recipe, for_heads
from bitseek.methods._supervised import ClassifierMethod


class JMLHRecipe(Recipe):
    """Batch size and weight of the released code."""

    batch_size: BatchSize = 400
    kl: NonNegativeFloat = 0.2
    """λ, weight of Σ_k KL(Bern(p_k) ‖ Bern(½)). (cisip-FIRe takes 0.1.)"""
    noise: Literal["uniform", "none"] = "uniform"
    """`uniform` draws the thresholds ε from U(0, 1) in training, a stochastic neuron; `none` keeps them at ½, as
    the released code does: the divergence then pushes p to the threshold, and on frozen CIFAR-10 features the
    result falls below plain cross-entropy."""


class JMLH(ClassifierMethod):
    """Cross-entropy of a classifier on z = [p ≥ ε], p = σ(u), + λ mean_i Σ_k KL(Bern(p_ik) ‖ Bern(½)).

    z is 0 or 1; the gradient with respect to z goes on to p unchanged. In evaluation ε is ½, so the code is the sign of
    u. (The network of cisip-FIRe returns p, whose sign at 0 would be + for every bit.)
    """

    card = Card(
        title="Embarrassingly Simple Binary Representation Learning",
        authors="Shen et al.",
        year=2019,
        labels="multi",
        head="linear",
        idea="a classifier behind random bits, whose information is kept small",
    )
    recipe_class = JMLHRecipe
    head_recipe = for_heads(kl=0.0)
    recipe: JMLHRecipe

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy on the random bits, and their information."""
        return {
            "classification": self.classify(self.neurons(batch.logits), batch),
            "information": self.recipe.kl * information(batch.logits),
        }

    def neurons(self, logits: Tensor) -> Tensor:
        """Z ∈ {0, 1} forward, p = σ(u) backward, (b, K)."""
        return random_bits(logits, draw=self.training and self.recipe.noise == "uniform")


def information(logits: Tensor) -> Tensor:
    """Σ_k KL(Bern(σ(u_k)) ‖ Bern(½)) in nats, mean over the items: K log 2 minus the entropy of the bits."""
    p = logits.sigmoid()
    negative_entropy = p * F.logsigmoid(logits) + (1 - p) * F.logsigmoid(-logits)
    return (negative_entropy + math.log(2)).sum(dim=1).mean()
