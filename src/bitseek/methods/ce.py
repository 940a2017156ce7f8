"""Plain cross-entropy: a classifier behind a narrow layer, whose signs are the code.

The baseline that every supervised method has to beat, as in Hoe et al., "One Loss for All", NeurIPS 2021, Table 1.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from bitseek.methods.base import Batch, Card, Method, Recipe, Task, softmax_cross_entropy
from bitseek.models.head import LinearHead


@dataclass(frozen=True, kw_only=True)
class CrossEntropyRecipe(Recipe):
    """The settings with which the framework cisip-FIRe runs it."""

    batch_size: int = 64


class CrossEntropy(Method):
    """−log softmax(W v + b)_y on the continuous code v, and nothing that pulls v to its signs.

    With several labels the target is y / Σ y; an item without labels adds nothing to the loss.
    """

    card = Card(
        title="Cross-entropy and sign: the baseline of 'One Loss for All'",
        authors="Hoe et al.",
        year=2021,
        labels="multi",
        head="linear",
        idea="a classifier on the continuous code, which is cut at 0 afterwards",
    )
    recipe_class = CrossEntropyRecipe
    recipe: CrossEntropyRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.classifier = nn.Linear(task.bits, task.classes)

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> LinearHead:
        """Linear, with bias."""
        return LinearHead(task.features, task.bits, bias=True)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy."""
        return {"classification": softmax_cross_entropy(self.classifier(batch.logits), batch.labels)}
