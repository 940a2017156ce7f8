"""Deep polarised network: a hinge that pushes each bit past a margin on the side of its target.

Fan, Ng, Ju, Zhang, Chan, "Deep Polarized Network for Supervised Learning of Accurate Binary Hashing Codes", IJCAI 2020.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bitseek.codebooks import codebook
from bitseek.methods.base import Batch, Card, Method, Optimiser, Recipe, Task, softmax_cross_entropy


@dataclass(frozen=True, kw_only=True)
class DPNRecipe(Recipe):
    """Adds to the recipe.

    Attributes:
        margin: m, how far past 0 each logit is pushed.
        classification: weight of the cross-entropy of a classifier on the features.
        regularisation: weight of mean v²; the authors advise 0.001 where training is unstable.
        codebook: name of the codebook of the targets; see `bitseek codebooks`.
        update_every: how many epochs apart the targets are estimated anew from the codes; 0 for never.
        update_share: share of the items of a class, those nearest to its target, from which it is estimated.
    """

    epochs: int = 200
    optimiser: Optimiser = "sgd"
    backbone_lr: float = 1.0
    drop_at: float = 0.5
    margin: float = 1.0
    classification: float = 0.0
    regularisation: float = 0.0
    codebook: str = "bernoulli"
    update_every: int = 0
    update_share: float = 1.0


class DPN(Method):
    """The polarisation loss Σ_k max(0, m − v_k t_k), t the codeword of the class; mean over the items (eq. 2).

    With several labels it is summed over the classes of an item; an item without labels adds nothing.

    With `update_every` a target becomes the majority of the codes of its class, bit by bit. Where the released code
    makes a tie 0 and a class without items NaN, ours keeps the bit that was.
    """

    card = Card(
        title="Deep Polarized Network for Supervised Learning of Accurate Binary Hashing Codes",
        authors="Fan et al.",
        year=2020,
        labels="multi",
        head="linear without bias",
        idea="a hinge for each bit: past the margin on the side of its codeword, it is left alone",
    )
    recipe_class = DPNRecipe
    recipe: DPNRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        book = codebook(self.recipe.codebook, task.classes, task.bits, seed=task.seed)
        self.register_buffer("book", torch.from_numpy(book.codes.to_signs()).float())
        self.classifier = nn.Linear(task.features, task.classes) if self.recipe.classification else None
        rows = task.items if self.recipe.update_every else 0
        self.register_buffer("last_signs", torch.zeros(rows, task.bits, dtype=torch.int8))  # 0: not seen yet
        self.register_buffer("last_labels", torch.zeros(rows, task.classes, dtype=torch.bool))

    def codewords(self) -> Tensor:
        """(C, K) ±1."""
        return self.get_buffer("book")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The polarisation, and the two optional terms where they have a weight."""
        if self.recipe.update_every and self.training:
            self.get_buffer("last_signs")[batch.index] = torch.where(batch.logits >= 0, 1, -1).to(torch.int8)
            self.get_buffer("last_labels")[batch.index] = batch.labels > 0
        terms = {"polarisation": polarisation(batch.logits, batch.labels, self.codewords(), self.recipe.margin)}
        if self.classifier is not None:
            entropy = softmax_cross_entropy(self.classifier(batch.features), batch.labels)
            terms["classification"] = self.recipe.classification * entropy
        if self.recipe.regularisation:
            terms["regularisation"] = self.recipe.regularisation * batch.logits.square().mean()
        return terms

    def start_epoch(self, epoch: int) -> None:
        """Estimate the targets anew, every so many epochs."""
        if self.recipe.update_every and epoch and epoch % self.recipe.update_every == 0:
            signs, labels, book = self.get_buffer("last_signs"), self.get_buffer("last_labels"), self.codewords()
            for c in range(self.task.classes):
                book[c] = majority(signs[labels[:, c]].to(book), book[c], self.recipe.update_share)


def majority(signs: Tensor, codeword: Tensor, share: float) -> Tensor:
    """The majority of some codes, bit by bit; a tie keeps the bit of the codeword.

    Args:
        signs: (n, K) ±1, n may be 0.
        codeword: (K,) ±1.
        share: of the codes that are counted, the nearest to the codeword; at least one.
    """
    nearest = (signs @ codeword).argsort(descending=True, stable=True)[: max(1, int(share * len(signs)))]
    votes = signs[nearest].sum(dim=0)
    return torch.where(votes == 0, codeword, votes.sign())


def polarisation(logits: Tensor, labels: Tensor, codewords: Tensor, margin: float) -> Tensor:
    """Σ_k max(0, m − v_k t_k), summed over the classes of an item, mean over the items that have a label.

    Args:
        logits: (b, K) float, v.
        labels: (b, C) multi-hot.
        codewords: (C, K) ±1, t.
        margin: m.
    """
    item, own = labels.nonzero(as_tuple=True)  # pairs of item and class: b × C × K would not fit for many classes
    hinge = (margin - logits[item] * codewords[own]).clamp(min=0)
    return hinge.sum() / (labels.sum(dim=1) > 0).sum().clamp(min=1)
