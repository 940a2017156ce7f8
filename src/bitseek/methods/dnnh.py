"""DNNH: triplets of images, and a head that divides the features into one slice a bit.

Lai, Pan, Liu, Yan, "Simultaneous Feature Learning and Hash Coding with Deep Neural Networks", CVPR 2015. The second
method here is its descendant with a pre-trained ResNet-18, a tanh head and all triplets of classes × images batches.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.labels import Labels
from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._pairs import squared_distances
from bitseek.methods._recipe import Augment, BatchSize, Optimiser, OrNone, Recipe, Shares, for_heads
from bitseek.methods._samplers import classes_by_images, drawn_triplets
from bitseek.methods._triplets import batch_triplets

TITLE = "Simultaneous Feature Learning and Hash Coding with Deep Neural Networks"


class DNNHRecipe(Recipe):
    """The settings of the Caffe code, whose rate falls at 60,000 and 70,000 of 100,000 steps."""

    margin: OrNone[PositiveFloat] = None
    """m, on the squared distance of codes in [0, 1]^K; 1 in the paper. By default K / 16 + 1: the advice for codes
    in [−1, 1]^K, a little above K / 4, means a quarter of that here."""
    epsilon: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """ε of the piece-wise threshold, small and positive; ½ is no threshold, as in released code."""
    slice_length: PositiveInt = 50
    """Outputs of the layer before that are given to each bit."""
    batch_size: Annotated[int, Field(ge=3)] = 300
    """Items of a step, three a triplet."""
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 1e-3
    backbone_lr: NonNegativeFloat = 1.0
    drop_at: Shares = (0.6, 0.7)


class DivideAndEncode(nn.Module):
    """The head of DNNH (§3.2): K slices of the features, each with a small layer of its own for one bit.

    A layer with ReLU makes K · slice_length features of the D that the backbone has, as the last 1 × 1 convolution of
    the paper's network does. The paper's sigmoid g is part of the loss: its code is g ≥ ½, which is logit ≥ 0.
    """

    def __init__(self, features: int, bits: int, slice_length: int) -> None:
        super().__init__()
        self.divide = nn.Linear(features, bits * slice_length)
        self.weight = nn.Parameter(torch.empty(bits, slice_length))
        self.bias = nn.Parameter(torch.zeros(bits))
        nn.init.normal_(self.weight, std=0.1)

    def forward(self, features: Tensor) -> Tensor:
        """(b, D) features → (b, K) logits."""
        slices = F.relu(self.divide(features)).reshape(-1, *self.weight.shape)
        logits: Tensor = (slices * self.weight).sum(dim=2) + self.bias
        return logits


class DNNH(Method):
    """The triplet ranking loss of drawn triplets, on a head that divides and encodes.

    The mean over the triplets of max(0, m + ‖F − F⁺‖² − ‖F − F⁻‖²), with F in [0, 1]^K: the sigmoid of the logits
    after the paper's piece-wise threshold, 0 below ½ − ε and 1 above ½ + ε. There its derivative is 0, as in the paper:
    a wrong bit beyond ε has no gradient any more.
    """

    card = Card(
        title=TITLE,
        authors="Lai et al.",
        year=2015,
        labels="multi",
        head="divide and encode",
        idea="a triplet ranking loss, each bit computed from its own slice of the features",
    )
    recipe_class = DNNHRecipe
    head_recipe = for_heads(slice_length=10, lr=3e-4, epochs=60)
    recipe: DNNHRecipe

    @classmethod
    def build_head(cls, task: Task, recipe: DNNHRecipe) -> DivideAndEncode:
        """Divide and encode."""
        return DivideAndEncode(task.features, task.bits, recipe.slice_length)

    def sample(self, labels: Labels, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Triplets: a third of anchors, a third of their positives, a third of their negatives."""
        return drawn_triplets(labels, max(1, min(self.recipe.batch_size, len(labels)) // 3), generator)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The triplet loss over the triplets (i, b/3 + i, 2b/3 + i) whose labels make them triplets."""
        t = len(batch.labels) // 3
        margin = self.task.bits / 16 + 1 if self.recipe.margin is None else self.recipe.margin
        codes = piecewise_threshold(batch.logits.sigmoid(), self.recipe.epsilon)
        anchors, positives, negatives = codes[: 3 * t].unflatten(0, (3, t))
        surplus = (anchors - positives).square().sum(dim=1) - (anchors - negatives).square().sum(dim=1)
        own, near, far = batch.labels[: 3 * t].unflatten(0, (3, t))
        valid = ((own * near).sum(dim=1) > 0) & ((own * far).sum(dim=1) == 0)
        return {"triplet": (F.relu(margin + surplus) * valid).sum() / valid.sum().clamp(min=1)}


def piecewise_threshold(values: Tensor, epsilon: float) -> Tensor:
    """0 below ½ − ε, 1 above ½ + ε, the value itself between."""
    values = torch.where(values > 0.5 + epsilon, 1.0, values)
    return torch.where(values < 0.5 - epsilon, 0.0, values)


class DNNHResNetRecipe(Recipe):
    """The settings of the released code, whose rate falls after every 1,800 of 4,000 epochs."""

    margin: OrNone[PositiveFloat] = None
    """m, on the squared distance of codes in [−1, 1]^K; by default K / 4 + 4: "a little above K / 4"."""
    classes: Annotated[int, Field(ge=2)] = 10
    """P, how many classes are in a batch; each has batch_size / P images, at least two."""
    batch_size: BatchSize = 80
    optimiser: Optimiser = "sgd"
    lr: PositiveFloat = 1e-3
    backbone_lr: NonNegativeFloat = 1.0
    drop_at: Shares = (0.45, 0.9)
    augment: Augment = "crop"


class DNNHResNet(Method):
    """The triplet ranking loss of all triplets of a classes × images batch, on tanh codes.

    The mean over the triplets of max(0, ‖a − p‖² − ‖a − n‖² + m), with a, p, n = tanh u. For each two items of a
    class, the earlier is the anchor; its negatives are all items of other classes: 20,160 triplets for 10 classes × 8
    images. The mean counts those whose loss is 0 too.
    """

    card = Card(
        title=TITLE,
        authors="Lai et al.",
        year=2015,
        labels="multi",
        head="linear",
        idea="DNNH on a pre-trained network with tanh codes: all triplets of batches of some images of some classes",
    )
    recipe_class = DNNHResNetRecipe
    head_recipe = for_heads(batch_size=80, lr=3e-4)
    recipe: DNNHResNetRecipe
    head_class = nn.Linear

    def sample(self, labels: Labels, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Some images of some classes."""
        images = max(2, self.recipe.batch_size // self.recipe.classes)
        return classes_by_images(labels, self.recipe.classes, images, generator)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The triplet loss."""
        margin = self.task.bits / 4 + 4 if self.recipe.margin is None else self.recipe.margin
        codes = batch.logits.tanh()
        triplets = batch_triplets(batch.labels, both_ways=False)
        surplus = triplets.gaps(squared_distances(codes, codes), margin, blank=-torch.inf)
        return {"triplet": triplets.mean(F.relu(surplus))}
