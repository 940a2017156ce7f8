"""Slow NumPy pieces for the tests of methods that learn from classes or from nothing; none of it uses bitseek."""

import math
from collections.abc import Callable

import numpy as np
import torch

FEATURES, BITS, CLASSES, ITEMS = 6, 5, 4, 12


def one_hot(*classes):
    """Rows of a label matrix; None is an item without labels, a tuple has several."""
    rows = np.zeros((len(classes), CLASSES))
    for row, given in zip(rows, classes, strict=True):
        for c in () if given is None else (given if isinstance(given, tuple) else (given,)):
            row[c] = 1
    return rows


LABELS = {
    "single": one_hot(0, 1, 2, 1, 0, 3),
    "several": one_hot((0, 2), 1, (1, 2, 3), 0, (0, 3), 2),
    "unlabelled": one_hot(0, None, (1, 2), None, 3, 0),
    "none_labelled": one_hot(None, None, None),
    "no_positive_pair": one_hot(0, 1, 2, 3),
    "no_negative_pair": one_hot(2, 2, 2),
    "one_item": one_hot(1),
    "one_unlabelled": one_hot(None),
}


def cross_entropy(scores, labels):
    """−Σ_c q_c log softmax(z)_c, q = y / Σ y, mean over the items that have labels."""
    total, labelled = 0.0, 0
    for z, y in zip(scores, labels, strict=True):
        if y.sum() == 0:
            continue
        labelled += 1
        log_sum = math.log(sum(math.exp(v - max(z)) for v in z)) + max(z)
        total -= sum(y[c] / y.sum() * (z[c] - log_sum) for c in range(len(z)))
    return total / max(labelled, 1)


def affine(linear, rows):
    """What a linear layer of torch does, one item after the other."""
    weight = linear.weight.detach().numpy()
    bias = np.zeros(len(weight)) if linear.bias is None else linear.bias.detach().numpy()
    return affine_rows(weight, bias, rows)


def affine_rows(weight, bias, rows):
    """The same of its arrays."""
    return np.array([[w @ row + c for w, c in zip(weight, bias, strict=True)] for row in rows])


def cosine(a, b):
    """0 with a zero vector."""
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / norms if norms else 0.0


def cosine_difference(codes, features):
    """Mean over i < h = ⌊b/2⌋ of (cos(c_i, c_{i+h}) − cos(f_i, f_{i+h}))²."""
    half = len(codes) // 2
    pairs = [(cosine(codes[i], codes[i + half]), cosine(features[i], features[i + half])) for i in range(half)]
    return sum((a - b) ** 2 for a, b in pairs) / half if half else 0.0


def numeric_gradient(function: Callable[[np.ndarray], float], at: np.ndarray, step: float = 1e-6):
    """Central differences."""
    gradient = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (function(up) - function(down)) / (2 * step)
    return gradient


def random(shape, seed=0, scale=1.5):
    """Float64 normals, none of them near the kinks 0 and ±1."""
    values = np.random.default_rng(seed).normal(scale=scale, size=shape)
    for kink in (0.0, 1.0, -1.0):
        values = np.where(np.abs(values - kink) < 0.02, kink + 0.05, values)
    return values


def tensor(array, grad=False):
    """As float64 of torch."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=grad)
