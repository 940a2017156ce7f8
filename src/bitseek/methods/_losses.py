"""Terms that the losses of several methods share."""

import torch.nn.functional as F
from torch import Tensor

from bitseek.codes import signs


def softmax_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """−Σ_c q_c log softmax(z)_c with q = y / Σ y, mean over the items that have a label; 0 if none has.

    Args:
        scores: (b, C) float, z.
        labels: (b, C) multi-hot, y.
    """
    classes = labels.sum(dim=1, keepdim=True)
    entropy = -(labels / classes.clamp(min=1) * scores.log_softmax(dim=1)).sum()
    return entropy / (classes > 0).sum().clamp(min=1)


def straight_through(values: Tensor, codes: Tensor) -> Tensor:
    """The codes in the forward pass; in the backward pass their gradient goes to the values unchanged."""
    return values + (codes - values).detach()


def cosine_difference(codes: Tensor, features: Tensor) -> Tensor:
    """Mean over i < h = ⌊b / 2⌋ of (cos(b_i, b_{i+h}) − cos(f_i, f_{i+h}))²; 0 for a batch of one.

    It needs no labels: the codes become as similar as the features are. The last item of an odd batch is left out; the
    cosine with a zero vector is 0. Su et al., "Greedy Hash", NeurIPS 2018, §4.4.

    Args:
        codes: (b, K) float.
        features: (b, D) float; no gradient goes to them.
    """
    half = len(codes) // 2
    of_codes = F.cosine_similarity(codes[:half], codes[half : 2 * half], dim=1)
    of_features = F.cosine_similarity(features[:half], features[half : 2 * half], dim=1).detach()
    return (of_codes - of_features).square().sum() / max(half, 1)


def distance_to_signs(values: Tensor) -> Tensor:
    """(v − sign v)², (b, K), with sign(0) = +1; no gradient goes through the sign."""
    target: Tensor = signs(values)
    return (values - target).square()
