"""Instances by images, end to end: does it help to estimate batch norm anew on the images that are searched?

    python benchmarks/instances.py FOLDER --weights mobilenetv2_100.safetensors [--root DATA] [--epochs 10] [--seeds 3]

Makes the two sets of `instance_views.py`, which differ in what they train on: photos of the kinds that are searched
(`same`), or of all others (`other`). On each a head is trained with a class for every instance, on frozen MobileNetV2
features at 96 pixels, by several methods and seeds with their default recipes; and the whole network, by OrthoHash and
the schedule of the fine-tuning ledger. Nothing is chosen by the queries. Each is measured on the same views of other
photos by the protocol of revisited Oxford and Paris, three times where the head ends in batch norm:

- unchanged: as it was trained;
- reset: the scale and shift that were learned are reset, with the statistics of the training images;
- re-estimated: the same with the statistics of the database.

So the last two differ in nothing but the images that the statistics are taken from. Beside them stand the features
themselves, ranked by cosine. A trial that was run is kept in the folder, so a run that was stopped goes on where it
was. Writes benchmarks/results/instances.json.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitseek.data import Pool, Protocol, load_protocol
from bitseek.errors import BitseekError
from bitseek.evaluation import Report, evaluate
from bitseek.images import Features
from bitseek.metrics import retrieval_by_scores
from bitseek.models import build_backbone
from bitseek.runs import Hasher, encode_features
from bitseek.training import train
from instance_views import make
from record import record
from trials import Rows

BACKBONE, SIZE = "mobilenetv2_100", 96
BITS = (64, 128, 512)
SETS = ("other", "same")
METHODS = {"orthohash": BITS, "relahash": (128,), "ce": (128,), "itq": BITS}
"""The code lengths of each."""
WHOLE_METHOD, WHOLE_BITS = "orthohash", 128
WHAT = ("set", "trained", "method", "bits")
"""What the trials of several seeds have in common."""
WHOLE_RECIPE: dict[str, Any] = {"lr": 1e-3, "backbone_lr": 0.3, "batch_size": 128, "augment": "weak-views"}
"""The schedule of the fine-tuning ledger, which held-out items of CIFAR-10 chose."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the images, their features and the trials are kept")
    parser.add_argument("--weights", type=Path, required=True, help="of MobileNetV2, with their settings beside them")
    parser.add_argument("--root", type=Path, help="folder of the data; by default BITSEEK_DATA")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS, help="what is trained on")
    parser.add_argument("--epochs", type=int, default=10, help="of the whole network; 0 leaves it out")
    parser.add_argument("--seeds", type=int, default=3, help="of the trainings on frozen features")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sets = {name: made(given.folder / name, name, given.root) for name in given.sets}
    features = {name: with_features(data, given.folder / f"{name}.npy", given.weights) for name, data in sets.items()}
    trials, found = Rows(given.folder / "trials.jsonl"), []
    for seed in range(given.seeds):
        for name, data in features.items():
            for method, bits in [(method, bits) for method, lengths in METHODS.items() for bits in lengths]:
                what = {"set": name, "trained": "head", "method": method, "bits": bits, "seed": seed}
                head = partial(train, method, data, bits=bits, seed=seed, weights=None, device="cpu")
                found.append(trials.find(what, partial(trial, head, data)))
    network = {"backbone": BACKBONE, "weights": given.weights, "size": SIZE, "device": "cpu"}
    recipe = WHOLE_RECIPE | {"epochs": given.epochs}
    for name, data in sets.items() if given.epochs else ():
        what = {"set": name, "trained": "whole", "method": WHOLE_METHOD, "bits": WHOLE_BITS, "seed": 0}
        whole = partial(train, WHOLE_METHOD, data, bits=WHOLE_BITS, **network, **recipe)
        key = json.dumps([what, recipe], sort_keys=True)
        found.append(trials.find(what, partial(trial, whole, data), key))
    record("instances", {
        "backbone": BACKBONE, "size": SIZE, "whole": recipe if given.epochs else None,
        "sets": {name: about(data) for name, data in features.items()}, "rows": rows(found),
    })  # fmt: skip


def made(folder: Path, name: str, root: Path | None) -> Protocol:
    """One of the two sets, by what it trains on."""
    if not (folder / "gnd.json").is_file():
        make(folder, name, root=root)
    return load_protocol(f"revisited:{folder}")


def about(data: Protocol) -> dict[str, Any]:
    """What a result says of a set, and what its features reach."""
    return {"protocol": data.describe() | {"name": "revisited"}, "features": of_features(data)}


def trial(training: Callable[[], Hasher], data: Protocol) -> dict[str, Any]:
    """Train and measure."""
    started = time.perf_counter()
    hasher = training()
    seconds = round(time.perf_counter() - started, 1)
    return {"seconds": seconds, "found": {variant: figures(report) for variant, report in variants(hasher, data)}}


def with_features(data: Protocol, file: Path, weights: Path) -> Protocol:
    """The same protocol on the features of the frozen backbone, which are kept in a file."""
    if not file.is_file():
        encoded = encode_features(build_backbone(BACKBONE, weights=weights, size=SIZE), data.pool.images, batch_size=64)
        assert not encoded.unreadable
        np.save(file, encoded.features)
    images = data.pool
    pool = Pool(Features((np.load(file),)), images.labels, images.classes, images.keys, name=images.name)
    return replace(data, pool=pool, origin=None)


def rows(trials: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The trials of all seeds together."""
    joined: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for trial in sorted(trials, key=lambda trial: trial["seed"]):
        joined.setdefault(tuple(trial[name] for name in WHAT), []).append(trial)
    return [
        {
            **dict(zip(WHAT, what, strict=True)),
            "seeds": len(each),
            "seconds": round(float(np.mean([trial["seconds"] for trial in each])), 1),
            "found": {
                variant: {name: [trial["found"][variant][name] for trial in each] for name in values}
                for variant, values in each[0]["found"].items()
            },
        }
        for what, each in sorted(joined.items())
    ]


def variants(hasher: Hasher, data: Protocol) -> Iterator[tuple[str, Report]]:
    """What is measured of a hasher: once, or three times where its head ends in batch norm."""
    yield "unchanged", evaluate(hasher, data)
    changes: dict[str, Callable[[], Hasher]] = {
        "reset": lambda: hasher.adapted(data.pool.images, data.train),
        "re-estimated": lambda: hasher.adapted(data.pool.images, data.database),
    }
    for variant, changed in changes.items():
        try:
            adapted = changed()
        except BitseekError:  # the head has no batch norm
            return
        yield variant, evaluate(adapted, data)


def figures(report: Report) -> dict[str, float]:
    """mAP of each level, and how far the bits are from balanced on the database."""
    found = {level: measured.mAP for level, measured in report.levels.items()}
    found["bit_imbalance"] = report.diagnostics["bit_imbalance"] or 0.0
    return {name: round(value, 4) for name, value in found.items()}


def of_features(data: Protocol) -> dict[str, float]:
    """mAP of the features themselves, ranked by cosine."""
    rows = data.pool.images.rows(slice(None))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = unit[data.query] @ unit[data.database].T
    return {
        level: round(
            retrieval_by_scores(
                [scores], data.relevance(data.query, data.database, level), denominator="relevant", ap="trapezoid"
            ).mAP,
            4,
        )
        for level in data.levels
    }


if __name__ == "__main__":
    main()
