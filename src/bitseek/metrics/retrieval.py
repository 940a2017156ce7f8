"""One call from codes and labels to the number that is reported, with its bounds and everything that defines it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped

from bitseek.codes import Codes
from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics.average_precision import Denominator, of_groups
from bitseek.metrics.groups import ORDERS, Groups
from bitseek.metrics.histograms import Histograms, histograms
from bitseek.metrics.intervals import Interval, bootstrap
from bitseek.metrics.stable import stable_average_precision

NoHit = Literal["zero", "skip"]
"""A query that has no relevant item in its top R, in no order of its ties: counts as 0, or is left out of the mean."""


@dataclass(frozen=True, eq=False)
class RetrievalReport:
    """Mean average precision, and what it was made from.

    Attributes:
        mAP: mean over the queries of the average precision, ties treated as `ties` says.
        mAP_best: the same in the best order of all ties.
        mAP_worst: the same in the worst order.
        at: R, the number of ranks that count; None for the whole ranking.
        denominator: `retrieved`, `relevant` or `min`, see `average_precision`.
        ties: `expected`, `best`, `worst` or `stable`.
        no_hit: `zero` or `skip`: how a query without a hit counts.
        queries: number of queries.
        database: number of items in the database.
        bits: length of a code; None if the ranking is by real scores.
        queries_without_hit: queries that have no relevant item in their top R, in no order of their ties.
        queries_without_relevant: queries that have no relevant item in the whole database.
        excluded: number of (query, item) pairs left out because they are the same item.
        per_query: average precision of each query, ties treated as `ties` says; 0 without a hit.
        hit: whether each query has a hit.
    """

    mAP: float  # noqa: N815
    mAP_best: float  # noqa: N815
    mAP_worst: float  # noqa: N815
    at: int | None
    denominator: Denominator
    ties: str
    no_hit: NoHit
    queries: int
    database: int
    bits: int | None
    queries_without_hit: int
    queries_without_relevant: int
    excluded: int
    per_query: Float[np.ndarray, " q"]
    hit: Bool[np.ndarray, " q"]

    def to_json(self) -> dict[str, Any]:
        """Everything but the values of the single queries, as a dictionary of JSON types."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("per_query", "hit")}

    def interval(self, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
        """Confidence interval of `mAP` over the choice of queries, see `bootstrap`."""
        counted = self.per_query[self.hit] if self.no_hit == "skip" else self.per_query
        return bootstrap(counted, level=level, resamples=resamples, seed=seed)


def retrieval(
    query_codes: Codes,
    database_codes: Codes,
    query_labels: Shaped[np.ndarray, "q ..."],
    database_labels: Shaped[np.ndarray, "n ..."],
    *,
    at: int | None = None,
    denominator: Denominator = "retrieved",
    ties: Literal["expected", "best", "worst", "stable"] = "expected",
    no_hit: NoHit = "zero",
    query_ids: Shaped[np.ndarray, " q"] | None = None,
    database_ids: Shaped[np.ndarray, " n"] | None = None,
) -> RetrievalReport:
    """Mean average precision of a Hamming ranking, with its bounds over the order of ties.

    Args:
        query_codes: codes of the queries.
        database_codes: codes of the database, of the same number of bits.
        query_labels: (q,) integers, −1 for none, relevant if equal; or (q, C) multi-hot, relevant if one is shared.
        database_labels: (n,) or (n, C), in the same form.
        at: R, the number of ranks that count; None for all.
        denominator: what the sum of precisions is divided by: `retrieved`, `relevant` or `min`.
        ties: `expected` over all orders of tied items, `best`, `worst`, or `stable` by place in the database.
        no_hit: a query without a hit counts as 0 (`zero`) or is left out of the mean (`skip`).
        query_ids: names or numbers of the items; with `database_ids`, a query is not compared with itself.
        database_ids: names or numbers of the items in the database.

    Raises:
        BitseekError: an argument cannot be used; the message says which and why.

    >>> codes = Codes.from_bits([[0, 0], [0, 1], [1, 1]])
    >>> report = retrieval(codes[0], codes, np.array([7]), np.array([7, 8, 7]))
    >>> round(report.mAP, 4), report.queries, report.database
    (0.8333, 1, 3)
    """
    counts = histograms(query_codes, database_codes, query_labels, database_labels, query_ids, database_ids)
    if ties != "stable":
        return report_of(counts, at=at, denominator=denominator, ties=ties, no_hit=no_hit)
    values = stable_average_precision(
        query_codes,
        database_codes,
        query_labels,
        database_labels,
        at=at,
        denominator=denominator,
        query_ids=query_ids,
        database_ids=database_ids,
        counts=counts,
    )
    return report_of(counts, at=at, denominator=denominator, no_hit=no_hit, stable=values)


def report_of(
    counts: Histograms,
    *,
    at: int | None = None,
    denominator: Denominator = "retrieved",
    ties: Literal["expected", "best", "worst"] = "expected",
    no_hit: NoHit = "zero",
    stable: Float[np.ndarray, " q"] | None = None,
) -> RetrievalReport:
    """The same report from counts that are at hand.

    Args:
        counts: what `histograms` or `histograms_of_lists` gave.
        at: as for `retrieval`.
        denominator: as for `retrieval`.
        ties: as for `retrieval`.
        no_hit: as for `retrieval`.
        stable: values of `stable_average_precision`, to be reported instead of those that `ties` names.
    """
    groups = Groups.of(counts.total, counts.relevant)
    values: dict[str, np.ndarray] = {order: of_groups(groups, at, denominator, order) for order in ORDERS}
    return assemble(
        values if stable is None else {**values, "stable": stable},
        ties=ties if stable is None else "stable",
        hit=groups.reachable(at) > 0,
        at=at,
        denominator=denominator,
        no_hit=no_hit,
        database=counts.database,
        bits=counts.bits,
        queries_without_relevant=int((groups.hits.sum(axis=1) == 0).sum()),
        excluded=counts.excluded,
    )


def assemble(
    values: Mapping[Any, np.ndarray], ties: str, hit: np.ndarray, no_hit: NoHit, **facts: Any
) -> RetrievalReport:
    """Means of the values of all queries in each order of the ties, with the facts that belong to them."""
    if ties not in values:
        raise BitseekError(f"ties is one of {', '.join(map(repr, values))}, got {ties!r}")
    return RetrievalReport(
        mAP=mean(values[ties], hit, no_hit),
        mAP_best=mean(values["best"], hit, no_hit),
        mAP_worst=mean(values["worst"], hit, no_hit),
        ties=ties,
        no_hit=no_hit,
        queries=len(hit),
        queries_without_hit=int((~hit).sum()),
        per_query=values[ties],
        hit=hit,
        **facts,
    )


def mean(values: Float[np.ndarray, " q"], hit: Bool[np.ndarray, " q"], no_hit: NoHit = "zero") -> float:
    """Mean over the queries; those without a hit count as 0 (`zero`), or not at all (`skip`).

    Raises:
        ShapeError: no query is left to take a mean of.
    """
    if no_hit not in ("zero", "skip"):
        raise BitseekError(f"no_hit is 'zero' or 'skip', got {no_hit!r}")
    if len(values) == 0:
        raise ShapeError("there are no queries, so there is no mean over them")
    counted = values[hit] if no_hit == "skip" else values
    return float(counted.mean()) if len(counted) else 0.0
