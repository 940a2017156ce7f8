"""Backbones: networks from image to features, by name.

`small-cnn` is ours, for pictures of 28 to 64 pixels from scratch; AlexNet and VGG, on which the field publishes, are
torchvision's; every other name is timm's. Both take seconds to import, so that is done where they are needed.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from bitseek._values import Value
from bitseek.errors import RunError
from bitseek.images import Preprocess
from bitseek.models._freed_memory import keep_freed_memory
from bitseek.models._seeded import seeded
from bitseek.models._weights import digest_of, download, load_weights, read_settings

TORCHVISION = ("alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")
SMALL_CNN = "four convolutions, 256 features, for images of 28 to 64 pixels; trained from scratch"


class BackboneConfig(Value):
    """All that is needed to build a backbone again.

    Attributes:
        name: `small-cnn`, or a name of torchvision's AlexNet and VGG family, or of timm.
        options: further arguments of timm's constructor.
        weights: what it started from: `pretrained`, an absolute path, or None for random weights.
        seed: of the random weights.
        preprocess: from pixels to its input.
        features: length of its output, D.
        digest: of the weights that it started from, 32 hexadecimal digits.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = None
    seed: int = 0
    preprocess: Preprocess
    features: int = Field(ge=1)
    digest: str


class Backbone(nn.Module):
    """A network from images to features.

    Attributes:
        network: (b, 3, s, s) float → (b, D) float.
        config: how it was built.
        preprocess: from pixels to its input.
        features: number of features, D.
    """

    def __init__(self, network: nn.Module, config: BackboneConfig) -> None:
        super().__init__()
        self.network = network
        self.config = config
        keep_freed_memory()

    @property
    def preprocess(self) -> Preprocess:
        """From pixels to the input of the network."""
        return self.config.preprocess

    @property
    def features(self) -> int:
        """Number of features, D."""
        return self.config.features

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
    name: str, *, weights: str | Path | None = None, size: int | None = None, seed: int = 0, **options: Any
) -> Backbone:
    """The backbone of that name, with its weights and its preprocessing; torch's random state is left as it is.

    Args:
        name: see `BackboneConfig`.
        weights: a file (safetensors, or a state dict of torch; nothing in it is executed), whose settings are read
            with it (see `read_settings`); `pretrained` downloads the weights that the name stands for; None starts
            from random weights.
        size: side of the input in pixels; the model's own if not given.
        seed: of random weights.
        options: fields of `Preprocess` (crop, interpolation, mean, std); whatever else there is goes to timm's
            constructor (such as `pad_type="same"`). They come before the settings of a weights file.

    Raises:
        BitseekError: no such backbone, options that it does not take, or weights that are absent or do not fit.
    """
    if not isinstance(name, str) or not name:
        raise RunError(f"a backbone is given by its name, got {name!r}; see: bitseek backbones")
    pretrained = weights == "pretrained"
    file = None if weights is None or pretrained else Path(weights).expanduser().absolute()
    if file is not None:
        options = read_settings(file) | options
    changed = {key: options.pop(key) for key in list(options) if key in Preprocess.model_fields}
    if size is not None:
        changed["size"] = size
    with seeded(seed, "backbone"):
        network, own, classifier = _network(name, pretrained, changed.get("size"), options)
    if file is not None:
        load_weights(network, file, name, classifier)
    preprocess = Preprocess(**{**own, **changed})
    config = BackboneConfig(
        name=name,
        options=options,
        weights="pretrained" if pretrained else None if file is None else str(file),
        seed=seed,
        preprocess=preprocess,
        features=_length(network, preprocess.size),
        digest=digest_of(network.state_dict()),
    )
    return Backbone(network, config)


