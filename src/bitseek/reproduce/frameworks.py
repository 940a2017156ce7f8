"""The tables of two frameworks that run many methods: cisip-FIRe and DeepHash-pytorch, from their READMEs."""

from collections.abc import Iterator
from typing import Any

from bitseek.reproduce.row import Row

BEST = "the published figure is the best over evaluations on the queries; ours is the last epoch"
SQUASHED = "images were squashed to a square before the crop; ours keep their proportions"

FIRE_COMMON: dict[str, Any] = {
    "epochs": 100,
    "batch_size": 64,
    "optimiser": "adam",
    "lr": 1e-4,
    "backbone_lr": 0.1,
    "weight_decay": 5e-4,
    "drop_at": 0.8,
    "drop_by": 0.1,
    "augment": "crop",
}
FIRE: dict[str, tuple[float, dict[str, Any]]] = {
    "orthohash": (0.701, {"margin": 0.3, "codebook": "max-distance"}),
    "bihalf": (0.684, {}),
    "ce": (0.434, {}),
    "csq": (0.686, {"codebook": "bernoulli", "quantisation": 0.001, "hidden_layers": 0, "dropout": 0.0}),
    "dpn": (0.692, {"regularisation": 0.1}),
    "dpsh": (0.599, {"quantisation": 0.1, "quantisation_over": "bits"}),
    "dtsh": (0.608, {"margin": 5.0, "scale": 1.0, "anchor_as_positive": True}),
    "greedyhash": (0.667, {"alpha": 1.0}),
    "hashnet": (0.588, {"alpha": 1.0}),
    "jmlh": (0.664, {"kl": 0.1}),
    "sdhc": (0.639, {"variance": 0.064}),
    "bihalf-unsupervised": (0.403, {}),
    "cibhash": (0.322, {"augment": "views"}),
    "greedyhash-unsupervised": (0.407, {}),
}
FIRE_FITTED = {"itq": (0.402, {"iterations": 100}), "lsh": (0.206, {}), "pcah": (0.405, {}), "spectral": (0.350, {})}
FIRE_DIFFERS = {
    "dpsh": ("it also weighted the pairs by their rarity, which is not in DPSH",),
    "sdhc": ("its orthogonality term has the all-ones matrix in place of the identity",),
    "lsh": ("its projections were not centred",),
}

RMSPROP: dict[str, Any] = {
    "optimiser": "rmsprop",
    "lr": 1e-5,
    "weight_decay": 1e-5,
    "backbone_lr": 1.0,
    "drop_by": 1.0,
    "epochs": 150,
    "batch_size": 64,
}
DEEPHASH: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "dsh": (
        {"form": "bank", "alpha": 0.1 / 48, "epochs": 250},
        {"cifar10-1": 0.800, "nuswide-21": 0.798, "imagenet100": 0.576, "coco-tl": 0.655, "mirflickr25k": 0.735},
    ),
    "dpsh": (
        {"quantisation": 0.1, "quantisation_over": "bits", "batch_size": 128},
        {
            "cifar10-54k": 0.775,
            "nuswide-21": 0.844,
            "imagenet100": 0.502,
            "coco-tl": 0.711,
            "mirflickr25k": 0.781,
            "voc2012": 0.608,
        },
    ),
    "hashnet": (
        {"alpha": 0.1, "beta_growth": 7.0, "beta_stages": 7},
        {"cifar10-54k": 0.782, "nuswide-81-m": 0.764, "nuswide-21": 0.830, "imagenet100": 0.644, "coco-tl": 0.724},
    ),
    "dhn": (
        {"activation": "none", "scale": 0.5, "memory": True, "epochs": 90, "batch_size": 128},
        {"cifar10-54k": 0.781, "nuswide-21": 0.841, "imagenet100": 0.486, "coco-tl": 0.712, "mirflickr25k": 0.775},
    ),
    "dtsh": (
        {"margin": 5.0, "scale": 1.0, "anchor_as_positive": True, "batch_size": 128},
        {"cifar10-54k": 0.800, "nuswide-21": 0.829, "imagenet100": 0.631, "coco-tl": 0.760, "mirflickr25k": 0.753},
    ),
    "greedyhash": (
        {"optimiser": "sgd", "lr": 1e-3, "weight_decay": 5e-4, "epochs": 200, "drop_by": 0.1, "drop_at": 0.15},
        {"cifar10-1": 0.817, "cifar10-2-random": 0.932, "nuswide-21": 0.793, "imagenet100": 0.678, "coco-tl": 0.728},
    ),
    "dpn": (
        {"batch_size": 32},
        {"imagenet100": 0.688, "cifar10-1": 0.787, "nuswide-21": 0.818},
    ),
}
DEEPHASH_DIFFERS = {
    "hashnet": ("its β grew every 20 epochs, ours in 7 steps",),
    "greedyhash": ("its rate fell every 30 epochs; sets with several labels were trained with one",),
    "dpn": ("its loss is the mean over the bits, ours the sum",),
}
CIFAR_SPLITS = "which of its CIFAR-10 splits this is, is inferred from its defaults"


def rows() -> Iterator[Row]:
    """All of them."""
    yield from _fire()
    yield from _deephash()
    yield from _deephash_csq()


def _fire() -> Iterator[Row]:
    trained = {method: (figure, FIRE_COMMON | recipe) for method, (figure, recipe) in FIRE.items()}
    trained["orthohash-arc"] = (0.698, FIRE_COMMON | {"margin_type": "arc", "codebook": "bernoulli"})
    for name, (figure, recipe) in (trained | FIRE_FITTED).items():
        method, _, label = (name, "", "") if name != "orthohash-arc" else name.partition("-")
        yield Row(
            table="fire-readme",
            source="CISiPLab/cisip-FIRe README",
            read_in="readme",
            method=method,
            protocol="imagenet100",
            bits=64,
            backbone="alexnet",
            figure=figure,
            label=label,
            recipe=recipe,
            differs=(SQUASHED, *FIRE_DIFFERS.get(method, ())),
        )


def _deephash() -> Iterator[Row]:
    for method, (recipe, figures) in DEEPHASH.items():
        for protocol, figure in figures.items():
            augment = "none" if protocol.startswith("cifar") else "crop"
            more = {"alpha": 1.0} if method == "greedyhash" and protocol == "imagenet100" else {}
            splits = (CIFAR_SPLITS,) if protocol == "cifar10-54k" and method != "dpsh" else ()
            yield Row(
                table="deephash-readme",
                source="swuxyj/DeepHash-pytorch README",
                read_in="readme",
                method=method,
                protocol=protocol,
                bits=48,
                backbone="alexnet",
                figure=figure,
                recipe=RMSPROP | {"augment": augment} | recipe | more,
                differs=(BEST, *splits, *DEEPHASH_DIFFERS.get(method, ())),
            )


def _deephash_csq() -> Iterator[Row]:
    for protocol, figure in {"nuswide-21-m": 0.844, "imagenet100": 0.881, "coco-tl": 0.883}.items():
        yield Row(
            table="deephash-readme",
            source="swuxyj/DeepHash-pytorch README",
            read_in="readme",
            method="csq",
            protocol=protocol,
            bits=64,
            backbone="resnet50",
            figure=figure,
            recipe=RMSPROP | {"augment": "crop", "quantisation": 1e-4, "hidden_layers": 0, "dropout": 0.0},
            differs=(BEST,),
        )
