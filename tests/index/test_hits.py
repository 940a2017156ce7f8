"""One sequence contract for the hits of every kind of search."""

from collections.abc import Iterable, Sized

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitseek.codes import Codes
from bitseek.errors import ShapeError
from bitseek.index import HammingIndex, Hits, RaggedHits, ScoredHits

CODES = Codes.from_bits(np.random.default_rng(0).random((40, 16)) < 0.5)
QUERIES = 7


def searches() -> dict[str, Hits | RaggedHits | ScoredHits]:
    index = HammingIndex(CODES)
    logits = np.random.default_rng(1).normal(size=(QUERIES, 16))
    nearest = index.nearest(CODES[:QUERIES], 4)
    return {
        "nearest": nearest,
        "within": index.within(CODES[:QUERIES], 5),
        "by logits": index.nearest_by_logits(logits, 4),
        "reranked": index.rerank(nearest, logits=logits),
        "within nothing": index.within(Codes.from_bits(~CODES.to_bits()[:QUERIES]), 0),
        "no items": HammingIndex(CODES[:0]).nearest(CODES[:QUERIES], 4),
    }


ALL = searches()
every_kind = pytest.mark.parametrize("hits", ALL.values(), ids=ALL)


def values(row):
    """Distances or scores of a row."""
    return row.scores if hasattr(row, "scores") else row.distances


def as_lists(hits):
    """The hits of each query, taken from the arrays without the sequence contract."""
    if isinstance(hits, RaggedHits):
        parts = [slice(hits.offsets[i], hits.offsets[i + 1]) for i in range(len(hits.offsets) - 1)]
        return [(hits.ids[part].tolist(), hits.distances[part].tolist()) for part in parts]
    return list(zip(hits.ids.tolist(), values(hits).tolist(), strict=True))


@every_kind
def test_iteration_gives_every_query_once_and_ends(hits):
    rows = [(ids.tolist(), found.tolist()) for ids, found in hits]
    assert len(rows) == len(hits) == QUERIES
    assert rows == as_lists(hits)
    assert len(list(hits)) == len(list(hits)) == QUERIES, "and again"
    assert isinstance(hits, Sized) and isinstance(hits, Iterable)


@every_kind
@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.int32])
def test_a_number_gives_the_hits_of_one_query(hits, kind):
    for i in range(QUERIES):
        row = hits[kind(i)]
        assert row.ids.ndim == values(row).ndim == 1
        assert (row.ids.tolist(), values(row).tolist()) == as_lists(hits)[i]
        ids, found = row
        assert ids is row.ids and found is values(row)


@every_kind
def test_negative_numbers_count_from_the_end(hits):
    for i in range(-QUERIES, 0):
        for kind in (int, np.int64):
            np.testing.assert_array_equal(hits[kind(i)].ids, hits[i + QUERIES].ids)


@every_kind
@pytest.mark.parametrize("query", [QUERIES, -QUERIES - 1, 10**6, np.int64(QUERIES), [0, QUERIES], np.array([-8])])
def test_there_is_nothing_past_the_end(hits, query):
    with pytest.raises(IndexError):
        hits[query]


@every_kind
@given(data=st.data())
def test_slices_masks_and_numbers_give_hits_of_the_same_kind(hits, data):
    chosen = data.draw(
        st.slices(QUERIES)
        | st.lists(st.integers(-QUERIES, QUERIES - 1))
        | st.lists(st.integers(-QUERIES, QUERIES - 1)).map(lambda rows: np.array(rows, np.int64))
        | arrays(np.bool_, QUERIES)
    )
    some = hits[chosen]
    assert type(some) is type(hits)
    expected = [as_lists(hits)[i] for i in np.arange(QUERIES)[chosen]]
    assert as_lists(some) == expected
    assert [(ids.tolist(), found.tolist()) for ids, found in some] == expected
    assert some.ids.dtype == np.int64


@every_kind
@pytest.mark.parametrize("query", [np.zeros((2, 2), int), True, None, "a", 1.5, [0.5], np.zeros(3, bool), (0, 1)])
def test_other_choices_are_errors(hits, query):
    with pytest.raises((IndexError, ShapeError)):
        hits[query if query is not True else np.True_]


@every_kind
def test_no_query_is_no_hits(hits):
    for none in (hits[:0], hits[[]], hits[np.zeros(QUERIES, bool)]):
        assert len(none) == 0 and list(none) == [] and type(none) is type(hits)
        with pytest.raises(IndexError):
            none[0]


@every_kind
def test_slicing_twice_is_slicing_once(hits):
    np.testing.assert_array_equal(hits[1:6][::2].ids, hits[1:6:2].ids)
    np.testing.assert_array_equal(hits[::-1][0].ids, hits[-1].ids)


@every_kind
def test_one_line_says_what_they_are(hits):
    assert repr(hits).startswith(f"{type(hits).__name__}({QUERIES} queries") and "\n" not in repr(hits)


def test_counts_of_ragged_hits():
    hits = ALL["within"]
    np.testing.assert_array_equal(hits.counts, [len(row.ids) for row in hits])
    np.testing.assert_array_equal(hits[2:5].counts, hits.counts[2:5])
    assert hits[2:5].offsets[0] == 0


def test_the_names_of_a_row():
    assert ALL["nearest"][0]._fields == ALL["within"][0]._fields == ("ids", "distances")
    assert ALL["by logits"][0]._fields == ALL["reranked"][0]._fields == ("ids", "scores")


def test_a_part_of_the_hits_can_be_reranked():
    hits, logits = ALL["nearest"], np.random.default_rng(1).normal(size=(QUERIES, 16))
    whole = HammingIndex(CODES).rerank(hits, logits=logits)
    part = HammingIndex(CODES).rerank(hits[2:5], logits=logits[2:5])
    np.testing.assert_array_equal(part.ids, whole.ids[2:5])
    np.testing.assert_array_equal(part.scores, whole.scores[2:5])