def _network(
    name: str, pretrained: bool, size: int | None, options: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any], tuple[str, ...]]:
    """A network without its classifier, its own preprocessing, and how the names of a classifier's tensors begin."""
    if name == "small-cnn":
        if pretrained:
            raise RunError("small-cnn has no published weights; it is trained from scratch, or give a file of weights")
        _refuse(name, options)
        return SmallCNN(), {"size": 32, "crop": 1.0, "mean": 0.5, "std": 0.25}, ()
    if name in TORCHVISION:
        _refuse(name, options)

        def build() -> Any:
            from torchvision import models as tv

            return tv.get_model(name, weights="DEFAULT" if pretrained else None)

        network = download(name, build, None, published_file(name)) if pretrained else build()
        network.classifier[6] = nn.Identity()  # what remains gives the 4,096 features of fc7 after ReLU
        return network, {}, ("classifier.6.",)
    return _timm(name, pretrained, size, options)


def published_file(name: str) -> str | None:
    """Which file has the published weights of a backbone, and where it is; None where there are none."""
    if name in TORCHVISION:
        from torchvision import models as tv

        return str(tv.get_model_weights(name).DEFAULT.url)
    import timm

    published = timm.get_pretrained_cfg(name, allow_unregistered=True) if timm.is_model(name) else None
    if published is None or not published.hf_hub_id:
        address: str | None = published and published.url
        return address
    return f"model.safetensors of https://huggingface.co/{published.hf_hub_id}"


def _refuse(name: str, options: dict[str, Any]) -> None:
    if options:
        known = ", ".join(Preprocess.model_fields)
        raise RunError(f"{name} has no option {sorted(options)[0]!r}; it takes those of its preprocessing: {known}")


def _timm(
    name: str, pretrained: bool, size: int | None, options: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any], tuple[str, ...]]:
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
        raise RunError(
            f"there is no backbone {name!r}{f'; timm has {near}' if near else ''}; see: bitseek backbones {name}"
        )
    published = timm.get_pretrained_cfg(name, allow_unregistered=True)
    extra = dict(options)
    if size is not None and "img_size" not in extra and published is not None and published.fixed_input_size:
        extra["img_size"] = size

    def build() -> Any:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **extra)

    try:
        hub = published and published.hf_hub_id
        network = download(name, build, hub, published_file(name)) if pretrained else build()
    except TypeError as error:
        raise RunError(f"timm's {name} does not take the options {sorted(options)}: {error}") from error
    config = timm.data.resolve_model_data_config(network)
    own = {
        "size": config["input_size"][-1],
        "crop": config["crop_pct"],
        "interpolation": config["interpolation"] if config["interpolation"] == "bicubic" else "bilinear",
        "mean": config["mean"],
        "std": config["std"],
    }
    classifier = network.default_cfg.get("classifier", "classifier")
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return network, own, tuple(f"{prefix}." for prefix in names)


@torch.no_grad()
def _length(network: nn.Module, size: int) -> int:
    """Length of the features, which timm's `num_features` does not tell for models with a layer after the pooling."""
    training = network.training
    network.eval()
    try:
        length = network(torch.zeros(1, 3, size, size)).shape[1]
    except (RuntimeError, AssertionError) as error:
        raise RunError(f"this backbone does not take images of {size} × {size} pixels: {error}") from error
    network.train(training)
    return int(length)


def architecture(config: BackboneConfig) -> Backbone:
    """The network of a configuration with weights that are yet to be loaded into it."""
    with seeded(config.seed, "backbone"):
        network, _, _ = _network(config.name, False, config.preprocess.size, dict(config.options))
    return Backbone(network, config)


def rebuild_backbone(config: BackboneConfig, weights: str | Path | None = None) -> Backbone:
    """The backbone of a configuration, with the weights that it started from.

    Args:
        config: of the backbone as it was.
        weights: where its weights are now, if no longer where they were.

    Raises:
        RunError: the weights are absent, or other ones.
    """
    backbone = build_backbone(
        config.name,
        weights=weights if weights is not None else config.weights,
        seed=config.seed,
        **{**config.options, **config.preprocess.model_dump()},
    )
    if backbone.config.digest != config.digest:
        raise RunError(
            f"the weights of {config.name} ({backbone.config.weights or 'random'}) have the digest "
            f"{backbone.config.digest}, expected {config.digest}: they are not those that were used; give the right "
            "file with --weights"
        )
    return backbone
