"""How good a hasher is on a protocol, in numbers that say how they were made."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bitseek import metrics
from bitseek.codes import Codes
from bitseek.data import Protocol
from bitseek.data import protocol as load_protocol
from bitseek.encode import Encoded, Progress, adapt, encode
from bitseek.errors import BitseekError
from bitseek.metrics.average_precision import Denominator
from bitseek.metrics.retrieval import NoHit, RetrievalReport
from bitseek.models.hasher import Hasher

Ranking = Literal["hamming", "asymmetric", "reranked", "ternary"]

PRECISION_AT = (1, 10, 100, 1000)


@dataclass(frozen=True)
class Report:
    """An evaluation: mean average precision with its bounds, what it was made from, and a look at the codes.

    Attributes:
        retrieval: mAP, how it was computed, and the value of every query.
        protocol: description of the split, with its checksum.
        ranking: `hamming`; `asymmetric` (real-valued query against codes); `reranked` (the nearest by Hamming distance,
            ordered anew by that); `ternary` (bits near 0 abstain).
        details: precision at N, within a radius and by radius, the bootstrap interval, and diagnostics of the codes.
        fingerprint: of the hasher.
        unreadable: messages of files that could not be decoded, and so were left out.
    """

    retrieval: RetrievalReport
    protocol: dict[str, Any]
    ranking: Ranking
    details: dict[str, Any]
    fingerprint: str
    unreadable: tuple[str, ...]

    @property
    def mAP(self) -> float:  # noqa: N802
        """Mean average precision, in expectation over ties unless another `ties` was asked for."""
        return self.retrieval.mAP

    @property
    def mAP_best(self) -> float:  # noqa: N802
        """In the most favourable order of ties."""
        return self.retrieval.mAP_best

    @property
    def mAP_worst(self) -> float:  # noqa: N802
        """In the least favourable order of ties."""
        return self.retrieval.mAP_worst

    def to_json(self) -> dict[str, Any]:
        """Everything but the values of single queries, ready for JSON (a number that does not exist is null)."""
        value = {
            **self.retrieval.to_json(),
            "ranking": self.ranking,
            "protocol": self.protocol,
            **self.details,
            "fingerprint": self.fingerprint,
            "unreadable": list(self.unreadable),
        }
        plain: dict[str, Any] = _plain(value)
        return plain


def evaluate(
    hasher: Hasher,
    protocol: str | Protocol,
    *,
    at: int | Literal["protocol"] | None = "protocol",
    denominator: Denominator | None = None,
    ties: Literal["expected", "best", "worst", "stable"] = "expected",
    no_hit: NoHit = "zero",
    radius: int = 2,
    ranking: Ranking = "hamming",
    candidates: int = 1000,
    ternary: float = 0.0,
    adapt_batch_norm: bool = False,
    seed: int = 0,
    root: str | Path | None = None,
    batch_size: int = 128,
    threads: int | None = None,
    progress: Progress | None = None,
    **protocol_options: Any,
) -> Report:
    """Encode the queries and the database of a protocol, and measure.

    Args:
        hasher: images → codes.
        protocol: name of a protocol, or one that is loaded.
        at: R of mAP@R; None for the whole ranking; by default what the protocol says.
        denominator: of AP, see `bitseek.metrics.average_precision`; by default what the protocol says.
        ties: how items at equal distance are ordered.
        no_hit: whether a query without a hit counts as 0 or is left out.
        radius: of the Hamming ball for precision and recall.
        ranking: by Hamming distance; by the inner product of the query's logits with codes (`asymmetric`); by Hamming
            distance with the nearest ones ordered anew by that product (`reranked`); or by the inner product of codes
            whose bits abstain where |logit| is below `ternary`.
        candidates: how many are ordered anew, with all that are tied with the last of them, so that the order of the
            database does not matter.
        ternary: threshold of the ternary ranking, 0 or more.
        adapt_batch_norm: estimate the head's batch norm anew on the database, for images of another kind than those
            of the training.
        seed: of the split, if the protocol is given by name.
        root: folder of the data.
        batch_size: items that go through the network at once.
        threads: how many decode files.
        progress: told after each batch.
        protocol_options: options of the protocol, if it is given by name.

    Raises:
        BitseekError: the protocol does not fit the hasher, or an argument cannot be used.
    """
    data = protocol if isinstance(protocol, Protocol) else load_protocol(
        protocol, root=root, seed=seed, **protocol_options
    )  # fmt: skip
    if data.ground_truth is not None:
        raise BitseekError(
            f"{data.name} lists the relevant items of each query; measure it with bitseek.instances.evaluate_instances"
        )
    if ternary and ranking == "hamming":
        ranking = "ternary"
    if adapt_batch_norm:
        hasher = adapt(hasher, data.pool.images, data.database, batch_size=batch_size, threads=threads)
    wanted = np.union1d(data.query, data.database)
    everything = encode(hasher, data.pool.images, wanted, batch_size=batch_size, threads=threads, progress=progress)
    queries, database = _part(everything, data.query), _part(everything, data.database)
    if not len(queries.ids) or not len(database.ids):
        raise BitseekError(f"none of the images of {data.name} could be read; the first: {_first(everything)}")
    labels = data.pool.labels
    settings: dict[str, Any] = {
        "at": data.at if at == "protocol" else at,
        "denominator": denominator or data.denominator,
        "no_hit": no_hit,
    }
    same: dict[str, Any] = {"query_ids": queries.ids, "database_ids": database.ids} if data.queries_in_database else {}
    counts = metrics.histograms(queries.codes, database.codes, labels[queries.ids], labels[database.ids], **same)
    if ranking != "hamming":
        scores = _scores(queries, database, ranking, candidates, ternary)
        retrieval = metrics.retrieval_by_score(
            scores, labels[queries.ids], labels[database.ids], ties=_no_stable(ties), **settings, **same
        )
    elif ties == "stable":
        retrieval = metrics.retrieval(
            queries.codes, database.codes, labels[queries.ids], labels[database.ids], ties=ties, **settings, **same
        )
    else:
        retrieval = metrics.report_of(counts, ties=ties, **settings)
    details = {
        "interval": _interval(retrieval),
        **_at_ranks(counts, retrieval.database),
        **_by_radius(counts, radius),
        "diagnostics": _diagnostics(hasher, database, labels[database.ids], counts),
    }
    return Report(
        retrieval=retrieval,
        protocol=data.describe(),
        ranking=ranking,
        details=details,
        fingerprint=hasher.fingerprint,
        unreadable=tuple(everything.unreadable[i] for i in sorted(everything.unreadable)),
    )


def _part(everything: Encoded, ids: np.ndarray) -> Encoded:
    """The rows of some items, in their order, without those that could not be read."""
    place = np.searchsorted(everything.ids, ids)
    place = np.minimum(place, max(len(everything.ids) - 1, 0))
    found = everything.ids[place] == ids if len(everything.ids) else np.zeros(len(ids), bool)
    return Encoded(ids[found], everything.logits[place[found]], everything.unreadable)


def _first(everything: Encoded) -> str:
    return next(iter(everything.unreadable.values()), "there are none")


def _scores(
    queries: Encoded, database: Encoded, ranking: Ranking, candidates: int, threshold: float, rows: int = 64
) -> Iterator[np.ndarray]:
    """Scores of all items, higher is nearer, for a block of queries at a time."""
    if candidates < 1 or threshold < 0:
        raise BitseekError(f"candidates is 1 or more and ternary 0 or more, got {candidates} and {threshold}")
    signs = database.codes.to_signs().astype(np.float32)
    if ranking == "ternary":
        left, right = _ternary(queries.logits, threshold), _ternary(database.logits, threshold)
    else:
        left, right = queries.logits, signs
    asked = queries.codes.to_signs().astype(np.float32)
    for start in range(0, len(left), rows):
        scores = left[start : start + rows] @ right.T
        if ranking == "reranked":
            distances = ((signs.shape[1] - asked[start : start + rows] @ signs.T) / 2).astype(np.int64)
            scores = np.stack([_reranked(d, s, candidates) for d, s in zip(distances, scores, strict=True)])
        yield scores


def _reranked(distances: np.ndarray, scores: np.ndarray, candidates: int) -> np.ndarray:
    last = min(candidates, len(distances)) - 1
    ids = np.flatnonzero(distances <= np.partition(distances, last)[last])
    return metrics.reranked(distances, ids, scores[ids])


def _ternary(logits: np.ndarray, threshold: float) -> np.ndarray:
    """−1, 0 or +1: 0 where |logit| is below the threshold."""
    signs = np.where(logits >= 0, np.float32(1), np.float32(-1))
    return np.where(np.abs(logits) < threshold, np.float32(0), signs)


def _no_stable(ties: str) -> Any:
    if ties == "stable":
        raise BitseekError("ties='stable' is for Hamming rankings; choose expected, best or worst")
    return ties


def _interval(retrieval: RetrievalReport) -> dict[str, float]:
    interval = retrieval.interval()
    return {"low": interval.low, "high": interval.high, "level": interval.level}


def _at_ranks(counts: metrics.Histograms, database: int) -> dict[str, Any]:
    """Precision and recall at the usual numbers of ranks, by Hamming distance, ties in expectation."""
    ranks = [n for n in PRECISION_AT if n <= database]
    return {
        "precision_at": {
            str(n): float(metrics.precision_at(counts.total, counts.relevant, n).mean()) for n in ranks
        },
        "recall_at": {
            str(n): float(np.nanmean(metrics.recall_at(counts.total, counts.relevant, n)))
            if counts.relevant.any() else math.nan
            for n in ranks
        },
    }  # fmt: skip


def _by_radius(counts: metrics.Histograms, radius: int) -> dict[str, Any]:
    ball = metrics.within_radius(counts.total, counts.relevant, radius)
    curve = metrics.precision_recall(counts.total, counts.relevant)
    return {
        "within_radius": {"radius": radius, "empty_ball": "precision 0", **ball.means()},
        "precision_recall": {"precision": curve.precision.tolist(), "recall": curve.recall.tolist()},
    }


def _diagnostics(
    hasher: Hasher, database: Encoded, labels: np.ndarray, counts: metrics.Histograms
) -> dict[str, float | None]:
    """What the codes of the database look like from inside."""
    codes = database.codes
    distances = metrics.pair_distances(counts) if labels.ndim == 2 else metrics.class_distances(codes, labels)
    correlation = metrics.bit_correlation(codes)
    off_diagonal = correlation[~np.eye(codes.bits, dtype=bool)]
    found: dict[str, float | None] = {
        "bit_imbalance": float(np.abs(metrics.bit_balance(codes) - 0.5).mean()),
        "bit_correlation": float(np.abs(off_diagonal).mean()) if len(off_diagonal) else 0.0,
        "quantisation_error": float(metrics.quantisation_error(database.logits).mean()),
        "intra_class_distance": distances.intra,
        "inter_class_distance": distances.inter,
        "separability": distances.separability,
        "codeword_accuracy": None,
    }
    if hasher.codewords is not None and (labels.any(axis=1).any() if labels.ndim == 2 else (labels >= 0).any()):
        words = Codes.from_bits(hasher.codewords.cpu().numpy())
        if len(words) == (labels.shape[1] if labels.ndim == 2 else max(int(labels.max()) + 1, len(words))):
            found["codeword_accuracy"] = metrics.codeword_accuracy(codes, words, labels)
    return found


def _plain(value: Any) -> Any:
    """Nested dictionaries and lists with NaN, which JSON does not have, as None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
