"""`features:FILE.npz`: features computed before, with their labels and split, so that a head trains in seconds."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from bitseek._files import read_npz, write_npz
from bitseek.data._pool import Pool
from bitseek.data._protocol import ROLES, Protocol
from bitseek.data._spec import CutOff, ProtocolSpec
from bitseek.errors import BitseekError, DataError
from bitseek.images import Features, as_features
from bitseek.labels import Labels


def save_features(
    path: str | os.PathLike[str],
    protocol: Protocol,
    features: Float32[np.ndarray, "n D"],
    backbone: dict[str, Any] | None = None,
) -> None:
    """Write features of a protocol's whole pool, with its labels, names and split; atomically.

    What `load` makes of it has the checksum of `protocol`.

    Args:
        path: the .npz file.
        protocol: whose split goes with them.
        features: (n, D) float32, one row for each item of `protocol.pool`.
        backbone: what computed them (name, options, weights and their digest, preprocessing), values that JSON can
            hold; a head that is trained on the features can then take images, too.

    Raises:
        ShapeError: features of another shape or type, or NaN or infinite.
        DataError: another number of rows, or a protocol with relevance lists.
        BitseekError: the file cannot be written.
    """
    pool, features = protocol.pool, as_features(features)
    if len(features) != len(pool):
        raise DataError(f"the pool of {protocol.name} has {len(pool)} items, got features of {len(features)}")
    if protocol.lists is not None:
        raise DataError(f"{protocol.name} has relevance lists, which a file of features cannot hold")
    try:
        described = json.dumps(backbone)
    except (TypeError, ValueError) as error:
        raise DataError(f"the backbone is described by what JSON can hold: {error}") from error
    arrays: dict[str, Any] = {role: getattr(protocol, role) for role in ROLES}
    arrays |= {"features": features, "labels": pool.labels.numbers if pool.labels.single else pool.labels.multi_hot()}
    arrays |= {"classes": np.array(pool.classes, np.str_), "keys": np.array(pool.keys_of(), np.str_)}
    arrays |= {"name": protocol.name, "pool": pool.name, "mirror": pool.mirror, "backbone": described}
    arrays |= {"k": protocol.k or 0, "seed": -1 if protocol.seed is None else protocol.seed}
    arrays |= {"denominator": protocol.denominator}
    write_npz(path, **arrays)


def load(spec: ProtocolSpec, path: Path, seed: int, k: CutOff = None) -> Protocol:
    """The protocol of a file of features; nothing is drawn.

    Args:
        spec: of this protocol.
        path: the .npz file; see `save_features`. Only features, labels, train, query and database must be there.
        seed: not used.
        k: the cut-off of mAP@k; None for what the file says, which by default is all.
    """
    try:
        arrays = read_npz(path)
    except BitseekError as error:
        raise DataError(f"{error}. {spec.needs}") from error
    absent = [name for name in ("features", "labels", *ROLES) if name not in arrays]
    if absent:
        raise DataError(f"{path} has no array {', '.join(absent)}. {spec.needs}")
    try:
        labels = Labels.of(arrays["labels"])
        said = {name: arrays[name].item() for name in _SAID if name in arrays}
        if odd := [name for name, value in said.items() if type(value) is not _SAID[name]]:
            raise ValueError(f"{odd[0]} cannot be {said[odd[0]]!r:.80}")
        classes = tuple(arrays["classes"].tolist()) if "classes" in arrays else tuple(map(str, range(labels.classes)))
        keys = tuple(arrays["keys"].tolist()) if "keys" in arrays else None
        backbone = json.loads(said.get("backbone", "null"))
        if not isinstance(backbone, dict | None):
            raise ValueError("the backbone is described by a JSON object")
        name, seed = said.get("name", f"features:{path}"), said.get("seed", -1)
        images = Features((as_features(arrays["features"]),), backbone)
        pool = Pool(images, labels, classes, keys, said.get("mirror", True), said.get("pool", name))
        return Protocol(
            name,
            pool,
            arrays["train"],
            arrays["query"],
            arrays["database"],
            k=k or said.get("k", 0) or None,
            seed=None if seed < 0 else seed,
            denominator=said.get("denominator", "retrieved"),
        )
    except (BitseekError, ValueError, TypeError) as error:
        raise DataError(f"{path}: {error}") from error


_SAID = {"name": str, "pool": str, "mirror": bool, "backbone": str, "k": int, "seed": int, "denominator": str}
"""Optional arrays without axes, and what they hold."""
