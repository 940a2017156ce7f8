"""Merged answers of parts against a plain sort of all that the parts found."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.harness import codes

from bitseek.engines._merge import merge_nearest, merge_within
from bitseek.index import HammingIndex, Hits, RaggedHits


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    queries=st.integers(0, 4),
    k=st.integers(1, 30),
    radius=st.integers(0, 12),
    bits=st.integers(1, 12),
    turn=st.booleans(),
)
def test_parts_are_as_one(sizes, queries, k, radius, bits, turn):
    database, asked = codes(sum(sizes), bits), codes(queries, bits, seed=1)
    parts = [HammingIndex(database[start : start + size], plan="scan") for start, size in _placed(sizes)]
    nearest, within = [], []
    for (first, _), part in zip(_placed(sizes), parts, strict=True):
        near, around = part.nearest(asked, k), part.within(asked, radius)
        nearest.append(Hits(near.ids + first, near.distances))
        within.append(RaggedHits(around.offsets, around.ids + first, around.distances))
    if turn:  # the order of the parts says nothing
        nearest.reverse()
        within.reverse()
    hits, ragged = merge_nearest(nearest, k), merge_within(within)
    differ = asked.to_bits()[:, None, :] != database.to_bits()[None, :, :]
    for query, distances in enumerate(differ.sum(axis=2).tolist()):
        expected = sorted((distance, id) for id, distance in enumerate(distances))
        assert list(zip(hits.distances[query].tolist(), hits.ids[query].tolist(), strict=True)) == expected[:k]
        near = ragged[query]
        assert list(zip(near.distances.tolist(), near.ids.tolist(), strict=True)) == [
            each for each in expected if each[0] <= radius
        ]


def _placed(sizes):
    return list(zip(np.cumsum([0, *sizes[:-1]]).tolist(), sizes, strict=True))
