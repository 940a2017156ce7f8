"""A head of several layers, for the methods that have one."""

from torch import nn


class MlpHead(nn.Sequential):
    """Linear and ReLU, some times, then linear; with the initialisation of torch.

    Args:
        features: length of the input, D.
        hidden: width of each hidden layer; none of them leaves one linear layer.
        bits: length of the code, K.
        dropout: share of the entries dropped in training after the first ReLU.
        input_dropout: share of the features dropped in training.
    """

    def __init__(
        self, features: int, hidden: tuple[int, ...], bits: int, *, dropout: float = 0.0, input_dropout: float = 0.0
    ) -> None:
        layers: list[nn.Module] = [nn.Dropout(input_dropout)] if input_dropout else []
        for depth, (inputs, outputs) in enumerate(zip((features, *hidden), hidden, strict=False)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
            if dropout and depth == 0:
                layers.append(nn.Dropout(dropout))
        super().__init__(*layers, nn.Linear(hidden[-1] if hidden else features, bits))
