"""The inner loops: no near code is skipped, and the k nearest are kept, against slow loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.kernels import distance, layout, topk


def flat_in(form, words):
    """Codes in one row, as rows or planes, with the steps between codes and between the words of one."""
    if form == "rows":
        return layout.flat(words), words.shape[1], 1
    return layout.flat(words.T), 1, len(words)


def draw_words(seed, n, width, flip):
    """Codes around one centre, so that some are near and most are far if `flip` is large."""
    rng = np.random.default_rng(seed)
    bits = (rng.random(64 * width) < 0.5) ^ (rng.random((n + 1, 64 * width)) < flip)
    words = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
    return words[:n], words[n:]


blocks = {
    "seed": st.integers(0, 2**32),
    "n": st.integers(1, 600),
    "width": st.sampled_from([1, 2, 3, 4, 5, 8, 9, 16]),
    "flip": st.sampled_from([0.02, 0.2, 0.5]),
}


@pytest.mark.parametrize("form", ["rows", "planes"])
@settings(max_examples=60, deadline=None)
@given(**blocks, data=st.data())
def test_no_near_code_is_skipped(form, seed, n, width, flip, data):
    words, query = draw_words(seed, n, width, flip)
    expected = layout.distances(words, query[0])
    limit = int(np.quantile(expected, data.draw(st.sampled_from([0, 0.01, 0.3, 1])))) + data.draw(st.integers(0, 2))
    start, stop = sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))
    codes, code_step, word_step = flat_in(form, words)
    sums = np.zeros(distance.BLOCK, np.int64)
    steps = (codes, 0, code_step, word_step)
    seen, j = [], start
    while True:
        j, some = distance.next_block(*steps, j, stop, layout.frozen(query), 0, limit, sums)
        if not some:
            break
        assert start <= j and j + some <= stop and some <= distance.BLOCK
        np.testing.assert_array_equal(sums[:some], expected[j : j + some])
        assert (expected[j : j + some] < limit).any(), "a block without a near code is not given"
        seen += [j + int(e) for e in np.flatnonzero(sums[:some] < limit)]
        j += some
    assert j == stop
    assert seen == [i for i in range(start, stop) if expected[i] < limit]


@pytest.mark.parametrize("form", ["rows", "planes"])
@settings(max_examples=40, deadline=None)
@given(**blocks)
def test_measured_distances(form, seed, n, width, flip):
    words, query = draw_words(seed, n, width, flip)
    codes, code_step, word_step = flat_in(form, words)
    first = n // 3
    sums = np.full(n, -1, np.int64)
    queries = layout.frozen(np.concatenate([query + np.uint64(1), query]))
    distance.measure(codes, first * code_step, code_step, word_step, queries, 1, sums, n - first)
    np.testing.assert_array_equal(sums[: n - first], layout.distances(words[first:], query[0]))
    assert (sums[n - first :] == -1).all()


class TestNearestSoFar:
    """`begin`, `keep` and `finish` as a search calls them, against a sort."""

    def kept(self, distances, ids, k, bits, limit=None):
        room = min(2 * k + 64, len(ids) + 1)
        keys, seen = np.empty((1, max(room, k + 1)), np.int64), np.empty((1, bits + 1), np.int64)
        state, found = np.empty((1, 4), np.int64), np.full((1, k), layout.NOTHING, np.int64)
        topk.begin(seen, state, 0, bits + 1 if limit is None else limit)
        for bit_count, item in zip(distances, ids, strict=True):
            topk.keep(keys, seen, state, 0, k, int(bit_count), int(item))
        topk.finish(keys, state, 0, k, found, 0)
        return np.sort(found[0]), int(state[0, topk.LIMIT])

    @settings(max_examples=80, deadline=None)
    @given(
        distances=st.lists(st.integers(0, 12), max_size=400),
        k=st.integers(1, 90),
        seed=st.integers(0, 2**32),
    )
    def test_they_are_the_least_keys_whatever_the_order(self, distances, k, seed):
        ids = np.random.default_rng(seed).permutation(len(distances))
        expected = sorted(distance << layout.ID_BITS | int(item) for distance, item in zip(distances, ids, strict=True))
        found, limit = self.kept(distances, ids, k, 12)
        assert found.tolist() == expected[:k] + [layout.NOTHING] * max(0, k - len(expected))
        if len(expected) > k:
            kth = expected[k - 1] >> layout.ID_BITS
            assert kth <= limit, "what lies below the limit may still be of use"
        elif len(expected) < k:
            assert limit == 13 or limit == 12, "as long as there are too few, everything is of use"

    @pytest.mark.parametrize("pattern", ["ascending", "descending", "equal", "saw"])
    def test_long_runs(self, pattern):
        n, k = 5000, 70
        distances = {
            "ascending": np.arange(n) // 50,
            "descending": np.arange(n)[::-1] // 50,
            "equal": np.full(n, 40),
            "saw": np.arange(n) % 101,
        }[pattern]
        for ids in (np.arange(n), np.arange(n)[::-1]):
            found, limit = self.kept(distances, ids, k, 128)
            np.testing.assert_array_equal(found, np.sort((distances << layout.ID_BITS) | ids)[:k])
            assert limit >= found[-1] >> layout.ID_BITS

    def test_quickselect_brings_the_least_to_the_front(self):
        rng = np.random.default_rng(0)
        for n in (1, 2, 3, 10, 100, 1000):
            for k in {1, 2, n // 2, n - 1, n} - {0}:
                keys = rng.permutation(n)[None].astype(np.int64)
                topk.select(keys, 0, n, min(k, n))
                assert sorted(keys[0, :k].tolist()) == list(range(min(k, n)))
                assert sorted(keys[0].tolist()) == list(range(n)), "nothing is lost"


class TestLimitsFromASample:
    def search(self, keys, calls):
        """A search over keys that are known, which obeys the limits it is given."""

        def run(rows, queries, limits):
            calls.append((np.arange(len(keys))[rows], limits.copy()))
            below = keys[rows] >> layout.ID_BITS < limits[:, None]
            return np.sort(np.where(below, keys[rows], layout.NOTHING), axis=1)

        return run

    @pytest.mark.parametrize("sampled", [True, False])
    def test_what_a_limit_missed_is_searched_again(self, sampled):
        rng = np.random.default_rng(0)
        words = rng.integers(0, 2**64, (4000, 1), dtype=np.uint64)
        queries, k = words[:6], 100
        distances = np.stack([layout.distances(words, query) for query in queries])
        keys = np.sort(distances << layout.ID_BITS | np.arange(4000), axis=1)[:, :k]
        sample = np.repeat(queries[:1], 200, axis=0) if sampled else None  # promises too much to query 0 only
        calls = []
        found = topk.nearest_from_sample(self.search(keys, calls), layout.frozen(queries), k, 64, 4000, sample)
        np.testing.assert_array_equal(found, keys)
        if not sampled:
            assert len(calls) == 1 and (calls[0][1] == 65).all()
        else:
            assert len(calls) == 2 and 0 in calls[1][0] and (calls[1][1] == 65).all()
            assert (calls[0][1] < 65).any()

    @pytest.mark.parametrize(("k", "n"), [(topk.SAMPLED_FROM - 1, 100_000), (100, 1000)])
    def test_few_neighbours_and_small_databases_need_no_sample(self, k, n):
        calls = []
        keys = np.zeros((3, k), np.int64)
        queries, sample = np.zeros((3, 1), np.uint64), np.ones((500, 1), np.uint64)
        topk.nearest_from_sample(self.search(keys, calls), queries, k, 64, n, sample)
        assert [limits.tolist() for _, limits in calls] == [[65] * 3]
