"""NestedIndex against brute force over all bits: every plan, every width of codes and of their first bits."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unchecked import unchecked

from bitseek.codes import Codes
from bitseek.errors import BitseekError, CodeWidthError, ShapeError
from bitseek.index import HammingIndex, NestedIndex, _nested

PLANS = ["scan", "pruned", "auto"]


def distances_of(database, queries):
    """By unpacked bits, (q, n)."""
    return (queries.to_bits()[:, None, :] ^ database.to_bits()[None, :, :]).sum(axis=2)


def slow_nearest(database, queries, k, gone=()):
    """(distance, id) of each query's k nearest, by sorting."""
    items = [i for i in range(len(database)) if i not in set(gone)]
    return [sorted((int(row[i]), i) for i in items)[:k] for row in distances_of(database, queries)]


def slow_within(database, queries, radius, gone=()):
    return [
        [hit for hit in row if hit[0] <= radius] for row in slow_nearest(database, queries, len(database), set(gone))
    ]


def pairs(hits):
    return [list(zip(distances.tolist(), ids.tolist(), strict=True)) for ids, distances in hits]


def clustered(rng, n, bits, centres=5, flip=0.1):
    around = rng.random((centres, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, centres, n)] ^ (rng.random((n, bits)) < flip))


@st.composite
def searches(draw):
    """A database with clusters and repeated codes, queries near and far, 2 to 300 bits, and a number of first bits."""
    bits = draw(st.integers(2, 300))
    n, q = draw(st.integers(0, 300)), draw(st.integers(0, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    database = clustered(rng, n, bits, draw(st.integers(1, 6)), draw(st.sampled_from([0.0, 0.05, 0.3, 0.5])))
    near = database.to_bits()[rng.integers(0, n, q)] if n else np.zeros((q, bits), bool)
    queries = Codes.from_bits(near ^ (rng.random((q, bits)) < draw(st.sampled_from([0.0, 0.1, 0.5]))))
    gone = draw(st.lists(st.integers(0, n - 1), max_size=30)) if n else []
    return database, queries, draw(st.integers(1, bits - 1)), gone


@pytest.mark.parametrize("worth", [0.0, _nested._WORTH, 1.0])
@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=25, deadline=None)
@given(search=searches(), k=st.integers(1, 320), radius=st.integers(0, 60))
def test_equals_brute_force(plan, worth, search, k, radius):
    """Also where what is left is never ranked by all bits but scanned, and where it always is, a few at once."""
    database, queries, first, gone = search
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_nested, "_WORTH", worth or 1e-9)
        patch.setattr(_nested, "_AT_ONCE", 700)
        patch.setattr(_nested, "_FEWEST", 1)
        patch.setattr(_nested, "_CANDIDATES", 2)
        index = NestedIndex(database, first, gone=gone or None, plan=plan)
        assert len(index) == len(database) - len(set(gone))
        hits = index.nearest(queries, k)
        assert pairs(hits) == slow_nearest(database, queries, k, gone)
        assert hits.ids.dtype == np.int64 and hits.distances.dtype == np.int32
        assert pairs(index.within(queries, radius)) == slow_within(database, queries, radius, gone)


