"""Terms that the losses of several methods share."""

from typing import Literal

import torch
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


def sigmoid_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """−Σ_c [y_c log σ(z_c) + (1 − y_c) log(1 − σ(z_c))], mean over the items: every class on its own.

    Args:
        scores: (b, C) float, z.
        labels: (b, C) multi-hot, y; an item without labels is a negative of every class.
    """
    return F.binary_cross_entropy_with_logits(scores, labels, reduction="none").sum(dim=1).mean()


def with_margin(cosines: Tensor, margin: Tensor, kind: Literal["cos", "arc"]) -> Tensor:
    """Cosines less a margin (`cos`), or the cosines of angles that are larger by it (`arc`); (b, C) all."""
    if kind == "cos":
        return cosines - margin
    return torch.cos(torch.acos(cosines.clamp(-0.99999, 0.99999)) + margin)


def straight_through(values: Tensor, codes: Tensor) -> Tensor:
    """The codes in the forward pass; in the backward pass their gradient goes to the values unchanged."""
    return values + (codes - values).detach()


def random_bits(logits: Tensor, *, draw: bool) -> Tensor:
    """Z = [p ≥ ε] ∈ {0, 1} forward, p = σ(u) backward, (b, K): bits that are 1 with probability p, or where p ≥ ½.

    Args:
        logits: u.
        draw: ε from U(0, 1), a stochastic neuron; else it is ½.
    """
    p = logits.sigmoid()
    # Drawn on the CPU: the same on every device.
    threshold = torch.rand(p.shape, dtype=p.dtype).to(p.device) if draw else torch.full_like(p, 0.5)
    return straight_through(p, (p >= threshold).to(p.dtype))


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


def unit_vectors(logits: Tensor) -> Tensor:
    """U / ‖u‖, (b, K); 0, without a gradient, for logits that are all zero."""
    squares = logits.square().sum(dim=1, keepdim=True)
    norm = squares.where(squares > 0, 1.0).sqrt()
    return torch.where(squares > 0, logits / norm, 0.0)


def self_distillation(teacher: Tensor, student: Tensor) -> Tensor:
    """1 − cos(tanh u, tanh w), mean over the items: a second view learns the code of the first.

    Args:
        teacher: (b, K) float, u; no gradient goes to it.
        student: (b, K) float, w.
    """
    cosines = (unit_vectors(teacher.tanh()).detach() * unit_vectors(student.tanh())).sum(dim=1)
    return (1 - cosines).mean()


def magnitude_error(values: Tensor, power: float = 1.0) -> Tensor:
    """Mean over all entries of | |u| − 1 |^power."""
    return (values.abs() - 1).abs().pow(power).mean()


def distance_to_signs(values: Tensor) -> Tensor:
    """(v − sign v)², (b, K), with sign(0) = +1; no gradient goes through the sign."""
    target: Tensor = signs(values)
    return (values - target).square()
