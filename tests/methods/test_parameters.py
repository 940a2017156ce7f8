"""What methods learn beside their head: the gradient of every such parameter against central differences of the loss.

The losses themselves are compared with slow loops in the file of each method, where these parameters are what they are
drawn as. Codes that are thresholds of the logits are constant here, as no such parameter lies before the logits.
"""

import numpy as np
import pytest
import torch
from tests.methods.harness import batch_of, build
from tests.methods.oracles_classification import BITS, FEATURES, LABELS, numeric_gradient, random

OWN = {
    "ce": {},
    "dshsd": {},
    "greedyhash": {"classifier_bias": True},
    "jmlh": {},
    "sdhc": {},
    "ssdh": {},
    "bihalf": {},
    "pcdh": {"width": 7},
    "dpn": {"classification": 0.5},
    "angular-dsh": {},
    "hyp2": {"zeta": 0.1},
    "dhd": {},
    "daph": {},
}
"""Methods with parameters of their own; those of TBH learn from detached values, see its file."""


@pytest.mark.parametrize("name", OWN)
def test_gradients_are_those_of_central_differences(name):
    labels, method = LABELS["unlabelled"], build(name, **OWN[name]).eval()
    items = len(labels) * method.views
    logits, features = random((items, BITS)), random((items, FEATURES), seed=4)

    def total():
        return sum(method.loss(batch_of(logits, labels, features)).values())

    total().backward()
    own = {key: values for key, values in method.named_parameters() if not key.startswith("head.")}
    assert own
    for key, values in own.items():
        start = values.detach().numpy().copy()

        @torch.no_grad()
        def at(array, values=values):
            values.copy_(torch.from_numpy(array))
            return float(total())

        expected = numeric_gradient(at, start)
        at(start)
        assert values.grad.numpy() == pytest.approx(expected, abs=1e-6), key
        assert np.abs(expected).max() > 1e-6, key
