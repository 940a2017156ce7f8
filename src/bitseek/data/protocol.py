"""A protocol: a data set, and which of its items train, ask and are searched."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from bitseek.atomic import atomic
from bitseek.data.pool import Pool
from bitseek.errors import DataError

ROLES = ("train", "query", "database")

Denominator = Literal["retrieved", "relevant", "min"]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Relevance that is listed for each query, where a shared label does not say it.

    Args:
        positives: for each level (`easy`, `medium`, `hard`; or `all`), for each query in the order of
            `Protocol.query`, the pool indices of the relevant items.
        ignored: the same for items that are taken out of the ranking before it is judged.
        ap: `standard`, or `revisited` for the trapezoidal AP of revisited Oxford and Paris.
    """

    positives: Mapping[str, tuple[Int64[np.ndarray, " _"], ...]]
    ignored: Mapping[str, tuple[Int64[np.ndarray, " _"], ...]]
    ap: Literal["standard", "revisited"] = "standard"


@dataclass(frozen=True, eq=False)
class Protocol:
    """A named split of a pool into train, query and database.

    A database item is relevant to a query if they share a label (an item without labels to nothing), unless there
    is a `ground_truth`. The id of an item is its index into the pool: a query that is also in the database is to be
    left out of its own ranking by id.

    Args:
        name: as `bitseek.data.protocol` takes it.
        pool: every item.
        train: (m,) int64 indices into the pool; none for a protocol that only measures.
        query: as train; no query may be in train.
        database: as train.
        at: R of mAP@R; None for all of the database.
        seed: what the split was drawn from; None if nothing was drawn.
        denominator: of AP, as the protocol's own papers have it; see `bitseek.metrics`.
        ground_truth: relevance by lists instead of labels.

    Raises:
        DataError: an index outside of the pool or twice in a role, no queries or no database, or queries among the
            training items (with their number).
    """

    name: str
    pool: Pool
    train: np.ndarray
    query: np.ndarray
    database: np.ndarray
    at: int | None = None
    seed: int | None = None
    denominator: Denominator = "retrieved"
    ground_truth: GroundTruth | None = None

    def __post_init__(self) -> None:
        for role in ROLES:
            ids = getattr(self, role)
            if ids.ndim != 1 or ids.dtype != np.int64:
                raise DataError(f"{self.name}: {role} is (m,) int64 indices, got {ids.shape} {ids.dtype}")
            if len(ids) and not (ids.min() >= 0 and ids.max() < len(self.pool)):
                raise DataError(f"{self.name}: {role} has indices outside of the pool of {len(self.pool)} items")
            if twice := len(ids) - len(np.unique(ids)):
                raise DataError(f"{self.name}: {twice} items are in {role} more than once")
            if not len(ids) and role != "train":
                raise DataError(f"{self.name}: there are no items in {role}")
        leaks = np.intersect1d(self.query, self.train)
        if len(leaks):
            raise DataError(
                f"{self.name}: {len(leaks)} of {len(self.query)} queries are training items, the first is "
                f"{self.pool.key(leaks[0])!r}; a measurement on them would say nothing, so take them out of one "
                "of the two"
            )
        if self.at is not None and self.at < 1:
            raise DataError(f"{self.name}: at is 1 or more, or None for all of the database, got {self.at}")

    @property
    def multi_label(self) -> bool:
        """Whether an item may have several labels."""
        return self.pool.multi_label

    @cached_property
    def queries_in_database(self) -> int:
        """How many queries are also in the database, and so are left out of their own ranking by id."""
        return len(np.intersect1d(self.query, self.database))

    @cached_property
    def role_checksums(self) -> dict[str, str]:
        """For each of train, query and database: sha256 over the sorted lines `key TAB labels` of its items.

        Labels are written as the class index, or as the multi-hot row packed to hexadecimal digits.
        """
        labels = self.pool.labels
        digests = {}
        for role in ROLES:
            ids = getattr(self, role)
            if self.multi_label:
                words = [row.tobytes().hex() for row in np.packbits(labels[ids], axis=1)]
            else:
                words = [str(label) for label in labels[ids].tolist()]
            lines = sorted(f"{key}\t{word}\n" for key, word in zip(self.pool.keys_of(ids), words, strict=True))
            digests[role] = hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
        return digests

    @cached_property
    def checksum(self) -> str:
        """sha256 over the items of the split and their labels: the same on every machine, in every order."""
        lines = "".join(f"{role} {digest}\n" for role, digest in self.role_checksums.items())
        return hashlib.sha256(lines.encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """What a report says about the split; ready for JSON."""
        unlabelled = self.pool.unlabelled
        return {
            "name": self.name,
            "classes": len(self.pool.classes),
            "multi_label": self.multi_label,
            "train": len(self.train),
            "query": len(self.query),
            "database": len(self.database),
            "unlabelled": {role: int(unlabelled[getattr(self, role)].sum()) for role in ROLES},
            "queries_in_database": self.queries_in_database,
            "train_in_database": len(np.intersect1d(self.train, self.database)),
            "at": self.at,
            "denominator": self.denominator,
            "seed": self.seed,
            "checksum": self.checksum,
        }

    def save_split(self, path: str | os.PathLike[str]) -> None:
        """Write the split (not the data) as JSON: name, seed, checksum and the three index lists.

        Raises:
            BitseekError: the file cannot be written.
        """
        split = {"name": self.name, "at": self.at, "seed": self.seed, "checksum": self.checksum}
        split |= {role: getattr(self, role).tolist() for role in ROLES}
        with atomic(path) as part:
            part.write_text(json.dumps(split), encoding="utf-8")


def load_split(path: str | os.PathLike[str], pool: Pool) -> Protocol:
    """The protocol that `Protocol.save_split` wrote, on the same pool.

    Raises:
        DataError: no such file, another kind of file, or a pool that does not give the checksum stored.
    """
    try:
        split = json.loads(Path(path).read_text(encoding="utf-8"))
        train, query, database = (np.asarray(split[role], np.int64) for role in ROLES)
        loaded = Protocol(split["name"], pool, train, query, database, at=split["at"], seed=split["seed"])
        stored = split["checksum"]
    except DataError as error:
        raise DataError(f"{os.fspath(path)} does not fit the data: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(f"{os.fspath(path)} is not a split that save_split wrote: {error}") from error
    if loaded.checksum != stored:
        raise DataError(
            f"{os.fspath(path)} was drawn from other data: its checksum is {stored}, this pool gives {loaded.checksum}"
        )
    return loaded
