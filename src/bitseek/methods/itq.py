"""Iterative quantisation: principal components, rotated so that they lie close to the corners of the cube.

Gong, Lazebnik, Gordo, Perronnin, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes for
Large-Scale Image Retrieval", CVPR 2011 and TPAMI 2013.
"""

import numpy as np
from jaxtyping import Float
from pydantic import NonNegativeInt
from torch import Tensor

from bitseek.codes import signs
from bitseek.methods._base import Card
from bitseek.methods._projection import PrincipalProjection, principal_components
from bitseek.methods._recipe import Recipe


class ITQRecipe(Recipe):
    """Nothing but the number of iterations: the rest is for methods with gradients."""

    iterations: NonNegativeInt = 50
    """Number of alternations of codes and rotation. (The paper finds 50 enough; cisip-FIRe does 100.)"""


class ITQ(PrincipalProjection):
    """The signs of V R: V the K leading principal components, R the rotation that brings V R nearest to its signs.

    More bits than features: an error.
    """

    card = Card(
        title="Iterative Quantization: A Procrustean Approach to Learning Binary Codes",
        authors="Gong et al.",
        year=2011,
        labels="none",
        head="centred projection on rotated principal components",
        idea="a rotation of the principal components with the least quantisation error",
    )
    recipe_class = ITQRecipe
    recipe: ITQRecipe

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Principal components, then their rotation from a random start."""
        mean, components = principal_components(features, self.task.bits)
        scores = (features.double().cpu().numpy() - mean) @ components
        start = random_rotation(self.task.bits, np.random.default_rng((self.task.seed, 0x170)))
        self.head.set(mean=mean, projection=components @ rotation(scores, start, self.recipe.iterations))


def random_rotation(size: int, generator: np.random.Generator) -> Float[np.ndarray, "size size"]:
    """An orthogonal matrix, uniform over all of them."""
    q, r = np.linalg.qr(generator.standard_normal((size, size)))
    return q * np.where(np.diag(r) >= 0, 1.0, -1.0)


def rotation(
    scores: Float[np.ndarray, "n k"], start: Float[np.ndarray, "k k"], iterations: int
) -> Float[np.ndarray, "k k"]:
    """R from alternating B = sign(V R) and the orthogonal Procrustes problem min_R ‖B − V R‖ (§2.2).

    Args:
        scores: V, of the training set.
        start: the first R.
        iterations: number of alternations.
    """
    turned = start
    for _ in range(iterations):
        left, _, right = np.linalg.svd(scores.T @ signs(scores @ turned))
        turned = left @ right
    return turned
