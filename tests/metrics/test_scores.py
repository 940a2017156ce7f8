"""Rankings by real scores, with and without ties, and by re-ranked candidates."""

from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from tests.metrics.oracles import ap_of_order, orders

from bitseek.codes import Codes
from bitseek.errors import ShapeError
from bitseek.metrics import Relevance, reranked, retrieval, retrieval_by_scores


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 4), st.integers(0, 2**32), st.sampled_from([np.float32, np.int64, np.uint8]))
def test_equal_scores_are_a_tied_group(n, distinct, seed, dtype):
    rng = np.random.default_rng(seed)
    scores, relevant = rng.integers(0, distinct, n).astype(dtype), rng.random(n) < 0.4
    groups = [((scores == v).sum(), (relevant & (scores == v)).sum()) for v in sorted(set(scores), reverse=True)]
    relevance = Relevance.from_lists([np.flatnonzero(relevant)], database=n)
    for k in (None, 1, 3):
        values = [ap_of_order(order, k) for order in orders(groups)]
        result = retrieval_by_scores([scores[None]], relevance, k=k, precision_at=[2])
        assert result.mAP == pytest.approx(np.mean(values), abs=1e-12)
        assert (result.mAP_best, result.mAP_worst) == pytest.approx((max(values), min(values)), abs=1e-12)
        assert result.precision_at[2][0] == pytest.approx(np.mean([sum(order[:2]) / 2 for order in orders(groups)]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2**32), st.sampled_from([None, 1, 5, 100]))
def test_stable_ranks_equal_scores_by_place(n, distinct, seed, k):
    rng = np.random.default_rng(seed)
    scores, relevant = rng.integers(-distinct, distinct, n) / 4, rng.random(n) < 0.4
    kept = rng.random(n) < 0.8
    places = [i for i in sorted(range(n), key=lambda i: -scores[i]) if kept[i]]  # Python's sort is stable
    ranked = [int(relevant[i]) for i in places]
    relevance = Relevance.from_lists([np.flatnonzero(relevant & kept)], [np.flatnonzero(~kept)], database=n)
    for denominator in ("retrieved", "relevant", "min"):
        rules = {"k": k, "denominator": denominator, "ties": "stable", "precision_at": [1, 4]}
        result = retrieval_by_scores([scores[None]], relevance, **rules)
        assert result.mAP == pytest.approx(ap_of_order(ranked, k, denominator), abs=1e-12)
        assert result.mAP_worst - 1e-12 <= result.mAP <= result.mAP_best + 1e-12
        for cut in (1, 4):
            assert result.precision_at[cut][0] == sum(ranked[:cut]) / cut


def test_equals_scikit_learn_where_there_are_no_ties():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(7, 200)).astype(np.float32)
    labels, mine = rng.integers(0, 4, 200), rng.integers(0, 4, 7)
    result = retrieval_by_scores([scores[:3], scores[3:]], Relevance.from_labels(mine, labels))
    expected = [average_precision_score(labels == y, row) for y, row in zip(mine, scores, strict=True)]
    for values in (result.per_query, result.per_query_best, result.per_query_worst):
        assert values == pytest.approx(np.array(expected), abs=1e-12)
    nearest = labels[np.argsort(-scores, axis=1)[:, :10]] == mine[:, None]
    assert result.precision_at[10] == pytest.approx(nearest.mean(axis=1))
    assert result.bits is None


@pytest.mark.parametrize("ties", ["expected", "best", "worst", "stable"])
@pytest.mark.parametrize("k", [None, 20])
@pytest.mark.parametrize("multi", [False, True])
def test_scores_that_are_distances_give_the_hamming_result(ties, k, multi):
    rng = np.random.default_rng(1)
    codes = Codes.from_bits(rng.random((90, 9)) < 0.5)
    labels = rng.random((90, 5)) < 0.2 if multi else rng.integers(-1, 4, 90)
    ids = np.arange(90)
    queries = codes[:30]
    scores = queries.to_signs().astype(float) @ codes.to_signs().T.astype(float)
    relevance = Relevance.from_labels(labels[:30], labels, query_ids=ids[:30], database_ids=ids)
    rules = {"k": k, "ties": ties, "no_hit": "skip", "precision_at": [1, 10, 50]}
    hamming = retrieval(queries, codes, relevance, **rules)
    real = retrieval_by_scores(iter([scores]), relevance, **rules)
    assert real.per_query == pytest.approx(hamming.per_query, abs=1e-12)
    for cut in (1, 10, 50):
        assert real.precision_at[cut] == pytest.approx(hamming.precision_at[cut], abs=1e-12)
        np.testing.assert_allclose(real.recall_at[cut], hamming.recall_at[cut], atol=1e-12)
    left, right = hamming.to_json(), real.to_json()
    assert (left.pop("bits"), right.pop("bits")) == (9, None)
    for name in ("mAP", "mAP_best", "mAP_worst", "precision_at", "recall_at"):
        assert left.pop(name) == pytest.approx(right.pop(name), abs=1e-12)
    assert left == right


