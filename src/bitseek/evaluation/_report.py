"""The one report of an evaluation: what the table, the page, the card and the JSON are made from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bitseek.data import Protocol
from bitseek.metrics import Histograms, Interval, Relevance, Retrieval, plain
from bitseek.runs import Encoded, RunConfig

Ranking = Literal["hamming", "asymmetric", "reranked", "ternary", "learned"]

RANKINGS: Mapping[str, str] = {
    "hamming": "Hamming ranking",
    "asymmetric": "asymmetric ranking",
    "reranked": "re-ranked",
    "ternary": "ternary ranking",
    "learned": "Hamming ranking of learned database codes",
}


@dataclass(frozen=True, eq=False)
class Report:
    """An evaluation of a hasher on a protocol.

    Attributes:
        levels: mAP, precision and recall with the value of every query, for each level of the protocol's relevance:
            `all`; or `easy`, `medium`, `hard`. None at all where nothing says which items are relevant.
        protocol: the split.
        queries: logits of the queries that could be read.
        database: logits of the database, likewise.
        relevance: which of `database` are relevant to which of `queries`, for each level.
        counts: of the database by Hamming distance and relevance, for each level.
        ranking: `hamming`; `asymmetric` (the query's logits against codes); `reranked` (the nearest by Hamming
            distance, ordered by that); `ternary` (bits near 0 abstain); `learned` (the database in the codes
            that were learned for its items).
        by_radius: precision and recall within a radius, and their curve over all radii, by Hamming distance.
        diagnostics: balance and correlation of the bits, quantisation error, distances within and between classes.
        trained_queries: share of the queries that the hasher was trained on.
        adapted: whether batch norm was estimated anew on the database.
        own_split: whether the split is the one that the hasher's run was trained for.
        config: of the hasher's run.
        fingerprint: of the hasher.
        unreadable: messages of images that could not be decoded, and so were left out.
        prefixes: of nested codes, the reports of the shorter lengths by their bits, ascending.
    """

    levels: Mapping[str, Retrieval]
    protocol: Protocol
    queries: Encoded
    database: Encoded
    relevance: Mapping[str, Relevance]
    counts: Mapping[str, Histograms]
    ranking: Ranking
    by_radius: Mapping[str, Any]
    diagnostics: Mapping[str, float | None]
    trained_queries: float
    adapted: bool
    own_split: bool
    config: RunConfig | None
    fingerprint: str
    unreadable: tuple[str, ...]
    prefixes: Mapping[int, "Report"] = field(default_factory=dict)

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self.database.codes.bits

    @property
    def by_length(self) -> dict[int, "Report"]:
        """The reports of all lengths by their bits, ascending; this one is the last."""
        return {**self.prefixes, self.bits: self}

    @property
    def level(self) -> str | None:
        """The level that stands for the whole: the only one, or `medium`, which most papers compare."""
        return "medium" if "medium" in self.levels else next(iter(self.levels), None)

    @property
    def main(self) -> Retrieval | None:
        """The figures of `level`."""
        return None if self.level is None else self.levels[self.level]

    @property
    def mAP(self) -> float:  # noqa: N802
        """Mean average precision of the main level, ties as they were asked for; NaN if nothing is relevant."""
        return math.nan if self.main is None else self.main.mAP

    @property
    def mAP_best(self) -> float:  # noqa: N802
        """The same in the best order of all ties."""
        return math.nan if self.main is None else self.main.mAP_best

    @property
    def mAP_worst(self) -> float:  # noqa: N802
        """The same in the worst order of all ties."""
        return math.nan if self.main is None else self.main.mAP_worst

    @property
    def interval(self) -> Interval | None:
        """Confidence interval of the mAP over the choice of queries."""
        return None if self.main is None or math.isnan(self.mAP) else self.main.interval()

    @property
    def title(self) -> str:
        """Name of the main figure with all that defines it."""
        return "no relevance is known" if self.main is None else self.figure(self.level or "")

    @property
    def plain(self) -> bool:
        """Whether this is the figure of the hasher's run: on its own split, measured as its protocol says."""
        return (
            self.own_split
            and not self.adapted
            and self.ranking == "hamming"
            and all(
                (level.ties, level.k, level.denominator) == ("expected", self.protocol.k, self.protocol.denominator)
                and (level.no_hit == "zero" or level.ap == "trapezoid")
                for level in self.levels.values()
            )
        )

    def figure(self, level: str) -> str:
        """Name of the mAP of a level with all that defines it."""
        name = figure_name(self.levels[level], self.ranking)
        return name if level == "all" else f"{level}: {name}"

    def to_json(self) -> dict[str, Any]:
        """Everything but the values of single items; a number that does not exist is null."""
        value: dict[str, Any] = plain(
            {
                **self._figures(),
                "ranking": self.ranking,
                "protocol": self.protocol.describe(),
                "trained_queries": self.trained_queries,
                "adapted_batch_norm": self.adapted,
                "own_split": self.own_split,
                "unreadable": list(self.unreadable),
                "prefixes": {str(bits): report._figures() for bits, report in self.prefixes.items()},
            }
        )
        return value

    def _figures(self) -> dict[str, Any]:
        """What differs between the lengths of nested codes."""
        levels = {name: {"figure": self.figure(name), **level.to_json()} for name, level in self.levels.items()}
        interval = self.interval
        return {
            **(levels[self.level] if self.level is not None else {"mAP": None}),
            "level": self.level,
            "levels": levels,
            "interval": interval and {"low": interval.low, "high": interval.high, "level": interval.level},
            **self.by_radius,
            "diagnostics": dict(self.diagnostics),
            "fingerprint": self.fingerprint,
        }


def figure_name(retrieval: Retrieval, ranking: Ranking = "hamming") -> str:
    """What a mAP is: its cut-off, ties, denominator and ranking; to be shown wherever its value is."""
    cut = "all" if retrieval.k is None else retrieval.k
    average = "trapezoidal AP" if retrieval.ap == "trapezoid" else f"denominator {retrieval.denominator}"
    left_out = ", queries without a hit left out" if retrieval.no_hit == "skip" and retrieval.ap == "standard" else ""
    return f"mAP@{cut} ({retrieval.ties} ties, {average}, {RANKINGS[ranking]}{left_out})"
