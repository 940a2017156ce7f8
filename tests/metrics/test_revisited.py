"""Revisited Oxford and Paris against their published procedure, on every order of the ties and as a whole."""

import numpy as np
import pytest
from tests.metrics.oracles import (
    counts,
    orders,
    precision_to_last_of_order,
    ranked_by_sort,
    small_groups,
    trapezoid_of_order,
)

from bitseek.codes import Codes
from bitseek.errors import BitseekError
from bitseek.metrics import Relevance, precision_to_last, retrieval, retrieval_by_scores, trapezoid


@pytest.mark.parametrize("groups", small_groups(), ids=str)
def test_trapezoid_equals_mean_best_and_worst_over_all_orders(groups):
    total, relevant = counts(groups)
    values = [trapezoid_of_order(order) for order in orders(groups)]
    for ties, value in (("expected", np.mean(values)), ("best", max(values)), ("worst", min(values))):
        assert trapezoid(total, relevant, ties)[0] == pytest.approx(value, abs=1e-12), ties


@pytest.mark.parametrize("groups", small_groups(), ids=str)
def test_precision_to_last_equals_mean_best_and_worst_over_all_orders(groups):
    total, relevant = counts(groups)
    for k in range(1, int(total.sum()) + 3):
        values = [precision_to_last_of_order(order, k) for order in orders(groups)]
        for ties, value in (("expected", np.mean(values)), ("best", max(values)), ("worst", min(values))):
            assert precision_to_last(total, relevant, k, ties)[0] == pytest.approx(value, abs=1e-12), (k, ties)


def test_a_lone_positive_at_rank_one_gives_one_for_every_k():
    total, relevant = np.array([[1, 1000]]), np.array([[1, 0]])
    assert [precision_to_last(total, relevant, k)[0] for k in (1, 5, 10)] == pytest.approx([1, 1, 1])


def test_large_groups_need_no_large_numbers():
    total, relevant = np.array([[0, 200_000]]), np.array([[0, 50_000]])
    assert precision_to_last(total, relevant, 10)[0] == pytest.approx(0.25)
    assert trapezoid(total, relevant)[0] == pytest.approx(0.25, abs=1e-4)


ROLES = {
    "easy": (["easy"], ["junk", "hard"]),
    "medium": (["easy", "hard"], ["junk"]),
    "hard": (["hard"], ["junk", "easy"]),
}


@pytest.fixture(scope="module")
def benchmark():
    """Bits of 12 queries and 400 items, and lists for each query; one has no hard items and one no easy ones."""
    rng = np.random.default_rng(8)
    database = rng.random((400, 24)) < 0.5
    truth, queries = [], []
    for _ in range(12):
        centre = rng.random(24) < 0.5
        chosen = rng.permutation(400)[:21]
        truth.append({"easy": chosen[:6].tolist(), "hard": chosen[6:14].tolist(), "junk": chosen[14:].tolist()})
        database[chosen] = centre ^ (rng.random((21, 24)) < 0.2)
        queries.append(centre)
    truth[3]["hard"] = []
    truth[5]["easy"] = []
    return np.array(queries), database, truth


def level(truth, name):
    """Positives and junk of each query at one level."""
    return [[[item for kind in kinds for item in lists[kind]] for lists in truth] for kinds in ROLES[name]]


def published(queries, database, positives, junk, order):
    """mAP and mP@1, 5, 10 as the benchmark's own procedure computes them from a ranked list, query by query."""
    values = []
    for row, good, bad in zip(queries, positives, junk, strict=True):
        if good:
            relevant, kept = np.isin(np.arange(len(database)), good), ~np.isin(np.arange(len(database)), bad)
            ranked = ranked_by_sort(row, database, relevant, kept, order)
            values.append([trapezoid_of_order(ranked), *(precision_to_last_of_order(ranked, k) for k in (1, 5, 10))])
    return np.mean(values, axis=0)


