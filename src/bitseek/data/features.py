"""`features:FILE.npz`: features computed before, with their labels and split, so that a head trains in seconds."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from bitseek.data.pool import Features, Pool
from bitseek.data.protocol import ROLES, Protocol
from bitseek.data.spec import ProtocolSpec
from bitseek.errors import BitseekError, DataError
from bitseek.npz import read_npz, write_npz

NEEDS = (
    "Give an .npz file with features (n, D) float32, labels (n,) integers or (n, C) multi-hot, and the index arrays "
    "train, query, database; `bitseek features` writes one"
)


def save_features(path: str | os.PathLike[str], protocol: Protocol, features: Float32[np.ndarray, "n D"]) -> None:
    """Write features of a protocol's whole pool, with its labels, names and split; atomically.

    What `load` makes of it has the checksum of `protocol`.

    Args:
        path: the .npz file.
        protocol: whose split goes with them.
        features: (n, D) float32, one row for each item of `protocol.pool`.

    Raises:
        DataError: another number of rows, or a protocol with relevance lists.
        BitseekError: the file cannot be written.
    """
    pool = protocol.pool
    if len(features) != len(pool):
        raise DataError(f"the pool of {protocol.name} has {len(pool)} items, got features of {len(features)}")
    if protocol.ground_truth is not None:
        raise DataError(f"{protocol.name} has relevance lists, which a file of features cannot hold")
    arrays: dict[str, Any] = {role: getattr(protocol, role) for role in ROLES}
    arrays |= {"features": features, "labels": pool.labels, "classes": np.array(pool.classes, np.str_)}
    arrays |= {"name": protocol.name, "keys": np.array(pool.keys_of(), np.str_)}
    arrays |= {"at": protocol.at or 0, "seed": -1 if protocol.seed is None else protocol.seed}
    arrays |= {"denominator": protocol.denominator}
    write_npz(path, **arrays)


def load(path: Path, seed: int, at: int | None = None) -> Protocol:
    """The protocol of a file of features; nothing is drawn.

    Args:
        path: the .npz file; see `save_features`. Only features, labels, train, query and database must be there.
        seed: not used.
        at: R of mAP@R; None for what the file says, which by default is all.
    """
    try:
        arrays = read_npz(path)
    except BitseekError as error:
        raise DataError(f"{error}. {NEEDS}") from error
    absent = [name for name in ("features", "labels", *ROLES) if name not in arrays]
    if absent:
        raise DataError(f"{path} has no array {', '.join(absent)}. {NEEDS}")
    features = arrays["features"]
    if not np.issubdtype(features.dtype, np.floating):
        raise DataError(f"{path}: features are real numbers, got {features.dtype}. {NEEDS}")
    labels, width = _labels(path, arrays["labels"])
    classes = tuple(arrays["classes"].tolist()) if "classes" in arrays else tuple(str(c) for c in range(width))
    keys = tuple(arrays["keys"].tolist()) if "keys" in arrays else None
    pool = Pool(Features((features.astype(np.float32, copy=False),)), labels, classes, keys)
    stored_seed = int(arrays.get("seed", -1))
    train, query, database = (_indices(path, role, arrays[role]) for role in ROLES)
    return Protocol(
        str(arrays["name"]) if "name" in arrays else f"features:{path}",
        pool,
        train,
        query,
        database,
        at=at or int(arrays.get("at", 0)) or None,
        seed=None if stored_seed < 0 else stored_seed,
        denominator=str(arrays.get("denominator", "retrieved")),  # type: ignore[arg-type]
    )


def _labels(path: Path, labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels as a pool has them, and the number of classes that they need."""
    if labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer):
        return labels.astype(np.int64), int(labels.max(initial=-1)) + 1
    if labels.ndim == 2 and ((labels == 0) | (labels == 1)).all():
        return labels.astype(np.bool_), labels.shape[1]
    raise DataError(f"{path}: labels are (n,) integers or (n, C) of 0 and 1, got {labels.shape} {labels.dtype}")


def _indices(path: Path, role: str, indices: np.ndarray) -> np.ndarray:
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise DataError(f"{path}: {role} is (m,) integers, the rows of its items, got {indices.shape} {indices.dtype}")
    return indices.astype(np.int64)


SPECS = (
    ProtocolSpec(
        name="features",
        argument="FILE.npz",
        summary="features, labels and split in one file, as `bitseek features` writes it",
        citation="your own data",
        sizes=None,
        at=None,
        needs=NEEDS,
        load=load,
    ),
)
