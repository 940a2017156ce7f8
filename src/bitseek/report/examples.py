"""Queries to look at: those that rank best and worst, with what lies nearest to them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from bitseek.report.findings import Findings


@dataclass(frozen=True, eq=False)
class Example:
    """One query with its nearest items.

    Attributes:
        query: index into the pool.
        ap: average precision of the query; None where nothing is known to be relevant.
        relevant: how many items of the database are relevant; None likewise.
        ids: of the nearest items, indices into the pool; items at equal distance in the order of the database.
        distances: to them, in bits.
        right: whether each is relevant; None where nothing is known.
    """

    query: int
    ap: float | None
    relevant: int | None
    ids: Int64[np.ndarray, " k"]
    distances: Int64[np.ndarray, " k"]
    right: Bool[np.ndarray, " k"] | None


def best(findings: Findings, n: int, hits: int) -> list[Example]:
    """The n queries of highest average precision, each of another class first: perfect ones are often many."""
    return [example(findings, q, hits) for q in _spread(findings, _ranked(findings)[::-1])[:n]]


def worst(findings: Findings, n: int, hits: int) -> list[Example]:
    """The n queries of lowest average precision, the lowest first; without those that have no relevant item at all."""
    return [example(findings, q, hits) for q in _ranked(findings)[:n].tolist()]


def any_of(findings: Findings, n: int, hits: int, seed: int = 0) -> list[Example]:
    """Some n queries, where nothing is known to be relevant."""
    chosen = np.random.default_rng(seed).permutation(len(findings.queries.ids))[:n]
    return [example(findings, q, hits) for q in np.sort(chosen).tolist()]


def example(findings: Findings, query: int, hits: int) -> Example:
    """The query of that place and its nearest items."""
    kept = np.flatnonzero(~findings.excluded(query))
    words = findings.query_codes[query].words
    distances = np.bitwise_count(findings.codes[kept].words ^ words).sum(axis=1, dtype=np.int64)
    nearest = np.argsort(distances, kind="stable")[:hits]
    found: tuple[float | None, int | None, np.ndarray | None] = (None, None, None)
    if findings.retrieval is not None:
        right = findings.relevant(query)[kept]
        found = float(findings.retrieval.per_query[query]), int(right.sum()), right[nearest]
    return Example(
        query=int(findings.queries.ids[query]),
        ap=found[0],
        relevant=found[1],
        ids=findings.database.ids[kept[nearest]],
        distances=distances[nearest],
        right=found[2],
    )


def _ranked(findings: Findings) -> np.ndarray:
    """Places of the queries that have a relevant item, by average precision, lowest first."""
    if findings.retrieval is None or findings.counts is None:
        return np.zeros(0, np.int64)
    values = findings.retrieval.per_query
    order = np.argsort(values, kind="stable")
    return np.asarray(order[findings.counts.relevant.sum(axis=1)[order] > 0])


def _spread(findings: Findings, order: np.ndarray) -> list[int]:
    """The same queries: the first of each class, then the second of each, and so on; a class is a set of labels."""
    labels = findings.labels(findings.queries.ids)
    seen: dict[bytes, int] = {}
    rounds = []
    for place, query in enumerate(order.tolist()):
        own = labels[query].tobytes()
        rounds.append((seen.get(own, 0), place, query))
        seen[own] = seen.get(own, 0) + 1
    return [query for _, _, query in sorted(rounds)]
