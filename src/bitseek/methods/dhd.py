"""DHD: learnt proxies on a weakly changed view, which teaches its code to a strongly changed one.

Jang, Gu, Ko, Yoo, Cho, "Deep Hash Distillation for Image Retrieval", ECCV 2022.
"""

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bitseek.codes import signs
from bitseek.errors import BitseekError
from bitseek.methods._base import Batch, Card, Method, Task
from bitseek.methods._losses import softmax_cross_entropy, unit_vectors
from bitseek.methods._recipe import Augment, BatchSize, Recipe, for_heads
from bitseek.models import LinearHead


class DHDRecipe(Recipe):
    """The settings of the released code for ResNet-50.

    Its rate follows a cosine whose period is the number of batches, taken once an epoch, so that it falls to 0 and
    rises again; here it falls once.
    """

    temperature: PositiveFloat = 0.2
    """τ, of the softmax over the proxies."""
    quantisation: NonNegativeFloat = 0.1
    """Weight of the cross-entropy of the likelihoods of the bits."""
    deviation: PositiveFloat = 0.5
    """σ of the Gaussians about +1 and −1."""
    second_view: NonNegativeFloat = 0.1
    augment: Augment = "weak-views"
    epochs: PositiveInt = 500
    batch_size: BatchSize = 128
    lr: PositiveFloat = 3e-4
    backbone_lr: NonNegativeFloat = 0.05
    weight_decay: NonNegativeFloat = 1e-5


class DHD(Method):
    """−Σ_c q_c log softmax(cos(v, p_c) / τ) for learnt proxies p, q = y / Σ y, and the likelihood of the bits of v.

    v = tanh of the layer-normalised logits of the first view. With g±(v) = exp(−½ ((v ∓ 1) / σ)²) and t = [v ≥ 0],
    the second term is BCE(g₊(v), t) + BCE(g₋(v), 1 − t) (eq. 8), whose least value is 3·10⁻⁴ for σ = ½. To this comes
    1 − cos(v', v) for the code v' of a second, strongly changed view, whose gradient goes to v' alone (eq. 4); it is
    the option `second_view` that any other method can have too, and so are the two views. Both views go through one
    network. Here the weak view has half of the strong one's changes (w = ½), which are milder than those of the
    released code. Without labels an item has only the last two terms (in the released code, 0 / 0).

    The layer norm is over all bits of a code; a shorter length of nested codes is trained as a prefix of that.
    """

    card = Card(
        title="Deep Hash Distillation for Image Retrieval",
        authors="Jang et al.",
        year=2022,
        labels="multi",
        head="linear without bias, layer norm",
        idea="learnt proxies on a weakly changed view, whose code a strongly changed one learns",
    )
    recipe_class = DHDRecipe
    head_recipe = for_heads(lr=9e-3)
    recipe: DHDRecipe

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        self.proxies = nn.Parameter(torch.empty(task.classes, task.bits))
        nn.init.xavier_uniform_(self.proxies, gain=nn.init.calculate_gain("tanh"))

    @classmethod
    def build_head(cls, task: Task, recipe: DHDRecipe) -> nn.Sequential:
        """Linear, and a norm over the bits of a code."""
        if task.bits < 2:
            raise BitseekError("DHD normalises a code over its bits, and a single bit would always be 0: take more")
        return nn.Sequential(LinearHead(task.features, task.bits, bias=False), nn.LayerNorm(task.bits))

    def codewords(self) -> Tensor:
        """The signs of the proxies."""
        return signs(self.proxies.detach())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy over the proxies, and that of the bits."""
        codes = batch.logits.tanh()
        cosines = unit_vectors(codes) @ unit_vectors(self.proxies).T
        return {
            "proxies": softmax_cross_entropy(cosines / self.recipe.temperature, batch.labels),
            "quantisation": self.recipe.quantisation * bit_entropy(codes, self.recipe.deviation),
        }


def bit_entropy(codes: Tensor, deviation: float) -> Tensor:
    """BCE(g₊(v), t) + BCE(g₋(v), 1 − t), mean over items and bits, for (b, K) codes v and t = [v ≥ 0].

    The logarithms are those of the exponents themselves, so that none is cut off where g is very small.
    """
    near = -0.5 * ((codes.abs() - 1) / deviation).square()  # log g of the own sign
    far = -0.5 * ((codes.abs() + 1) / deviation).square()  # of the other
    return -(near + (-far.expm1()).log()).mean()
