"""How codes, masks and hits lie in memory, against slow loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitseek.kernels import layout


@given(
    ids=st.lists(st.integers(0, 2**40 - 1), max_size=20),
    distances=st.lists(st.integers(0, 2**20), max_size=20),
)
def test_keys_are_in_the_order_of_hits(ids, distances):
    hits = list(zip(distances, ids, strict=False))
    keys = np.array([distance << layout.ID_BITS | item for distance, item in hits], np.int64)
    found_ids, found_distances = layout.split(keys)
    assert list(zip(found_distances.tolist(), found_ids.tolist(), strict=True)) == hits
    found_ids, found_distances = layout.split(np.sort(keys))
    assert list(zip(found_distances.tolist(), found_ids.tolist(), strict=True)) == sorted(hits)
    assert (keys < layout.NOTHING).all() and found_distances.dtype == np.int32


@given(removed=st.sets(st.integers(0, 300)), items=st.lists(st.integers(0, 400)), length=st.integers(0, 7))
def test_masks(removed, items, length):
    """A mask may be shorter than the database, and items beyond its end are alive."""
    removed = {item for item in removed if item < 64 * length}
    mask = np.zeros(length, np.uint64)
    for item in removed:
        mask[item // 64] |= np.uint64(1 << item % 64)
    found = layout.alive(mask, np.array(items, np.int64))
    assert found.dtype == bool and found.tolist() == [item not in removed for item in items]


@given(st.data())
def test_hits_by_query(data):
    queries = data.draw(st.integers(1, 9))
    hits = data.draw(st.lists(st.tuples(st.integers(0, queries - 1), st.integers(0, 2**50)), max_size=60))
    owners, keys = (np.array([hit[i] for hit in hits], np.int64) for i in (0, 1))
    offsets, ordered = layout.by_query(owners, keys, queries)
    assert offsets[0] == 0 and offsets[-1] == len(hits)
    for query in range(queries):
        expected = sorted(key for owner, key in hits if owner == query)
        assert ordered[offsets[query] : offsets[query + 1]].tolist() == expected


@given(words=arrays(np.uint64, st.tuples(st.integers(0, 20), st.integers(1, 4))), data=st.data())
def test_distances(words, data):
    query = data.draw(arrays(np.uint64, words.shape[1]))
    expected = [sum((int(a) ^ int(b)).bit_count() for a, b in zip(row, query, strict=True)) for row in words]
    assert layout.distances(words, query).tolist() == expected


@pytest.mark.parametrize("make", [lambda a: a, lambda a: a[::2], lambda a: a.T, np.asfortranarray, lambda a: a[:0]])
def test_frozen_arrays_are_of_one_type(make, tmp_path):
    array = make(np.arange(24, dtype=np.uint64).reshape(6, 4))
    np.save(tmp_path / "file.npy", array)
    for given_array in (array, np.load(tmp_path / "file.npy", mmap_mode="r" if array.size else None)):
        found = layout.frozen(given_array)
        assert type(found) is np.ndarray and found.flags.c_contiguous and not found.flags.writeable
        np.testing.assert_array_equal(found, array)
        assert given_array.flags.c_contiguous is False or np.shares_memory(found, given_array) or not array.size
        np.testing.assert_array_equal(layout.flat(given_array), array.reshape(-1))
    assert array.flags.writeable, "the given array is as it was"
