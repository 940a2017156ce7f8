"""HammingIndex against brute force: every plan, any number of bits, and all that can be at an edge."""

import mmap
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unchecked import unchecked

from bitseek.codes import Codes
from bitseek.errors import BitseekError, CodeWidthError, ShapeError
from bitseek.index import HammingIndex, _clusters

PLANS = ["scan", "pruned", "auto"]


def brute_force(database, queries):
    """Distances by unpacked bits, (q, n)."""
    return (queries.to_bits()[:, None, :] ^ database.to_bits()[None, :, :]).sum(axis=2)


def nearest_by_sorting(distances, k, alive=None):
    """Ids and distances by a stable sort: ties to the lowest id."""
    distances = distances.copy()
    n = distances.shape[1]
    if alive is not None:
        distances[:, ~alive] = 1 << 20
        n = int(alive.sum())
    order = np.argsort(distances, axis=1, kind="stable")[:, : min(k, n)]
    return order, np.take_along_axis(distances, order, axis=1)


def clustered(rng, n, bits, centres=5, flip=0.1):
    around = rng.random((centres, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, centres, n)] ^ (rng.random((n, bits)) < flip))


def check_nearest(index, database, queries, k, alive=None, plan=None):
    ids, distances = nearest_by_sorting(brute_force(database, queries), k, alive)
    hits = index.nearest(queries, k, plan=plan)
    np.testing.assert_array_equal(hits.distances, distances)
    np.testing.assert_array_equal(hits.ids, ids)
    assert hits.ids.dtype == np.int64 and hits.distances.dtype == np.int32


def check_within(index, database, queries, radius, alive=None, plan=None):
    distances = brute_force(database, queries)
    hits = index.within(queries, radius, plan=plan)
    assert len(hits) == len(queries)
    for row, (ids, near) in zip(distances, hits, strict=True):
        expected = np.flatnonzero((row <= radius) & (True if alive is None else alive))
        expected = expected[np.argsort(row[expected], kind="stable")]
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_array_equal(near, row[expected])


@st.composite
def searches(draw):
    """A database with clusters and repeated codes, queries near and far, of 1 to 300 bits."""
    bits = draw(st.integers(1, 300))
    n = draw(st.integers(0, 400))
    q = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    database = clustered(rng, n, bits, draw(st.integers(1, 6)), draw(st.sampled_from([0.0, 0.05, 0.3, 0.5])))
    near = database.to_bits()[rng.integers(0, n, q)] if n else np.zeros((q, bits), bool)
    queries = Codes.from_bits(near ^ (rng.random((q, bits)) < draw(st.sampled_from([0.0, 0.1, 0.5]))))
    return database, queries


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=60, deadline=None)
@given(search=searches(), k=st.integers(1, 450), radius=st.integers(0, 40))
def test_equals_brute_force(plan, search, k, radius):
    database, queries = search
    index = HammingIndex(database, plan=plan)
    check_nearest(index, database, queries, k)
    check_within(index, database, queries, radius)


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=25, deadline=None)
@given(search=searches(), data=st.data(), k=st.integers(1, 100), radius=st.integers(0, 40))
def test_adding_and_removing_keeps_it_exact(plan, search, data, k, radius):
    database, queries = search
    cut = data.draw(st.integers(0, len(database)))
    index = HammingIndex(database[:cut], plan=plan)
    if data.draw(st.booleans()):
        index.build()
    alive = np.ones(len(database), bool)
    gone = data.draw(st.lists(st.integers(0, cut - 1), max_size=50)) if cut else []
    removed = index.remove(gone)
    alive[gone] = False
    assert removed == len(set(gone))
    middle = (cut + len(database)) // 2
    np.testing.assert_array_equal(index.add(database[cut:middle]), np.arange(cut, middle))
    index.add(database[middle:])
    if data.draw(st.booleans()):
        index.build()
    late = data.draw(st.lists(st.integers(0, len(database) - 1), max_size=50)) if len(database) else []
    index.remove(late)
    alive[late] = False
    assert len(index) == alive.sum() and index.size == len(database)
    check_nearest(index, database, queries, k, alive)
    check_within(index, database, queries, radius, alive)


