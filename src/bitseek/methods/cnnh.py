"""CNNH: codes of the training items from their similarities alone, then a network that learns them.

Xia, Pan, Lai, Liu, Yan, "Supervised Hashing for Image Retrieval via Image Representation Learning", AAAI 2014.
"""

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.methods._base import Batch, Card
from bitseek.methods._discrete import DiscreteMethod, descend_by_bit, label_sets
from bitseek.methods._recipe import BatchSize, Recipe


class CNNHRecipe(Recipe):
    """The settings of the common PyTorch re-implementation."""

    sweeps: PositiveInt = 10
    """T, times that all codes are improved in the first stage."""
    epochs: PositiveInt = 150
    batch_size: BatchSize = 128
    lr: PositiveFloat = 1e-5
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 0.0


class CNNH(DiscreteMethod):
    """Mean (tanh u − h)², for codes H of the training items that make ‖S − H Hᵀ / K‖² small, S = ±1 (eq. 1).

    The first stage starts from random codes. Items with the same labels have the same row of S and so share a code;
    each of them in turn is improved bit by bit, T times, given the others. (The paper relaxes the bits to [−1, 1],
    takes Newton steps and then the signs.) An item without labels has no code and adds nothing.

    The common re-implementation takes its labels in the order of a loader that shuffles, but numbers the codes by the
    place of an item in the data set, so that items are trained towards codes of others.
    """

    card = Card(
        title="Supervised Hashing for Image Retrieval via Image Representation Learning",
        authors="Xia et al.",
        year=2014,
        labels="multi",
        head="linear",
        idea="first codes whose products are the similarities, then a regression to them",
    )
    recipe_class = CNNHRecipe
    recipe: CNNHRecipe

    def labels_are_known(self) -> None:
        """The first stage."""
        sets, of_item, counts = label_sets(self.labels)
        codes = codes_of_sets(self.codes[: len(sets)], sets, counts.to(self.codes), self.recipe.sweeps)
        self.codes.copy_(codes[of_item])

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The second stage."""
        labelled = (batch.labels.sum(dim=1) > 0).to(batch.logits)
        error = (batch.logits.tanh() - self.codes[batch.index]).square().mean(dim=1)
        return {"regression": (error * labelled).sum() / labelled.sum().clamp(min=1)}


def codes_of_sets(codes: Tensor, sets: Tensor, counts: Tensor, sweeps: int) -> Tensor:
    """Codes with a smaller Σ_gh n_g n_h (s_gh − h_g · h_h / K)², one after the other, bit by bit.

    Args:
        codes: (G, K) ±1 to start from.
        sets: (G, C) multi-hot, the label sets; the empty one keeps its code and does not count.
        counts: (G,) n, the number of items of each.
        sweeps: over all of them.
    """
    codes = codes.clone()
    counts = counts * (sets.sum(dim=1) > 0)
    similarity = 2 * (sets @ sets.T > 0).to(codes) - 1
    for _ in range(sweeps):
        for g in counts.nonzero().flatten().tolist():
            weight = counts.clone()
            weight[g] = 0
            weighted = weight.unsqueeze(1) * codes
            pull = codes.shape[1] * similarity[g : g + 1] @ weighted
            codes[g] = descend_by_bit(codes[g : g + 1], codes.T @ weighted, pull)[0]
    return codes
