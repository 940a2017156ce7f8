"""Histograms by distance and relevance, and the stable order, against plain NumPy."""

import tracemalloc
from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.oracles import (
    DENOMINATORS,
    ap_of_order,
    kept_by_ids,
    named,
    ranked_by_sort,
    searches,
    share_a_class,
)

from bitseek.codes import Codes
from bitseek.errors import BitseekError, CodeWidthError, ShapeError
from bitseek.kernels import histogram
from bitseek.metrics import Histograms, Relevance, histograms, measure, retrieval, stable_average_precision


def slow(query_bits, database_bits, relevant, kept):
    """Counts by two loops."""
    width = query_bits.shape[1] + 1
    total, found = np.zeros((len(query_bits), width), int), np.zeros((len(query_bits), width), int)
    for q, row in enumerate(query_bits):
        for d, wanted, keep in zip((database_bits != row).sum(axis=1), relevant[q], kept[q], strict=True):
            total[q, d] += keep
            found[q, d] += keep and wanted
    return total, found


@settings(max_examples=120, deadline=None)
@given(searches(), st.booleans())
def test_equals_brute_force(search, compiled):
    query, database, mine, theirs, ids = search
    shared, kept = share_a_class(mine, theirs), kept_by_ids(len(mine), len(theirs), ids)
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(histogram, "COMPILED", False)
        relevance = Relevance.from_labels(mine, theirs, **named(ids))
        counts = histograms(Codes.from_bits(query), Codes.from_bits(database), relevance)
    total, relevant = slow(query, database, shared, kept)
    assert np.array_equal(counts.total, total)
    assert np.array_equal(counts.relevant, relevant)
    assert counts.excluded == (~kept).sum()
    assert (counts.queries, counts.database, counts.bits) == (len(query), len(database), query.shape[1])


