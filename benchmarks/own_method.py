"""What was tried for a method of our own: terms of several losses together, on held-out training items.

    python benchmarks/own_method.py cifar160.npz cifar100.npz [--bits 16 64] [--seeds 1]

A linear head on the features of the frozen ledger is trained by each composition of `COMPOSITIONS`, on four fifths of
the training items, and by the methods of `BASES` with the recipes that heads have by default; then some of both with
the hidden layer of `DEEP` in front. What `ORTHOHASH` and `DEEP_ORTHOHASH` set are options of any method. The last fifth
searches itself. No query is looked at. A trial is kept in a cache, so that a run that was stopped goes on. One thread.

Writes benchmarks/results/own_method.json, and prints the rows of two tables of docs/ledger.md.
"""

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bitseek.codebooks import semantic_codebook
from bitseek.data import Protocol
from bitseek.evaluation import evaluate
from bitseek.methods import METHODS, Batch, Card, Task
from bitseek.methods._losses import random_bits, softmax_cross_entropy, unit_vectors
from bitseek.methods._pairs import batch_pairs
from bitseek.methods._recipe import CodebookName, Recipe
from bitseek.methods._supervised import CodebookMethod, CodebookRecipe, class_means
from bitseek.methods.neighbour_contrast import against_strangers
from bitseek.methods.shc import class_similarity, confusions
from bitseek.models import LinearHead
from bitseek.training import train
from bitseek.training._search import FRONT
from frozen_ledger import VALIDATION, load, validation_protocol
from record import RESULTS, record
from trials import Rows, split_of

COMPOSED = "composed"
BASES = ("jmlh", "shc", "hashnet", "dpn", "relahash", "orthohash")
PREFIX: dict[str, Any] = {"codebook": "spread", "lengths": "half"}
"""`half` is the prefix of half of the bits; other codebooks have no words for 100 classes in 8 bits."""
SECOND_VIEW: dict[str, Any] = {"second_view": 0.1, "second_augment": "none"}
"""With DHD's weight; on features the views differ by dropout alone."""
ORTHOHASH: dict[str, dict[str, Any]] = {"codebook spread": {"codebook": "spread"}, "loss of a prefix": PREFIX}
COMPOSITIONS: dict[str, dict[str, Any]] = {
    "pairs": {"pairs": 1},
    "pairs + classes of tanh": {"pairs": 1, "classes": 1},
    "pairs + classes of random bits": {"pairs": 1, "drawn": 1},
    "pairs + cosine": {"pairs": 1, "cosine": 1},
    "pairs + semantic centres": {"pairs": 1, "centres": 1, "semantic": True},
    "random bits + semantic centres": {"drawn": 1, "centres": 1, "semantic": True},
    "pairs, loss of a prefix": {"pairs": 1, **PREFIX},
    "pairs, dropout": {"pairs": 1, "dropout": 0.3},
    "pairs, second view by dropout": {"pairs": 1, "dropout": 0.3, **SECOND_VIEW},
    "pairs, mixed features": {"pairs": 1, "mixed": 0.4},
    "pairs, half of the teacher": {"pairs": 1, "taught": 0.5},
    "ranking by the teacher": {"ranking": 1, "taught": 1},
    "pairs + ranking of the logits": {"pairs": 1, "distilled": 1},
    "cosine + ranking of the logits": {"cosine": 1, "distilled": 1},
    "cosine, nearest codewords": {"cosine": 1, "assignment": "nearest"},
}
DEEP = {**FRONT, "lr": 3e-3}
DEEP_BASES = ("jmlh", "shc", "hashnet", "dtsh", "orthohash")
DEEP_ORTHOHASH: dict[str, dict[str, Any]] = {
    "second view by dropout": SECOND_VIEW,
    "second view by dropout, ten times the weight": {**SECOND_VIEW, "second_view": 1.0},
    **ORTHOHASH,
    "second view and loss of a prefix": {**SECOND_VIEW, **PREFIX},
}
DEEP_COMPOSITIONS: dict[str, dict[str, Any]] = {
    "pairs": {"pairs": 1},
    "semantic centres": {"centres": 1, "semantic": True},
    "contrast": {"contrast": 1},
    "pairs + ranking of the logits": {"pairs": 1, "distilled": 1},
    "pairs + semantic centres": {"pairs": 1, "centres": 1, "semantic": True},
    "contrast + semantic centres": {"contrast": 1, "centres": 1, "semantic": True},
    "random bits + semantic centres": {"drawn": 1, "centres": 1, "semantic": True},
    "semantic centres, mixed features": {"centres": 1, "semantic": True, "mixed": 0.4},
    "random bits, mixed features": {"drawn": 1, "mixed": 0.4},
}
FOLDS, RIDGE = 5, 0.3


