"""What the methods without gradients share: a head that is a centred projection, and principal components."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bitseek.errors import BitseekError
from bitseek.methods._base import Method, Task
from bitseek.methods._recipe import Recipe


class ProjectionHead(nn.Module):
    """logits = (f − mean) P, with the mean of the training set and a fitted P, for queries and database alike."""

    mean: Tensor
    projection: Tensor

    def __init__(self, features: int, bits: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("projection", torch.zeros(features, bits))

    def forward(self, features: Tensor) -> Tensor:
        """(b, D) features → (b, K) logits."""
        return (features - self.mean) @ self.projection

    def set(self, **buffers: np.ndarray) -> None:
        """Fill the buffers of these names with what was fitted, cast to their type."""
        for name, value in buffers.items():
            self.get_buffer(name).copy_(torch.from_numpy(value))


class Projection(Method):
    """A method that fits such a head; before that it is all zero."""

    by_gradient = False
    nests = False
    takes_front = False
    head_class = ProjectionHead
    head: ProjectionHead


class PrincipalProjection(Projection):
    """A projection on one direction a bit within the span of the features; more bits than features are an error."""

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        if task.bits > task.features:
            raise BitseekError(
                f"principal components give at most as many bits as there are features, here {task.features}; "
                f"got bits={task.bits}: take fewer bits, another backbone, or the method lsh or spectral"
            )
        super().__init__(task, recipe)


def principal_components(
    features: Float[Tensor, "n d"], count: int
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d count"]]:
    """Mean and leading principal directions, as columns, in float64; their signs are those of scikit-learn.

    Args:
        features: of the training set.
        count: number of directions, at most D.

    Raises:
        BitseekError: there are too few items: n of them span n − 1 directions.
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
