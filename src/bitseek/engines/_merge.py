"""One answer from the answers of the parts of a database, merged by (distance, id): the same as of the whole."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from bitseek.index import Hits, RaggedHits
from bitseek.kernels.layout import ID_BITS, by_query, split


def merge_nearest(parts: Sequence[Hits], k: int) -> Hits:
    """The k nearest items of each query.

    Args:
        parts: one or more; what each part of the database found for the same queries, k items or all that it has, with
            the ids of the whole.
        k: how many of all of them.
    """
    keys = np.concatenate([_keys(part) for part in parts], axis=1)
    keys.sort(axis=1)
    return Hits(*split(keys[:, :k]))


def merge_within(parts: Sequence[RaggedHits]) -> RaggedHits:
    """All items within a radius of each query.

    Args:
        parts: one or more; what each part of the database found for the same queries, with the ids of the whole.
    """
    queries = len(parts[0])
    owners = np.concatenate([np.repeat(np.arange(queries), part.counts) for part in parts])
    offsets, keys = by_query(owners, np.concatenate([_keys(part) for part in parts]), queries)
    return RaggedHits(offsets, *split(keys))


def _keys(part: Hits | RaggedHits) -> Int64[np.ndarray, "*shape"]:
    """One number a hit, whose order is that by (distance, id)."""
    keys: np.ndarray = (part.distances.astype(np.int64) << ID_BITS) | part.ids
    return keys