@pytest.mark.parametrize("queries", [1, 64, 65, 130])
def test_lists_equal_brute_force_for_any_number_of_queries(queries):
    rng = np.random.default_rng(queries)
    query, database = rng.random((queries, 17)) < 0.5, rng.random((90, 17)) < 0.5
    role = rng.choice(3, (queries, 90), p=[0.7, 0.2, 0.1])
    positives, junk = ([np.flatnonzero(row == kind) for row in role] for kind in (1, 2))
    relevance = Relevance.from_lists(positives, junk, database=90)
    codes = Codes.from_bits(query), Codes.from_bits(database)
    counts = histograms(*codes, relevance)
    total, relevant = slow(query, database, role == 1, role != 2)
    assert np.array_equal(counts.total, total)
    assert np.array_equal(counts.relevant, relevant)
    assert counts.excluded == (role == 2).sum()
    values = stable_average_precision(*codes, relevance, 30)
    ranked = [ranked_by_sort(*search) for search in zip(query, [database] * queries, role == 1, role != 2, strict=True)]
    assert values == pytest.approx([ap_of_order(order, 30) for order in ranked], abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(searches(6), st.booleans(), st.sampled_from([None, 1, 4, 100]), st.sampled_from(DENOMINATORS))
def test_stable_equals_an_argsort_loop(search, compiled, k, denominator):
    query, database, mine, theirs, ids = search
    shared, kept = share_a_class(mine, theirs), kept_by_ids(len(mine), len(theirs), ids)
    ranked = [ranked_by_sort(query[q], database, shared[q], kept[q]) for q in range(len(query))]
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(histogram, "COMPILED", False)
        relevance = Relevance.from_labels(mine, theirs, **named(ids))
        codes = Codes.from_bits(query), Codes.from_bits(database)
        values = stable_average_precision(*codes, relevance, k, denominator)
        assert values == pytest.approx([ap_of_order(order, k, denominator) for order in ranked], abs=1e-12)
        if len(database):
            result = retrieval(*codes, relevance, k=k, denominator=denominator, ties="stable", precision_at=[1, 3, 50])
            assert np.array_equal(result.per_query, values)
            for cut, precision in result.precision_at.items():
                assert precision == pytest.approx([sum(order[:cut]) / cut for order in ranked], abs=1e-12)


@pytest.fixture(scope="module", params=[70, 100])
def large(request):
    """More items than a block of either kernel, more queries than a thread takes at once."""
    rng = np.random.default_rng(5)
    n, q = 40_001, 37
    centres = rng.random((10, request.param)) < 0.5
    labels = np.concatenate([np.sort(rng.integers(0, 10, n)), rng.integers(0, 10, q)])
    bits = centres[labels] ^ (rng.random((n + q, request.param)) < 0.25)
    return Codes.from_bits(bits[n:]), Codes.from_bits(bits[:n]), labels[n:], labels[:n]


def test_many_blocks_and_threads_equal_the_path_without_a_compiler(large, monkeypatch):
    query, database, mine, theirs = large
    ids = {"query_ids": np.arange(37) * 1000, "database_ids": np.arange(len(database))}
    hot = np.eye(130, dtype=bool)
    for labels in ((mine, theirs), (hot[mine * 12] | hot[mine + 1], hot[theirs * 12])):
        search = query, database, Relevance.from_labels(*labels, **ids)
        fast, ranked = histograms(*search), stable_average_precision(*search, k=5000)
        with monkeypatch.context() as patch:
            patch.setattr(histogram, "COMPILED", False)
            plain = histograms(*search)
            assert np.array_equal(fast.total, plain.total)
            assert np.array_equal(fast.relevant, plain.relevant)
            assert ranked == pytest.approx(stable_average_precision(*search, k=5000), abs=1e-12)
        assert fast.total.sum(axis=1).tolist() == [len(database) - 1] * 37
        assert fast.excluded == 37


def test_the_order_of_the_database_changes_nothing_but_the_stable_value(large):
    query, database, mine, theirs = large
    order = np.random.default_rng(0).permutation(len(database))
    by_class = query, database, Relevance.from_labels(mine, theirs)
    shuffled = query, database[order], Relevance.from_labels(mine, theirs[order])
    for k in (None, 1000):
        sorted_by_class, mixed = retrieval(*by_class, k=k), retrieval(*shuffled, k=k)
        assert np.array_equal(sorted_by_class.per_query, mixed.per_query)
        assert sorted_by_class.to_json() == mixed.to_json()
        stable = retrieval(*by_class, k=k, ties="stable", precision_at=())
        assert stable.mAP != retrieval(*shuffled, k=k, ties="stable", precision_at=()).mAP
        assert stable.mAP_worst < stable.mAP < stable.mAP_best
        assert (stable.mAP_worst, stable.mAP_best) == (mixed.mAP_worst, mixed.mAP_best)


def test_the_arrays_of_the_caller_are_only_read():
    rng = np.random.default_rng(2)
    codes = Codes.from_bits(rng.random((8, 20)) < 0.5)
    single, hot = np.array([0, -1, 2, 0, -1, 2, 1, 1]), np.array(rng.random((8, 5)) < 0.4, np.float32)
    ids = np.arange(8)
    for labels in (single, hot):
        before, ids_before = labels.copy(), ids.copy()
        for ties in ("expected", "stable"):
            relevance = Relevance.from_labels(labels, labels, query_ids=ids, database_ids=ids)
            retrieval(codes, codes, relevance, ties=ties)
        assert np.array_equal(labels, before)
        assert labels.flags.writeable
        assert np.array_equal(ids, ids_before)
        labels.flags.writeable = False
        retrieval(codes, codes, Relevance.from_labels(labels, labels))


@pytest.mark.parametrize("multi", [False, True])
def test_memory_does_not_grow_with_the_database(multi, monkeypatch):
    monkeypatch.setenv("BITSEEK_THREADS", "1")  # each thread has buffers, and how many overlap is chance
    rng = np.random.default_rng(1)

    def peak(n):
        codes = Codes(rng.integers(0, 2**64, (n, 2), np.uint64), 128)
        labels = rng.random((n, 20), np.float32) < 0.1 if multi else rng.integers(0, 10**6, n)
        packed = 8 * n if multi else 0
        histograms(codes[:20], codes, Relevance.from_labels(labels[:20], labels))  # compiled before memory is watched
        peaks = []
        for _ in range(3):  # the least of them: other threads of the test run allocate, too
            tracemalloc.start()
            histograms(codes[:20], codes, Relevance.from_labels(labels[:20], labels))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        return min(peaks) - packed

    small, big = peak(100_000), peak(600_000)  # both larger than the blocks that are worked on at once
    assert big < small + 50_000, (small, big)


def test_labels_beyond_any_one_hot_array():
    labels = np.array([0, 10**15, 10**15 + 1, 10**15, -1])
    codes = Codes.from_bits(np.eye(5, dtype=bool))
    counts = histograms(codes, codes, Relevance.from_labels(labels, labels))
    assert counts.relevant.sum(axis=1).tolist() == [1, 2, 1, 2, 0]


def test_unsigned_small_strided_and_memory_mapped_inputs(tmp_path):
    rng = np.random.default_rng(4)
    bits = rng.random((30, 96)) < 0.5
    labels = rng.integers(0, 3, 30)
    codes = Codes.from_bits(bits)
    codes.words.tofile(tmp_path / "words")
    mapped = Codes(np.memmap(tmp_path / "words", np.uint64, "r", shape=codes.words.shape), 96)
    expected = histograms(codes[::2], codes, Relevance.from_labels(labels[::2], labels))
    other = Relevance.from_labels(labels.astype(np.uint8)[::2], labels.astype(np.int16))
    actual = histograms(mapped[::2], mapped, other)
    assert np.array_equal(expected.total, actual.total)
    assert np.array_equal(expected.relevant, actual.relevant)


def test_counts_made_by_hand_know_no_stable_order():
    counts = Histograms(np.array([[1, 2]]), np.array([[1, 1]]), database=3)
    assert measure(counts).mAP == pytest.approx(11 / 12)
    with pytest.raises(BitseekError, match="stable sort is not in the counts"):
        measure(counts, ties="stable")


def test_sentences_for_what_does_not_fit():
    codes = Codes.from_bits(np.eye(4, dtype=bool))
    relevance = Relevance.from_labels(np.arange(4), np.arange(4))
    count = unwrap(histograms)  # without the checks of the test run, which come first
    with pytest.raises(CodeWidthError, match="queries have 4 bits and the database 5"):
        count(codes, Codes.from_bits(np.ones((4, 5))), relevance)
    wide = Codes(np.zeros((1, 501), np.uint64), 32_064)
    with pytest.raises(CodeWidthError, match="up to 32000 bits, got codes of 32064"):
        count(wide, wide, Relevance.from_labels([0], [0]))
    with pytest.raises(ShapeError, match="4 queries and 4 items in the database, but relevance of 3 queries and 4"):
        count(codes, codes, Relevance.from_labels(np.arange(3), np.arange(4)))
    for function in (retrieval, histograms, stable_average_precision):
        with pytest.raises(ShapeError, match="relevance of 1 queries and 3 items"):
            function(codes, codes, Relevance.from_lists([[1]], database=3))
