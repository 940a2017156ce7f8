"""Search by logits and re-ranking, against matrix products."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.codes import Codes
from bitseek.errors import BitseekError, CodeWidthError, ShapeError
from bitseek.index import HammingIndex


def greatest(scores, k):
    """Ids by a stable sort: ties to the lowest id."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 300),
    bits=st.integers(1, 200),
    q=st.integers(1, 70),
    k=st.integers(1, 320),
    scale=st.sampled_from([1, 3, 1000]),
    seed=st.integers(0, 2**32),
)
def test_whole_numbers_are_exact_with_ties_to_the_lowest_id(n, bits, q, k, scale, seed):
    rng = np.random.default_rng(seed)
    codes = Codes.from_bits(rng.random((n, bits)) < 0.5)
    logits = rng.integers(-scale, scale + 1, (q, bits)).astype(float)
    ids, scores = greatest(logits @ codes.to_signs().T.astype(float), min(k, n))
    hits = HammingIndex(codes).nearest_by_logits(logits, k)
    np.testing.assert_array_equal(hits.scores, scores)
    np.testing.assert_array_equal(hits.ids, ids)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("q", [1, 100])
def test_real_logits_and_removed_items(q, threads):
    rng = np.random.default_rng(0)
    codes = Codes.from_bits(rng.random((20_000, 96)) < 0.5)
    logits = rng.normal(size=(q, 96)).astype(np.float32)
    index = HammingIndex(codes[:15_000], threads=threads)
    index.add(codes[15_000:])
    gone = rng.choice(20_000, 4000, replace=False)
    index.remove(gone)
    expected = logits.astype(float) @ codes.to_signs().T
    expected[:, gone] = -np.inf
    hits = index.nearest_by_logits(logits, 50)
    np.testing.assert_allclose(hits.scores, greatest(expected, 50)[1], rtol=1e-12)
    np.testing.assert_array_equal(hits.ids, greatest(expected, 50)[0])


def test_signs_as_logits_give_the_order_of_hamming():
    rng = np.random.default_rng(1)
    codes = Codes.from_bits(rng.random((500, 40)) < 0.5)
    index = HammingIndex(codes)
    hits, scored = index.nearest(codes[:20], 500), index.nearest_by_logits(codes[:20].to_signs().astype(float), 500)
    np.testing.assert_array_equal(hits.ids, scored.ids)
    np.testing.assert_array_equal(scored.scores, 40 - 2.0 * hits.distances)


def test_rerank_by_logits_scores_as_the_search_does():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(30, 70))
    codes = Codes.from_logits(rng.normal(size=(2000, 70)))
    index = HammingIndex(codes)
    candidates = index.nearest(Codes.from_logits(logits), 2000)
    whole = index.nearest_by_logits(logits, 2000)
    again = index.rerank(candidates, logits=logits)
    np.testing.assert_array_equal(again.ids, whole.ids)
    np.testing.assert_array_equal(again.scores, whole.scores)
    few = index.rerank(index.nearest(Codes.from_logits(logits), 100), logits=logits, k=10)
    assert few.ids.shape == (30, 10) and (np.diff(few.scores, axis=1) <= 0).all()


def test_rerank_by_features(tmp_path):
    rng = np.random.default_rng(3)
    features = rng.integers(-9, 10, (400, 16)).astype(np.float32)
    np.save(tmp_path / "features.npy", features)
    index = HammingIndex(Codes.from_logits(features))
    queries = rng.integers(-9, 10, (10, 16)).astype(np.float32)
    hits = index.nearest(Codes.from_logits(queries), 400)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    best = index.rerank(hits, query_features=queries, features=mapped, k=25)
    ids, scores = greatest((queries @ features.T).astype(float), 25)
    np.testing.assert_array_equal(best.ids, ids)
    np.testing.assert_array_equal(best.scores, scores)


def test_bad_arguments():
    codes = Codes.from_bits(np.eye(8, dtype=bool))
    index = HammingIndex(codes)
    hits = index.nearest(codes, 3)
    with pytest.raises(CodeWidthError, match="8 bits, got 9"):
        index.nearest_by_logits(np.zeros((1, 9)), 1)
    with pytest.raises(ShapeError, match="query 1 is NaN"):
        index.nearest_by_logits(np.array([[0.0] * 8, [np.nan] * 8]), 1)
    with pytest.raises(BitseekError, match="k=0"):
        index.nearest_by_logits(np.zeros((1, 8)), 0)
    with pytest.raises(BitseekError, match="either logits"):
        index.rerank(hits)
    with pytest.raises(BitseekError, match="either logits"):
        index.rerank(hits, query_features=np.zeros((8, 2)))
    with pytest.raises(ShapeError, match="8 queries"):
        index.rerank(hits, logits=np.zeros((3, 8)))
    with pytest.raises(ShapeError, match=r"features are \(8, 2\)"):
        index.rerank(hits, query_features=np.zeros((8, 2)), features=np.zeros((7, 2)))


def test_empty():
    index = HammingIndex(Codes.from_bits(np.zeros((0, 5), bool)))
    assert index.nearest_by_logits(np.zeros((2, 5)), 3).ids.shape == (2, 0)
    index = HammingIndex(Codes.from_bits(np.ones((2, 5), bool)))
    assert index.nearest_by_logits(np.zeros((0, 5)), 3).ids.shape == (0, 2)
    assert index.nearest_by_logits(np.zeros((1, 5)), 3).ids.tolist() == [[0, 1]]
