"""Hash heads."""

import pytest
import torch

from bitseek.models import BatchNormHead, LinearHead


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_head_starts_from_small_normal_weights_and_no_shift(bias):
    torch.manual_seed(0)
    head = LinearHead(2000, 50, bias=bias)
    assert head.weight.shape == (50, 2000)
    assert float(head.weight.detach().mean()) == pytest.approx(0, abs=1e-4)
    assert float(head.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert (head.bias is not None) == bias
    assert head(torch.zeros(3, 2000)).tolist() == [[0.0] * 50] * 3


def test_a_linear_head_has_a_bias_by_default():
    assert LinearHead(4, 2).bias is not None


def test_a_batch_norm_head_centres_and_scales_every_bit_over_the_items():
    head = BatchNormHead(20, 6)
    features = 5 + torch.randn(400, 20, generator=torch.Generator().manual_seed(1))
    logits = head(features)
    plain = features.double() @ head[0].weight.double().T
    expected = (plain - plain.mean(dim=0)) / plain.var(dim=0, correction=0).add(head[1].eps).sqrt()
    assert head[0].bias is None
    assert torch.allclose(logits.double(), expected, atol=1e-4)


def test_in_evaluation_an_item_does_not_depend_on_its_batch():
    head = BatchNormHead(5, 3)
    head(torch.randn(64, 5, generator=torch.Generator().manual_seed(2)))
    head.eval()
    features = torch.randn(7, 5, generator=torch.Generator().manual_seed(3))
    alone = torch.cat([head(features[i : i + 1]) for i in range(7)])
    assert torch.allclose(head(features), alone, atol=1e-6)
