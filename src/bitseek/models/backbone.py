"""Backbones: networks from image to features, by name.

`small-cnn` is ours, for pictures of 28 to 64 pixels from scratch; AlexNet and VGG, on which the field publishes, are
torchvision's; every other name is timm's. `features` is no network: its input are features computed before.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models as tv

from bitseek.errors import RunError
from bitseek.models.transform import IMAGENET_MEAN, IMAGENET_STD, Transform

TORCHVISION = ("alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")
OWN = {
    "small-cnn": "four convolutions, 256 features, for images of 28 to 64 pixels; trained from scratch",
    "features": "no network: the input are features computed before (protocol features:FILE.npz)",
}


class Backbone(nn.Module):
    """A network from images to features.

    Attributes:
        network: (b, 3, s, s) float → (b, features) float.
        features: number of features, D.
        transform: what happens to an image before.
        name: the name that it was built by.
        options: further arguments of timm's constructor that it was built with.
    """

    def __init__(
        self, network: nn.Module, features: int, transform: Transform, name: str, options: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.network = network
        self.features = features
        self.transform = transform
        self.name = name
        self.options = dict(options)

    def forward(self, images: Tensor) -> Tensor:
        """(b, 3, s, s) normalised images → (b, D) features."""
        features: Tensor = self.network(images)
        return features


class SmallCNN(nn.Sequential):
    """Four 3 × 3 convolutions with batch norm and ReLU, three of them followed by pooling, then the global mean."""

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 128, 256)) -> None:
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(zip((3, *widths), widths, strict=False)):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if i < 3 else []
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def build_backbone(
    name: str, *, weights: str | Path | None = None, size: int | None = None, **options: Any
) -> Backbone:
    """The backbone of that name, with its weights and its transform.

    Args:
        name: `small-cnn`, `features`, a name of torchvision's AlexNet and VGG family, or any name that timm knows.
        weights: a file (safetensors, or a state dict of torch; nothing in it is executed); `pretrained` downloads the
            weights that the name stands for; None starts from random weights.
        size: side of the input in pixels; the model's own if not given.
        options: fields of `Transform` (crop, interpolation, mean, std) set the transform, `dim` the length of the
            input of `features`; whatever else there is goes to timm's constructor (such as `pad_type="same"`).

    Raises:
        RunError: no such backbone, or weights that are absent or do not fit.
    """
    ours = {field.name for field in fields(Transform)}
    transform = {key: options.pop(key) for key in list(options) if key in ours}
    if size is not None:
        transform["size"] = size
    pretrained = weights == "pretrained"
    if name == "features":
        dim = int(options.get("dim", 0))
        return Backbone(nn.Identity(), dim, Transform(**transform), name, options)
    if name == "small-cnn":
        if pretrained:
            raise RunError("small-cnn has no published weights; it is trained from scratch, or give a file of weights")
        default = Transform(size=32, crop=1.0, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
        backbone = Backbone(SmallCNN(), 256, replace(default, **transform), name, {})
        classifier: tuple[str, ...] = ()
    elif name in TORCHVISION:
        default = Transform(mean=IMAGENET_MEAN, std=IMAGENET_STD)
        backbone = Backbone(_torchvision(name, pretrained), 4096, replace(default, **transform), name, {})
        classifier = ("classifier.6.",)
    else:
        backbone, classifier = _timm(name, pretrained, transform, options)
    if weights is not None and not pretrained:
        _load_weights(backbone, Path(weights), classifier)
    return backbone


def _torchvision(name: str, pretrained: bool) -> nn.Module:
    """AlexNet or VGG without the last layer: the 4,096 features of fc7 after ReLU."""
    network: Any = _download(name, lambda: tv.get_model(name, weights="DEFAULT" if pretrained else None))
    network.classifier[6] = nn.Identity()
    built: nn.Module = network
    return built


def _timm(
    name: str, pretrained: bool, transform: dict[str, Any], options: dict[str, Any]
) -> tuple[Backbone, tuple[str, ...]]:
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
        raise RunError(
            f"there is no backbone {name!r}{f'; timm has {near}' if near else ''}; see: bitseek backbones {name}"
        )
    extra = dict(options)
    if "img_size" not in extra and "size" in transform and _has_fixed_size(name):
        extra["img_size"] = transform["size"]
    try:
        network: Any = _download(name, lambda: timm.create_model(name, pretrained=pretrained, num_classes=0, **extra))
    except TypeError as error:
        raise RunError(f"timm's {name} does not take the options {sorted(options)}: {error}") from error
    config = timm.data.resolve_model_data_config(network)
    interpolation = config["interpolation"] if config["interpolation"] in ("bilinear", "bicubic") else "bilinear"
    own: dict[str, Any] = {
        "size": config["input_size"][-1],
        "crop": config["crop_pct"],
        "interpolation": interpolation,
        "mean": config["mean"],
        "std": config["std"],
    }
    classifier = network.default_cfg.get("classifier", "classifier")
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    backbone = Backbone(network, network.num_features, Transform(**(own | transform)), name, options)
    backbone.features = _measure(backbone)
    return backbone, tuple(f"{prefix}." for prefix in names)


def _has_fixed_size(name: str) -> bool:
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return bool(config is not None and config.fixed_input_size)


@torch.no_grad()
def _measure(backbone: Backbone) -> int:
    """Length of the features, which timm's `num_features` does not tell for models with a layer after the pooling."""
    training = backbone.training
    backbone.eval()
    size = backbone.transform.size
    length = backbone(torch.zeros(1, 3, size, size)).shape[1]
    backbone.train(training)
    return int(length)


def _download(name: str, make: Any) -> nn.Module:
    """Build a network; a download that fails says what to do without one."""
    try:
        network: nn.Module = make()
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:160]
        raise RunError(
            f"the weights of {name} cannot be downloaded ({type(error).__name__}: {reason}); download them elsewhere "
            "and give --weights FILE (safetensors or a state dict), or start from scratch with --weights none"
        ) from error
    return network


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors file or a state dict of torch; nothing in the file is executed.

    Raises:
        RunError: no such file, or neither of the two.
    """
    if not path.is_file():
        raise RunError(f"there is no weights file {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file brings about
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise RunError(f"{path} is neither safetensors nor a plain state dict: {reason}") from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RunError(f"{path} holds no state dict: tensors by name are expected")
    return {key.removeprefix("module."): value for key, value in state.items()}


def _load_weights(backbone: Backbone, path: Path, classifier: tuple[str, ...]) -> None:
    """Load the weights of the network; those of its classifier, which a hasher has no use for, are left out."""
    state = {key: value for key, value in read_state(path).items() if not key.startswith(classifier or ("\0",))}
    own = backbone.network.state_dict()
    missing = sorted(key for key in own.keys() - state.keys() if not key.endswith("num_batches_tracked"))
    unexpected = sorted(state.keys() - own.keys())
    other = sorted(key for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    if missing or unexpected or other:
        what = [
            f"{len(keys)} {word} (such as {keys[0]})"
            for word, keys in (("missing", missing), ("unknown", unexpected), ("of another shape", other))
            if keys
        ]
        raise RunError(f"the weights in {path} do not fit {backbone.name}: tensors {', '.join(what)}")
    backbone.network.load_state_dict(state, strict=False)
