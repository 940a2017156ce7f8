"""Tied ranks: a ranking in which only the order of groups of equal items is known.

With codes of K bits the groups are the distances 0 … K; with real scores they are the distinct scores. All metrics of
this package are functions of how many items, and how many relevant ones, each group holds.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from bitseek.errors import BitseekError, ShapeError

Ties = Literal["expected", "best", "worst"]
"""Which order within ties: the mean over all orders, or the one that is best or worst for the metric."""

ORDERS: tuple[Ties, ...] = ("expected", "best", "worst")


@dataclass(frozen=True, eq=False)
class Groups:
    """Rankings of q queries in g tied groups, nearest first; all arrays are (q, g) int64.

    Attributes:
        items: n, the number of items in the group.
        hits: r, how many of them are relevant.
        before: N, the number of items in earlier groups.
        hits_before: C, how many of those are relevant.
    """

    items: Int[np.ndarray, "q g"]
    hits: Int[np.ndarray, "q g"]
    before: Int[np.ndarray, "q g"]
    hits_before: Int[np.ndarray, "q g"]

    @classmethod
    def of(cls, total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"]) -> "Groups":
        """Groups from the two counts.

        Args:
            total: number of database items in each group.
            relevant: number of relevant ones among them.

        Raises:
            ShapeError: two different shapes, negative counts, or more relevant items than items.
        """
        if total.ndim != 2 or total.shape != relevant.shape:
            raise ShapeError(
                f"total and relevant are two (queries, groups) arrays of one shape, got {total.shape} and "
                f"{relevant.shape}; histograms(...) makes them"
            )
        if (relevant < 0).any() or (relevant > total).any():
            raise ShapeError("relevant counts the relevant items among total: 0 <= relevant <= total does not hold")
        items = np.asarray(total, np.int64)
        hits = np.asarray(relevant, np.int64)
        return cls(items, hits, np.cumsum(items, axis=1) - items, np.cumsum(hits, axis=1) - hits)

    def within(self, rank: int | None) -> Int[np.ndarray, "q g"]:
        """How many items of each group have one of the first `rank` ranks; all if `rank` is None."""
        if rank is None:
            return self.items
        if rank < 1:
            raise BitseekError(f"a ranking is cut after 1 item or more, got {rank}; None means no cut")
        taken: np.ndarray = np.clip(rank - self.before, 0, self.items)
        return taken

    def reachable(self, rank: int | None) -> Int[np.ndarray, " q"]:
        """How many relevant items each query can have in its first `rank` ranks, in the best order of its ties."""
        most: np.ndarray = np.minimum(self.within(rank), self.hits).sum(axis=1)
        return most

    def __getitem__(self, chosen: Any) -> "Groups":
        """Some rows and columns."""
        return Groups(self.items[chosen], self.hits[chosen], self.before[chosen], self.hits_before[chosen])


def check_ties(ties: str) -> None:
    """Raise unless `ties` is one of the orders that the counts alone determine."""
    if ties == "stable":
        raise BitseekError(
            "the order of a stable sort is not in the counts; use stable_average_precision or retrieval(ties='stable')"
        )
    if ties not in ORDERS:
        raise BitseekError(f"ties is 'expected', 'best' or 'worst', got {ties!r}")
