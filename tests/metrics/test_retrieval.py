"""One result from codes: what it says, who counts in its means, and what it refuses."""

import json
import re
from inspect import unwrap
from pathlib import Path

import numpy as np
import pytest
from tests.metrics.oracles import ap_of_order, ranked_by_sort

from bitseek.codes import Codes
from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics import Relevance, histograms, measure, precision_at, recall_at, retrieval, retrieval_by_scores
from bitseek.metrics import precision_to_last as trapezoid_precision


@pytest.fixture(scope="module")
def some():
    rng = np.random.default_rng(9)
    bits = rng.random((120, 16)) < 0.5
    labels = rng.integers(0, 30, 120)
    labels[:4] = [-1, 77, 3, 5]
    return Codes.from_bits(bits[:40]), Codes.from_bits(bits[40:]), Relevance.from_labels(labels[:40], labels[40:])


def test_the_result_is_json_and_says_what_it_is(some):
    result = retrieval(*some, k=10, denominator="min", no_hit="skip")
    facts = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert facts["mAP_worst"] < facts["mAP"] < facts["mAP_best"]
    assert {
        name: facts[name] for name in ("k", "denominator", "ties", "no_hit", "ap", "queries", "database", "bits")
    } == {
        "k": 10,
        "denominator": "min",
        "ties": "expected",
        "no_hit": "skip",
        "ap": "standard",
        "queries": 40,
        "database": 80,
        "bits": 16,
    }
    assert facts["queries_without_relevant"] >= 2
    assert facts["queries_without_hit"] >= facts["queries_without_relevant"]
    assert facts["excluded"] == 0
    assert facts["precision_at"]["10"] == pytest.approx(result.precision_at[10].mean())
    assert facts["recall_at"]["1"] == pytest.approx(np.nanmean(result.recall_at[1]))
    assert not {"per_query", "hit", "per_query_best"} & set(facts)
    assert result.per_query.shape == result.hit.shape == (40,)
    assert "array" not in repr(result)


def test_lists_as_labels_are_labels():
    codes = Codes.from_bits([[0, 1], [1, 0]])
    assert retrieval(codes, codes, Relevance.from_labels([0, 1], [0, 1])).mAP == 1.0


@pytest.mark.parametrize("k", [0, -1, 2.5, "all", True], ids=repr)
def test_an_odd_k_is_refused_by_name(some, k):
    for call in (lambda: unwrap(retrieval)(*some, k=k), lambda: unwrap(measure)(histograms(*some), k=k)):
        with pytest.raises(BitseekError, match="k is a whole number"):
            call()
    with pytest.raises(BitseekError, match="k is a whole number"):
        unwrap(retrieval)(*some, precision_at=[k])


def test_a_k_beyond_any_database_is_the_whole_ranking(some):
    huge = 10**30
    for denominator in ("retrieved", "relevant", "min"):
        whole = retrieval(*some, denominator=denominator)
        for ties in ("expected", "stable"):
            result = retrieval(*some, k=huge, denominator=denominator, ties=ties, precision_at=[huge])
            assert result.mAP_best == pytest.approx(whole.mAP_best)
            assert np.nanmin(next(iter(result.recall_at.values()))) == 1.0
    counts = histograms(*some)
    assert precision_at(counts.total, counts.relevant, huge).max() > 0
    assert trapezoid_precision(counts.total, counts.relevant, huge).max() > 0


@pytest.mark.parametrize("ranks", [5, None, np.array(3), 2.5], ids=repr)
def test_ranks_that_are_no_sequence_are_refused_by_name(some, ranks, unchecked):
    if ranks is None:
        assert list(retrieval(*some, precision_at=ranks).precision_at) == [1, 10]
        return
    with pytest.raises(BitseekError, match="precision_at is numbers of ranks"):
        retrieval(*some, precision_at=ranks)


def test_labels_are_no_relevance_and_bits_no_codes(some, unchecked):
    queries, database, relevance = some
    labels = r"Relevance\.from_labels\(query_labels, database_labels\) or Relevance\.from_lists gives, got list"
    for measured in (
        lambda: retrieval(queries, database, [0, 1]),
        lambda: histograms(queries, database, [0, 1]),
        lambda: retrieval_by_scores([np.zeros((2, 2))], [0, 1]),
    ):
        with pytest.raises(ShapeError, match=labels):
            measured()
    for codes in ((queries.to_bits(), database), (queries, database.to_bits())):
        with pytest.raises(ShapeError, match=r"codes are Codes, got ndarray; use Codes\.from_bits"):
            retrieval(*codes, relevance)


