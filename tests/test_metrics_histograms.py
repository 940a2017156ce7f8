"""Histograms by distance and relevance, and the stable order, against plain NumPy."""

import tracemalloc
from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.codes import Codes
from bitseek.errors import CodeWidthError, ShapeError
from bitseek.kernels import histogram
from bitseek.metrics import histograms, histograms_of_lists, retrieval, stable_average_precision


def slow(query_bits, database_bits, relevant, keep):
    """Counts by two loops."""
    width = query_bits.shape[1] + 1
    total, hits = np.zeros((len(query_bits), width), int), np.zeros((len(query_bits), width), int)
    for q, row in enumerate(query_bits):
        distances = (database_bits != row).sum(axis=1)
        for d, hit, kept in zip(distances, relevant[q], keep[q], strict=True):
            total[q, d] += kept
            hits[q, d] += kept and hit
    return total, hits


@st.composite
def tasks(draw, most_bits=300):
    bits, q, n = draw(st.integers(1, most_bits)), draw(st.integers(1, 5)), draw(st.integers(0, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes = rng.random((q + n, bits)) < rng.random()
    if draw(st.booleans()):
        labels = rng.integers(-1, draw(st.sampled_from([1, 3, 10])), q + n)
        mine, theirs = labels[:q, None], labels[None, q:]
        relevant = (mine == theirs) & (mine >= 0)
    else:
        labels = rng.random((q + n, draw(st.integers(1, 200)))) < draw(st.sampled_from([0.01, 0.1, 0.5]))
        labels = labels.astype(draw(st.sampled_from([np.bool_, np.uint8, np.int64, np.float32])))
        relevant = labels[:q].astype(int) @ labels[q:].astype(int).T > 0
    ids = rng.integers(0, 12, q + n) if draw(st.booleans()) else None
    return codes[:q], codes[q:], labels[:q], labels[q:], relevant, ids


@settings(max_examples=120, deadline=None)
@given(tasks(), st.booleans())
def test_equals_brute_force(task, compiled):
    query, database, mine, theirs, relevant, ids = task
    q = len(query)
    keep = np.ones(relevant.shape, bool) if ids is None else ids[:q, None] != ids[None, q:]
    named = {} if ids is None else {"query_ids": ids[:q], "database_ids": ids[q:]}
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(histogram, "COMPILED", False)
        counts = histograms(Codes.from_bits(query), Codes.from_bits(database), mine, theirs, **named)
    total, hits = slow(query, database, relevant, keep)
    assert np.array_equal(counts.total, total)
    assert np.array_equal(counts.relevant, hits)
    assert counts.excluded == (~keep).sum()
    assert (counts.queries, counts.database, counts.bits) == (q, len(database), query.shape[1])


def stable_loop(query, database, relevant, keep, at, denominator):
    """What the field's programs do, with a stable sort and ranks counted right."""
    values = []
    for row, hit, kept in zip(query, relevant, keep, strict=True):
        ranked = hit[kept][np.argsort((database[kept] != row).sum(axis=1), kind="stable")]
        cut = ranked[:at]
        by = {"retrieved": cut.sum(), "relevant": ranked.sum(), "min": min(ranked.sum(), at or len(ranked))}[
            denominator
        ]
        precision = np.cumsum(cut) / np.arange(1, len(cut) + 1)
        values.append((precision * cut).sum() / by if by else 0.0)
    return np.array(values)


@settings(max_examples=80, deadline=None)
@given(tasks(6), st.booleans(), st.sampled_from([None, 1, 4, 100]), st.sampled_from(["retrieved", "relevant", "min"]))
def test_stable_equals_an_argsort_loop(task, compiled, at, denominator):
    query, database, mine, theirs, relevant, ids = task
    q = len(query)
    keep = np.ones(relevant.shape, bool) if ids is None else ids[:q, None] != ids[None, q:]
    named = {} if ids is None else {"query_ids": ids[:q], "database_ids": ids[q:]}
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(histogram, "COMPILED", False)
        values = stable_average_precision(
            Codes.from_bits(query), Codes.from_bits(database), mine, theirs, at, denominator, **named
        )
    assert values == pytest.approx(stable_loop(query, database, relevant, keep, at, denominator), abs=1e-12)


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
    ids = np.arange(len(database))
    named = {"query_ids": np.arange(37) * 1000, "database_ids": ids}
    hot = np.eye(130, dtype=bool)
    several = [
        (mine, theirs),
        (hot[mine * 12] | hot[mine + 1], hot[theirs * 12]),
    ]
    for labels in several:
        fast = histograms(query, database, *labels, **named)
        ranked = stable_average_precision(query, database, *labels, at=5000, **named)
        with monkeypatch.context() as patch:
            patch.setattr(histogram, "COMPILED", False)
            plain = histograms(query, database, *labels, **named)
            assert np.array_equal(fast.total, plain.total)
            assert np.array_equal(fast.relevant, plain.relevant)
            assert ranked == pytest.approx(
                stable_average_precision(query, database, *labels, at=5000, **named), abs=1e-12
            )
        assert fast.total.sum(axis=1).tolist() == [len(database) - 1] * 37
        assert fast.excluded == 37


def test_the_order_of_the_database_changes_nothing_but_the_stable_value(large):
    query, database, mine, theirs = large
    order = np.random.default_rng(0).permutation(len(database))
    shuffled = (query, database[order], mine, theirs[order])
    for at in (None, 1000):
        sorted_by_class, mixed = retrieval(*large, at=at), retrieval(*shuffled, at=at)
        assert np.array_equal(sorted_by_class.per_query, mixed.per_query)
        assert sorted_by_class.to_json() == mixed.to_json()
        stable = retrieval(*large, at=at, ties="stable")
        assert stable.mAP != retrieval(*shuffled, at=at, ties="stable").mAP
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
            retrieval(codes, codes, labels, labels, query_ids=ids, database_ids=ids, ties=ties)
        assert np.array_equal(labels, before)
        assert labels.flags.writeable
        assert np.array_equal(ids, ids_before)
        labels.flags.writeable = False
        retrieval(codes, codes, labels, labels)


@pytest.mark.parametrize("multi", [False, True])
def test_memory_does_not_grow_with_the_database(multi, monkeypatch):
    monkeypatch.setenv("BITSEEK_THREADS", "1")  # each thread has buffers, and how many overlap is chance
    rng = np.random.default_rng(1)

    def peak(n):
        codes = Codes(rng.integers(0, 2**64, (n, 2), np.uint64), 128)
        labels = rng.random((n, 20), np.float32) < 0.1 if multi else rng.integers(0, 10**6, n)
        mine, packed = labels[:20], 8 * n if multi else 0
        histograms(codes[:20], codes, mine, labels)  # compiled and loaded before the memory is watched
        peaks = []
        for _ in range(3):  # the least of them: other threads of the test run allocate, too
            tracemalloc.start()
            histograms(codes[:20], codes, mine, labels)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        return min(peaks) - packed

    small, big = peak(100_000), peak(600_000)  # both larger than the blocks that are worked on at once
    assert big < small + 50_000, (small, big)


def test_labels_beyond_any_one_hot_array():
    labels = np.array([0, 10**15, 10**15 + 1, 10**15, -1])
    codes = Codes.from_bits(np.eye(5, dtype=bool))
    counts = histograms(codes, codes, labels, labels)
    assert counts.relevant.sum(axis=1).tolist() == [1, 2, 1, 2, 0]


def test_unsigned_small_strided_and_memory_mapped_inputs(tmp_path):
    rng = np.random.default_rng(4)
    bits = rng.random((30, 96)) < 0.5
    labels = rng.integers(0, 3, 30)
    codes = Codes.from_bits(bits)
    codes.words.tofile(tmp_path / "words")
    mapped = Codes(np.memmap(tmp_path / "words", np.uint64, "r", shape=codes.words.shape), 96)
    expected = histograms(codes[::2], codes, labels[::2], labels)
    actual = histograms(mapped[::2], mapped, labels.astype(np.uint8)[::2], labels.astype(np.int16))
    assert np.array_equal(expected.total, actual.total)
    assert np.array_equal(expected.relevant, actual.relevant)


def test_ids_may_be_names_and_may_repeat():
    codes = Codes.from_bits([[0, 0], [0, 1], [1, 1], [0, 0]])
    labels = np.zeros(4, int)
    names = np.array(["a.jpg", "b.jpg", "c.jpg", "a.jpg"])
    counts = histograms(codes[:2], codes, labels[:2], labels, names[:2], names)
    assert counts.total.tolist() == [[0, 1, 1], [0, 3, 0]]
    assert counts.excluded == 3


def test_lists_of_positives_and_ignored_items():
    rng = np.random.default_rng(6)
    codes = Codes.from_bits(rng.random((40, 17)) < 0.5)
    positives = [[1, 5, 30], [], [0]]
    ignored = [[2], [3, 4, 39], []]
    counts = histograms_of_lists(codes[:3], codes, positives, ignored)
    for q in range(3):
        distances = (codes.to_bits() != codes.to_bits()[q]).sum(axis=1)
        left = np.setdiff1d(np.arange(40), ignored[q])
        assert counts.total[q].tolist() == np.bincount(distances[left], minlength=18).tolist()
        chosen = np.array(positives[q], int)
        assert counts.relevant[q].tolist() == np.bincount(distances[chosen], minlength=18).tolist()
    assert counts.excluded == 4


def test_sentences_for_what_does_not_fit():
    codes = Codes.from_bits(np.eye(4, dtype=bool))
    labels = np.arange(4)
    counts = unwrap(histograms)  # without the checks of the test run, which come first
    with pytest.raises(CodeWidthError, match="queries have 4 bits and the database 5"):
        counts(codes, Codes.from_bits(np.ones((4, 5))), labels, labels)
    wide = Codes(np.zeros((1, 501), np.uint64), 32_064)
    with pytest.raises(CodeWidthError, match="up to 32000 bits, got codes of 32064"):
        histograms(wide, wide, labels[:1], labels[:1])
    with pytest.raises(ShapeError, match="4 query codes and 3 query labels"):
        counts(codes, codes, labels[:3], labels)
    with pytest.raises(ShapeError, match="both"):
        counts(codes, codes, labels, np.eye(4))
    with pytest.raises(ShapeError, match="only 0 and 1; class numbers"):
        counts(codes, codes, labels[:, None], labels[:, None])
    with pytest.raises(ShapeError, match="-1 for none, got -3"):
        counts(codes, codes, labels - 3, labels)
    with pytest.raises(ShapeError, match="dtype float64"):
        counts(codes, codes, labels / 2, labels)
    with pytest.raises(ShapeError, match="give both query_ids and database_ids"):
        counts(codes, codes, labels, labels, labels)
    with pytest.raises(ShapeError, match="4 query ids and 3 database ids"):
        counts(codes, codes, labels, labels, labels, labels[:3])
    with pytest.raises(ShapeError, match="outside the database of 4"):
        histograms_of_lists(codes[:1], codes, [[4]])
    with pytest.raises(ShapeError, match="twice"):
        histograms_of_lists(codes[:1], codes, [[1, 1]])
    with pytest.raises(ShapeError, match="both relevant to query 0 and ignored"):
        histograms_of_lists(codes[:1], codes, [[1]], [[1]])
    with pytest.raises(ShapeError, match="one list for each of 1"):
        histograms_of_lists(codes[:1], codes, [[1], [2]])
