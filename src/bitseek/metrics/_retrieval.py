"""From codes to mean average precision, with its bounds and everything that defines it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, SupportsIndex, get_args

import numpy as np
from jaxtyping import Bool, Float

from bitseek.codes import Codes
from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics._average_precision import Denominator, of_groups
from bitseek.metrics._confidence import Interval, bootstrap
from bitseek.metrics._groups import ORDERS, Groups, Ties, cut_off, one_of, rank
from bitseek.metrics._histograms import Histograms, histograms
from bitseek.metrics._precision import mean, ratio, relevant_at
from bitseek.metrics._relevance import Relevance, check_relevance
from bitseek.metrics._revisited import precision_to_last_of, trapezoid_of

NoHit = Literal["zero", "skip"]
"""A query that has no relevant item in its top k, in no order of its ties: counts as 0, or is left out of the mean."""

AP = Literal["standard", "trapezoid"]
"""Average precision as the mean of precisions, or as the area by trapezoids of the revisited benchmarks."""

PRECISION_AT: dict[AP, tuple[int, ...]] = {"standard": (1, 10, 100, 1000), "trapezoid": (1, 5, 10)}
"""Ranks at which precision and recall are given unless others are named: those that the database has."""


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Mean average precision of a ranking, what it was made from, and the values of the single queries.

    Attributes:
        mAP: mean over the queries of the average precision, ties treated as `ties` says; NaN if there is no query to
            take a mean of.
        mAP_best: the same in the best order of all ties.
        mAP_worst: the same in the worst order.
        k: the number of ranks that count; None for the whole ranking.
        denominator: `retrieved`, `relevant` or `min`, see `average_precision`.
        ties: `expected`, `best`, `worst` or `stable`.
        no_hit: `zero` or `skip`: how a query without a relevant item in its top k counts.
        ap: `standard` or `trapezoid`.
        queries: number of queries.
        database: number of items in the database.
        bits: length of a code; None if the ranking is by real scores.
        queries_without_hit: queries that have no relevant item in their top k, in no order of their ties.
        queries_without_relevant: queries that have no relevant item in the whole database.
        excluded: number of (query, item) pairs left out, because they are the same item or junk.
        per_query: average precision of each query, ties treated as `ties` says; 0 without a hit.
        per_query_best: the same in the best order of its ties.
        per_query_worst: the same in the worst order.
        hit: whether each query has a relevant item in its top k, in some order of its ties.
        precision_at: for some numbers of ranks the precision of each query in the order that `ties` says; for
            `trapezoid` this is `precision_to_last`, NaN for queries without a relevant item.
        recall_at: for the same numbers of ranks the recall; NaN for queries without a relevant item.
    """

    mAP: float  # noqa: N815
    mAP_best: float  # noqa: N815
    mAP_worst: float  # noqa: N815
    k: int | None
    denominator: Denominator
    ties: Ties
    no_hit: NoHit
    ap: AP
    queries: int
    database: int
    bits: int | None
    queries_without_hit: int
    queries_without_relevant: int
    excluded: int
    per_query: Float[np.ndarray, " q"] = field(repr=False)
    per_query_best: Float[np.ndarray, " q"] = field(repr=False)
    per_query_worst: Float[np.ndarray, " q"] = field(repr=False)
    hit: Bool[np.ndarray, " q"] = field(repr=False)
    precision_at: dict[int, Float[np.ndarray, " q"]] = field(repr=False)
    recall_at: dict[int, Float[np.ndarray, " q"]] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Everything but the values of single queries, as JSON types: means of precision and recall, null for NaN."""
        value: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.repr}
        for name in ("precision_at", "recall_at"):
            value[name] = {str(k): mean(values) for k, values in getattr(self, name).items()}
        return dict(plain(value))

    def interval(self, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Interval:
        """Confidence interval of `mAP` over the choice of queries, see `bootstrap`; of NaN if no query counts."""
        counted = self.per_query[self.hit] if self.no_hit == "skip" else self.per_query
        if not len(counted):
            return Interval(math.nan, math.nan, math.nan, level, math.nan, 0)
        return bootstrap(counted, level=level, resamples=resamples, seed=seed)


def retrieval(
    query_codes: Codes,
    database_codes: Codes,
    relevance: Relevance,
    *,
    k: SupportsIndex | None = None,
    denominator: Denominator = "retrieved",
    ties: Ties = "expected",
    no_hit: NoHit = "zero",
    ap: AP = "standard",
    precision_at: Sequence[SupportsIndex] | None = None,
    device: str | None = None,
) -> Retrieval:
    """Measure the ranking of a database by Hamming distance.

    Args:
        query_codes: codes of the queries.
        database_codes: codes of the database, of the same number of bits.
        relevance: what is relevant to each query, and what is left out of its ranking.
        k: number of ranks that count for average precision; None for all.
        denominator: what the sum of precisions is divided by: `retrieved`, `relevant` or `min`.
        ties: `expected` over all orders of tied items, `best`, `worst`, or `stable` by place in the database.
        no_hit: a query without a relevant item in its top k counts as 0 (`zero`) or is left out of the mean (`skip`).
        ap: `standard`; or `trapezoid` for revisited Oxford and Paris, always of the whole ranking, where queries
            without a relevant item are left out.
        precision_at: numbers of ranks for precision and recall; by default 1, 10, 100 and 1000 as far as the database
            has them (`trapezoid`: 1, 5 and 10). With `stable` each takes another pass over the database.
        device: where the database is counted by distance, see `histograms`; the figures are the same.

    Raises:
        BitseekError: an argument cannot be used, or there are no queries or no items in the database.

    >>> codes = Codes.from_bits([[0, 0], [0, 1], [1, 1]])
    >>> result = retrieval(codes[0], codes, Relevance.from_labels([7], [7, 8, 7]))
    >>> round(result.mAP, 4), result.queries, result.database
    (0.8333, 1, 3)
    """
    check_relevance(relevance)
    rules = Rules.of(k, denominator, ties, no_hit, ap, precision_at, relevance.database)
    counts = histograms(query_codes, database_codes, relevance, device=device)
    return rules.measure([counts.groups], relevance.queries, counts.bits, counts.excluded)


def measure(
    counts: Histograms,
    *,
    k: SupportsIndex | None = None,
    denominator: Denominator = "retrieved",
    ties: Ties = "expected",
    no_hit: NoHit = "zero",
    ap: AP = "standard",
    precision_at: Sequence[SupportsIndex] | None = None,
) -> Retrieval:
    """Measure the ranking whose counts `histograms` gave; the other arguments are those of `retrieval`."""
    rules = Rules.of(k, denominator, ties, no_hit, ap, precision_at, counts.database)
    return rules.measure([counts.groups], counts.queries, counts.bits, counts.excluded)


@dataclass(frozen=True)
class Rules:
    """How a ranking is measured; the arguments of `retrieval`, checked."""

    k: int | None
    denominator: Denominator
    ties: Ties
    no_hit: NoHit
    ap: AP
    precision_at: tuple[int, ...]
    database: int

    @classmethod
    def of(cls, k: Any, denominator: Any, ties: Any, no_hit: Any, ap: Any, precision_at: Any, database: int) -> "Rules":
        one_of("ap", ap, get_args(AP))
        one_of("denominator", denominator, get_args(Denominator))
        one_of("ties", ties, get_args(Ties) if ap == "standard" else ORDERS)
        one_of("no_hit", no_hit, get_args(NoHit))
        k = cut_off(k)
        if ap == "trapezoid":
            if k is not None:
                raise BitseekError(f"ap='trapezoid' is of the whole ranking: leave out k, got {k}")
            no_hit = "skip"
        if precision_at is None:
            precision_at = [number for number in PRECISION_AT[ap] if number <= database]
        try:
            ranks = tuple(map(rank, precision_at))
        except TypeError as error:
            raise ShapeError(f"precision_at is numbers of ranks, such as (1, 10); got {precision_at!r}") from error
        return cls(k, denominator, ties, no_hit, ap, ranks, database)

    def measure(self, rankings: Iterable[Groups], queries: int, bits: int | None, excluded: int) -> Retrieval:
        """Measure all queries, and take the means.

        Raises:
            ShapeError: there is no query, or no item.
        """
        if not queries or not self.database:
            raise ShapeError(
                f"a ranking needs queries and a database, got {queries} queries and {self.database} items; "
                "there is nothing to take a mean of"
            )
        parts = [self._values(groups) for groups in rankings]
        values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        counted = values["hit"] if self.no_hit == "skip" else slice(None)
        mAP, best, worst = (mean(values[order][counted]) for order in (self.ties, "best", "worst"))
        return Retrieval(
            mAP=mAP,
            mAP_best=best,
            mAP_worst=worst,
            k=self.k,
            denominator=self.denominator,
            ties=self.ties,
            no_hit=self.no_hit,
            ap=self.ap,
            queries=queries,
            database=self.database,
            bits=bits,
            queries_without_hit=int((~values["hit"]).sum()),
            queries_without_relevant=int((values["relevant"] == 0).sum()),
            excluded=excluded,
            per_query=values[self.ties],
            per_query_best=values["best"],
            per_query_worst=values["worst"],
            hit=values["hit"],
            precision_at={k: values["precision", k] for k in self.precision_at},
            recall_at={k: values["recall", k] for k in self.precision_at},
        )

    def _values(self, groups: Groups) -> dict[Any, np.ndarray]:
        """For some queries: average precision in each order, precision and recall at each rank, and who has a hit."""
        relevant = groups.relevant
        reached = groups.r > 0 if self.k is None else (groups.r > 0) & (self.k > groups.N)
        values: dict[Any, np.ndarray] = {"relevant": relevant, "hit": np.asarray(reached.any(axis=1))}
        orders: tuple[Ties, ...] = ORDERS if (groups.n > 1).any() else ("expected",)  # without ties they agree
        if self.ties == "stable":
            orders += ("stable",)
        if self.ap == "trapezoid":
            values |= {order: trapezoid_of(groups, order) for order in orders}
        else:
            values |= of_groups(groups, self.k, self.denominator, orders)
        for order in ORDERS:
            values.setdefault(order, values["expected"])
        for k in self.precision_at:
            found = relevant_at(groups, k, self.ties)
            values["recall", k] = ratio(found, relevant)
            values["precision", k] = found / k
            if self.ap == "trapezoid":
                to_last = precision_to_last_of(groups, k, self.ties)
                values["precision", k] = np.where(relevant > 0, to_last, np.nan)
        return values


def plain(value: Any) -> Any:
    """Nested dictionaries and lists with what is no finite number, which JSON does not have, as None."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