@pytest.mark.parametrize("plan", ["scan", "pruned"])
@pytest.mark.parametrize("bits", [1, 12, 32, 63, 64, 65, 128, 191, 192, 256, 320, 512, 1000, 2048])
def test_every_width(bits, plan):
    rng = np.random.default_rng(bits)
    database, queries = clustered(rng, 3000, bits), clustered(rng, 7, bits)
    index = HammingIndex(database, plan=plan)
    check_nearest(index, database, queries, 10)
    check_nearest(index, database, queries[:1], 100)
    check_within(index, database, queries, bits // 4)
    check_within(index, database, queries[:2], bits // 4)


@pytest.mark.parametrize("plan", PLANS)
def test_many_queries_and_threads(plan):
    rng = np.random.default_rng(0)
    database, queries = clustered(rng, 5000, 48, 30), clustered(rng, 600, 48, 30)
    for threads in (1, 3):
        index = HammingIndex(database, plan=plan, threads=threads)
        check_nearest(index, database, queries, 5)
        check_within(index, database, queries[:100], 5)


@pytest.mark.parametrize("plan", ["scan", "pruned"])
def test_sampled_limits_that_mislead_are_noticed(plan):
    """The codes near the queries have been removed, so a sample promises the k nearest where there are none."""
    rng = np.random.default_rng(5)
    bits = rng.random((70_000, 64)) < 0.5
    bits[:5000] = rng.random((5000, 64)) < 0.02
    database, alive = Codes.from_bits(bits), np.ones(70_000, bool)
    index = HammingIndex(database, plan=plan)
    queries = database[[0, 5, 30_000]]
    for k in (64, 300, 2000):
        check_nearest(index, database, queries, k)
    index.remove(np.arange(5000))
    alive[:5000] = False
    for k in (64, 300, 2000):
        check_nearest(index, database, queries, k, alive)


@pytest.mark.parametrize("plan", PLANS)
class TestEdges:
    def test_empty_database(self, plan):
        index = HammingIndex(Codes.from_bits(np.zeros((0, 40), bool)), plan=plan)
        queries = Codes.from_bits(np.zeros((3, 40), bool))
        hits = index.nearest(queries, 5)
        assert hits.ids.shape == hits.distances.shape == (3, 0)
        assert len(index) == 0
        found = index.within(queries, 40)
        assert found.offsets.tolist() == [0, 0, 0, 0] and len(found.ids) == 0
        index.build()
        assert index.add(queries).tolist() == [0, 1, 2]
        assert index.nearest(queries, 1).ids.tolist() == [[0], [0], [0]]

    def test_one_item(self, plan):
        index = HammingIndex(Codes.from_bits([[1, 0, 1]]), plan=plan)
        hits = index.nearest(Codes.from_bits([[0, 1, 0]]), 10)
        assert hits.ids.tolist() == [[0]] and hits.distances.tolist() == [[3]]
        assert index.within(Codes.from_bits([[0, 1, 0]]), 2).counts.tolist() == [0]
        assert index.within(Codes.from_bits([[0, 1, 0]]), 3).counts.tolist() == [1]

    def test_all_codes_equal(self, plan):
        database = Codes.from_bits(np.ones((1000, 33), bool))
        index = HammingIndex(database, plan=plan)
        for k in (1, 10, 100, 1000, 2000):
            hits = index.nearest(database[:5], k)
            np.testing.assert_array_equal(hits.ids, np.tile(np.arange(min(k, 1000)), (5, 1)))
            assert not hits.distances.any()

    def test_equal_codes_after_removal(self, plan):
        database = Codes.from_bits(np.ones((300, 33), bool))
        index = HammingIndex(database, plan=plan)
        index.build()
        index.remove(np.arange(0, 300, 2))
        np.testing.assert_array_equal(index.nearest(database[:1], 1000).ids[0], np.arange(1, 300, 2))

    def test_duplicate_queries_and_no_queries(self, plan):
        rng = np.random.default_rng(1)
        database = clustered(rng, 500, 20)
        index = HammingIndex(database, plan=plan)
        hits = index.nearest(database[[7, 7, 7]], 9)
        assert (hits.ids == hits.ids[0]).all()
        assert index.nearest(database[:0], 9).ids.shape == (0, 9)
        assert len(index.within(database[:0], 3)) == 0

    def test_everything_removed(self, plan):
        database = Codes.from_bits(np.eye(8, dtype=bool))
        index = HammingIndex(database, plan=plan)
        assert index.remove(range(8)) == 8
        assert index.remove([3]) == 0
        assert index.nearest(database, 2).ids.shape == (8, 0)
        assert index.within(database, 8).counts.sum() == 0
        assert index.add(database[:1]).tolist() == [8]
        assert index.nearest(database[:1], 2).ids.tolist() == [[8]]

    def test_wrong_width(self, plan):
        index = HammingIndex(Codes.from_bits(np.ones((4, 16), bool)), plan=plan)
        other = Codes.from_bits(np.ones((1, 17), bool))
        for call in (lambda: index.nearest(other, 1), lambda: index.within(other, 1), lambda: index.add(other)):
            with pytest.raises(CodeWidthError, match=r"16 bits.*17 bits"):
                call()

    def test_radius_beyond_the_bits(self, plan):
        database = Codes.from_bits(np.eye(5, dtype=bool))
        assert HammingIndex(database, plan=plan).within(database, 10**9).counts.tolist() == [5] * 5


ODD_NUMBERS = [-1, 2.5, 3.0, "3", None, True, np.True_, np.float64(2), [1], np.array([1, 2])]


class TestOddArguments:
    codes = Codes.from_bits(np.ones((4, 16), bool))
    index = HammingIndex(codes)

    @pytest.mark.parametrize("k", [0, *ODD_NUMBERS])
    def test_k(self, k):
        hits, logits = self.index.nearest(self.codes, 3), np.zeros((4, 16))
        searches = [lambda: unchecked(self.index.nearest)(self.codes, k)]
        searches.append(lambda: unchecked(self.index.nearest_by_logits)(logits, k))
        if k is not None:
            searches.append(lambda: unchecked(self.index.rerank)(hits, logits=logits, k=k))
        for search in searches:
            with pytest.raises(ShapeError, match="k is a whole number of 1 or more, got k="):
                search()

    @pytest.mark.parametrize("radius", ODD_NUMBERS)
    def test_radius(self, radius):
        with pytest.raises(ShapeError, match="radius is a whole number of 0 or more, got radius="):
            unchecked(self.index.within)(self.codes, radius)

    @pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint16, np.array, int])
    def test_whole_numbers_of_any_kind(self, kind):
        assert self.index.nearest(self.codes, kind(3)).ids.shape == (4, 3)
        assert self.index.within(self.codes, kind(0)).counts.tolist() == [4] * 4
        assert self.index.nearest_by_logits(np.zeros((2, 16)), kind(3)).ids.shape == (2, 3)
        assert HammingIndex(self.codes, threads=kind(2)).explain().threads == 2

    @pytest.mark.parametrize("threads", [0, *ODD_NUMBERS])
    def test_threads(self, threads, tmp_path):
        if threads is not None:
            with pytest.raises(ShapeError, match="threads is a whole number of 1 or more"):
                unchecked(object.__new__(HammingIndex).__init__)(self.codes, threads=threads)

    @pytest.mark.parametrize("queries", [None, "a", np.zeros((4, 16)), [[0, 1]], np.zeros((4, 1), np.uint64)])
    def test_queries_and_items_are_codes(self, queries):
        bare = object.__new__(HammingIndex)
        for call in (
            lambda: unchecked(self.index.nearest)(queries, 1),
            lambda: unchecked(self.index.within)(queries, 1),
            lambda: unchecked(self.index.add)(queries),
            lambda: unchecked(bare.__init__)(queries),
        ):
            with pytest.raises(ShapeError, match=r"codes are Codes, got \w+; use Codes.from_bits or Codes.from_logits"):
                call()

    @pytest.mark.parametrize("plan", ["fast", None, 3])
    def test_plans(self, plan):
        with pytest.raises(BitseekError, match="a plan is 'auto', 'scan' or 'pruned'"):
            unchecked(object.__new__(HammingIndex).__init__)(self.codes, plan=plan)
        if plan is not None:
            with pytest.raises(BitseekError, match="a plan is"):
                unchecked(self.index.nearest)(self.codes, 1, plan=plan)

    @pytest.mark.parametrize("ids", [[0.5], "0", [[0, 1]], [True], None, {0}, [None]])
    def test_ids(self, ids):
        for call in (self.index.remove, self.index.codes):
            if ids is not None or call == self.index.remove:
                with pytest.raises(ShapeError, match="ids are"):
                    call(ids)
        assert len(self.index) == 4

    @pytest.mark.parametrize("ids", [4, -1, [1, 4], np.array([2**63], np.uint64)])
    def test_ids_that_were_never_given(self, ids):
        for call in (self.index.remove, self.index.codes):
            with pytest.raises(BitseekError, match=r"ids of this index are 0 to 3, got \[.*\]"):
                call(ids)
        assert len(self.index) == 4

    def test_ids_of_any_kind(self):
        index = HammingIndex(self.codes)
        assert [index.remove(ids) for ids in (0, np.int64(1), [], np.array([2], np.uint8), range(4))] == [1, 1, 0, 1, 1]
        assert index.codes(3) == index.codes([3]) == self.codes[3] and len(index.codes()) == 4


