"""Slow NumPy pieces for the tests of methods that learn from pairs and triplets; none of it uses bitseek."""

import math
from itertools import combinations, permutations

import numpy as np


def share(a, b):
    """Whether two label rows have a class in common."""
    return any(x and y for x, y in zip(a, b, strict=True))


def softplus(t):
    """log(1 + e^t) without overflow."""
    return max(t, 0.0) + math.log1p(math.exp(-abs(t)))


def squared_distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def inner(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def batch_list(codes, labels):
    """(code, other code, similar) of each two items of a batch, once."""
    return [(codes[i], codes[j], share(labels[i], labels[j])) for i, j in combinations(range(len(codes)), 2)]


def bank_list(codes, labels, index, rows):
    """The same for each item of a batch and each row of a bank but its own.

    Args:
        rows: {item: (code, labels)}, of the items seen so far.
    """
    return [
        (code, rows[item][0], share(label, rows[item][1]))
        for code, label, own in zip(codes, labels, index, strict=True)
        for item in rows
        if item != own
    ]


def mean(values):
    """0 of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def likelihood(pairs, scale):
    """Mean of log(1 + e^θ) − s θ."""
    return mean(softplus(scale * inner(u, v)) - s * scale * inner(u, v) for u, v, s in pairs)


def balanced(pairs, value):
    """Mean of w · value with w = |S| / |S1| for similar and |S| / |S0| for other pairs."""
    ones = sum(s for *_, s in pairs)
    zeros = len(pairs) - ones
    return mean(len(pairs) / (ones if s else zeros) * value(u, v, s) for u, v, s in pairs)


def triplets(labels, *, both_ways, anchor_as_positive=False):
    """All (anchor, positive, negative)."""
    b = range(len(labels))
    pairs = list(permutations(b, 2)) if both_ways else list(combinations(b, 2))
    pairs += [(i, i) for i in b] if anchor_as_positive else []
    return [
        (a, p, n)
        for a, p in pairs
        if share(labels[a], labels[p])
        for n in b
        if n != a and not share(labels[a], labels[n])
    ]


def sign(x):
    return 1.0 if x >= 0 else -1.0


def sign_error(logits):
    """Mean of (u − sign u)² over items and bits."""
    return mean((u - sign(u)) ** 2 for u in np.ravel(logits))
