"""Which items are relevant to which queries, as words that the kernels compare.

Labels are (n,) integers, −1 for none, relevant if equal; or (n, C) multi-hot, relevant if they share a label. An item
without a label is relevant to nothing. The caller's arrays are only read.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt64

from bitseek.errors import ShapeError

NO_LABEL = -1
_ITEMS_AT_ONCE = 1 << 14
_NO_QUERY_LABEL = -2  # so that a query without a label equals no item, not even one without a label


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of queries and database in words of 64 bits.

    Attributes:
        query: labels of the queries.
        database: labels of the database.
        single: whether a label is one word that must be equal; if not, sharing a bit in any word is enough.
    """

    query: UInt64[np.ndarray, "q words"]
    database: UInt64[np.ndarray, "n words"]
    single: bool

    @classmethod
    def of(cls, query: Shaped[np.ndarray, "q ..."], database: Shaped[np.ndarray, "n ..."]) -> "Labels":
        """Pack labels.

        Args:
            query: (q,) integers or (q, C) multi-hot of bool, or 0 and 1.
            database: (n,) or (n, C), in the same form.

        Raises:
            ShapeError: two different forms or numbers of classes, or other values.
        """
        if query.ndim != database.ndim or query.shape[1:] != database.shape[1:] or query.ndim not in (1, 2):
            raise ShapeError(
                "labels of queries and database are both (n,) integers or both (n, C) multi-hot with the same C, "
                f"got shapes {query.shape} and {database.shape}"
            )
        if query.ndim == 2:
            return cls(_packed(query), _packed(database), single=False)
        mine, theirs = _integers(query), _integers(database)
        mine = np.where(mine == NO_LABEL, _NO_QUERY_LABEL, mine)
        return cls(mine.view(np.uint64)[:, None], theirs.view(np.uint64)[:, None], single=True)

    def relevant(self, query: int) -> np.ndarray:
        """Which items of the database are relevant to one query, (n,) bool."""
        wanted = self.query[query]
        hits: np.ndarray = self.database[:, 0] == wanted[0] if self.single else (self.database & wanted).any(axis=1)
        return hits


def _integers(labels: np.ndarray) -> np.ndarray:
    """Single labels as contiguous int64, the array itself if it is that."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise ShapeError(f"single labels are (n,) integers, -1 for none, got dtype {labels.dtype}")
    if len(labels) and (labels.min() < NO_LABEL or labels.max() > np.iinfo(np.int64).max):
        raise ShapeError(f"single labels are 0 or more, or -1 for none, got {labels.min()} to {labels.max()}")
    return np.ascontiguousarray(labels, np.int64).view(np.ndarray)


def _packed(labels: np.ndarray) -> np.ndarray:
    """Multi-hot labels as (n, ceil(C / 64)) uint64, at least one word; block by block, so that no copy is made."""
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.number):
        raise ShapeError(f"multi-hot labels are bool or 0 and 1, got dtype {labels.dtype}")
    n, classes = labels.shape
    packed = np.zeros((n, 8 * max(1, -(-classes // 64))), np.uint8)
    for start in range(0, n, _ITEMS_AT_ONCE):
        block = labels[start : start + _ITEMS_AT_ONCE]
        hot = block if block.dtype == np.bool_ else block == 1
        if hot is not block and not (hot | (block == 0)).all():
            raise ShapeError(
                f"labels of shape {labels.shape} are multi-hot and hold only 0 and 1; class numbers are of shape (n,)"
            )
        packed[start : start + len(block), : -(-classes // 8)] = np.packbits(hot, axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False)
