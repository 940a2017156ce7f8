"""Clusters: whatever is searched in them must be in them once, where its distance to its centre says."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.codes import Codes, hamming_distances
from bitseek.kernels import cluster, layout, pruned, scan
from bitseek.kernels.layout import Shells


def draw(seed, n, bits, centres=6, flip=0.1):
    rng = np.random.default_rng(seed)
    around = rng.random((centres, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, centres, n)] ^ (rng.random((n, bits)) < flip))


def check(shells: Shells, codes: Codes, alive: np.ndarray) -> None:
    """Every promise that `Shells` makes."""
    kept = np.flatnonzero(alive)
    assert sorted(shells.ids.tolist()) == kept.tolist(), "each item that is alive is there once"
    np.testing.assert_array_equal(shells.planes.T, codes.words[shells.ids])
    centres = Codes(np.ascontiguousarray(shells.centres.T), codes.bits)
    distances = hamming_distances(codes, centres)
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


def test_most_of_clustered_codes_are_not_looked_at():
    codes, queries = draw(4, 20_000, 64, 100, 0.05), draw(4, 50, 64, 100, 0.05)
    shells = cluster.build(codes.words, 64)
    _, looked = pruned.nearest(shells, queries.words, 10)
    assert looked.mean() < 0.2 * len(codes)
    *_, looked = pruned.within(shells, queries.words, 4)
    assert looked.mean() < 0.2 * len(codes)
