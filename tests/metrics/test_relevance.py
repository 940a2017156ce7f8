"""Relevance by labels and by lists against sets, and the words that kernels compare."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.oracles import kept_by_ids, labels, named, searches, share_a_class

from bitseek.errors import ShapeError
from bitseek.labels import Labels
from bitseek.metrics import Relevance


def by_words(relevance):
    """(q, n) bool, from what the kernels are given."""
    relevant = np.zeros((relevance.queries, relevance.database), bool)
    for rows, mine, theirs, single in relevance.words():
        pairs = mine[:, None], theirs[None]
        relevant[rows] = (pairs[0] == pairs[1])[..., 0] if single else (pairs[0] & pairs[1]).any(axis=2)
    return relevant


@settings(max_examples=100, deadline=None)
@given(searches(1))
def test_relevance_by_labels_is_to_share_a_class(search):
    _, _, mine, theirs, ids = search
    relevance = Relevance.from_labels(mine, theirs, **named(ids))
    shared, kept = share_a_class(mine, theirs), kept_by_ids(len(mine), len(theirs), ids)
    assert (relevance.queries, relevance.database) == shared.shape
    assert np.array_equal(by_words(relevance), shared)
    for query in range(len(mine)):
        assert np.array_equal(relevance.relevant(query), shared[query] & kept[query])
        assert np.array_equal(relevance.left_out(query), ~kept[query])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 40), st.integers(0, 2**32))
def test_relevance_by_lists_is_to_be_listed(queries, n, seed):
    rng = np.random.default_rng(seed)
    role = rng.choice(3, (queries, n), p=[0.7, 0.2, 0.1])
    positives, junk = ([rng.permutation(np.flatnonzero(row == kind)).tolist() for row in role] for kind in (1, 2))
    relevance = Relevance.from_lists(positives, junk, database=n)
    assert np.array_equal(by_words(relevance), role == 1)
    assert np.array_equal(np.stack([relevance.relevant(q) for q in range(queries)]), role == 1)
    assert np.array_equal(np.stack([relevance.left_out(q) for q in range(queries)]), role == 2)
    assert relevance.known == bool((role == 1).any())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_lists_of_what_shares_a_class_are_the_same_relevance(data):
    own = data.draw(labels(25))
    shared = share_a_class(own[:5], own)
    by_labels = Relevance.from_labels(own[:5], own, query_ids=np.arange(5), database_ids=np.arange(25))
    lists = [[i for i in np.flatnonzero(row) if i != q] for q, row in enumerate(shared)]
    by_lists = Relevance.from_lists(lists, [[q] for q in range(5)], database=25)
    for query in range(5):
        assert np.array_equal(by_labels.relevant(query), by_lists.relevant(query))
        assert np.array_equal(by_labels.left_out(query), by_lists.left_out(query))


def test_a_query_is_named_by_its_place_even_from_the_end():
    relevance = Relevance.from_lists([[0], [1]], [[2], []], database=3)
    assert relevance.relevant(-1).tolist() == relevance.relevant(np.int64(1)).tolist() == [False, True, False]
    assert relevance.left_out(-2).tolist() == [False, False, True]
    with pytest.raises(IndexError):
        relevance.relevant(2)


def test_labels_may_be_lists_and_of_different_numbers_of_classes():
    relevance = Relevance.from_labels([0, 9], [0, 1, 0])
    assert [relevance.relevant(q).tolist() for q in (0, 1)] == [[True, False, True], [False] * 3]
    packed = Relevance.from_labels(Labels.of([0, 9]), Labels.of([0, 1, 0], classes=10))
    assert packed.relevant(0).tolist() == [True, False, True]


def test_relevance_is_known_where_both_sides_have_a_label():
    assert Relevance.from_labels([0, -1], [5, -1]).known
    assert not Relevance.from_labels([-1, -1], [5, -1]).known
    assert not Relevance.from_labels([1], [-1]).known
    assert not Relevance.from_labels(np.eye(2, 5), np.zeros((3, 5))).known
    assert not Relevance.from_lists([[], []], [[1], []], database=3).known
    assert not Relevance.from_labels([], []).known


def test_ids_may_be_names_and_may_repeat():
    names = np.array(["a.jpg", "b.jpg", "c.jpg", "a.jpg"])
    relevance = Relevance.from_labels([0, 0], [0, 0, 0, 0], query_ids=names[:2], database_ids=names.tolist())
    assert relevance.left_out(0).tolist() == [True, False, False, True]
    assert relevance.left_out(1).tolist() == [False, True, False, False]


def test_sentences_for_labels_and_ids():
    make = Relevance.from_labels
    with pytest.raises(ShapeError, match="both"):
        make([0, 1], np.eye(2))
    with pytest.raises(ShapeError, match="the same C"):
        make(np.eye(2, 3), np.eye(2, 4))
    with pytest.raises(ShapeError, match="dtype float64"):
        make([0.5], [0.5])
    with pytest.raises(ShapeError, match="give query_ids and database_ids"):
        make([0], [0, 1], query_ids=[4])
    with pytest.raises(ShapeError, match=r"expected shapes \(1,\) and \(2,\), got \(1,\) and \(3,\)"):
        make([0], [0, 1], query_ids=[4], database_ids=[4, 5, 6])


@pytest.mark.parametrize(
    ("positives", "junk", "sentence"),
    [
        ([[4]], None, "positives of query 0 are not all places 0 to 3"),
        ([[-1]], None, "not all places"),
        ([[0.5]], None, "not all places"),
        ([[1, 1]], None, "positives of query 0 name an item twice"),
        ([[], []], [[], [2, 2]], "junk of query 1 name an item twice"),
        ([[1]], [[0, 1]], "item 1 is both relevant to query 0 and junk"),
        ([[1]], [[0], [2]], "got 1 and 2"),
        ([[[1], [1, 2]]], None, "the positives of query 0 are an array of numbers"),
        ([["a"]], None, "the positives of query 0 are an array of numbers"),
        ([[1]], [[[2], [2, 3]]], "the junk of query 0 are an array of numbers"),
        ([[True, False]], None, "not all places"),
        ([np.array([2**63], np.uint64)], None, "not all places"),
        (3, None, "positives are a list of places for each query, got int"),
        ([[1]], 3, "junk are a list of places for each query, got int"),
    ],
)
def test_sentences_for_lists(positives, junk, sentence, unchecked):
    with pytest.raises(ShapeError, match=sentence):
        Relevance.from_lists(positives, junk, database=4)


@pytest.mark.parametrize("database", ["3", 3.5, None, True, -1], ids=repr)
def test_the_size_of_the_database_is_a_whole_number(database, unchecked):
    with pytest.raises(ShapeError, match="database is a whole number of 0 or more"):
        Relevance.from_lists([[0]], database=database)


def test_lists_may_be_arrays_tensors_and_generators(unchecked):
    torch = pytest.importorskip("torch")
    for positives in ([np.array([2], np.uint8), []], [torch.tensor([2]), []], ([2 * i] if i else [2] for i in (1, 0))):
        relevance = Relevance.from_lists(positives, database=np.int64(3))
        assert relevance.queries == 2
        assert relevance.relevant(0).tolist() == [False, False, True]
        assert type(relevance.database) is int


DATES = np.array(["2020-01-01", "2020-01-02"], "datetime64[D]")


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (np.arange(2), DATES), (np.arange(2), DATES.astype("datetime64[ns]")), ([1, 2], ["1", "2"]),
        ([None, 1], [1, None]), ([b"a", b"b"], ["a", "b"]), ([1.5, 2], ["a", "b"]), ([{}, {}], [{}, {}]),
    ],
    ids=repr,
)  # fmt: skip
def test_ids_of_two_kinds_cannot_be_compared(mine, theirs):
    with pytest.raises(ShapeError, match="of one kind"):
        Relevance.from_labels([0, 1], [0, 1], query_ids=mine, database_ids=theirs)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ids_of_any_integer_type_are_compared_exactly(data):
    near = st.sampled_from([2**53, 2**60, 2**63 - 1, 0]).flatmap(lambda n: st.integers(max(0, n - 2), n))
    signed = data.draw(st.lists(near | st.integers(-2, 2), min_size=1, max_size=6))
    unsigned = data.draw(st.lists(near | st.integers(2**63, 2**64 - 1), min_size=1, max_size=6))
    for mine, theirs in ((np.array(signed, np.int64), np.array(unsigned, np.uint64)),) * 2:
        for query, database in ((mine, theirs), (theirs, mine), (theirs, theirs)):
            labels = np.zeros(len(query), int), np.zeros(len(database), int)
            relevance = Relevance.from_labels(*labels, query_ids=query, database_ids=database)
            for q, number in enumerate(query.tolist()):
                assert relevance.left_out(q).tolist() == [number == other for other in database.tolist()]


def test_ids_may_be_objects_of_one_kind_and_tensors():
    torch = pytest.importorskip("torch")
    names = np.array(["a", "b", "c"], object)
    for mine, theirs in ((names[1:2], names), (["b"], names), (torch.tensor([7]), torch.tensor([5, 7, 6]))):
        relevance = Relevance.from_labels([0], [0, 0, 0], query_ids=mine, database_ids=theirs)
        assert relevance.left_out(0).tolist() == [False, True, False]
