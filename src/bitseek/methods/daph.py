"""DAPH: two hash functions whose codes are similar across, with independent and balanced bits.

Shen, Gao, Liu, Yang, Shen, "Deep Asymmetric Pairwise Hashing", ACM Multimedia 2017.
"""

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.codes import signs
from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._pairs import Pairs, pair_entropy
from bitseek.methods._recipe import BatchSize, Recipe, for_heads
from bitseek.models import LinearHead


class DAPHRecipe(Recipe):
    """The settings of the common PyTorch re-implementation, but for γ, which is 10 there.

    With γ ≥ α no code would ever change: |v| < 1, so that the sign of α v + γ h is h.
    """

    alpha: PositiveFloat = 10.0
    """α, weight of ‖v − b‖², the distance of an output from its code; divided by the number of items."""
    gamma: NonNegativeFloat = 1.0
    """γ, weight of the distance between the two codes of an item."""
    independence: NonNegativeFloat = 0.01
    """λ, weight of the mean of (vᵀv / b − I)²."""
    balance: NonNegativeFloat = 0.01
    """β, weight of the mean over the bits of (mean_i v_ik)²."""
    epochs: PositiveInt = 150
    batch_size: BatchSize = 128
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5


class DAPH(Method):
    """The likelihood of pairs across two hash functions, and what keeps their outputs v = tanh u and w close to codes.

    The mean over all i, j of a batch of log(1 + e^θ) − s θ with θ = ½ v_i · w_j; and for each function α ‖v − b‖² / N,
    mean over the items, λ times the mean over the entries of (vᵀv / b − I)², and β mean_k (mean_i v_ik)². Before each
    epoch the codes of the items seen so far are B = sign(α V + γ H) and H = sign(α W + γ B); before that, those of the
    outputs themselves.

    In the paper the two functions are networks, trained in turn; here they are two heads of one network, trained
    together, and the first one is the hasher. (The common re-implementation evaluates its second network, which it does
    not start from pretrained weights as the first; and it sums the balance over the batch, by b² times.) θ of an item
    with itself counts where it has a class: its two codes are different functions.
    """

    card = Card(
        title="Deep Asymmetric Pairwise Hashing",
        authors="Shen et al.",
        year=2017,
        labels="multi",
        head="linear",
        idea="two hash functions, one for either side of a pair, whose codes of an item agree",
    )
    recipe_class = DAPHRecipe
    head_recipe = for_heads(lr=1e-4, epochs=60)
    recipe: DAPHRecipe
    outputs: Tensor
    codes: Tensor
    seen: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.other = LinearHead(task.features, task.bits)
        self.register_buffer("outputs", torch.zeros(2, task.items, task.bits))  # V and W
        self.register_buffer("codes", torch.zeros(2, task.items, task.bits))  # B and H; 0: not solved for yet
        self.register_buffer("seen", torch.zeros(task.items, dtype=torch.bool))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Minus the log-likelihood of the pairs, and three terms of either function."""
        outputs = torch.stack([batch.logits, self.other(batch.features)]).tanh()
        self.outputs[:, batch.index] = outputs.detach().to(self.outputs)
        self.seen[batch.index] = True
        labelled = (batch.labels.sum(dim=1) > 0).to(outputs)
        pairs = Pairs(outputs[0], outputs[1], batch.labels, batch.labels, counted=1 - torch.diag(1 - labelled))
        solved = self.codes[:, batch.index].to(outputs)
        codes = torch.where(solved == 0, signs(outputs), solved)
        error = (codes - outputs).square().mean()
        gram = outputs.transpose(1, 2) @ outputs / outputs.shape[1] - torch.eye(self.task.bits).to(outputs)
        return {
            "likelihood": pairs.mean(pair_entropy(pairs.inner_products() / 2, pairs.similar)),
            "quantisation": 2 * self.recipe.alpha * self.task.bits / self.task.items * error,
            "independence": 2 * self.recipe.independence * gram.square().mean(),
            "balance": 2 * self.recipe.balance * outputs.mean(dim=1).square().mean(),
        }

    def start_epoch(self, epoch: int) -> None:
        """Solve for B given H, then for H given B."""
        alpha, gamma = self.recipe.alpha, self.recipe.gamma
        first, second = self.outputs[:, self.seen]
        other = self.codes[1, self.seen]
        ours = signs(alpha * first + gamma * torch.where(other == 0, signs(second), other))
        self.codes[0, self.seen] = ours
        self.codes[1, self.seen] = signs(alpha * second + gamma * ours)
