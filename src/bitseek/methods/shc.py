"""SHC: CSQ with semantic hash centres, which are the nearer the more often a classifier confuses their classes.

Chen, Liu, Zhou, Ma, Chen, Zhang, "Deep Hashing with Semantic Hash Centers for Image Retrieval", ACM TOIS 2025.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from bitseek.codebooks import semantic_codebook
from bitseek.codes import Codes
from bitseek.errors import BitseekError
from bitseek.methods._base import Card, Method, Task
from bitseek.methods._recipe import BatchSize, CodebookName, DropoutShare, Optimiser, Recipe
from bitseek.methods._supervised import ROWS, class_means
from bitseek.methods.csq import CSQ, CSQRecipe

RIDGE = 1e-3
"""Added to the covariance of the features, as a share of its mean diagonal."""


class SHCRecipe(CSQRecipe):
    """The settings of the released code for ResNet-34; its rate follows a cosine."""

    codebook: CodebookName = "mds"
    epochs: PositiveInt = 100
    optimiser: Optimiser = "rmsprop"
    lr: PositiveFloat = 1e-4
    backbone_lr: NonNegativeFloat = 1.0
    weight_decay: NonNegativeFloat = 1e-5
    batch_size: BatchSize = 64
    quantisation: NonNegativeFloat = 1e-4
    hidden_layers: NonNegativeInt = 0
    dropout: DropoutShare = 0.0


class SHC(CSQ):
    """CSQ towards centres h_c whose products h_i · h_j / K follow the similarity of their classes.

    Before the first step a linear discriminant is fitted on the features of all training items. For each item the
    scores of its own classes are left out and the softmax of the others is taken; its mean over the items of class i is
    row i of A. S = (A + Aᵀ) / 2, less its mean and divided by its largest deviation from it, without the diagonal.
    `semantic_codebook` finds the centres, which replace those of `codebook`. Those of nested codes begin with the
    centres of the next shorter length, so that no bit is drawn to two sides.

    (The paper trains a network for the classifier; on a backbone that is not trained yet, S says little. Its released
    code applies softmax twice, sums where it could average, so that frequent classes look alike, and scales each row by
    itself, which leaves S not symmetric.)
    """

    card = Card(
        title="Deep Hashing with Semantic Hash Centers for Image Retrieval",
        authors="Chen et al.",
        year=2025,
        labels="multi",
        head="linear",
        idea="bit by bit towards centres that are the nearer the more alike their classes are",
    )
    recipe_class = SHCRecipe
    recipe: SHCRecipe
    takes_codebook = False

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        if self.recipe.assignment == "nearest":
            raise BitseekError(
                "SHC gives its centres to the classes by how alike these are, so that assignment='nearest' would undo "
                "it: leave out assignment, or take csq"
            )

    def lead(self, shorter: Sequence[Method]) -> None:
        """Let each length know the next shorter one: its centres are found by `prepare`, and there is nothing yet."""
        for part, longer in pairwise(cast(list[SHC], [*shorter, self])):
            longer.shorter = (part,)

    @property
    def prepares(self) -> bool:
        """Always: the centres come from the features."""
        return True

    def prepare(self, features: Tensor, labels: Tensor, index: Tensor) -> None:
        """Find the centres; they begin with those of the shorter length, which are found by then."""
        first = Codes.from_bits((self.shorter[0].book > 0).cpu().numpy()) if self.shorter else None
        similarity = class_similarity(confusions(features, labels)).double().cpu().numpy()
        book = semantic_codebook(similarity, self.task.bits, self.task.seed, first=first)
        self.book.copy_(torch.from_numpy(book.codes.to_signs()))


def confusions(features: Tensor, labels: Tensor) -> Tensor:
    """Mean share of each other class in what a linear discriminant says of the items of a class: (C, C), A.

    Fisher's discriminant with one covariance Σ for all classes: score m_c · Σ⁻¹ f − ½ m_c · Σ⁻¹ m_c. Row c is 0 for a
    class without items.

    Args:
        features: (n, D) float, f.
        labels: (n, C) multi-hot.
    """
    labels = labels.to(features)
    means = class_means(features, labels).double()
    covariance = means.new_zeros(features.shape[1], features.shape[1])
    for rows, own in zip(features.split(ROWS), labels.split(ROWS), strict=True):
        item, of_class = own.nonzero(as_tuple=True)
        spread = rows[item].double() - means[of_class]
        covariance += spread.T @ spread
    covariance /= labels.sum().clamp(min=1)
    ridge = RIDGE * covariance.diagonal().mean().clamp(min=torch.finfo(torch.float64).tiny)
    directions = torch.linalg.solve(covariance + ridge * torch.eye(len(covariance)).to(covariance), means.T)
    scores = features @ directions.to(features) - ((means * directions.T).sum(dim=1) / 2).to(features)
    others = scores.masked_fill((labels > 0) | (labels.sum(dim=0) == 0), -torch.inf)
    shares = torch.where(others.isinf().all(dim=1, keepdim=True), 0.0, others.softmax(dim=1))
    return class_means(shares, labels)


def class_similarity(shares: Tensor) -> Tensor:
    """(C, C) confusions as a symmetric similarity: mean 0 and largest deviation 1 off the diagonal, which is 1."""
    similarity = (shares + shares.T) / 2
    other = ~torch.eye(len(shares), dtype=torch.bool, device=shares.device)
    similarity = similarity - similarity[other].mean()
    largest = similarity[other].abs().max()
    similarity = similarity / largest.where(largest > 0, 1.0)
    return similarity.masked_fill(~other, 1.0)
