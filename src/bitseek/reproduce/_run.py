"""Running a row: train as its table says, measure, and put the figure beside the published one."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bitseek.data import PROTOCOLS, ROLES, Protocol, load_protocol
from bitseek.errors import DataError, RunError
from bitseek.images import Features, Paths
from bitseek.reproduce._place import commit, hardware
from bitseek.reproduce._rows import Row

if TYPE_CHECKING:
    from bitseek.runs import Hasher

STATUS = ("measured", "absent", "failed")

SAMPLE = 50
"""So many images of each role are looked for before a training begins."""

QUICK = {"train": 500, "query": 100, "database": 2000}
QUICK_EPOCHS = 2


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
        changed = {name: value for name, value in vars(self).items() if value}
        if self.quick:
            changed["quick"] = {"epochs": QUICK_EPOCHS, **QUICK}
        return changed


def reproduce(
    row: Row,
    *,
    seed: int = 0,
    root: str | Path | None = None,
    weights: str | Path | None = "auto",
    device: str = "auto",
    changes: Changes | None = None,
    threads: int | None = None,
    progress: Callable[[Mapping[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Run one row.

    Args:
        row: see `find`.
        seed: of the split, the weights, the codebook and the order.
        root: folder of the data.
        weights: of the backbone: `auto` for pretrained ones (downloaded) where the network has them, a file, or
            `none`, which departs from every recipe that has a published network.
        device: where to compute.
        changes: what to do otherwise than published.
        threads: how many decode files.
        progress: called twice a second with how far the training is.

    Returns:
        what the row says, with `status`: `measured` (and then `measured`, `difference`, `report` and the
        `environment` of the run), `absent` (data or weights: `reason` says what to do) or `failed` (the training
        diverged); with `published_recipe`, whether it was followed, and `changes`; seed, date, seconds, hardware and
        commit.

    Raises:
        BitseekError: a change that does not fit the row.
    """
    changes = changes or Changes()
    started = time.perf_counter()
    random_weights = weights in (None, "none") and row.backbone not in ("small-cnn", "features")
    departures = changes.describe() | ({"weights": "none"} if random_weights else {})
    result: dict[str, Any] = {
        **row.to_json(),
        "seed": seed,
        "published_recipe": not departures,
        "changes": departures,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "hardware": hardware(),
    }
    try:
        trained, tested = _protocols(row, seed, root, changes.quick)
        network = _network(row, trained, weights, changes)
    except (DataError, RunError) as error:
        return result | {"status": "absent", "reason": str(error)}
    from bitseek.methods import make_recipe, method_class
    from bitseek.training import train

    given = {**row.recipe, **({"epochs": QUICK_EPOCHS} if changes.quick else {}), **changes.recipe}
    recipe = make_recipe(method_class(row.method), given).model_dump()  # published, also where a head alone is trained
    settings = network | {"seed": seed, "device": device, "threads": threads, "progress": progress}
    try:
        hasher = train(row.method, trained, bits=row.bits, **settings, **recipe)
    except RunError as error:
        return result | {"status": "failed", "reason": str(error), "seconds": round(time.perf_counter() - started, 3)}
    measured, report = _measure(row, hasher, tested, threads)
    return result | {
        "status": "measured",
        "measured": round(measured, 4),
        "difference": round(measured - row.figure, 4),
        "seconds": round(time.perf_counter() - started, 3),
        "environment": hasher.config.environment if hasher.config else {},
        "report": report,
    }


def _protocols(row: Row, seed: int, root: str | Path | None, quick: bool) -> tuple[Protocol, Protocol]:
    """The protocol that is trained on, and the one that is measured.

    Raises:
        DataError: files are absent; the message says what to do.
    """
    trained = _load(row.protocol, seed, root)
    trained = small(trained) if quick else trained
    tested_on, _ = row.measured_on
    return trained, trained if tested_on == row.protocol else _load(tested_on, seed, root)


def _load(name: str, seed: int, root: str | Path | None) -> Protocol:
    spec = PROTOCOLS[name]
    options = {"download": False} if "download" in spec.options else {}  # a ledger does not fetch gigabytes unasked
    data = load_protocol(name, root=root, seed=seed, **options)
    images = data.pool.images
    if isinstance(images, Paths):
        files = images.rows(np.concatenate([_evenly(getattr(data, role), SAMPLE) for role in ROLES]))
        absent = [file for file in files if not file.is_file()]
        if absent:
            raise DataError(f"{len(absent)} of {len(files)} images of {name} are absent: {absent[0]}. {spec.needs}")
    return data


def small(data: Protocol) -> Protocol:
    """A part of a protocol, evenly spread over each role.

    Raises:
        DataError: its relevance is listed, so most of the listed items would be missing.
    """
    if data.lists is not None:
        raise DataError(f"{data.name} lists the relevant items of its queries and has no small part; leave out --quick")
    part: dict[str, Any] = {role: _evenly(np.sort(getattr(data, role)), count) for role, count in QUICK.items()}
    return replace(data, name=f"{data.name}-quick", origin=None, **part)


def _evenly(ids: np.ndarray, count: int) -> np.ndarray:
    chosen: np.ndarray = ids[np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int)]
    return chosen


def _network(row: Row, data: Protocol, weights: str | Path | None, changes: Changes) -> dict[str, Any]:
    """The backbone as arguments of `train`, after it was built once to see that its weights are there.

    Raises:
        RunError: they are absent and cannot be downloaded; the message says what to do.
    """
    from bitseek.training import pick_backbone

    if isinstance(data.pool.images, Features):
        return {}
    name = changes.backbone or row.backbone
    options = {**row.backbone_options, **changes.backbone_options}
    weights = "auto" if weights == "pretrained" else weights  # small-cnn is trained from scratch
    pick_backbone(data.pool, name, weights, changes.size, options)
    settings = {"backbone": name, "weights": weights, "size": changes.size, "backbone_options": options}
    return settings | {"frozen": changes.frozen}


def _measure(row: Row, hasher: "Hasher", tested: Protocol, threads: int | None) -> tuple[float, dict[str, Any]]:
    """The figure, and the whole report without its curve."""
    from bitseek.evaluation import evaluate

    report = evaluate(hasher, tested, adapt_batch_norm=row.adapt, threads=threads)
    _, level = row.measured_on
    figure = report.levels[level].mAP if level else report.mAP
    if row.measure == "separability":
        figure = report.diagnostics["separability"] or math.nan
    return figure, {name: value for name, value in report.to_json().items() if name != "precision_recall"}