@pytest.mark.parametrize("name", ROLES)
def test_lies_at_the_mean_of_many_shuffles_and_within_its_bounds(benchmark, name):
    queries, database, truth = benchmark
    positives, junk = level(truth, name)
    relevance = Relevance.from_lists(positives, junk, database=len(database))
    result = retrieval(Codes.from_bits(queries), Codes.from_bits(database), relevance, ap="trapezoid")
    rng = np.random.default_rng(0)
    shuffles = np.array(
        [published(queries, database, positives, junk, rng.permutation(len(database))) for _ in range(120)]
    )
    noise = 5 * shuffles.std(axis=0) / np.sqrt(len(shuffles)) + 1e-9
    means = result.to_json()["precision_at"]
    assert list(means) == ["1", "5", "10"]
    actual = np.array([result.mAP, *means.values()])
    assert (np.abs(actual - shuffles.mean(axis=0)) < noise).all()
    assert result.mAP_worst <= shuffles[:, 0].min()
    assert shuffles[:, 0].max() <= result.mAP_best


@pytest.mark.parametrize("no_hit", ["zero", "skip"])
def test_queries_without_positives_are_left_out_whatever_no_hit_says(benchmark, no_hit):
    queries, database, truth = benchmark
    positives, junk = level(truth, "hard")
    relevance = Relevance.from_lists(positives, junk, database=len(database))
    result = retrieval(Codes.from_bits(queries), Codes.from_bits(database), relevance, ap="trapezoid", no_hit=no_hit)
    assert (result.queries, result.queries_without_relevant, result.no_hit) == (12, 1, "skip")
    assert result.excluded == sum(map(len, junk))
    assert np.flatnonzero(~result.hit).tolist() == [3]
    assert result.per_query[3] == 0
    assert np.isnan(result.precision_at[5][3])
    assert result.mAP == pytest.approx(np.delete(result.per_query, 3).mean())
    assert result.interval().n == 11


@pytest.mark.parametrize("ties", ["expected", "best", "worst"])
def test_scores_give_the_same(benchmark, ties):
    queries, database, truth = benchmark
    positives, junk = level(truth, "medium")
    relevance = Relevance.from_lists(positives, junk, database=len(database))
    by_codes = retrieval(
        Codes.from_bits(queries), Codes.from_bits(database), relevance, ap="trapezoid", ties=ties, precision_at=[3, 50]
    )
    scores = -(queries[:, None] != database[None]).sum(axis=2)
    by_scores = retrieval_by_scores([scores], relevance, ap="trapezoid", ties=ties, precision_at=[3, 50])
    assert by_scores.per_query == pytest.approx(by_codes.per_query, abs=1e-12)
    for k in (3, 50):
        assert by_scores.precision_at[k] == pytest.approx(by_codes.precision_at[k], abs=1e-12)
        assert by_scores.recall_at[k] == pytest.approx(by_codes.recall_at[k], abs=1e-12)


def test_the_trapezoid_is_of_the_whole_ranking_and_not_of_a_stable_sort(benchmark):
    queries, database, truth = benchmark
    search = Codes.from_bits(queries), Codes.from_bits(database)
    relevance = Relevance.from_lists(level(truth, "easy")[0], database=len(database))
    with pytest.raises(BitseekError, match="leave out k, got 10"):
        retrieval(*search, relevance, ap="trapezoid", k=10)
    with pytest.raises(BitseekError, match="ties is 'expected', 'best' or 'worst', got 'stable'"):
        retrieval(*search, relevance, ap="trapezoid", ties="stable")
    with pytest.raises(BitseekError, match="'expected', 'best' or 'worst'"):
        trapezoid(np.array([[1]]), np.array([[1]]), "stable")
    with pytest.raises(BitseekError, match="'expected', 'best' or 'worst'"):
        precision_to_last(np.array([[1]]), np.array([[1]]), 1, "stable")
