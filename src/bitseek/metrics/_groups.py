"""Tied rankings: only the order of groups of equal items is known, and how many relevant items each group holds.

With codes of K bits the groups are the distances 0 … K; with real scores they are the distinct scores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from bitseek._checks import as_array, whole_number
from bitseek.errors import BitseekError, ShapeError

Ties = Literal["expected", "best", "worst", "stable"]
"""The order of tied items: the mean over all orders, the best or worst one, or by place in the database."""

ORDERS: tuple[Ties, ...] = ("expected", "best", "worst")
"""Those that the counts alone determine."""

MOST_ITEMS = 3_000_000_000
"""In one group: products of two counts fit into 64 bits."""

StableSums = Callable[[int | None], tuple[np.ndarray, np.ndarray]]
"""k → Σ P(j)·rel(j) and Σ rel(j) over the first k ranks of each query, ties ranked by their place in the database."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Rankings of q queries in g tied groups, nearest first; arrays are (q, g) int64, or (q,) for one group a query.

    Attributes:
        n: number of items in the group.
        r: how many of them are relevant.
        N: number of items in earlier groups.
        C: how many of those are relevant.
        stable_sums: what a stable sort by place in the database gives; None if it is not known.
    """

    n: Int[np.ndarray, " q *g"]
    r: Int[np.ndarray, " q *g"]
    N: Int[np.ndarray, " q *g"]
    C: Int[np.ndarray, " q *g"]
    stable_sums: StableSums | None = None

    @classmethod
    def of(
        cls, total: Int[np.ndarray, "q g"], relevant: Int[np.ndarray, "q g"], stable_sums: StableSums | None = None
    ) -> "Groups":
        """Groups from the numbers of items and of relevant items.

        Raises:
            ShapeError: two different shapes, no integers, negative counts, more relevant items than items, or more than
                `MOST_ITEMS` in a group.
        """
        n, r = integers(total, "counts of items"), integers(relevant, "counts of relevant items")
        if n.ndim != 2 or n.shape != r.shape:
            raise ShapeError(
                f"total and relevant are two (queries, groups) arrays of one shape, got {n.shape} and {r.shape}; "
                "histograms(...) makes them"
            )
        if (r < 0).any() or (r > n).any() or n.max(initial=0) > MOST_ITEMS:
            raise ShapeError(
                "relevant counts the relevant items among total: "
                f"0 <= relevant <= total <= {MOST_ITEMS:,} does not hold"
            )
        n, r = n.astype(np.int64, copy=False), r.astype(np.int64, copy=False)
        return cls(n, r, np.cumsum(n, axis=1) - n, np.cumsum(r, axis=1) - r, stable_sums)

    @property
    def relevant(self) -> Int[np.ndarray, " q"]:
        """T, the number of relevant items of each query."""
        return np.asarray(self.r.sum(axis=1))

    def within(self, k: int | None) -> Int[np.ndarray, " q *g"]:
        """How many items of each group have one of the first k ranks; all if k is None."""
        return self.n if k is None else np.clip(k - self.N, 0, self.n)

    def stable(self, k: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Σ P(j)·rel(j) and Σ rel(j) over the first k ranks as a stable sort gives them.

        Raises:
            BitseekError: the groups were made from counts, which do not tell.
        """
        if self.stable_sums is None:
            raise BitseekError(
                "the order of a stable sort is not in the counts; ties='stable' is for retrieval, retrieval_by_scores, "
                "measure of what histograms(...) gave, and stable_average_precision"
            )
        return self.stable_sums(k)

    def __getitem__(self, chosen: Any) -> "Groups":
        """Some rows and columns."""
        return Groups(self.n[chosen], self.r[chosen], self.N[chosen], self.C[chosen])


def integers(values: Any, what: str) -> np.ndarray:
    """An array of integers of any width, or of nothing; else a `ShapeError`."""
    array = as_array(values, what)
    if array.size and array.dtype.kind not in "iu":
        raise ShapeError(f"{what} are integers, got {array.dtype}")
    return array


def rank(k: Any) -> int:
    """The cut-off k as an int of 1 to 2⁶², which is more than any database has; else a `ShapeError`."""
    return min(whole_number(k, "k"), 1 << 62)


def cut_off(k: Any) -> int | None:
    """The same, or None for the whole ranking."""
    return None if k is None else rank(k)


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise `BitseekError` unless the value of the argument is one of its choices."""
    if not isinstance(value, str) or value not in choices:
        raise BitseekError(f"{name} is {', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}, got {value!r}")
