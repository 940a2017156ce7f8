"""Duplicates against slow loops over all pairs: pairs, histogram, groups of both linkages at every radius."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.collection.projection import BITS
from unchecked import unchecked

from bitseek.cli._care import dedup
from bitseek.codes import Codes
from bitseek.collection import _duplicates, _linkage
from bitseek.collection._duplicates import Duplicates
from bitseek.errors import BitseekError, ShapeError


def slow_pairs(bits, ids, contents):
    """Distance of every pair of items, by ids; equal contents count as equal, with the code of the lowest id."""
    order = sorted(range(len(ids)), key=lambda i: ids[i])
    code = {}
    for i in order:
        same = [j for j in order if contents[j] is not None and contents[j] == contents[i]]
        code[ids[i]] = bits[same[0] if same else i]
    pairs = {}
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            one, other = code[ids[i]], code[ids[j]]
            pairs[ids[i], ids[j]] = sum(a != b for a, b in zip(one, other, strict=True))
    return pairs


def slow_components(ids, linked):
    """Connected components of two or more by flooding."""
    left, found = sorted(ids), []
    while left:
        reached, todo = set(), [left[0]]
        while todo:
            item = todo.pop()
            if item not in reached:
                reached.add(item)
                todo += [other for pair in linked if item in pair for other in pair]
        left = [item for item in left if item not in reached]
        found.append(sorted(reached))
    return sorted((group for group in found if len(group) > 1), key=lambda group: (-len(group), group[0]))


@st.composite
def collections(draw):
    """Codes with near and equal ones, odd ids, and contents of which some are equal and some unknown."""
    n, bits = draw(st.integers(0, 40)), draw(st.sampled_from([1, 5, 20, 64, 70]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = rng.random((draw(st.integers(1, 8)), bits)) < 0.5
    flip = draw(st.sampled_from([0.0, 0.02, 0.1, 0.3]))
    codes = centres[rng.integers(0, len(centres), n)] ^ (rng.random((n, bits)) < flip)
    ids = rng.permutation(1000)[:n].tolist()
    contents = [None if c > 20 else bytes([c]) * 16 for c in rng.integers(0, 60, n).tolist()]
    return codes, ids, contents if draw(st.booleans()) else [None] * n


@settings(max_examples=120, deadline=None)
@given(collection=collections(), radius=st.integers(0, 12), data=st.data())
def test_equals_brute_force(collection, radius, data):
    bits, ids, contents = collection
    found = Duplicates.find(Codes.from_bits(bits), radius, ids=ids, hashes=contents)
    radius = min(radius, bits.shape[1])
    expected = slow_pairs(bits.tolist(), ids, contents)
    counts = [sum(d == distance for d in expected.values()) for distance in range(radius + 1)]
    assert found.radius == radius and found.histogram.tolist() == counts
    smaller = data.draw(st.integers(0, radius))
    near = {pair: d for pair, d in expected.items() if d <= smaller}
    pairs = found.pairs(smaller)
    assert list(zip(pairs.ids.tolist(), pairs.others.tolist(), strict=True)) == sorted(near)
    assert pairs.distances.tolist() == [near[pair] for pair in sorted(near)]

    content = dict(zip(ids, contents, strict=True))
    for linkage in ("connected", "complete"):
        groups = found.groups(smaller, linkage)
        members = [group.ids.tolist() for group in groups]
        assert [len(group) for group in members] == groups.sizes.tolist()
        assert members == sorted(map(sorted, members), key=lambda group: (-len(group), group[0]))
        assert len({item for group in members for item in group}) == sum(map(len, members))
        for group in groups:
            inside = [d for (a, b), d in near.items() if {a, b} <= set(group.ids.tolist())]
            assert group.distance == max(inside)
            of_these = {content[item] for item in group.ids.tolist()}
            assert group.exact == (len(of_these) == 1 and None not in of_these)
        if linkage == "connected":
            assert members == slow_components(ids, near)
        else:
            check_complete(members, ids, expected, smaller)
    exact = [group.ids.tolist() for group in found.exact()]
    same = {pair for pair in expected if content[pair[0]] is not None and content[pair[0]] == content[pair[1]]}
    assert exact == slow_components(ids, same) and all(group.exact for group in found.exact())


def check_complete(members, ids, distances, radius):
    """Every two of a group are a pair, and no two groups (or items that are in none) could be one group."""

    def apart(one, other):
        return max(distances[min(a, b), max(a, b)] for a in one for b in other)

    for group in members:
        assert all(apart([a], [b]) <= radius for a in group for b in group if a != b)
    every = members + [[item] for item in ids if not any(item in group for group in members)]
    for place, group in enumerate(every):
        assert all(apart(group, other) > radius for other in every[place + 1 :])


def slow_clustering(distances, radius):
    """Merge the two clusters whose farthest members are nearest, while these are within the radius."""
    clusters = [[i] for i in range(len(distances))]
    while len(clusters) > 1:
        far, a, b = min(
            (max(distances[i][j] for i in clusters[a] for j in clusters[b]), a, b)
            for a in range(len(clusters))
            for b in range(a + 1, len(clusters))
        )
        if far > radius:
            break
        clusters[a] += clusters.pop(b)
    return sorted(sorted(cluster) for cluster in clusters if len(cluster) > 1)


@pytest.mark.parametrize("seed", range(20))
def test_complete_linkage_is_hierarchical_clustering(seed):
    """Distances that are all different, so that it is clear which two clusters are merged first."""
    rng = np.random.default_rng(seed)
    n = 14
    a, b = np.triu_indices(n, 1)
    distances = rng.permutation(len(a)).astype(np.int32)
    square = np.zeros((n, n), int)
    square[a, b] = square[b, a] = distances
    for radius in (5, 20, 45, 80):
        near = distances <= radius
        labels = _linkage.complete(n, a[near].astype(np.int32), b[near].astype(np.int32), distances[near])
        groups = sorted(np.flatnonzero(labels == label).tolist() for label in set(labels.tolist()))
        assert [group for group in groups if len(group) > 1] == slow_clustering(square.tolist(), radius)


@settings(max_examples=40, deadline=None)
@given(collection=collections(), radius=st.integers(0, 12))
def test_the_greedy_groups_of_large_components_are_complete_too(collection, radius):
    bits, ids, contents = collection
    found = Duplicates.find(Codes.from_bits(bits), radius, ids=ids, hashes=contents)
    before, _linkage.MOST_CLUSTERED = _linkage.MOST_CLUSTERED, 2
    try:
        members = [group.ids.tolist() for group in found.groups(linkage="complete")]
    finally:
        _linkage.MOST_CLUSTERED = before
    check_complete(members, ids, slow_pairs(bits.tolist(), ids, contents), radius)


def test_greedy_groups_are_those_that_are_documented():
    """0 opens a group; of 1 and 2, both near it, 2 is nearer and keeps 1 out; 1 then goes with 3."""
    a, b, distances = (np.array(column, np.int32) for column in ([0, 0, 1], [1, 2, 3], [2, 1, 3]))
    assert _linkage._greedy(4, a, b, distances).tolist() == [0, 1, 0, 1]


def test_large_components_and_many(monkeypatch):
    """A chain of 5,000 codes, each one bit from the next, is one connected component; and 3,000 far pairs beside it."""
    chain = np.tril(np.ones((5000, 5000), bool), -1)
    words = Codes.from_bits(np.concatenate([chain, np.zeros((5000, 120), bool)], axis=1))
    found = Duplicates.find(words, 1)
    assert found.histogram.tolist() == [0, 4999]
    (group,) = found.groups()
    assert group.ids.tolist() == list(range(5000)) and group.distance == 1 and not group.exact
    complete = found.groups(linkage="complete")
    assert [group.ids.tolist() for group in complete] == [[i, i + 1] for i in range(0, 5000, 2)], (
        "5000 > MOST_CLUSTERED"
    )


def test_many_equal_codes_take_no_room():
    codes = Codes.from_bits(np.zeros((200_000, 48), bool))
    found = Duplicates.find(codes, 3)
    assert found.histogram.tolist() == [200_000 * 199_999 // 2, 0, 0, 0]
    for linkage in ("connected", "complete"):
        (group,) = found.groups(linkage=linkage)
        assert len(group.ids) == 200_000 and group.distance == 0
    with pytest.raises(BitseekError, match="too many"):
        found.pairs()


def test_clusters_and_many_rounds_give_the_same_pairs(monkeypatch):
    """The join of a large collection, by clusters, in portions that adapt, against one scan of all."""
    rng = np.random.default_rng(0)
    around = rng.random((50, 64)) < 0.5
    codes = Codes.from_bits(around[rng.integers(0, 50, 6000)] ^ (rng.random((6000, 64)) < 0.04))
    expected = Duplicates.find(codes, 6).pairs()
    monkeypatch.setattr(_duplicates, "_WORTH_CLUSTERS", 1)
    monkeypatch.setattr(_duplicates, "_HITS_AT_ONCE", 5000)
    calls = []
    found = Duplicates.find(codes, 6, progress=lambda done, total: calls.append((done, total)))
    for column, other in zip(expected, found.pairs(), strict=True):
        np.testing.assert_array_equal(column, other)
    assert len(expected.ids) > 100_000
    done = [call[0] for call in calls]
    assert done[0] == 64 and done == sorted(done) and calls[-1][0] == calls[-1][1] and len(calls) > 10


def test_too_many_pairs_are_refused_with_their_number():
    codes = Codes(np.arange(2000, dtype=np.uint64)[:, None], 64)
    with pytest.raises(
        BitseekError, match=r"more than 100000 pairs within radius 11, about \d+ in all; take a smaller"
    ):
        Duplicates.find(codes, 11, most=100_000)
    assert Duplicates.find(codes, 1, most=100_000).histogram.sum() > 5000


def test_empty_and_single():
    for n in (0, 1):
        found = Duplicates.find(Codes.from_bits(np.zeros((n, 9), bool)), 4, hashes=[b"x"] * n)
        assert found.histogram.tolist() == [0] * 5 and len(found.pairs().ids) == 0
        for groups in (found.groups(), found.groups(linkage="complete"), found.exact()):
            assert len(groups) == 0 and list(groups) == [] and groups[:3] == []


def test_groups_are_a_sequence():
    found = Duplicates.find(Codes.from_bits(np.repeat(np.eye(4, dtype=bool), [2, 3, 1, 2], axis=0)), 0)
    groups = found.groups()
    assert [group.ids.tolist() for group in groups[:2]] == [[2, 3, 4], [0, 1]]
    assert groups[-1].ids.tolist() == [6, 7] and len(groups) == 3
    with pytest.raises(IndexError):
        groups[3]
    assert repr(groups) == "Groups(3 groups of 7 items, connected, radius 0)"
    assert repr(found) == "Duplicates(5 pairs of 8 items, radius 0)"


def test_what_cannot_be():
    codes = Codes.from_bits(np.eye(4, dtype=bool))
    found = Duplicates.find(codes, 1)
    with pytest.raises(BitseekError, match="searched up to radius 1; find duplicates again for 2"):
        found.groups(2)
    with pytest.raises(BitseekError, match="no pairs up to radius 2"):
        found.pairs(2)
    with pytest.raises(BitseekError, match="'connected' or 'complete', got 'single'"):
        unchecked(found.groups)(linkage="single")
    for radius in (-1, 1.5, "1", None):
        with pytest.raises(ShapeError, match="radius is a whole number of 0 or more"):
            unchecked(Duplicates.find)(codes, radius)
    with pytest.raises(ShapeError, match="one of the ids for each of the 4 codes"):
        Duplicates.find(codes, 1, ids=[1, 2])
    with pytest.raises(ShapeError, match="one of the hashes for each of the 4 codes"):
        Duplicates.find(codes, 1, hashes=[b"a"])
    with pytest.raises(BitseekError, match="7 comes twice"):
        Duplicates.find(codes, 1, ids=[7, 3, 7, 1])


def test_the_command_takes_a_radius_beyond_the_codes(made, capsys):
    dedup(str(made), radius=99, json=True)
    value = json.loads(capsys.readouterr().out)
    assert value["radius"] == BITS and len(value["histogram"]) == BITS + 1
    assert [len(group["items"]) for group in value["groups"]] == [20]