class ComposedRecipe(CodebookRecipe):
    """The weight of each term, 0 for none."""

    codebook: CodebookName = "max-distance"
    pairs: float = 0.0
    """Balanced likelihood of pairs of tanh codes, α = 10 / K (HashNet without continuation)."""
    classes: float = 0.0
    """Cross-entropy of a classifier on tanh u."""
    drawn: float = 0.0
    """Cross-entropy of a classifier on random bits (JMLH)."""
    cosine: float = 0.0
    """Cross-entropy of the cosines with the codewords, margin 0.2, scale 8 (OrthoHash)."""
    centres: float = 0.0
    """Bit by bit towards the codeword (CSQ)."""
    contrast: float = 0.0
    """Each item's classmates in the batch against its strangers there, by the cosines of their codes, τ = 0.2."""
    ranking: float = 0.0
    """Cross-entropy of the softmax of an item's products with the others, against the share of what is alike."""
    distilled: float = 0.0
    """Cross-entropy of the softmax of an item's products with the others as tanh codes, against that of the products of
    the logits themselves, which only teach."""
    semantic: bool = False
    """Codewords that follow the confusions of a discriminant (SHC)."""
    taught: float = 0.0
    """Share of the labels that a cross-fitted linear discriminant says."""
    dropout: float = 0.0
    mixed: float = 0.0
    """a of Beta(a, a), by which features and labels of two items are mixed."""


class Composed(CodebookMethod):
    """The weighted sum of the terms of `ComposedRecipe`."""

    card = Card(title="", authors="", year=2026, labels="single", head="linear", idea="several terms together")
    recipe_class = ComposedRecipe
    recipe: ComposedRecipe
    taught: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.of_tanh, self.of_bits = (nn.Linear(task.bits, task.classes) for _ in range(2))
        self.register_buffer("taught", torch.zeros(task.items, task.classes))

    @classmethod
    def build_head(cls, task: Task, recipe: ComposedRecipe) -> nn.Sequential:
        """Dropout, which a hidden layer has in front of it if there is one, and a linear layer."""
        return nn.Sequential(nn.Dropout(0 if recipe.hidden else recipe.dropout), LinearHead(task.features, task.bits))

    @property
    def prepares(self) -> bool:
        """Where the features say the codewords or the labels."""
        return super().prepares or self.recipe.semantic or self.recipe.taught > 0

    def prepare(self, features: Tensor, labels: Tensor, index: Tensor) -> None:
        """Codewords by confusion, by the nearest, and what the teacher says."""
        super().prepare(features, labels, index)
        if self.recipe.semantic:
            similarity = class_similarity(confusions(features, labels)).double().numpy()
            book = semantic_codebook(similarity, self.task.bits, self.task.seed)
            self.book.copy_(torch.from_numpy(book.codes.to_signs()))
        if self.recipe.taught:
            self.taught[index] = said_by_others(features, labels)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms that have a weight."""
        of = self.recipe
        logits, labels = batch.logits, (1 - of.taught) * batch.labels + of.taught * self.taught[batch.index]
        if of.mixed:
            share = float(torch.distributions.Beta(of.mixed, of.mixed).sample())
            logits = self.head(share * batch.features + (1 - share) * batch.features.flip(0))[:, : self.task.bits]
            labels = share * labels + (1 - share) * labels.flip(0)
        pairs = batch_pairs(logits.tanh(), labels)
        alike, products = labels @ labels.T, 10 / self.task.bits * pairs.inner_products()
        terms = {}
        if of.pairs:
            ones = pairs.mean(alike).clamp(min=1e-6)
            entropy = alike / ones * F.softplus(-products) + (1 - alike) / (1 - ones) * F.softplus(products)
            terms["pairs"] = of.pairs * pairs.mean(entropy)
        if of.classes:
            terms["classes"] = of.classes * softmax_cross_entropy(self.of_tanh(logits.tanh()), labels)
        if of.drawn:
            bits = 2 * random_bits(logits, draw=self.training) - 1
            terms["drawn"] = of.drawn * softmax_cross_entropy(self.of_bits(bits), labels)
        if of.cosine:
            scores = 8 * (unit_vectors(logits) @ self.book.T / self.task.bits**0.5 - 0.2 * labels)
            terms["cosine"] = of.cosine * softmax_cross_entropy(scores, labels)
        if of.centres:
            wanted = (labels @ self.book + 1) / 2
            terms["centres"] = of.centres * F.binary_cross_entropy_with_logits(2 * logits, wanted)
        itself = torch.eye(len(logits), dtype=torch.bool)
        if of.contrast:
            mates, strangers = (alike > 0) & ~itself, (alike == 0).to(logits.dtype)
            terms["contrast"] = of.contrast * against_strangers(logits, mates, strangers, 0.2)
        if of.ranking:
            wanted = alike.masked_fill(itself, 0)
            wanted = wanted / wanted.sum(dim=1, keepdim=True).clamp(min=1e-6)
            terms["ranking"] = of.ranking * -(wanted * log_shares(products, itself)).sum(dim=1).mean()
        if of.distilled:
            directions = unit_vectors(logits.detach())
            taught = log_shares(10 * directions @ directions.T, itself).exp()
            terms["distilled"] = of.distilled * -(taught * log_shares(products, itself)).sum(dim=1).mean()
        return terms


def log_shares(products: Tensor, itself: Tensor) -> Tensor:
    """(b, b) log-softmax of an item's products with all others."""
    return products.masked_fill(itself, -1e9).log_softmax(dim=1)