@pytest.mark.parametrize("plan", ["scan", "pruned"])
@pytest.mark.parametrize("queries", [1, 40])
@pytest.mark.parametrize(("bits", "first"), [(128, 64), (256, 192), (300, 17)])
def test_many_items_on_several_threads(bits, first, queries, plan):
    """Against HammingIndex, which is compared with brute force in test_hamming."""
    rng = np.random.default_rng(bits)
    everything = clustered(rng, 20_000 + queries, bits, 200, 0.05)
    database, asked = everything[:20_000], everything[20_000:]
    expected = HammingIndex(database, plan="scan")
    for threads in (1, 3):
        index = NestedIndex(database, first, plan=plan, threads=threads)
        for k in (1, 10, 700):
            assert pairs(index.nearest(asked, k)) == pairs(expected.nearest(asked, k))
        assert pairs(index.within(asked, bits // 12)) == pairs(expected.within(asked, bits // 12))


def test_what_is_ruled_out_is_not_read(monkeypatch):
    """Rows of items that are too far by their first bits may be anything."""
    rng = np.random.default_rng(0)
    near, far = clustered(rng, 100, 256, 1, 0.02), clustered(rng, 20_000, 256, 50, 0.02)
    database = Codes.concat([near, far])
    index = NestedIndex(database, 64)
    expected, around = pairs(index.nearest(near[:3], 5)), pairs(index.within(near[:3], 14))
    assert max(distance for row in expected for distance, _ in row) < 14
    words = database.words.copy()
    words[100:] = near[0].words  # which would be the nearest of all, were they looked at
    assert (np.bitwise_count(near[:3].prefix(64).words[:, None] ^ far.prefix(64).words[None]).sum(axis=2) > 14).all()
    index._codes = Codes(words, 256)
    monkeypatch.setattr(HammingIndex, "nearest", only_of(64, HammingIndex.nearest))
    assert pairs(index.nearest(near[:3], 5)) == expected and pairs(index.within(near[:3], 14)) == around


def only_of(bits, search):
    """A search that must not be one of all bits."""

    def checked(self, codes, *arguments, **options):
        assert self.bits == codes.bits == bits
        return search(self, codes, *arguments, **options)

    return checked


def test_codes_without_any_order_are_scanned(monkeypatch):
    rng = np.random.default_rng(1)
    database = Codes.from_bits(rng.random((3000, 256)) < 0.5)
    index, asked = NestedIndex(database, 64), database[:4]
    expected = slow_nearest(database, asked, 12), slow_within(database, asked, 100)
    monkeypatch.setattr(NestedIndex, "_ranked", lambda *_: pytest.fail("nearly everything would be ranked"))
    assert (pairs(index.nearest(asked, 12)), pairs(index.within(asked, 100))) == expected


def test_a_memory_map_is_read_in_place(tmp_path):
    rng = np.random.default_rng(1)
    database = clustered(rng, 3000, 256)
    database.words.tofile(tmp_path / "words")
    mapped = Codes(np.memmap(tmp_path / "words", np.uint64, "r", shape=(3000, 4)), 256)
    index = NestedIndex(mapped, 64)
    assert np.shares_memory(index._codes.words, mapped.words)
    assert pairs(index.nearest(database[:5], 3)) == slow_nearest(database, database[:5], 3)


def test_several_threads_may_search():
    rng = np.random.default_rng(2)
    database, queries = clustered(rng, 20_000, 128), clustered(rng, 30, 128)
    index, found = NestedIndex(database, 32), []
    expected = slow_nearest(database, queries, 5)
    threads = [threading.Thread(target=lambda: found.append(pairs(index.nearest(queries, 5)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 6


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(3)
    database = clustered(rng, 50, 96)
    index = NestedIndex(database, 32)
    assert repr(index) == "NestedIndex(50 × 96 bits, by the first 32)"
    for bits in (96, 200):
        with pytest.raises(CodeWidthError, match=f"the first {bits} of 96 bits are no fewer than all of them"):
            NestedIndex(database, bits)
    with pytest.raises(CodeWidthError, match="holds codes of 96 bits, got codes of 32 bits"):
        index.nearest(database.prefix(32))
    for bad in (0, -1, 1.5, "3"):
        with pytest.raises(ShapeError):
            unchecked(index.nearest)(database[:1], bad)
    with pytest.raises(ShapeError, match="radius"):
        unchecked(index.within)(database[:1], -1)
    with pytest.raises(BitseekError, match="ids of this index are"):
        NestedIndex(database, 32, gone=[50])
    with pytest.raises(ShapeError):
        unchecked(index.within)(database.to_bits(), 3)