def test_k_may_be_an_integer_of_any_kind(some):
    plain, numpy = retrieval(*some, k=5), retrieval(*some, k=np.int64(5), precision_at=[np.int32(7)])
    assert plain.mAP == numpy.mAP
    assert type(numpy.k) is int
    assert [type(k) for k in numpy.precision_at] == [int]


def test_queries_without_a_hit_count_as_zero_or_not_at_all(some):
    zero, skip = (retrieval(*some, k=10, no_hit=rule) for rule in ("zero", "skip"))
    assert 0 < zero.queries_without_hit < 40
    for name in ("mAP", "mAP_best", "mAP_worst"):
        assert getattr(skip, name) * (40 - zero.queries_without_hit) == pytest.approx(getattr(zero, name) * 40)
    assert zero.per_query[~zero.hit].tolist() == [0.0] * zero.queries_without_hit


def test_a_hit_is_what_the_best_order_of_ties_could_give():
    codes = Codes.from_bits([[0, 0], [0, 0], [0, 1], [0, 1], [1, 0], [1, 0]])
    relevance = Relevance.from_labels([1], [0, 0, 0, 1, 1, 1])
    for k, hit in ((1, False), (2, False), (3, True), (6, True), (None, True)):
        result = retrieval(codes[0], codes, relevance, k=k)
        assert (bool(result.hit[0]), result.queries_without_hit) == (hit, int(not hit))
        assert (result.per_query_best[0] > 0) == hit


def test_skipping_every_query_leaves_no_mean_and_no_error(some):
    queries, database, _ = some
    nothing = Relevance.from_labels(np.full(40, -1), np.zeros(80, int))
    zero, skip = (retrieval(queries, database, nothing, no_hit=rule) for rule in ("zero", "skip"))
    assert (zero.mAP, zero.queries_without_hit, zero.queries_without_relevant) == (0.0, 40, 40)
    assert np.isnan([skip.mAP, skip.mAP_best, skip.mAP_worst]).all()
    interval = skip.interval()
    assert (interval.n, np.isnan(interval.mean), np.isnan(interval.low)) == (0, True, True)
    facts = json.loads(json.dumps(skip.to_json(), allow_nan=False))
    assert (facts["mAP"], facts["recall_at"]["1"], facts["precision_at"]["1"]) == (None, None, 0.0)


def test_an_empty_database_or_no_queries_is_an_error():
    codes = Codes.from_bits(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="got 2 queries and 0 items"):
        retrieval(codes, codes[:0], Relevance.from_labels([0, 0], []))
    with pytest.raises(ShapeError, match="got 0 queries and 2 items"):
        retrieval(codes[:0], codes, Relevance.from_labels([], [0, 0]))
    with pytest.raises(ShapeError, match="got 0 queries and 2 items"):
        measure(histograms(codes[:0], codes, Relevance.from_lists([], database=2)), ap="trapezoid")


def test_ties_choose_the_value_and_never_the_bounds(some):
    results = {ties: retrieval(*some, k=20, ties=ties) for ties in ("expected", "best", "worst", "stable")}
    for ties in ("best", "worst"):
        assert results[ties].mAP == getattr(results["expected"], f"mAP_{ties}")
        assert np.array_equal(results[ties].per_query, getattr(results["stable"], f"per_query_{ties}"))
    assert len({(r.mAP_best, r.mAP_worst) for r in results.values()}) == 1
    assert [r.ties for r in results.values()] == list(results)


@pytest.mark.parametrize("ties", ["expected", "best", "worst"])
def test_precision_follows_the_ties_that_were_asked_for(some, ties):
    counts = histograms(*some)
    result = retrieval(*some, ties=ties, precision_at=[1, 7, 200])
    assert list(result.precision_at) == list(result.recall_at) == [1, 7, 200]
    for k in (1, 7, 200):
        assert np.array_equal(result.precision_at[k], precision_at(counts.total, counts.relevant, k, ties))
        np.testing.assert_array_equal(result.recall_at[k], recall_at(counts.total, counts.relevant, k, ties))