def said_by_others(features: Tensor, labels: Tensor) -> Tensor:
    """(n, C) posterior of each item by a linear discriminant with a shrunk covariance, fitted on the other folds."""
    said = torch.zeros_like(labels)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(features)))
    for part in order.tensor_split(FOLDS):
        rest = torch.ones(len(features), dtype=torch.bool)
        rest[part] = False
        means = class_means(features[rest], labels[rest])
        spread = features[rest] - labels[rest] @ means
        covariance = spread.T @ spread / len(spread)
        shrunk = (1 - RIDGE) * covariance + RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance))
        directions = torch.linalg.solve(shrunk, means.T)
        said[part] = (features[part] @ directions - (means * directions.T).sum(dim=1) / 2).softmax(dim=1)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="+", help="files that `bitseek features` wrote")
    parser.add_argument("--bits", nargs="*", type=int, default=[16, 64])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=RESULTS / "own_method.jsonl", help="trials already run")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cast(dict[str, Any], METHODS)[COMPOSED] = Composed
    cache = Rows(given.cache)
    folds = [validation_protocol(load(file), VALIDATION) for file in given.features]
    settings: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in BASES}
    settings |= {name: (COMPOSED, terms) for name, terms in COMPOSITIONS.items()}
    settings |= {f"orthohash, {name}": ("orthohash", terms) for name, terms in ORTHOHASH.items()}
    settings |= {f"{name}, deep": (name, DEEP) for name in DEEP_BASES}
    settings |= {f"orthohash, {name}, deep": ("orthohash", {**DEEP, **of}) for name, of in DEEP_ORTHOHASH.items()}
    settings |= {f"{name}, deep": (COMPOSED, {**DEEP, **terms}) for name, terms in DEEP_COMPOSITIONS.items()}
    found: list[dict[str, Any]] = []
    for name, (method, terms) in settings.items():
        for fold in folds:
            for bits in given.bits:
                for seed in range(given.seeds):
                    what = {**split_of(fold), "bits": bits, "seed": seed, "tried": name}
                    measure = partial(trial, method, terms, fold, bits, seed)
                    row = cache.find(what, measure, key=json.dumps([what, terms], sort_keys=True))
                    found.append({part: value for part, value in row.items() if part != "key"})
    compositions = {"linear": COMPOSITIONS, "deep": DEEP_COMPOSITIONS}
    compositions |= {"linear OrthoHash": ORTHOHASH, "deep OrthoHash": DEEP_ORTHOHASH}
    record("own_method", {"compositions": compositions, "front": DEEP, "rows": found})
    print("\n".join(table(found)))


def trial(method: str, terms: dict[str, Any], fold: Protocol, bits: int, seed: int) -> dict[str, Any]:
    """One training, and mAP of the held-out items among themselves."""
    started = time.process_time()
    recipe = terms | ({"lengths": (bits // 2,)} if terms.get("lengths") == "half" else {})
    hasher = train(method, fold, bits=bits, seed=seed, weights=None, device="cpu", **recipe)
    seconds = round(time.process_time() - started, 2)
    return {"mAP": round(evaluate(hasher, fold, batch_size=4096).mAP, 5), "seconds": seconds}


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line a composition, a column a data set and length, in the order in which they were run."""
    columns = list(dict.fromkeys((row["data"], row["bits"]) for row in rows))
    heads = [f"{data.removesuffix('-validation')}, {bits} bits" for data, bits in columns]
    yield f"| | {' | '.join(heads)} |"
    yield f"|---|{'---:|' * len(columns)}"
    for name in dict.fromkeys(row["tried"] for row in rows):
        cells = [[r["mAP"] for r in rows if (r["tried"], r["data"], r["bits"]) == (name, *each)] for each in columns]
        yield f"| {name} | {' | '.join(f'{np.mean(cell):.3f}' for cell in cells)} |"


if __name__ == "__main__":
    main()