def test_views_of_codes_are_searched_right():
    rng = np.random.default_rng(2)
    whole = clustered(rng, 800, 100)
    part = whole[::2]
    check_nearest(HammingIndex(part), part, whole[1:20:3], 4)


def is_mapped(array):
    """Whether an array lies in a file, and not in memory of its own."""
    while array is not None and not isinstance(array, np.memmap | mmap.mmap):
        array = array.obj if isinstance(array, memoryview) else getattr(array, "base", None)
    return array is not None


def test_memory_mapped_codes_are_not_copied(tmp_path):
    rng = np.random.default_rng(3)
    for bits in (64, 128):
        np.save(tmp_path / "words.npy", clustered(rng, 2000, bits).words)
        mapped = np.load(tmp_path / "words.npy", mmap_mode="r")
        codes = Codes(mapped, bits)
        index = HammingIndex(codes)
        assert np.shares_memory(index.codes().words, mapped) and is_mapped(index.codes().words)
        check_nearest(index, codes, codes[:3], 6)
        assert np.shares_memory(index.codes().words, mapped)
        in_memory = HammingIndex(Codes(np.array(mapped), bits))
        assert not is_mapped(in_memory.codes().words), "this test can fail"


def test_clusters_are_built_in_the_background_and_both_plans_tried(monkeypatch):
    monkeypatch.setattr(_clusters, "WORTH_IT", 1000)
    rng = np.random.default_rng(4)
    database, queries = clustered(rng, 4000, 64, 40), clustered(rng, 50, 64, 40)
    index = HammingIndex(database)
    assert index.explain().clusters == "none yet"
    check_nearest(index, database, queries, 10)
    for thread in threading.enumerate():
        if thread.name == "clusters":
            thread.join()
    assert index.explain().covered == 4000
    check_nearest(index, database, queries, 10)
    check_within(index, database, queries, 6)
    explanation = index.explain()
    assert [choice.search for choice in explanation.choices] == ["nearest k<=16, batch", "within radius 6, batch"]
    assert all(0 <= choice.looked_at < 1 for choice in explanation.choices)  # 0 where no cluster is in reach
    quicker = {
        choice.search: "scan" if choice.scan_ms <= choice.pruned_ms else "pruned" for choice in explanation.choices
    }
    assert {choice.search: choice.plan for choice in explanation.choices} == quicker
    assert "nearest k<=16, batch" in str(explanation) and "4000 items of 64 bits" in str(explanation)
    for _ in range(4):  # a few queries at a time: tried three times, then chosen
        check_nearest(index, database, queries[:1], 10)
    index.add(clustered(rng, 1000, 64, 40))
    index.nearest(queries, 3)
    index.build()
    assert index.explain().covered == 5000


