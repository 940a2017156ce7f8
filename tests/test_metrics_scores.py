"""Rankings by real scores, with and without ties, and by re-ranked candidates."""

from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from bitseek.codes import Codes
from bitseek.errors import ShapeError
from bitseek.metrics import average_precision, groups_by_score, reranked, retrieval, retrieval_by_score


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 2**32))
def test_groups_are_the_distinct_scores(n, distinct, seed):
    rng = np.random.default_rng(seed)
    scores, relevant = rng.integers(-distinct, distinct, n) / 4, rng.random(n) < 0.4
    total, hits = groups_by_score(scores, relevant)
    values = sorted(set(scores.tolist()), reverse=True)
    assert total.tolist() == [[int((scores == v).sum()) for v in values]]
    assert hits.tolist() == [[int((relevant & (scores == v)).sum()) for v in values]]


def test_equals_scikit_learn_where_there_are_no_ties():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(7, 200)).astype(np.float32)
    labels, mine = rng.integers(0, 4, 200), rng.integers(0, 4, 7)
    report = retrieval_by_score([scores[:3], scores[3:]], mine, labels)
    expected = [average_precision_score(labels == y, row) for y, row in zip(mine, scores, strict=True)]
    assert report.per_query == pytest.approx(np.array(expected), abs=1e-12)
    assert [report.mAP_best, report.mAP_worst] == pytest.approx([report.mAP, report.mAP], abs=1e-12)
    assert report.bits is None


@pytest.mark.parametrize("ties", ["expected", "best", "worst"])
@pytest.mark.parametrize("at", [None, 20])
@pytest.mark.parametrize("multi", [False, True])
def test_scores_that_are_distances_give_the_hamming_report(ties, at, multi):
    rng = np.random.default_rng(1)
    codes = Codes.from_bits(rng.random((90, 9)) < 0.5)
    labels = rng.random((90, 5)) < 0.2 if multi else rng.integers(-1, 4, 90)
    ids = np.arange(90)
    queries = codes[:30]
    scores = queries.to_signs().astype(float) @ codes.to_signs().T.astype(float)
    named = {"query_ids": ids[:30], "database_ids": ids, "at": at, "ties": ties, "no_hit": "skip"}
    hamming = retrieval(queries, codes, labels[:30], labels, **named)
    real = retrieval_by_score(iter([scores]), labels[:30], labels, **named)
    assert real.per_query == pytest.approx(hamming.per_query, abs=1e-12)
    left, right = hamming.to_json(), real.to_json()
    assert left.pop("bits") == 9
    assert right.pop("bits") is None
    for key in ("mAP", "mAP_best", "mAP_worst"):
        assert left.pop(key) == pytest.approx(right.pop(key), abs=1e-12)
    assert left == right


def test_reranked_candidates_come_first_and_the_rest_by_distance():
    rng = np.random.default_rng(2)
    distances = rng.integers(0, 9, 50)
    candidates = np.argsort(distances, kind="stable")[:10]
    scores = np.round(rng.normal(size=10), 1)
    ranks = reranked(distances, candidates, scores)
    rest = np.setdiff1d(np.arange(50), candidates)
    assert ranks[candidates].min() > ranks[rest].max()
    assert (
        np.sign(np.subtract.outer(scores, scores)) == np.sign(np.subtract.outer(ranks[candidates], ranks[candidates]))
    ).all()
    assert (
        np.sign(np.subtract.outer(distances[rest], distances[rest]))
        == -np.sign(np.subtract.outer(ranks[rest], ranks[rest]))
    ).all()
    relevant = rng.random(50) < 0.3
    best_first = average_precision(*groups_by_score(ranks, relevant), at=10)
    assert best_first == average_precision(*groups_by_score(scores, relevant[candidates]), at=10)


def test_sentences():
    scores = np.ones((2, 3))
    labels = np.zeros(3, int)
    with pytest.raises(ShapeError, match="2 queries, got scores of 1"):
        retrieval_by_score([scores[:1]], labels[:2], labels)
    with pytest.raises(ShapeError, match=r"make up \(2, 3\), got a block \(2, 2\)"):
        unwrap(retrieval_by_score)([scores[:, :2]], labels[:2], labels)
    with pytest.raises(ShapeError, match="score of item 1 is NaN"):
        groups_by_score(np.array([0.0, np.nan]), np.array([True, True]))
    with pytest.raises(ShapeError, match="belongs to an item"):
        unwrap(groups_by_score)(np.ones(3), np.ones(2, bool))
    with pytest.raises(ShapeError, match="one score"):
        reranked(np.ones(4, int), np.array([1, 1]), np.ones(2))
