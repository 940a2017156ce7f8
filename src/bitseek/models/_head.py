"""Hash heads: features → logits. What a method does with the logits (tanh, sigmoid, sign) is part of its loss."""

from torch import nn


class LinearHead(nn.Linear):
    """One linear layer with weights from N(0, 0.01²), the initialisation of OrthoHash, RelaHash and DPN.

    Args:
        features: length of the input, D.
        bits: length of the code, K.
        bias: whether there is a bias; it starts at 0.
    """

    def __init__(self, features: int, bits: int, *, bias: bool = True) -> None:
        super().__init__(features, bits, bias=bias)
        nn.init.normal_(self.weight, std=0.01)
        if bias:
            nn.init.zeros_(self.bias)


class BatchNormHead(nn.Sequential):
    """A linear layer without bias, then batch norm, which centres each bit over the items.

    Hoe et al., "One Loss for All: Deep Hashing with a Single Cosine Similarity based Learning Objective", NeurIPS
    2021, §3.
    """

    def __init__(self, features: int, bits: int) -> None:
        super().__init__(LinearHead(features, bits, bias=False), nn.BatchNorm1d(bits))
