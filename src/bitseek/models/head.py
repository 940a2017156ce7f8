"""Hash heads: features → logits. What a method does to the logits after (tanh, sign, …) belongs to its loss."""

from torch import nn


class LinearHead(nn.Linear):
    """One linear layer with the initialisation that OrthoHash, RelaHash and DPN share: weights N(0, 0.01²).

    Args:
        features: length of the input, D.
        bits: length of the code, K.
        bias: whether there is one; it starts at 0.
    """

    def __init__(self, features: int, bits: int, *, bias: bool = False) -> None:
        super().__init__(features, bits, bias=bias)
        nn.init.normal_(self.weight, std=0.01)
        if bias:
            nn.init.zeros_(self.bias)


class BatchNormHead(nn.Sequential):
    """The head of OrthoHash: linear without bias, then batch norm, which balances each bit over the items.

    Hoe et al., "One Loss for All: Deep Hashing with a Single Cosine Similarity based Learning Objective", 2021, §3.
    """

    def __init__(self, features: int, bits: int) -> None:
        super().__init__(LinearHead(features, bits), nn.BatchNorm1d(bits))
