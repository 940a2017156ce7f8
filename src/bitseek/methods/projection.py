"""What the methods without gradients share: a head that is a centred projection, and principal components."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bitseek.errors import BitseekError
from bitseek.methods.base import Method, Recipe, Task


class ProjectionHead(nn.Module):
    """logits = (f − mean) P, with the mean of the training set and a fitted P, for queries and database alike.

    Args:
        features: length of the input, D.
        bits: length of the code, K.
    """

    mean: Tensor
    projection: Tensor

    def __init__(self, features: int, bits: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("projection", torch.zeros(features, bits))

    def forward(self, features: Tensor) -> Tensor:
        """(b, D) features → (b, K) logits."""
        return (features - self.mean) @ self.projection

    def set(self, mean: np.ndarray, projection: np.ndarray) -> None:
        """Take what was fitted, (D,) and (D, K)."""
        self.mean.copy_(torch.from_numpy(mean))
        self.projection.copy_(torch.from_numpy(projection))


class Projection(Method):
    """A method that fits such a head."""

    by_gradient = False
    head: ProjectionHead

    @classmethod
    def build_head(cls, task: Task, recipe: Recipe) -> ProjectionHead:
        """A projection that is all zero before it is fitted."""
        return ProjectionHead(task.features, task.bits)


def need_features(task: Task) -> None:
    """Refuse more bits than features, for methods that take one direction a bit.

    Raises:
        BitseekError: the code is longer than the features.
    """
    if task.bits > task.features:
        raise BitseekError(
            f"principal components give at most as many bits as there are features, here {task.features}; "
            f"got bits={task.bits}: take fewer bits, another backbone, or the method lsh or spectral"
        )


def principal_components(
    features: Float[Tensor, "n d"], count: int
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d count"]]:
    """Mean and leading principal directions, as columns, in float64; their signs are those of scikit-learn.

    Args:
        features: of the training set.
        count: how many directions, at most D.

    Raises:
        BitseekError: the items are too few: n of them span n − 1 directions.
    """
    from sklearn.decomposition import PCA

    if count >= len(features):
        raise BitseekError(
            f"{count} principal components need at least {count + 1} training items, got {len(features)}: "
            "take fewer bits or more items"
        )
    with np.errstate(invalid="ignore"):  # scikit-learn divides 0 by 0 where all items are the same
        fitted = PCA(count, svd_solver="covariance_eigh").fit(features.double().cpu().numpy())
    return fitted.mean_, fitted.components_.T