@pytest.mark.parametrize("plan", ["scan", "pruned"])
@settings(max_examples=25, deadline=None)
@given(search=searches(), data=st.data(), threads=st.integers(1, 4), k=st.integers(1, 450), radius=st.integers(0, 60))
def test_the_contract_of_an_index_through_its_life(plan, search, data, threads, k, radius, tmp_path_factory):
    """Found by both plans, by any number of threads, before and after building, adding, removing, saving, opening."""
    database, queries = search
    cut = data.draw(st.integers(0, len(database)))
    index, alive = HammingIndex(database[:cut], plan=plan, threads=threads), np.ones(cut, bool)
    for step in data.draw(st.lists(st.sampled_from(["build", "add", "remove", "save and open"]), max_size=5)):
        if step == "build":
            index.build()
        elif step == "add":
            more = (len(alive) + len(database) + 1) // 2
            np.testing.assert_array_equal(index.add(database[len(alive) : more]), np.arange(len(alive), more))
            alive = np.concatenate([alive, np.ones(more - len(alive), bool)])
        elif step == "remove" and len(alive):
            gone = data.draw(st.lists(st.integers(0, len(alive) - 1), max_size=30))
            assert index.remove(gone) == alive[np.unique(np.array(gone, int))].sum()
            alive[gone] = False
        else:
            folder = tmp_path_factory.mktemp("index")
            index.save(folder)
            index = HammingIndex.open(folder, plan=plan, threads=threads, verify=data.draw(st.booleans()))
        assert (len(index), index.size, index.bits) == (alive.sum(), len(alive), database.bits)
        assert index.codes() == database[: len(alive)]
        check_nearest(index, database[: len(alive)], queries, k, alive)
        check_within(index, database[: len(alive)], queries, radius, alive)


