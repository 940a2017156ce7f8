"""Bases of the methods that learn from classes: against fixed codewords, or with a classifier."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn

from bitseek.codebooks import make_codebook, order_of_bits
from bitseek.codes import Codes
from bitseek.errors import BitseekError
from bitseek.methods._base import Batch, Method, Task
from bitseek.methods._front import standardise_by
from bitseek.methods._losses import softmax_cross_entropy, unit_vectors
from bitseek.methods._recipe import CodebookName, Recipe

ROWS = 4096
"""Items whose logits are computed at a time."""
MOST_ASSIGNED = 10_000
"""Classes whose codewords can be assigned: the table is C × C, and the time grows with the cube of C."""


class CodebookRecipe(Recipe):
    """Adds the name of a codebook, and which class gets which codeword."""

    codebook: CodebookName = "bernoulli"
    """Name of the codebook of the codewords; see `bitseek codebooks`."""
    assignment: Literal["drawn", "nearest"] = "drawn"
    """Which class gets which codeword: `drawn` at random, or `nearest`: before the first step, so that the codewords
    are together as near as possible to where the logits of their classes already are (the Hungarian method)."""


class CodebookMethod(Method):
    """A method with one codeword a class, (C, K) ±1: a buffer, so that it is moved and saved with the weights.

    Attributes:
        shorter: that of the next shorter length of nested codes; in a tuple, for its weights are not of this one too.
        order: which codeword of the codebook each class was given by `prepare`; (C,) int64.
    """

    takes_codebook = True
    book: Tensor
    shorter: "tuple[CodebookMethod, ...]" = ()
    order: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        book = make_codebook(self.recipe.codebook, task.classes, task.bits, seed=task.seed)
        self.register_buffer("book", torch.from_numpy(book.codes.to_signs()).float())

    def codewords(self) -> Tensor:
        """(C, K) ±1."""
        return self.book

    def lead(self, shorter: Sequence[Method]) -> None:
        """Let the shorter lengths have the first bits of its codewords: else a bit would be drawn to two sides.

        The bits are put first in an order in which these are far apart. Where two of them were equal, as of many
        classes in few bits, its codewords take over those of the shorter lengths instead.
        """
        lengths = [cast(CodebookMethod, each) for each in shorter]
        own = Codes.from_bits((self.book > 0).numpy())
        words = self.book[:, torch.from_numpy(order_of_bits(own, [part.task.bits for part in lengths]))]
        if len(words[:, : lengths[0].task.bits].unique(dim=0)) == len(words):
            self.book.copy_(words)
            for part in lengths:
                part.book.copy_(words[:, : part.task.bits])
        for part, longer in pairwise([*lengths, self]):
            longer.shorter = (part,)
            longer.book[:, : part.task.bits] = part.book

    @property
    def prepares(self) -> bool:
        """Where the codewords are assigned."""
        return bool(self.recipe.assignment == "nearest")

    def prepare(self, features: Tensor, labels: Tensor, index: Tensor) -> None:
        """Give each class its codeword, by the untrained head; of nested lengths the shortest decides."""
        if self.recipe.assignment == "nearest":
            if self.shorter:
                self.order = self.shorter[0].order
            else:
                means = class_means(unit_vectors(logits_before(self, features)), labels)
                self.order = nearest_assignment(means, self.book)
            self.book.copy_(self.book[self.order])


class ClassifierMethod(Method):
    """A method with a linear classifier on the codes, learnt with the head."""

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.classifier = self.build_classifier()

    def build_classifier(self) -> nn.Linear:
        """Linear with bias."""
        return nn.Linear(self.task.bits, self.task.classes)

    def classify(self, codes: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the classes of (b, K) codes; for several classes of an item the target is y / Σ y."""
        return softmax_cross_entropy(self.classifier(codes), batch.labels)


@torch.no_grad()
def logits_before(method: Method, features: Tensor) -> Tensor:
    """(n, D) features → (n, K) logits of the head as it is, in evaluation mode; it standardises by these features."""
    training = method.head.training
    standardise_by(method.head, features)
    method.head.eval()
    logits = torch.cat([method.head(part)[:, : method.task.bits] for part in features.split(ROWS)])
    method.head.train(training)
    return logits


def class_means(vectors: Tensor, labels: Tensor) -> Tensor:
    """Mean of the (n, K) vectors of the items of each class, (C, K); 0 for a class without items."""
    labels = labels.to(vectors)
    return labels.T @ vectors / labels.sum(dim=0).clamp(min=1).unsqueeze(1)


def nearest_assignment(means: Tensor, codewords: Tensor) -> Tensor:
    """The number of the codeword of each class, (C,) int64, all different, for which Σ_c m_c · o_π(c) is largest.

    What all class means have in common plays no part: it adds the same to every assignment. (Kuhn, "The Hungarian
    method for the assignment problem", 1955; before training it is used in a released branch of OrthoHash, on cosines:
    there every mean is divided by its length, and what they have in common counts where lengths differ.)

    Args:
        means: (C, K) float, m.
        codewords: (C, K) ±1, o.

    Raises:
        BitseekError: more than 10,000 classes.
    """
    from scipy.optimize import linear_sum_assignment

    if len(means) > MOST_ASSIGNED:
        raise BitseekError(
            f"assignment='nearest' compares every class with every codeword, for {MOST_ASSIGNED} classes at most; "
            f"there are {len(means)}: take assignment='drawn'"
        )
    products = (means.double() @ codewords.double().T).cpu().numpy()
    return torch.from_numpy(linear_sum_assignment(products, maximize=True)[1]).to(codewords.device)