def test_precision_is_given_at_the_usual_ranks_that_the_database_has(some):
    assert list(retrieval(*some).precision_at) == [1, 10]
    assert retrieval(*some, precision_at=()).precision_at == {}


@pytest.mark.parametrize("ties", ["expected", "best", "worst", "stable"])
def test_measuring_counts_is_the_same(some, ties):
    rules = {"k": 30, "denominator": "relevant", "ties": ties, "no_hit": "skip", "precision_at": [5]}
    whole, half = retrieval(*some, **rules), measure(histograms(*some), **rules)
    assert whole.to_json() == half.to_json()
    assert np.array_equal(whole.per_query, half.per_query)


def test_a_query_in_the_database_is_left_out_by_id_not_by_distance():
    codes = Codes.from_bits([[0, 0], [0, 0], [1, 1]])
    labels, ids = np.array([1, 1, 2]), np.array([10, 11, 12])
    with_itself = retrieval(codes, codes, Relevance.from_labels(labels, labels))
    without = retrieval(codes, codes, Relevance.from_labels(labels, labels, query_ids=ids, database_ids=ids))
    assert with_itself.mAP == 1.0
    assert without.per_query.tolist() == [1.0, 1.0, 0.0]
    assert without.excluded == 3


def test_junk_is_removed_before_ranks_are_counted():
    rng = np.random.default_rng(1)
    query, database = rng.random((2, 40)) < 0.5, rng.random((50, 40)) < 0.5
    positives, junk = [[3, 9, 20], [0, 1]], [[4, 5, 30, 31], []]
    relevance = Relevance.from_lists(positives, junk, database=50)
    result = retrieval(Codes.from_bits(query), Codes.from_bits(database), relevance, ties="stable", k=25)
    for q in range(2):
        places = np.arange(50)
        ranked = ranked_by_sort(query[q], database, np.isin(places, positives[q]), ~np.isin(places, junk[q]))
        assert result.per_query[q] == pytest.approx(ap_of_order(ranked, 25))
        assert result.precision_at[10][q] == pytest.approx(sum(ranked[:10]) / 10)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"no_hit": "drop"}, "no_hit is 'zero' or 'skip', got 'drop'"),
        ({"ties": "random"}, "ties is 'expected', 'best', 'worst' or 'stable', got 'random'"),
        ({"denominator": "all"}, "denominator is 'retrieved', 'relevant' or 'min', got 'all'"),
        ({"ap": "area"}, "ap is 'standard' or 'trapezoid', got 'area'"),
    ],
)
def test_an_unknown_rule_is_refused(some, rule, sentence):
    with pytest.raises(BitseekError, match=sentence):
        unwrap(retrieval)(*some, **rule)


@pytest.mark.parametrize("value", [np.array(["zero", "skip"]), [], None, 3], ids=repr)
def test_a_rule_that_is_no_text_is_refused(some, value, unchecked):
    for rule in ("no_hit", "ties", "denominator", "ap"):
        with pytest.raises(BitseekError, match=f"{rule} is '"):
            retrieval(*some, **{rule: value})


def test_counts_make_their_sums_once(some):
    counts = histograms(*some)
    assert counts.groups is counts.groups


def test_the_interval_is_of_the_queries_that_count(some):
    result = retrieval(*some, no_hit="skip", k=10)
    interval = result.interval()
    assert interval.mean == pytest.approx(result.mAP)
    assert interval.n == 40 - result.queries_without_hit
    assert retrieval(*some, k=10).interval().n == 40


def test_the_examples_of_the_page_run():
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rng = np.random.default_rng(0)
    codes = Codes.from_bits(rng.random((120, 16)) < 0.5)
    labels = rng.integers(0, 5, 120)
    names = {
        "query_codes": codes[:20],
        "database_codes": codes[20:],
        "query_labels": labels[:20],
        "database_labels": labels[20:],
        "positives": [[q, q + 1] for q in range(20)],
        "junk": [[q + 2] for q in range(20)],
        "n": 100,
    }
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for block in blocks:
        exec(compile(block, "docs/metrics.md", "exec"), names)
    assert len(blocks) == 2
    assert names["result"].ap == "trapezoid"
