"""Counts by distance and relevance on a device are those of the kernels, to the last one, and so are the metrics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.cli import main
from bitseek.codes import Codes
from bitseek.device import _histogram
from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics import Relevance, histograms, retrieval

torch.set_num_threads(1)


def search(data):
    """Queries and a database with labels of either form, some items without one, some left out by id."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    bits, classes = data.draw(st.sampled_from([1, 17, 64, 100])), data.draw(st.sampled_from([0, 1, 20, 65, 130]))
    q, n = data.draw(st.sampled_from([1, 4, 33])), data.draw(st.integers(1, 200))
    codes = [Codes.from_bits(rng.random((size, bits)) < 0.5) for size in (q, n)]
    if classes:
        labels = [rng.random((size, classes)) < 2 / classes for size in (q, n)]
        shared = (labels[0][:, None] & labels[1][None]).any(axis=2)
    else:
        labels = [rng.integers(-1, 4, size) for size in (q, n)]
        shared = (labels[0][:, None] == labels[1][None]) & (labels[0] >= 0)[:, None]
    ids = {"query_ids": rng.integers(0, 50, q), "database_ids": rng.integers(0, 50, n)} if rng.random() < 0.5 else {}
    kept = ids["query_ids"][:, None] != ids["database_ids"][None] if ids else np.ones((q, n), bool)
    return codes, Relevance.from_labels(*labels, **ids), shared, kept


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_counts_equal_brute_force_and_the_kernels(data):
    (queries, database), relevance, shared, kept = search(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_histogram, "_QUERIES", data.draw(st.sampled_from([3, 256])))
        patch.setattr(_histogram, "_MOST_WORK", data.draw(st.sampled_from([1, 1 << 30])))
        counts = histograms(queries, database, relevance, device="cpu")
    distances = (queries.to_bits()[:, None] ^ database.to_bits()[None]).sum(axis=2)
    for row in range(len(queries)):
        for found, counted in ((counts.total, kept), (counts.relevant, kept & shared)):
            expected = np.bincount(distances[row][counted[row]], minlength=queries.bits + 1)
            np.testing.assert_array_equal(found[row], expected)
    kernels = histograms(queries, database, relevance)
    assert counts.total.dtype == kernels.total.dtype and counts.excluded == kernels.excluded
    np.testing.assert_array_equal(counts.total, kernels.total)
    np.testing.assert_array_equal(counts.relevant, kernels.relevant)


def test_too_little_memory_is_a_sentence_about_what_there_is(monkeypatch):
    """Neither `histograms` nor `retrieval` nor `score` takes a bound, so they do not speak of one."""

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee the manual.")

    codes, relevance = Codes.from_bits(np.eye(3, dtype=bool)), Relevance.from_labels([1, 2, 1], [1, 2, 1])
    monkeypatch.setattr(_histogram._Block, "count", full)
    for measure in (histograms, retrieval):
        with pytest.raises(BitseekError, match=r"20.00 GiB.\); give less to measure at once, or leave the device out"):
            measure(codes, codes, relevance, device="cpu")


@pytest.mark.parametrize("ties", ["expected", "best", "worst", "stable"])
def test_figures_are_the_same_to_the_last_digit(ties):
    rng = np.random.default_rng(7)
    queries, database = (Codes.from_bits(rng.random((size, 12)) < 0.5) for size in (40, 900))
    relevance = Relevance.from_labels(rng.integers(0, 5, 40), rng.integers(0, 5, 900))
    on_device = retrieval(queries, database, relevance, k=100, ties=ties, device="cpu")
    assert on_device.to_json() == retrieval(queries, database, relevance, k=100, ties=ties).to_json()


def test_score_counts_on_a_device(tmp_path, capsys):
    rng = np.random.default_rng(9)
    arrays = {f"{side}_codes": rng.random((n, 12)) < 0.5 for side, n in (("query", 9), ("database", 60))}
    arrays |= {f"{side}_labels": rng.integers(0, 3, n) for side, n in (("query", 9), ("database", 60))}
    np.savez(tmp_path / "codes.npz", **arrays)
    told = []
    for options in ([], ["--device", "cpu"]):
        main(["score", str(tmp_path / "codes.npz"), "-k", "20", "--json", *options])
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] and '"mAP"' in told[0]
    with pytest.raises(SystemExit):
        main(["score", str(tmp_path / "codes.npz"), "--device", "abacus"])
    assert capsys.readouterr().err.startswith("bitseek: there is no device 'abacus' here")


def test_lists_of_relevant_items_and_junk():
    rng = np.random.default_rng(8)
    queries, database = (Codes.from_bits(rng.random((size, 40)) < 0.5) for size in (70, 90))
    role = rng.choice(3, (70, 90), p=[0.7, 0.2, 0.1])
    relevance = Relevance.from_lists(*([np.flatnonzero(row == kind) for row in role] for kind in (1, 2)), database=90)
    counts, kernels = (histograms(queries, database, relevance, device=device) for device in ("cpu", None))
    np.testing.assert_array_equal(counts.total, kernels.total)
    np.testing.assert_array_equal(counts.relevant, kernels.relevant)


def test_no_queries_no_items_and_no_such_device():
    codes = Codes.from_bits(np.eye(6, dtype=bool))
    for queries, database in ((0, 6), (6, 0), (0, 0)):
        relevance = Relevance.from_labels(np.zeros(queries, int), np.zeros(database, int))
        counts = histograms(codes[:queries], codes[:database], relevance, device="cpu")
        assert counts.total.shape == (queries, 7) and not counts.total.any()
    relevance = Relevance.from_labels(np.zeros(6, int), np.zeros(6, int))
    with pytest.raises(BitseekError, match="there is no device 'abacus' here"):
        histograms(codes, codes, relevance, device="abacus")
    with pytest.raises(ShapeError, match="memory is a whole number"):
        _histogram.distance_histograms(None, "cpu", memory=1)
