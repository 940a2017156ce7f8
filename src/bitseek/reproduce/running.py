"""Running a row: train as its table says, measure, and put the figure beside the published one."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bitseek.data import PROTOCOLS, Protocol
from bitseek.data import protocol as load_protocol
from bitseek.data.pool import Features, Paths
from bitseek.errors import DataError, RunError
from bitseek.reproduce.place import commit, hardware
from bitseek.reproduce.row import Row

if TYPE_CHECKING:
    from bitseek.models.hasher import Hasher

STATUS = ("measured", "absent", "failed")
SAMPLE = 50
"""So many images of each role are looked for before a training begins."""

QUICK = {"train": 500, "query": 100, "database": 2000}
QUICK_EPOCHS = 2

Progress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How a run departs from the published recipe.

    Attributes:
        quick: two epochs on a small part of the data, to see that all of it works.
        backbone: another network.
        size: another side of its input, in pixels.
        frozen: only the head is trained.
        recipe: other hyper-parameters.
        backbone_options: other options of the backbone.
    """

    quick: bool = False
    backbone: str | None = None
    size: int | None = None
    frozen: bool = False
    recipe: Mapping[str, Any] = field(default_factory=dict)
    backbone_options: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Only what is changed; nothing for the published recipe."""
        changed: dict[str, Any] = {name: value for name, value in vars(self).items() if value}
        if self.quick:
            changed["quick"] = {"epochs": QUICK_EPOCHS, **QUICK}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in changed.items()}


def reproduce(
    row: Row,
    *,
    seed: int = 0,
    root: str | Path | None = None,
    weights: str | Path = "pretrained",
    device: str = "auto",
    changes: Changes | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run one row.

    Args:
        row: see `find`.
        seed: of the split, the weights, the codebook and the order.
        root: folder of the data.
        weights: of the backbone: `pretrained` (downloaded), a file, or `none`, which departs from every recipe here
            that has a published network.
        device: where to compute.
        changes: what to do otherwise than published.
        threads: how many decode files.
        progress: told twice a second how far the training is.

    Returns:
        what the row says, with `status`: `measured` (and then `measured`, `difference`, `report`), `absent` (data or
        weights: `reason` says what to do) or `failed` (the training went astray); with `published_recipe`, whether it
        was followed, and `changes`; seed, date, seconds, hardware, versions and commit.
    """
    changes = changes or Changes()
    started = time.perf_counter()
    departures = changes.describe() | _of_weights(row, weights)
    result: dict[str, Any] = {
        **row.to_json(),
        "seed": seed,
        "published_recipe": not departures,
        "changes": departures,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "hardware": hardware(device),
    }
    try:
        data, tested = _data(row, seed, root, changes)
        network = _network(row, data, weights, changes)
    except (DataError, RunError) as error:
        return result | {"status": "absent", "reason": str(error)}
    try:
        hasher = _train(row, data, network, seed, device, changes, threads, progress)
    except RunError as error:
        return result | {"status": "failed", "reason": str(error), "seconds": _since(started)}
    measured, report = _measure(row, hasher, tested, threads)
    return result | {
        "status": "measured",
        "measured": round(measured, 4),
        "difference": round(measured - row.figure, 4),
        "seconds": _since(started),
        "report": report,
    }


# --- data and weights -----------------------------------------------------------------------------------------------


def _data(row: Row, seed: int, root: str | Path | None, changes: Changes) -> tuple[Protocol, Protocol]:
    """What is trained on and what is measured.

    Raises:
        DataError: files are absent; the message says what to do.
    """
    trained = _load(row.protocol, seed, root)
    tested_on = (row.tested_on or row.protocol).partition(":")[0]
    tested = trained if tested_on == row.protocol else _load(tested_on, seed, root)
    if changes.quick:
        trained = small(trained)
        tested = trained if tested_on == row.protocol else tested
    return trained, tested


def _load(name: str, seed: int, root: str | Path | None) -> Protocol:
    spec = PROTOCOLS[name]
    options = {"download": False} if "download" in spec.options else {}  # a ledger does not fetch gigabytes unasked
    data = load_protocol(name, root=root, seed=seed, **options)
    images = data.pool.images
    if isinstance(images, Paths):
        chosen = [ids[np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).astype(int)] for ids in _roles(data)]
        files = images.rows(np.concatenate(chosen))
        absent = [file for file in files if not file.is_file()]
        if absent:
            raise DataError(f"{len(absent)} of {len(files)} images of {name} are absent: {absent[0]}. {spec.needs}")
    return data


def _roles(data: Protocol) -> list[np.ndarray]:
    return [ids for ids in (data.train, data.query, data.database) if len(ids)]


def small(data: Protocol) -> Protocol:
    """A part of a protocol, evenly spread over each role."""
    if data.ground_truth is not None:
        raise DataError(f"{data.name} lists the relevant items of its queries and has no small part; leave out --quick")

    def part(ids: np.ndarray, count: int) -> np.ndarray:
        chosen: np.ndarray = ids[np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int)]
        return chosen

    train, query, database = (part(np.sort(getattr(data, role)), count) for role, count in QUICK.items())
    return replace(data, name=f"{data.name}-quick", train=train, query=query, database=database)


def _network(row: Row, data: Protocol, weights: str | Path, changes: Changes) -> dict[str, Any]:
    """The backbone in the words of `train`, after a look whether its weights are there.

    Raises:
        RunError: they are absent and cannot be downloaded; the message says what to do.
    """
    from bitseek.training import pick_backbone

    if isinstance(data.pool.images, Features):
        return {}
    name = changes.backbone or row.backbone
    network: dict[str, Any] = {
        "backbone": name,
        "weights": None if str(weights) == "none" or (name == "small-cnn" and weights == "pretrained") else weights,
        "size": changes.size,
        "backbone_options": {**row.backbone_options, **changes.backbone_options},
    }
    pick_backbone(data.pool, name, network["weights"], changes.size, network["backbone_options"])
    return network


def _of_weights(row: Row, weights: str | Path) -> dict[str, Any]:
    """A file is taken for the published network; no weights at all are not."""
    return {"weights": "none"} if str(weights) == "none" and row.backbone not in ("small-cnn", "features") else {}


# --- training and measuring -----------------------------------------------------------------------------------------


def _train(
    row: Row,
    data: Protocol,
    network: Mapping[str, Any],
    seed: int,
    device: str,
    changes: Changes,
    threads: int | None,
    progress: Progress | None,
) -> "Hasher":
    from bitseek.training import train

    recipe = {**row.recipe, **({"epochs": QUICK_EPOCHS} if changes.quick else {}), **changes.recipe}
    return train(
        row.method,
        data,
        bits=row.bits,
        seed=seed,
        frozen=changes.frozen,
        device=device,
        threads=threads,
        progress=progress,
        **network,
        **recipe,
    )


def _measure(row: Row, hasher: "Hasher", tested: Protocol, threads: int | None) -> tuple[float, dict[str, Any]]:
    if tested.ground_truth is not None:
        from bitseek.instances import evaluate_instances

        levels = evaluate_instances(hasher, tested, adapt_batch_norm=row.adapt, threads=threads).to_json()
        level = (row.tested_on or "").partition(":")[2] or "all"
        return float(levels["levels"][level]["mAP"]), levels
    from bitseek.evaluation import evaluate

    report = evaluate(hasher, tested, threads=threads).to_json()
    measured = report["mAP"] if row.measure == "mAP" else report["diagnostics"]["separability"]
    return float(measured), {name: value for name, value in report.items() if name != "precision_recall"}


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
