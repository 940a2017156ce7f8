"""Batch norm estimated on other items is that of all of them at once."""

import pytest
import torch

from bitseek.errors import BitseekError
from bitseek.models import BatchNormHead, LinearHead, estimate_batch_norm


def test_batch_norm_is_that_of_the_whole_database_at_once():
    torch.manual_seed(0)
    head, features = BatchNormHead(12, 16), torch.randn(50, 12) * 3 + 2
    outputs = head[0](features).detach().double()
    estimate_batch_norm(head, features.split(7))
    adapted = head.eval()(features).detach()
    expected = (outputs - outputs.mean(0)) / (outputs.var(0) + head[1].eps).sqrt()
    assert torch.allclose(adapted.double(), expected, atol=1e-4)


def test_what_cannot_be_estimated_says_so():
    with pytest.raises(BitseekError, match="does not end in batch norm"):
        estimate_batch_norm(torch.nn.Sequential(LinearHead(3, 2)), [torch.zeros(2, 3)])
    with pytest.raises(BitseekError, match="at least 2 items"):
        estimate_batch_norm(BatchNormHead(3, 2), [torch.zeros(1, 3)])
