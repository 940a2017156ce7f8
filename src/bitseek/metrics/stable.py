"""Average precision as a stable sort by database order gives it: what many published figures are.

It depends on the order of the database, so it is here to compare with others' programs, not to report.
"""

import numpy as np
from jaxtyping import Float, Shaped

from bitseek.codes import Codes
from bitseek.errors import BitseekError
from bitseek.metrics.average_precision import Denominator, check_denominator, divide
from bitseek.metrics.histograms import Histograms, same_items, task_of
from bitseek.metrics.labels import Labels


def stable_average_precision(
    query_codes: Codes,
    database_codes: Codes,
    query_labels: Shaped[np.ndarray, "q ..."],
    database_labels: Shaped[np.ndarray, "n ..."],
    at: int | None = None,
    denominator: Denominator = "retrieved",
    query_ids: Shaped[np.ndarray, " q"] | None = None,
    database_ids: Shaped[np.ndarray, " n"] | None = None,
    counts: Histograms | None = None,
) -> Float[np.ndarray, " q"]:
    """Average precision of each query, items of equal distance ranked by their place in the database.

    Args:
        query_codes: codes of the queries.
        database_codes: codes of the database.
        query_labels: as for `histograms`.
        database_labels: as for `histograms`.
        at: number of ranks that count; None for all.
        denominator: as for `average_precision`.
        query_ids: as for `histograms`.
        database_ids: as for `histograms`.
        counts: what `histograms` gave for the same arguments, if it is at hand.

    >>> codes = Codes.from_bits([[0, 0], [0, 1], [1, 0]])
    >>> stable_average_precision(codes[0], codes, np.array([5]), np.array([1, 5, 1]))
    array([0.5])
    >>> stable_average_precision(codes[0], codes, np.array([5]), np.array([1, 1, 5]))
    array([0.33333333])
    """
    from bitseek.kernels.histogram import distance_histograms, stable_sums

    check_denominator(denominator)
    if at is not None and at < 1:
        raise BitseekError(f"a ranking is cut after 1 item or more, got {at}; None means no cut")
    labels = Labels.of(query_labels, database_labels)
    task = task_of(
        query_codes, database_codes, labels, same_items(query_codes, database_codes, query_ids, database_ids)
    )
    total, relevant = distance_histograms(task) if counts is None else (counts.total, counts.relevant)
    ranks = len(database_codes) if at is None else min(at, len(database_codes))
    sums, hits = stable_sums(task, total, relevant, ranks)
    if denominator == "retrieved":
        return divide(sums, hits)
    of_query = relevant.sum(axis=1)
    return divide(sums, of_query if denominator == "relevant" or at is None else np.minimum(of_query, at))
