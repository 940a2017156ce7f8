"""Clusters: whatever is searched in them must be in them once, where its distance to its centre says."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.codes import Codes, hamming_distances
from bitseek.kernels import cluster, layout, pruned, scan
from bitseek.kernels.layout import Shells
from bitseek.kernels.merge import Merger


def draw(seed, n, bits, centres=6, flip=0.1):
    rng = np.random.default_rng(seed)
    around = rng.random((centres, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, centres, n)] ^ (rng.random((n, bits)) < flip))


def begins(shells: Shells) -> np.ndarray:
    """Where each cluster begins."""
    return shells.starts[shells.first[:-1]] if len(shells.starts) else np.zeros(0, np.int64)


def check(shells: Shells, codes: Codes, alive: np.ndarray) -> None:
    """Every promise that `Shells` makes."""
    kept = np.flatnonzero(alive)
    assert sorted(shells.ids.tolist()) == kept.tolist(), "each item that is alive is there once"
    np.testing.assert_array_equal(shells.planes.T, codes.words[shells.ids])
    centres = Codes(np.ascontiguousarray(shells.centres.T), codes.bits)
    distances = hamming_distances(codes, centres)
    owner = np.repeat(np.arange(len(centres)), shells.starts[shells.first[1:] - 1] - begins(shells))
    np.testing.assert_array_equal(distances[shells.ids, owner], distances[shells.ids].min(axis=1, initial=codes.bits))
    assert len(shells.first) == len(centres) + 1 and len(shells.inner) == len(centres)
    assert shells.first[0] == 0 and (not len(centres) or shells.first[-1] == len(shells.starts))
    place = 0
    for c in range(len(centres)):
        starts = shells.starts[shells.first[c] : shells.first[c + 1]]
        assert len(starts) >= 2 and (np.diff(starts) >= 0).all()
        assert starts[0] == place and starts[1] > starts[0] and starts[-1] > starts[-2], "no empty shell at an end"
        for shell, (begin, end) in enumerate(itertools.pairwise(starts)):
            ids = shells.ids[begin:end].astype(int)
            assert (np.diff(ids) > 0).all(), "ids ascend within a shell"
            assert (distances[ids, c] == shells.inner[c] + shell).all()
        place = starts[-1]
    assert place == len(shells.ids)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 500),
    bits=st.integers(1, 200),
    flip=st.sampled_from([0.0, 0.1, 0.5]),
    gone=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_shells_keep_their_promises(seed, n, bits, flip, gone):
    codes = draw(seed, n, bits, flip=flip)
    alive = np.random.default_rng(seed).random(n) >= gone
    check(cluster.build(codes.words, bits, alive), codes, alive)
    check(cluster.build(codes.words, bits), codes, np.ones(n, bool))


def test_a_code_is_with_its_nearest_centre():
    codes = draw(0, 4000, 64, 30)
    centres, distances = np.unique(draw(1, 30, 64).words, axis=0), None
    found, away = cluster._assign(codes.words, centres, None)
    distances = hamming_distances(codes, Codes(centres, 64))
    np.testing.assert_array_equal(away, distances.min(axis=1))
    np.testing.assert_array_equal(found, distances.argmin(axis=1))  # the first of equals


def test_centres_are_majorities():
    """Two tight groups: after some rounds the two centres are the bits that most codes of a group have."""
    rng = np.random.default_rng(3)
    middle = rng.random((2, 64)) < 0.5
    bits = np.repeat(middle, 200, axis=0) ^ (rng.random((400, 64)) < 0.05)
    centres = cluster._centres(Codes.from_bits(bits).words, 2, 64, np.random.default_rng(0), None)
    distances = hamming_distances(Codes(centres, 64), Codes.from_bits(middle))
    assert sorted(distances.min(axis=1).tolist()) in ([0, 0], [0, 1], [1, 1]) or distances.min() == 0


@pytest.mark.parametrize("bits", [12, 64, 130])
def test_the_same_shells_whatever_the_threads_and_the_layout(bits):
    codes = draw(2, 3000, bits, 20)
    expected = cluster.build(codes.words, bits, threads=1)
    doubled = np.repeat(codes.words, 2, axis=0)[::2]
    for words, threads in ((codes.words, 3), (doubled, 2), (np.asfortranarray(codes.words), None)):
        for one, other in zip(expected, cluster.build(words, bits, threads=threads), strict=True):
            np.testing.assert_array_equal(one, other)
    assert all(not array.flags.writeable for array in expected[1:]), "as the kernels take them"


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bits=st.integers(1, 140),
    k=st.integers(1, 150),
    radius=st.integers(0, 40),
    threads=st.integers(1, 3),
    gone=st.sampled_from([0.0, 0.4]),
)
def test_the_pruned_plan_gives_the_keys_of_the_scan(seed, bits, k, radius, threads, gone):
    codes, queries = draw(seed, 400, bits), draw(seed + 1, 9, bits)
    removed = np.random.default_rng(seed).random(400) < gone
    mask = np.packbits(np.pad(removed, (0, 48)), bitorder="little").view(np.uint64)
    for alive in (None, ~removed):  # removed before or after the clusters were built
        shells = cluster.build(codes.words, bits, alive)
        keys, looked = pruned.nearest(shells, queries.words, k, gone=mask, threads=threads)
        expected = scan.nearest(codes.words, queries.words, k, bits, gone=mask, threads=threads)
        np.testing.assert_array_equal(keys, expected[:, : keys.shape[1]])
        assert (expected[:, keys.shape[1] :] == layout.NOTHING).all()
        assert (looked <= len(shells.ids)).all()
        *found, looked = pruned.within(shells, queries.words, radius, gone=mask, threads=threads)
        for one, other in zip(found, scan.within(codes.words, queries.words, radius, gone=mask), strict=True):
            np.testing.assert_array_equal(one, other)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bits=st.integers(1, 140),
    sizes=st.lists(st.integers(0, 200), min_size=1, max_size=5),
    same=st.booleans(),
    gone=st.sampled_from([0.0, 0.3, 1.0]),
    at_once=st.integers(1, 400),
    threads=st.integers(1, 3),
)
def test_parts_are_merged_into_shells_that_keep_their_promises(seed, bits, sizes, same, gone, at_once, threads):
    """Of the same centres, or of those that earlier parts use; some clusters at a time; as if sorted at once."""
    ends = np.cumsum([0, *sizes])
    codes = draw(seed, int(ends[-1]), bits)
    alive = np.random.default_rng(seed).random(len(codes)) >= gone
    common = np.unique(draw(seed + 1, 9, bits).words, axis=0)
    parts = []
    for start, stop in itertools.pairwise(ends.tolist()):
        rows = slice(start, stop)
        used = np.concatenate([common[:0], *(shells.centres.T for _, shells in parts)])
        centres = common if same or not len(used) else np.unique(used, axis=0)
        parts.append((start, cluster.sort(codes.words[rows], bits, centres, alive[rows])))
    merger = Merger(parts)
    planes = np.empty((codes.words.shape[1], merger.size), np.uint64)
    ids = np.empty(merger.size, np.uint32)
    copied = 0
    for start, stop in merger.portions(at_once):
        assert start == copied < stop
        size = int((merger._places[start:stop, -1] - merger._places[start:stop, 0]).sum())
        assert size <= at_once or stop == start + 1
        merger.copy(start, stop, planes, ids, threads)
        copied = stop
    assert copied == merger.clusters
    shells = merger.shells(planes, ids)
    check(shells, codes, alive)
    if same:
        for one, other in zip(shells, cluster.sort(codes.words, bits, common, alive), strict=True):
            np.testing.assert_array_equal(one, other)


def test_merging_goes_on_at_any_cluster():
    codes = draw(5, 900, 64)
    centres = np.unique(draw(6, 9, 64).words, axis=0)
    parts = [(start, cluster.sort(codes.words[start : start + 500], 64, centres)) for start in (0, 500)]
    merger = Merger(parts)
    planes, ids = np.empty((1, merger.size), np.uint64), np.empty(merger.size, np.uint32)
    middle = merger.clusters // 2
    merger.copy(0, middle, planes, ids)
    for start, stop in Merger(parts).portions(50, middle):
        Merger(parts).copy(start, stop, planes, ids)
    check(merger.shells(planes, ids), codes, np.ones(900, bool))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bits=st.sampled_from([7, 64, 130]),
    k=st.integers(1, 100),
    offset=st.sampled_from([0, 5, 1 << 31, 1 << 35]),
    data=st.data(),
)
def test_ids_from_an_offset_on_and_only_what_is_nearer_than_what_is_known(seed, bits, k, offset, data):
    codes, queries = draw(seed, 300, bits), draw(seed + 1, 4, bits)
    distances = hamming_distances(queries, codes).astype(int)
    known = np.array(data.draw(st.lists(st.integers(0, bits + 5), min_size=4, max_size=4)))
    shells = cluster.build(codes.words, bits)
    for found in (
        scan.nearest(codes.words, queries.words, k, bits, known=known, offset=offset),
        pruned.nearest(shells, queries.words, k, known=known, offset=offset)[0],
    ):
        for row, away, limit in zip(found, distances, known, strict=True):
            expected = sorted((d, offset + i) for i, d in enumerate(away.tolist()) if d < limit)[:k]
            ids, bits_away = layout.split(row[: len(expected)])
            assert list(zip(bits_away.tolist(), ids.tolist(), strict=True)) == expected
    *within, _ = pruned.within(shells, queries.words, bits // 3, offset=offset)
    for one, other in zip(within, scan.within(codes.words, queries.words, bits // 3, offset=offset), strict=True):
        np.testing.assert_array_equal(one, other)


def test_most_of_clustered_codes_are_not_looked_at():
    codes, queries = draw(4, 20_000, 64, 100, 0.05), draw(4, 50, 64, 100, 0.05)
    shells = cluster.build(codes.words, 64)
    _, looked = pruned.nearest(shells, queries.words, 10)
    assert looked.mean() < 0.2 * len(codes)
    *_, looked = pruned.within(shells, queries.words, 4)
    assert looked.mean() < 0.2 * len(codes)
