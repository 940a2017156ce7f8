"""Build methods and batches in float64 for the tests of methods."""

from functools import partial

import numpy as np
import pytest
import torch
from tests.methods.oracles_classification import (
    BITS,
    CLASSES,
    FEATURES,
    ITEMS,
    LABELS,
    numeric_gradient,
    random,
    tensor,
)

from bitseek.methods import METHODS, Batch, Task, make_method, make_recipe


def build(name, *, bits=BITS, classes=CLASSES, features=FEATURES, items=ITEMS, seed=3, **recipe):
    """A method in float64 and in training mode, with weights drawn from the seed."""
    cls = METHODS[name]
    torch.manual_seed(seed)
    multi = cls.card.labels == "multi"
    task = Task(features=features, bits=bits, classes=classes, items=items, multi_label=multi, seed=seed)
    return make_method(cls, task, make_recipe(cls, recipe)).double().train()


def batch_of(logits, labels, features=None, items=ITEMS):
    """A batch of given logits (NumPy, or a tensor with gradient) and labels."""
    logits = logits if isinstance(logits, torch.Tensor) else tensor(logits)
    features = random((len(logits), FEATURES), seed=8) if features is None else features
    labels = tensor(labels)
    return Batch(
        logits=logits,
        features=features if isinstance(features, torch.Tensor) else tensor(features),
        labels=labels,
        index=torch.arange(len(labels)) % items,
    )


def terms_of(method, logits, labels, features=None):
    """The loss terms as floats."""
    with torch.no_grad():
        return {name: float(term) for name, term in method.loss(batch_of(logits, labels, features)).items()}


def check_gradient(method, logits, labels, features=None):
    """`gradcheck` of the sum of the terms, with respect to the logits."""

    def total(values):
        return sum(method.loss(batch_of(values, labels, features)).values())

    assert torch.autograd.gradcheck(total, (tensor(np.asarray(logits), grad=True),))


def gradient(method, logits, labels, features=None):
    """Gradient of the sum of the terms with respect to the logits."""
    values = tensor(np.asarray(logits), grad=True)
    total = sum(method.loss(batch_of(values, labels, features)).values())
    total.backward()
    assert torch.isfinite(total)
    return np.zeros(values.shape) if values.grad is None else values.grad.numpy()


def check_loss(method, slow, logits, labels, features=None):
    """Terms and gradient equal, to 1e-6, those of a slow loop: `slow` takes logits and gives terms by name."""
    assert terms_of(method, logits, labels, features) == pytest.approx(slow(logits), rel=1e-6, abs=1e-9)
    expected = numeric_gradient(lambda values: sum(slow(values).values()), logits)
    assert gradient(method, logits, labels, features) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def check_loss_with_bank(method, slow, case, code=lambda logits: logits):
    """`check_loss` of two batches, of which the second is the case: rows of the first that it does not refresh are old.

    Args:
        slow: takes logits, labels, numbers of the items and rows of the bank, {item: (code, labels)}, which are
            constants, those of the batch too.
        code: what the bank holds of logits.
    """
    rows = {}
    for seed, labels in enumerate([LABELS["several"], LABELS[case]]):
        logits, index = random((len(labels), BITS), seed=seed), range(len(labels))
        rows |= {i: (row, labels[i]) for i, row in enumerate(code(logits))}
        check_loss(method, partial(slow, labels=labels, index=index, rows=rows), logits, labels)