def test_infinite_scores_are_scores():
    scores = np.array([[-np.inf, np.inf, 0.0, -np.inf]])
    result = retrieval_by_scores([scores], Relevance.from_lists([[1, 3]], database=4), ties="worst")
    assert result.mAP == pytest.approx((1 + 2 / 4) / 2)


def test_reranked_candidates_come_first_and_the_rest_by_distance():
    rng = np.random.default_rng(2)
    distances = rng.integers(0, 9, 50)
    candidates = np.argsort(distances, kind="stable")[:10]
    scores = np.round(rng.normal(size=10), 1)
    ranks = reranked(distances, candidates, scores)
    rest = np.setdiff1d(np.arange(50), candidates)
    assert ranks[candidates].min() > ranks[rest].max()

    def order(values):
        return np.sign(np.subtract.outer(values, values))

    assert (order(scores) == order(ranks[candidates])).all()
    assert (order(distances[rest]) == -order(ranks[rest])).all()
    relevant = rng.random(50) < 0.3
    first = retrieval_by_scores([ranks[None]], Relevance.from_lists([np.flatnonzero(relevant)], database=50), k=10)
    own = Relevance.from_lists([np.flatnonzero(relevant[candidates])], database=10)
    assert first.mAP == retrieval_by_scores([scores[None]], own, k=10).mAP


def test_sentences():
    scores, relevance = np.ones((2, 3)), Relevance.from_labels([0, 0], [0, 0, 0])
    with pytest.raises(ShapeError, match="2 queries, got scores of 1"):
        retrieval_by_scores([scores[:1]], relevance)
    with pytest.raises(ShapeError, match=r"make up \(2, 3\), got a block \(2, 2\)"):
        unwrap(retrieval_by_scores)([scores[:, :2]], relevance)
    with pytest.raises(ShapeError, match=r"got a block \(2, 3\) at row 2"):
        retrieval_by_scores([scores, scores], relevance)
    with pytest.raises(ShapeError, match="score of item 1 for query 1 is NaN"):
        retrieval_by_scores([scores[:1], np.array([[0.0, np.nan, 1.0]])], relevance)
    with pytest.raises(ShapeError, match="got 0 queries"):
        retrieval_by_scores([], Relevance.from_labels([], [0]))
    with pytest.raises(ShapeError, match="one score"):
        unwrap(reranked)(np.ones(4, int), np.array([1, 1]), np.ones(3))


def test_scores_may_be_lists_and_tensors(unchecked):
    torch = pytest.importorskip("torch")
    scores, relevance = (
        np.array([[0.9, 0.3, 0.5], [0.1, 0.2, 0.2]], np.float32),
        Relevance.from_lists([[0, 1], [2]], database=3),
    )
    expected = retrieval_by_scores([scores], relevance).per_query
    tensor = torch.tensor(scores, requires_grad=True)
    for blocks in ([scores.tolist()], [[row] for row in scores.tolist()], [tensor], [tensor[:1], scores[1:]]):
        assert np.array_equal(retrieval_by_scores(blocks, relevance).per_query, expected)
    for odd in ([[0.1, 0.2], [0.3]], [["a", "b", "c"]], scores + 1j):
        with pytest.raises(ShapeError, match="scores are"):
            retrieval_by_scores([odd], relevance)
    with pytest.raises(ShapeError, match="scores are blocks"):
        retrieval_by_scores(scores, relevance)


@pytest.mark.parametrize(
    ("distances", "ids", "scores", "message"),
    [
        ([1, 2], [1, -1], [0.1, 0.2], "different places 0 to 1"), ([1, 2], [0, 2], [0.1, 0.2], "different places"),
        ([1, 2], [0, 0], [0.1, 0.2], "different places"), ([1, 2], [0, 1], [0.1, np.nan], "not NaN"),
        ([1.5, 2], [0], [0.1], "distances are integers"), ([1, 2], [0.5], [0.1], "ids are integers"),
        ([[1, 2]], [0], [0.1], "one distance"), ([1, 2], [[0]], [[0.1]], "one distance"),
    ],
)  # fmt: skip
def test_candidates_that_cannot_be_ranked_are_refused(distances, ids, scores, message, unchecked):
    with pytest.raises(ShapeError, match=message):
        reranked(distances, ids, scores)


def test_no_candidates_leave_the_ranking_by_distance(unchecked):
    assert reranked([1, 3, 2], [], []).tolist() == [-2, -4, -3]
