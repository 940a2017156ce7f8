"""Inductive manifold hashing: an embedding of a few base points by t-SNE, and of all others by those near them.

Shen, Shen, Shi, van den Hengel, Tang, "Inductive Hashing on Manifolds", CVPR 2013.
"""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from bitseek.errors import BitseekError
from bitseek.methods._base import Card, Method, Task
from bitseek.methods._recipe import Recipe


class IMHRecipe(Recipe):
    """The number of base points and neighbours of the paper; the rest is for methods with gradients."""

    base: PositiveInt = 400
    """m, number of base points, the centres of k-means; at most as many as different training items."""
    neighbours: PositiveInt = 5
    """k, number of base points by which a point is embedded."""


class InductiveHead(nn.Module):
    """logits = Σ_j w_j y_j − mean over the k nearest base points, w_j ∝ exp(−‖f − c_j‖² / σ²) (eq. 6)."""

    base: Tensor
    embedding: Tensor
    bandwidth: Tensor

    def __init__(self, features: int, bits: int, base: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = min(neighbours, base)
        self.register_buffer("base", torch.zeros(base, features))
        self.register_buffer("embedding", torch.zeros(base, bits))
        self.register_buffer("bandwidth", torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        """(b, D) features → (b, K) logits."""
        distances, nearest = self.nearest(features)
        weights = (-distances / self.bandwidth).softmax(dim=1)
        return (weights.unsqueeze(2) * self.embedding[nearest]).sum(dim=1)

    def nearest(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances to the k nearest base points, ascending, and which they are; (b, k) both."""
        exact = "donot_use_mm_for_euclid_dist"  # the other is not the same for one item as for many
        distances = torch.cdist(features, self.base, compute_mode=exact).square()
        found = distances.topk(self.neighbours, dim=1, largest=False)
        return found.values, found.indices


class IMH(Method):
    """The signs of an embedding that keeps neighbours: t-SNE for the base points, weighted means of theirs for others.

    The base points are the centres of k-means. σ² is the mean squared distance of the training items to their k nearest
    base points, and the mean of their embedding is subtracted from all, so that the bits are balanced. (cisip-FIRe has
    no such mean, and takes for σ² the variance of each dimension.)
    """

    card = Card(
        title="Inductive Hashing on Manifolds",
        authors="Shen et al.",
        year=2013,
        labels="none",
        head="weighted mean of the embeddings of the nearest base points",
        idea="the signs of a t-SNE embedding of base points, which extends to all others",
    )
    recipe_class = IMHRecipe
    recipe: IMHRecipe
    by_gradient = False
    nests = False
    takes_front = False
    head: InductiveHead

    @classmethod
    def build_head(cls, task: Task, recipe: IMHRecipe) -> InductiveHead:
        """Base points and their embedding; all zero before `fit`."""
        return InductiveHead(task.features, task.bits, min(recipe.base, task.items), recipe.neighbours)

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Base points, their embedding, and the bandwidth and mean for all others."""
        data = features.double().cpu().numpy()
        base = base_points(data, len(self.head.base), self.task.seed)
        embedding = embedded(base, self.task.bits, self.task.seed)
        rows = np.arange(len(self.head.base)) % len(base)  # fewer where items are the same
        self.head.base.copy_(torch.from_numpy(base[rows]))
        self.head.embedding.copy_(torch.from_numpy(embedding[rows]))
        own = features.to(self.head.base)
        self.head.bandwidth.copy_(self.head.nearest(own)[0].mean().clamp(min=torch.finfo(torch.float32).tiny))
        self.head.embedding -= torch.cat([self.head(part) for part in own.split(1024)]).mean(dim=0)


def base_points(data: Float[np.ndarray, "n d"], count: int, seed: int) -> Float[np.ndarray, "m d"]:
    """The centres of k-means, at most one for each different row."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    different = np.unique(data, axis=0)
    if len(different) <= count:
        return different
    with threadpool_limits(1):  # the order of sums over several threads is not always the same
        centres: np.ndarray = KMeans(count, n_init=1, random_state=seed).fit(data).cluster_centers_
        return centres


def embedded(points: Float[np.ndarray, "m d"], dimensions: int, seed: int) -> Float[np.ndarray, "m k"]:
    """Exact t-SNE of points in K dimensions.

    Raises:
        BitseekError: there are fewer than 4 points.
    """
    from sklearn.manifold import TSNE

    if len(points) < 4:
        raise BitseekError(f"an embedding needs 4 different training items or more, got {len(points)}")
    perplexity = min(30.0, (len(points) - 1) / 3)
    tsne = TSNE(dimensions, perplexity=perplexity, method="exact", init="random", random_state=seed)
    found: np.ndarray = tsne.fit_transform(points).astype(np.float64)
    return found
