"""Instance-level retrieval: the relevant items of a query are listed, not told by a class.

Google Landmarks v2 (mAP@100) and revisited Oxford and Paris (mAP and mP@k for Easy, Medium and Hard).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bitseek import metrics
from bitseek.data import Protocol
from bitseek.encode import Progress, adapt, encode
from bitseek.errors import BitseekError
from bitseek.models.hasher import Hasher

PRECISION_AT = (1, 5, 10)


@dataclass(frozen=True)
class InstanceReport:
    """An evaluation against lists.

    Attributes:
        levels: for each level (`easy`, `medium`, `hard`; or `all`): mAP with its bounds over ties, the number of
            queries that count, and for the revisited sets mean precision at 1, 5 and 10.
        protocol: description of the split, with its checksum.
        bits: length of the codes.
        fingerprint: of the hasher.
    """

    levels: dict[str, dict[str, Any]]
    protocol: dict[str, Any]
    bits: int
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "levels": self.levels,
            "protocol": self.protocol,
            "bits": self.bits,
            "fingerprint": self.fingerprint,
        }


def evaluate_instances(
    hasher: Hasher,
    data: Protocol,
    *,
    adapt_batch_norm: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> InstanceReport:
    """Measure a hasher on a protocol that lists the relevant items of each query.

    Args:
        hasher: images (or stored descriptors) → codes.
        data: a protocol with a `ground_truth`.
        adapt_batch_norm: estimate the head's batch norm anew on the database.
        threads: how many decode files.
        progress: told after each batch.

    Raises:
        BitseekError: the protocol has no lists, or an image cannot be read (the lists would not fit any more).
    """
    truth = data.ground_truth
    if truth is None:
        raise BitseekError(f"{data.name} has no lists of relevant items; measure it with bitseek.evaluate")
    images = data.pool.images
    if adapt_batch_norm:
        hasher = adapt(hasher, images, data.database, threads=threads)
    queries = encode(hasher, images, data.query, threads=threads)
    database = encode(hasher, images, data.database, threads=threads, progress=progress)
    for encoded in (queries, database):
        if encoded.unreadable:
            raise BitseekError(f"an image of {data.name} cannot be read: {next(iter(encoded.unreadable.values()))}")
    place = np.full(len(data.pool), -1, np.int64)
    place[data.database] = np.arange(len(data.database))
    levels = {}
    for level, positives in truth.positives.items():
        lists = [
            [places[places >= 0] for places in (place[ids] for ids in of)] for of in (positives, truth.ignored[level])
        ]
        counts = metrics.histograms_of_lists(queries.codes, database.codes, *lists)
        levels[level] = _revisited(counts) if truth.ap == "revisited" else _standard(counts, data)
    return InstanceReport(levels, data.describe(), hasher.bits, hasher.fingerprint)


def _standard(counts: metrics.Histograms, data: Protocol) -> dict[str, Any]:
    report = metrics.report_of(counts, at=data.at, denominator=data.denominator)
    return report.to_json()


def _revisited(counts: metrics.Histograms) -> dict[str, Any]:
    """Queries without a positive at this level are left out."""
    kept = counts.relevant.sum(axis=1) > 0
    total, relevant = counts.total[kept], counts.relevant[kept]
    if not len(total):
        raise BitseekError("no query has a relevant item at this level")
    orders = {"mAP": "expected", "mAP_best": "best", "mAP_worst": "worst"}
    value: dict[str, Any] = {
        name: float(metrics.trapezoid(total, relevant, ties).mean())  # type: ignore[arg-type]
        for name, ties in orders.items()
    }
    value |= {f"mP@{k}": float(metrics.precision_to_last(total, relevant, k).mean()) for k in PRECISION_AT}
    return value | {"queries": int(kept.sum()), "queries_without_relevant": int((~kept).sum())}
