"""All that a page shows about a run: what was trained, its codes of one protocol, and how well they rank."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from bitseek import metrics
from bitseek.codes import Codes
from bitseek.data import Protocol
from bitseek.data import protocol as load_protocol
from bitseek.encode import Encoded, Progress, encode
from bitseek.errors import BitseekError
from bitseek.metrics.average_precision import Denominator
from bitseek.metrics.retrieval import RetrievalReport, assemble
from bitseek.run import METRICS, load, read_config


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found.

    Attributes:
        run: the run folder.
        config: of the run.
        history: what was logged after each epoch; nothing for a method that is fitted in one go.
        protocol: on which the hasher was looked at.
        queries: encoded, without unreadable images.
        database: encoded, likewise.
        level: which of the protocol's lists say what is relevant; None where labels say it.
        counts: of the database by distance and relevance; None where nothing is known to be relevant.
        retrieval: mAP and what it was made from; None likewise.
        fingerprint: of the hasher.
    """

    run: Path
    config: dict[str, Any]
    history: list[dict[str, Any]]
    protocol: Protocol
    queries: Encoded
    database: Encoded
    level: str | None
    counts: metrics.Histograms | None
    retrieval: RetrievalReport | None
    fingerprint: str

    @property
    def unreadable(self) -> dict[int, str]:
        """Message of each image that could not be decoded, by its index into the pool."""
        return self.queries.unreadable

    @cached_property
    def codes(self) -> Codes:
        """Of the database."""
        return self.database.codes

    @cached_property
    def query_codes(self) -> Codes:
        """Of the queries."""
        return self.queries.codes

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, none if no item of the database has a label."""
        unlabelled = self.protocol.pool.unlabelled[self.database.ids]
        return () if unlabelled.all() else self.protocol.pool.classes

    def labels(self, ids: np.ndarray | None = None) -> Shaped[np.ndarray, "m ..."]:
        """Labels of items by their index into the pool, of the database if none are given: integers or multi-hot."""
        return np.asarray(self.protocol.pool.labels[self.database.ids if ids is None else ids])

    def relevant(self, query: int) -> Bool[np.ndarray, " n"]:
        """Which items of the database are relevant to the query of that place."""
        truth = self.protocol.ground_truth
        if truth is not None and self.level is not None:
            return np.isin(self.database.ids, truth.positives[self.level][self._listed(query)])
        own = self.labels(self.queries.ids[query : query + 1])[0]
        if self.protocol.multi_label:
            return np.asarray(self.labels()[:, own].any(axis=1))
        return np.asarray((self.labels() == own) & (own >= 0))

    def excluded(self, query: int) -> Bool[np.ndarray, " n"]:
        """Which items of the database are left out for the query of that place: itself, and what its lists ignore."""
        truth = self.protocol.ground_truth
        out = np.asarray(self.database.ids == self.queries.ids[query])
        if truth is not None and self.level is not None:
            out |= np.isin(self.database.ids, truth.ignored[self.level][self._listed(query)])
        return out

    def _listed(self, query: int) -> int:
        """The place of a query among all queries of the protocol, read or not."""
        return int(np.flatnonzero(self.protocol.query == self.queries.ids[query])[0])


def look(
    run: str | os.PathLike[str],
    protocol: str | Protocol | None = None,
    *,
    at: int | str | None = "protocol",
    denominator: Denominator | None = None,
    seed: int | None = None,
    root: str | Path | None = None,
    device: str = "cpu",
    batch_size: int = 128,
    threads: int | None = None,
    progress: Progress | None = None,
    **protocol_options: Any,
) -> Findings:
    """Encode a protocol with the hasher of a run, and rank.

    Args:
        run: a run folder.
        protocol: name of a protocol, or one that is loaded; that of the training if not given.
        at: R of mAP@R; None for all; by default what the protocol says.
        denominator: of AP, see `bitseek.metrics.average_precision`; by default what the protocol says.
        seed: of the split; that of the training if not given.
        root: folder of the data.
        device: where to compute.
        batch_size: items that go through the network at once.
        threads: how many decode files.
        progress: told after each batch.
        protocol_options: options of the protocol; those of the training if neither they nor a protocol are given.

    Raises:
        BitseekError: not a run, or a protocol that does not fit it.
    """
    config = read_config(run)
    if isinstance(protocol, Protocol):
        data = protocol
    else:
        options = {} if protocol else dict(config["protocol_options"])
        data = load_protocol(
            protocol or config["protocol"],
            root=root,
            seed=config["seed"] if seed is None else seed,
            **{**options, **protocol_options},
        )
    hasher = load(run, device=device)
    wanted = np.union1d(data.query, data.database)
    everything = encode(hasher, data.pool.images, wanted, batch_size=batch_size, threads=threads, progress=progress)
    queries, database = _part(everything, data.query), _part(everything, data.database)
    if not len(queries.ids) or not len(database.ids):
        first = next(iter(everything.unreadable.values()), "there are none")
        raise BitseekError(f"no queries or no database of {data.name} could be read; the first: {first}")
    settings = {"at": data.at if at == "protocol" else at, "denominator": denominator or data.denominator}
    level = None if data.ground_truth is None else _level(tuple(data.ground_truth.positives))
    counts = _count(data, queries, database, level)
    return Findings(
        run=Path(run),
        config=config,
        history=read_history(run),
        protocol=data,
        queries=queries,
        database=database,
        level=level,
        counts=counts,
        retrieval=None if counts is None else _rank(data, counts, settings),
        fingerprint=hasher.fingerprint,
    )


def read_history(run: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """What a training logged after each epoch; a line that a kill has cut is left out."""
    path = Path(run) / METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    history = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "epoch" in record:
            history.append(record)
    return history


def _part(everything: Encoded, ids: np.ndarray) -> Encoded:
    """The rows of some items, in their order, without those that could not be read."""
    read = ids[np.isin(ids, everything.ids)]
    return Encoded(read, everything.logits[np.searchsorted(everything.ids, read)], everything.unreadable)


def _level(levels: tuple[str, ...]) -> str:
    """Of easy, medium and hard the middle one, which most papers compare; else the only one there is."""
    return "medium" if "medium" in levels else levels[0]


def _count(data: Protocol, queries: Encoded, database: Encoded, level: str | None) -> metrics.Histograms | None:
    if data.ground_truth is not None and level is not None:
        listed = np.flatnonzero(np.isin(data.query, queries.ids))
        positives, ignored = (
            [np.flatnonzero(np.isin(database.ids, lists[level][q])) for q in listed]
            for lists in (data.ground_truth.positives, data.ground_truth.ignored)
        )
        return metrics.histograms_of_lists(queries.codes, database.codes, positives, ignored)
    labels, same = data.pool.labels, {}
    if data.pool.unlabelled[queries.ids].all() or data.pool.unlabelled[database.ids].all():
        return None
    if data.queries_in_database:
        same = {"query_ids": queries.ids, "database_ids": database.ids}
    return metrics.histograms(queries.codes, database.codes, labels[queries.ids], labels[database.ids], **same)


def _rank(data: Protocol, counts: metrics.Histograms, settings: dict[str, Any]) -> RetrievalReport:
    if data.ground_truth is None or data.ground_truth.ap == "standard":
        return metrics.report_of(counts, **settings)
    values = {order: metrics.trapezoid(counts.total, counts.relevant, order) for order in ("expected", "best", "worst")}
    has = counts.relevant.sum(axis=1) > 0
    return assemble(
        {order: np.where(has, value, 0.0) for order, value in values.items()},
        ties="expected",
        hit=has,
        no_hit="skip",
        at=None,
        denominator="relevant",
        database=counts.database,
        bits=counts.bits,
        queries_without_relevant=int((~has).sum()),
        excluded=counts.excluded,
    )
