"""The loss without labels that GreedyHash and Bi-half share: codes shall be as alike as the features are.

Su, Zhang, Han, Tian, "Greedy Hash", NeurIPS 2018, §4.4 (unsupervised).
"""

import torch.nn.functional as F
from torch import Tensor


def half_cosines(vectors: Tensor) -> Tensor:
    """cos(x_i, x_{i+h}) for i < h = ⌊b / 2⌋, (h,): each item of the first half with one of the second.

    The last item of an odd batch is left out; the cosine with a zero vector is 0.
    """
    half = len(vectors) // 2
    return F.cosine_similarity(vectors[:half], vectors[half : 2 * half], dim=1)


def cosine_difference(codes: Tensor, features: Tensor) -> Tensor:
    """Mean over the pairs of two half batches of (cos of codes − cos of features)²; 0 for a batch of one.

    Args:
        codes: (b, K) float.
        features: (b, D) float; the target, through which no gradient goes.
    """
    difference = half_cosines(codes) - half_cosines(features.detach())
    return difference.square().sum() / max(len(codes) // 2, 1)