@pytest.mark.parametrize("plan", PLANS)
def test_neither_threads_nor_the_size_of_a_batch_change_the_answers(plan):
    rng = np.random.default_rng(7)
    database, queries = clustered(rng, 3000, 40, 12), clustered(rng, 70, 40, 12)
    whole = HammingIndex(database, plan=plan, threads=1)
    nearest, within = whole.nearest(queries, 70), whole.within(queries, 6)
    for threads in (2, 5):
        index = HammingIndex(database, plan=plan, threads=threads)
        for size in (1, 9, 70):
            for start in range(0, 70, 35):
                some = slice(start, start + size)
                part = index.nearest(queries[some], 70)
                np.testing.assert_array_equal(part.ids, nearest[some].ids)
                np.testing.assert_array_equal(part.distances, nearest[some].distances)
                np.testing.assert_array_equal(index.within(queries[some], 6).ids, within[some].ids)


def test_small_indexes_build_no_clusters_by_themselves():
    codes = Codes.from_bits(np.eye(9, dtype=bool))
    index = HammingIndex(codes)
    index.nearest(codes, 2)
    assert index.explain().centres == 0 and "not worth it" in index.explain().clusters


def test_searching_while_adding_from_several_threads():
    rng = np.random.default_rng(6)
    database, queries = clustered(rng, 3000, 64, 10), clustered(rng, 20, 64, 10)
    index = HammingIndex(database[:1000], plan="pruned")
    expected = nearest_by_sorting(brute_force(database, queries), 10)
    failures = []

    def search():
        try:
            for _ in range(10):
                hits = index.nearest(queries, 10)
                assert (np.diff(hits.distances, axis=1) >= 0).all()
                assert (hits.distances[:, -1] >= expected[1][:, -1]).all()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for start in range(1000, 3000, 100):
        index.add(database[start : start + 100])
        if start % 500 == 0:
            index.build()
    for thread in threads:
        thread.join()
    assert not failures
    np.testing.assert_array_equal(index.nearest(queries, 10).ids, expected[0])
