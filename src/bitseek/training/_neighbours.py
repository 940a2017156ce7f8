"""How many of the true neighbours of an item its code keeps: a measure of codes that needs no labels.

Neighbours are those of largest cosine, or, for classes that are chains of such neighbours rather than balls, those that
a walk along the chains reaches.
"""

import numpy as np
from jaxtyping import Float, Int64
from scipy import sparse

from bitseek.codes import Codes
from bitseek.metrics import Relevance, retrieval

K = 10
"""Neighbours of an item that its code should keep."""
JOINED, STEPS = 5, 8
"""Neighbours of an item to which a walk goes, and steps of a walk."""
ROWS_AT_ONCE = 1000
"""Items whose neighbours are looked for at once."""


def neighbours_kept(query_codes: Codes, database_codes: Codes, near: Int64[np.ndarray, "q k"]) -> float:
    """The expected share of the k true neighbours of a query that are among its first k by the codes, precision@k.

    For a query q let N(q) be its k true neighbours. By the Hamming distance d of the codes, with ties in any order, an
    item x is among the first k with probability

        p(x) = min(1, max(0, (k − #{y: d(q, y) < d(q, x)}) / #{y: d(q, y) = d(q, x)})),

    and what is kept is the mean of p(x) over all q and all x in N(q), in [0, 1].
    """
    k = near.shape[1]
    relevance = Relevance.from_lists(list(near), database=len(database_codes))
    return float(retrieval(query_codes, database_codes, relevance, precision_at=[k]).precision_at[k].mean())


def neighbours(
    queries: Float[np.ndarray, "q D"], database: Float[np.ndarray, "n D"], k: int = K
) -> Int64[np.ndarray, "q k"]:
    """The k rows of the database with the largest cosine to each query, ties to the lowest; a zero vector has none."""
    return np.argsort(-_units(queries) @ _units(database).T, axis=1, kind="stable")[:, :k]


class Walks:
    """Walks from neighbour to neighbour among some items.

    Two items are joined if one is among the `JOINED` nearest of the other by the cosine of the features, from which
    their mean is subtracted; of equal cosines any. A step goes to any item that is joined, each as likely.

    Args:
        features: (n, D) float, n > 1.
    """

    def __init__(self, features: Float[np.ndarray, "n D"]) -> None:
        units = _units(features - features.mean(axis=0))
        self.cosines = units @ units.T
        np.fill_diagonal(self.cosines, -np.inf)
        count = min(JOINED, len(units) - 1)
        near = np.concatenate([
            np.argpartition(-rows, count - 1, axis=1)[:, :count]
            for rows in np.array_split(self.cosines, -(-len(units) // ROWS_AT_ONCE))
        ])  # fmt: skip
        rows = np.repeat(np.arange(len(units)), count)
        joined = sparse.csr_array((np.ones(near.size), (rows, near.ravel())), shape=self.cosines.shape)
        joined = joined.maximum(joined.T)
        self.step = sparse.diags_array(1 / joined.sum(axis=1)) @ joined

    def neighbours(
        self, queries: Int64[np.ndarray, " q"], database: Int64[np.ndarray, " n"], k: int
    ) -> Int64[np.ndarray, "q k"]:
        """The k places of the database where a walk of `STEPS` steps from each query ends most often.

        Of items where it ends as often those of larger cosine come first, then those of lower place.

        Args:
            queries: which of the items begin a walk.
            database: at which of them it may end.
            k: how many.
        """
        ends = self.step[queries].toarray()
        for _ in range(STEPS - 1):
            ends = ends @ self.step
        order = np.lexsort((-self.cosines[np.ix_(queries, database)], -ends[:, database]), axis=1)
        return np.asarray(order[:, :k])


def _units(rows: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D"]:
    units: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return units
