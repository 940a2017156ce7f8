"""How many items, and how many relevant ones, lie at each distance from a query: what every Hamming metric needs.

The two counts do not depend on the order of the database, so neither do the metrics. They take O(bits) memory a query,
and are made without sorting.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, SupportsIndex, get_args

import numpy as np
from jaxtyping import Float, Int64

from bitseek.codes import Codes, check_codes
from bitseek.errors import CodeWidthError, ShapeError
from bitseek.kernels.device import device_loops
from bitseek.metrics._average_precision import Denominator, of_groups
from bitseek.metrics._groups import Groups, StableSums, cut_off, one_of
from bitseek.metrics._relevance import Relevance, check_relevance

if TYPE_CHECKING:
    from bitseek.kernels.histogram import Task

MOST_BITS = 32_000  # twice a distance, and one more, fits into 16 bits in the kernels


@dataclass(frozen=True, eq=False)
class Histograms:
    """Counts by distance, for q queries.

    Attributes:
        total: number of database items at distance 0 … bits from each query.
        relevant: how many of those are relevant to it.
        database: number of items in the database, before anything was left out.
        excluded: number of (query, item) pairs left out, because they are the same item or junk.
        stable_sums: what a stable sort gives, by another pass over the codes; None if they are not at hand.
    """

    total: Int64[np.ndarray, "q bins"]
    relevant: Int64[np.ndarray, "q bins"]
    database: int
    excluded: int = 0
    stable_sums: StableSums | None = field(default=None, repr=False)

    @cached_property
    def groups(self) -> Groups:
        """The distances as tied groups of a ranking."""
        return Groups.of(self.total, self.relevant, self.stable_sums)

    @property
    def bits(self) -> int:
        """Length of a code."""
        return int(self.total.shape[1]) - 1

    @property
    def queries(self) -> int:
        """Number of queries."""
        return len(self.total)


def histograms(
    query_codes: Codes, database_codes: Codes, relevance: Relevance, *, device: str | None = None
) -> Histograms:
    """Count the database by distance and relevance, for each query.

    Memory beyond codes, labels (8 bytes an item for each 64 classes) and counts does not grow with the database.

    Args:
        query_codes: codes of the q queries.
        database_codes: codes of the n items of the database, of the same number of bits.
        relevance: of q queries and n items.
        device: where they are counted, through torch: `cuda`, `cuda:1` or another of its devices; by the compiled
            kernels if None. The counts are the same.

    Raises:
        CodeWidthError: codes of different length, or of more than 32,000 bits.
        ShapeError: something else than codes and relevance, or relevance of another number of queries or items.

    >>> codes = Codes.from_bits([[0, 0], [0, 1], [1, 1]])
    >>> counts = histograms(codes[0], codes, Relevance.from_labels([7], [7, 7, 8]))
    >>> counts.total, counts.relevant
    (array([[1, 1, 1]]), array([[1, 1, 0]]))
    """
    from bitseek.kernels.histogram import distance_histograms, stable_sums  # numba takes half a second to import

    check_codes(query_codes, database_codes)
    check_relevance(relevance)
    if query_codes.bits != database_codes.bits:
        raise CodeWidthError(
            f"queries have {query_codes.bits} bits and the database {database_codes.bits}; encode both with one model"
        )
    if query_codes.bits > MOST_BITS:
        raise CodeWidthError(f"metrics count distances of up to {MOST_BITS} bits, got codes of {query_codes.bits}")
    if (len(query_codes), len(database_codes)) != (relevance.queries, relevance.database):
        raise ShapeError(
            f"there are codes of {len(query_codes)} queries and {len(database_codes)} items in the database, but "
            f"relevance of {relevance.queries} queries and {relevance.database} items; they belong in pairs"
        )
    total, relevant = np.zeros((2, len(query_codes), query_codes.bits + 1), np.int64)
    count = distance_histograms
    if device is not None:
        count = partial(device_loops().distance_histograms, device=device)
    for rows, task in _tasks(query_codes, database_codes, relevance):
        total[rows], relevant[rows] = count(task)

    def stable(k: int | None) -> tuple[np.ndarray, np.ndarray]:
        ranks = len(database_codes) if k is None else min(k, len(database_codes))
        sums, found = np.zeros(len(query_codes)), np.zeros(len(query_codes), np.int64)
        for rows, task in _tasks(query_codes, database_codes, relevance):
            sums[rows], found[rows] = stable_sums(task, total[rows], relevant[rows], ranks)
        return sums, found

    return Histograms(total, relevant, len(database_codes), len(relevance.removed.items), stable)


def stable_average_precision(
    query_codes: Codes,
    database_codes: Codes,
    relevance: Relevance,
    k: SupportsIndex | None = None,
    denominator: Denominator = "retrieved",
) -> Float[np.ndarray, " q"]:
    """Average precision of each query, items of equal distance ranked by their place in the database.

    It is what a stable sort gives, and many published figures are; it depends on the order of the database, so it is
    here to compare with others' programs, not to report.

    Args:
        query_codes: as for `histograms`.
        database_codes: as for `histograms`.
        relevance: as for `histograms`.
        k: number of ranks that count; None for all.
        denominator: as for `average_precision`.

    >>> codes = Codes.from_bits([[0, 0], [0, 1], [1, 0]])
    >>> stable_average_precision(codes[0], codes, Relevance.from_labels([5], [1, 5, 1]))
    array([0.5])
    >>> stable_average_precision(codes[0], codes, Relevance.from_labels([5], [1, 1, 5]))
    array([0.33333333])
    """
    one_of("denominator", denominator, get_args(Denominator))
    cut = cut_off(k)
    return of_groups(histograms(query_codes, database_codes, relevance).groups, cut, denominator, ("stable",))["stable"]


def _tasks(query_codes: Codes, database_codes: Codes, relevance: Relevance) -> "Iterator[tuple[slice, Task]]":
    """What the kernels compare, for consecutive queries."""
    from bitseek.kernels.histogram import Task

    for rows, query_words, database_words, single in relevance.words():
        removed = relevance.removed.rows(rows)
        codes = (query_codes.words[rows], database_codes.words, query_codes.bits)
        yield rows, Task(*codes, query_words, database_words, single, removed.offsets, removed.items)
