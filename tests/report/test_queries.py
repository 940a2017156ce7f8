"""The queries of the page: the best and the worst, with the items nearest to them."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tests.report.harness import Page, report_of
from tests.report.test_page import levels_report, shown

from bitseek.evaluation import evaluate
from bitseek.report._sections import choose_queries, examples, queries


def nearest_by_a_slow_loop(report, query, left_out, k):
    """(distance, place) of the nearest items that are not left out."""
    one, items = report.queries.codes.to_bits()[query], report.database.codes.to_bits()
    ranked = sorted((int((one != item).sum()), place) for place, item in enumerate(items) if place not in left_out)
    return ranked[:k]


def test_best_and_worst_are_so(report):
    values, labels = report.main.per_query, report.protocol.pool.labels.numbers
    chosen = choose_queries(report, 10)
    assert values[chosen["Worst queries"]].tolist() == np.sort(values)[:10].tolist()
    own = labels[report.queries.ids]
    assert sorted(own[chosen["Best queries"]]) == list(range(10))  # of different classes, the best of each
    for query in chosen["Best queries"]:
        assert values[query] == values[own == own[query]].max()
    assert len(set(choose_queries(report, 25)["Best queries"])) == 25


@pytest.mark.parametrize("overlap", [False, True])
def test_examples_are_those_of_a_slow_loop(overlap):
    found = report_of(np.arange(60) % 3, "abc", bits=6, overlap=overlap)
    for query, example in enumerate(examples(found, range(12), 10)):
        itself = {query} if overlap else set()
        ranked = nearest_by_a_slow_loop(found, query, itself, 10)
        assert example.query == query == found.queries.ids[query] and example.ap == found.main.per_query[query]
        assert example.distances.tolist() == [distance for distance, _ in ranked]
        assert example.ids.tolist() == [found.database.ids[place] for _, place in ranked]
        assert example.right.tolist() == (example.ids % 3 == query % 3).tolist()
        assert example.relevant == sum(i % 3 == query % 3 for i in found.database.ids) - overlap


def test_several_labels():
    labels = np.random.default_rng(1).random((60, 3)) < 0.4
    found = report_of(labels, "abc")
    for example in examples(found, choose_queries(found, 6)["Worst queries"], 10):
        assert labels[example.query].any()
        assert example.right.tolist() == (labels[example.ids] & labels[example.query]).any(axis=1).tolist()


def test_lists_say_what_is_relevant_and_what_is_ignored():
    found, lists = levels_report()
    for level in ("easy", "medium", "hard"):
        alone = replace(
            found, **{name: {level: getattr(found, name)[level]} for name in ("levels", "relevance", "counts")}
        )
        for query, example in enumerate(examples(alone, range(12), 60)):
            assert set(example.ids) == set(range(12, 60)) - set(lists.junk[level][query])
            assert example.right.tolist() == np.isin(example.ids, lists.positives[level][query]).tolist()
            assert example.relevant == len(lists.positives[level][query])
    easy = replace(
        found, **{name: {"easy": getattr(found, name)["easy"]} for name in ("levels", "relevance", "counts")}
    )
    chosen = choose_queries(easy, 12)
    assert sorted(chosen["Worst queries"]) == sorted(chosen["Best queries"]) == list(range(1, 12))  # 0 has none to find


def test_only_queries_whose_precision_exists_are_ranked():
    found = report_of(np.append(np.full(12, 1), np.arange(48) % 2), "ab", k=1, no_hit="skip")
    values = found.main.per_query
    for group in choose_queries(found, 12).values():
        assert np.isfinite(values[group]).all() and len(set(group)) == len(group)


def test_any_queries_where_nothing_is_relevant():
    found = report_of(np.full(60, -1), (), overlap=True)
    chosen = choose_queries(found, 6)
    assert list(chosen) == ["Some queries"] and chosen == choose_queries(found, 6)
    assert chosen["Some queries"] == sorted(set(chosen["Some queries"])) and len(chosen["Some queries"]) == 6
    for query, example in zip(chosen["Some queries"], examples(found, chosen["Some queries"], 60), strict=True):
        assert example.ap is example.relevant is example.right is None
        assert example.query not in example.ids and len(example.ids) == 59
        assert example.distances.tolist() == [d for d, _ in nearest_by_a_slow_loop(found, query, {query}, 59)]


def test_right_and_wrong_are_marked_by_colour_and_sign(page, report):
    kinds = Counter(kind for kind, _ in page.tiles())
    assert kinds["query"] == 12 and kinds["right"] + kinds["wrong"] == 120 and kinds["wrong"] > 0
    for kind, caption in page.tiles():
        assert ("✓" in caption) == (kind == "right") and ("✗" in caption) == (kind == "wrong")
    found = queries(report)
    right = [example.right.sum() for group in found["groups"].values() for example in group]
    assert kinds["right"] == sum(right)
    order = [caption for kind, caption in page.tiles() if kind != "query"]
    distances = [d for group in found["groups"].values() for e in group for d in e.distances.tolist()]
    assert [int(caption.split("= ")[1]) for caption in order] == distances
    for group in found["groups"].values():
        for e in group:
            assert f"AP {e.ap:.3f}, {e.right.sum()} of 10 relevant {e.relevant:,} relevant in the database" in page.text


def test_a_tile_names_its_item_and_at_most_three_classes():
    hot = np.zeros((60, 5), bool)
    hot[:, 0] = hot[:20, 1:] = True
    found = report_of(hot, ("ant", "bee", "cat", "dog", "eel"), keys=tuple(f"file {i}\n.png" for i in range(60)))
    tiles = queries(found)["tiles"]
    assert {tile["label"] for tile in tiles.values()} == {"ant", "ant, bee, cat …"}
    for index, tile in tiles.items():
        assert tile["name"] == f"file {index}\\n.png" and tile["picture"] is None
        assert tile["classes"] == ("ant, bee, cat, dog, eel" if index < 20 else "ant")
    tips = shown(found).tips()
    assert "file 0\\n.png: ant, bee, cat, dog, eel" in tips


def test_average_precision_is_that_of_the_ranking_and_the_items_are_nearest_by_hamming_distance(hasher, report):
    other = evaluate(hasher, ranking="asymmetric", threads=1)
    assert not np.array_equal(other.main.per_query, report.main.per_query)
    one, two = (examples(found, range(5), 10) for found in (report, other))
    for a, b, value in zip(one, two, other.main.per_query, strict=False):
        assert a.ids.tolist() == b.ids.tolist() and b.ap == value
    assert "Nearest first by Hamming distance" in Page(shown(other).html).text
