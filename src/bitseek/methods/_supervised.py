"""Bases of the methods that learn from classes: against fixed codewords, or with a classifier."""

import torch
from torch import Tensor, nn

from bitseek.codebooks import make_codebook
from bitseek.methods._base import Batch, Method, Task
from bitseek.methods._losses import softmax_cross_entropy
from bitseek.methods._recipe import CodebookName, Recipe


class CodebookRecipe(Recipe):
    """Adds the name of a codebook."""

    codebook: CodebookName = "bernoulli"
    """Name of the codebook of the codewords; see `bitseek codebooks`."""


class CodebookMethod(Method):
    """A method with one codeword a class, (C, K) ±1: a buffer, so that it is moved and saved with the weights."""

    book: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        book = make_codebook(self.recipe.codebook, task.classes, task.bits, seed=task.seed)
        self.register_buffer("book", torch.from_numpy(book.codes.to_signs()).float())

    def codewords(self) -> Tensor:
        """(C, K) ±1."""
        return self.book


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
