"""GLDv2 and revisited Oxford and Paris against their definitions, on every order of the ties."""

from itertools import combinations, product

import numpy as np
import pytest

from bitseek.codes import Codes
from bitseek.errors import BitseekError
from bitseek.metrics import landmarks, precision_to_last, revisited, trapezoid


def trapezoid_of_order(relevance):
    """The definition, with positives at ranks from 0."""
    ranks = [rank for rank, hit in enumerate(relevance) if hit]
    area = 0.0
    for j, rank in enumerate(ranks):
        before = 1.0 if rank == 0 else j / rank
        area += (before + (j + 1) / (rank + 1)) / 2
    return area / len(ranks) if ranks else 0.0


def precision_of_order(relevance, k):
    """Precision at k, or at the last positive if that is earlier."""
    ranks = [rank for rank, hit in enumerate(relevance, start=1) if hit]
    if not ranks:
        return 0.0
    cut = min(ranks[-1], k)
    return sum(rank <= cut for rank in ranks) / cut


def orders(groups):
    placings = [
        [[int(i in places) for i in range(items)] for places in combinations(range(items), hits)]
        for items, hits in groups
    ]
    return [[hit for part in choice for hit in part] for choice in product(*placings)]


CASES = [
    [(1, 1)],
    [(5, 1)],
    [(5, 5)],
    [(0, 0), (4, 2), (3, 1)],
    [(2, 0), (6, 3)],
    [(1, 1), (3, 2), (0, 0), (4, 0)],
    [(3, 1), (2, 2), (4, 1), (1, 0)],
    [(2, 0), (3, 0)],
]


@pytest.mark.parametrize("groups", CASES, ids=str)
def test_trapezoid_equals_mean_best_and_worst_over_all_orders(groups):
    total, relevant = (column[None] for column in np.array(groups).T)
    values = [trapezoid_of_order(order) for order in orders(groups)]
    for ties, value in (("expected", np.mean(values)), ("best", max(values)), ("worst", min(values))):
        assert trapezoid(total, relevant, ties)[0] == pytest.approx(value, abs=1e-12), ties


@pytest.mark.parametrize("groups", CASES, ids=str)
def test_precision_to_last_equals_mean_best_and_worst_over_all_orders(groups):
    total, relevant = (column[None] for column in np.array(groups).T)
    for k in range(1, int(total.sum()) + 3):
        values = [precision_of_order(order, k) for order in orders(groups)]
        for ties, value in (("expected", np.mean(values)), ("best", max(values)), ("worst", min(values))):
            assert precision_to_last(total, relevant, k, ties)[0] == pytest.approx(value, abs=1e-12), (k, ties)


def test_a_lone_positive_at_rank_one_gives_one_for_every_k():
    total, relevant = np.array([[1, 1000]]), np.array([[1, 0]])
    assert [precision_to_last(total, relevant, k)[0] for k in (1, 5, 10)] == pytest.approx([1, 1, 1])


def test_large_groups_need_no_large_numbers():
    total, relevant = np.array([[0, 200_000]]), np.array([[0, 50_000]])
    assert precision_to_last(total, relevant, 10)[0] == pytest.approx(0.25)
    assert trapezoid(total, relevant)[0] == pytest.approx(0.25, abs=1e-4)


@pytest.fixture(scope="module")
def benchmark():
    rng = np.random.default_rng(8)
    database = rng.random((400, 24)) < 0.5
    truth, queries = [], []
    for _ in range(12):
        centre = rng.random(24) < 0.5
        chosen = rng.permutation(400)[:21]
        lists = {"easy": chosen[:6].tolist(), "hard": chosen[6:14].tolist(), "junk": chosen[14:].tolist(), "bbx": []}
        database[chosen] = centre ^ (rng.random((21, 24)) < 0.2)
        queries.append(centre)
        truth.append(lists)
    truth[3]["hard"] = []
    truth[5]["easy"] = []
    return np.array(queries), database, truth


def test_revisited_lies_at_the_mean_of_many_shuffles_and_within_its_bounds(benchmark):
    queries, database, truth = benchmark
    reports = revisited(Codes.from_bits(queries), Codes.from_bits(database), truth)
    roles = {
        "easy": (["easy"], ["junk", "hard"]),
        "medium": (["easy", "hard"], ["junk"]),
        "hard": (["hard"], ["junk", "easy"]),
    }
    rng = np.random.default_rng(0)
    for difficulty, (good, bad) in roles.items():
        shuffles = []
        for _ in range(150):
            order = rng.permutation(len(database))
            values = []
            for row, lists in zip(queries, truth, strict=True):
                positives = {i for kind in good for i in lists[kind]}
                ignored = {i for kind in bad for i in lists[kind]}
                ranked = order[np.argsort((database[order] != row).sum(axis=1), kind="stable")]
                relevance = [int(i in positives) for i in ranked if i not in ignored]
                if positives:
                    values.append(
                        [trapezoid_of_order(relevance), *(precision_of_order(relevance, k) for k in (1, 5, 10))]
                    )
            shuffles.append(np.mean(values, axis=0))
        report = reports[difficulty]
        noise = 5 * np.std(shuffles, axis=0) / np.sqrt(len(shuffles)) + 1e-9
        actual = np.array([report.mAP, report.mP[1], report.mP[5], report.mP[10]])
        assert (np.abs(actual - np.mean(shuffles, axis=0)) < noise).all(), difficulty
        maps = np.array(shuffles)[:, 0]
        assert report.mAP_worst <= maps.min()
        assert maps.max() <= report.mAP_best
        assert report.queries + report.skipped == 12
    assert (reports["hard"].skipped, reports["easy"].skipped, reports["medium"].skipped) == (1, 1, 0)
    assert np.isnan(reports["hard"].per_query[3])


def test_revisited_says_which_list_is_missing(benchmark):
    queries, database, _ = benchmark
    with pytest.raises(BitseekError, match="query 0 has no list 'junk'"):
        revisited(Codes.from_bits(queries[:1]), Codes.from_bits(database), [{"easy": [1], "hard": []}])


def test_landmarks_divides_by_the_smaller_of_all_relevant_and_a_hundred():
    total = np.ones((2, 300), int)
    relevant = np.zeros_like(total)
    relevant[0, :150] = 1  # all of the first hundred are right, 50 more follow
    relevant[1, [0, 3]] = 1
    assert landmarks(total, relevant) == pytest.approx((1 + (1 + 2 / 4) / 2) / 2)
    assert landmarks(total, relevant, denominator="relevant") == pytest.approx((100 / 150 + 0.75) / 2)
    assert landmarks(total[:1], np.zeros((1, 300), int)) == 0.0
