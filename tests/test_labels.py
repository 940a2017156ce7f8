"""Labels in their one packed form: every form that they come from and go back to, against sets and loops."""

import pickle
import tracemalloc
from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metrics.oracles import classes_of, labels, share_a_class
from unchecked import unchecked

from bitseek.errors import ShapeError
from bitseek.labels import NONE, Labels


@st.composite
def packed(draw):
    """Labels as they were given, and as `Labels`; sometimes with more classes than occur."""
    given = draw(labels(draw(st.integers(0, 40))))
    if given.ndim == 2:
        return given, Labels.of(given)
    classes = int(given.max(initial=-1)) + 1 + draw(st.sampled_from([0, 0, 5]))
    return given, Labels.of(given, classes=draw(st.sampled_from([None, classes])))


@settings(max_examples=150, deadline=None)
@given(packed())
def test_every_form_comes_back(pair):
    given, own = pair
    sets = [classes_of(label) for label in given]
    assert len(own) == len(given)
    assert own.single == (given.ndim == 1)
    if own.single:
        assert np.array_equal(own.numbers, given)
        assert own.numbers.dtype == np.int64
    hot = own.multi_hot()
    assert hot.shape == (len(given), own.classes)
    assert [set(np.flatnonzero(row).tolist()) for row in hot] == sets
    assert own.any.tolist() == [bool(classes) for classes in sets]
    assert own.counts.tolist() == [sum(c in classes for classes in sets) for c in range(own.classes)]
    assert list(zip(*(part.tolist() for part in own.pairs()), strict=True)) == [
        (i, c) for i, classes in enumerate(sets) for c in sorted(classes)
    ]
    for c in range(own.classes):
        assert own.members(c).tolist() == [i for i, classes in enumerate(sets) if c in classes]
    assert Labels.of(own) is own
    assert pickle.loads(pickle.dumps(own)) == own


@settings(max_examples=60, deadline=None)
@given(packed(), st.integers(0, 2**32))
def test_rows_are_labels_of_those_items(pair, seed):
    given, own = pair
    rng = np.random.default_rng(seed)
    choices = [slice(None, None, -2), rng.random(len(given)) < 0.5]
    if len(given):
        choices += [rng.integers(0, len(given), 7), [0, -1], np.zeros(0, int)]
        assert np.array_equal(own[np.int64(-1)].multi_hot(), own.multi_hot()[-1:])
        assert len(own[0]) == 1
    for rows in choices:
        assert own[rows] == Labels.of(given[rows], classes=own.classes)
        assert np.array_equal(own.multi_hot(rows), own.multi_hot()[rows])


@settings(max_examples=80, deadline=None)
@given(labels(24))
def test_sharing_a_class_is_to_have_one_in_common(given):
    own, shared = Labels.of(given), share_a_class(given, given)
    for i in range(24):
        assert np.array_equal(own[i].shared_with(own), shared[i])
        assert np.array_equal(own.shared_with(own[i]), shared[:, i])
    other = np.roll(np.arange(24), 5)
    assert np.array_equal(own.shared_with(own[other]), shared[np.arange(24), other])


def test_single_labels_as_multi_hot_keep_their_classes():
    single = Labels.of([2, -1, 0, 2], classes=4)
    multi = Labels.of(single.multi_hot())
    assert np.array_equal(multi.multi_hot(), single.multi_hot())
    assert multi.counts.tolist() == single.counts.tolist() == [1, 0, 2, 0]
    assert multi != single
    assert (multi.classes, multi.single) == (4, False)


def test_words_are_what_they_are_said_to_be():
    assert Labels.of([3, -1, 0]).words.tolist() == [[3], [int(NONE)], [0]]
    hot = np.zeros((2, 70), bool)
    hot[0, [0, 63]], hot[1, [64, 69]] = True, True
    assert Labels.of(hot).words.tolist() == [[1 + (1 << 63), 0], [0, 1 + (1 << 5)]]
    assert Labels.of(np.zeros((2, 0), bool)).words.tolist() == [[0], [0]]


def test_labels_are_immutable_and_the_callers_stay_writeable():
    given = np.array([1, 2, 3])
    own = Labels.of(given)
    assert given.flags.writeable
    for array in (own.words, own.numbers, own[1:].words, own[[0]].words):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        own.classes = 5
    own.multi_hot()[0, 0] = True  # a new array


def test_contiguous_class_numbers_are_not_copied():
    numbers = np.zeros(1_200_000, np.int64)
    tracemalloc.start()
    own = Labels.of(numbers, classes=22_634)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(own.words, numbers)
    assert peak < 100_000
    assert own.multi_hot(np.arange(64)).shape == (64, 22_634)


def test_equality_is_by_content_form_and_number_of_classes():
    assert Labels.of([0, 2]) == Labels.of(np.array([0, 2], np.uint8))
    assert Labels.of([0, 2]) != Labels.of([0, 2], classes=5)
    assert Labels.of(np.eye(3)) == Labels.of(np.eye(3, dtype=bool))
    assert Labels.of([0, 2]) != [0, 2]
    with pytest.raises(TypeError):
        hash(Labels.of([0]))


def test_the_number_of_classes_can_be_declared_later():
    assert Labels.of(Labels.of([0, 2]), classes=5) == Labels.of([0, 2], classes=5)
    assert Labels.of(Labels.of(np.eye(3)), classes=3).classes == 3
    assert Labels.of([-1, -1]).classes == Labels.of([]).classes == 0
    assert repr(Labels.of([0, 2], classes=5)) == "Labels(2 items, 5 classes, single)"
    assert repr(Labels.of(np.eye(3))) == "Labels(3 items, 3 classes, multi-hot)"


@pytest.mark.parametrize(
    ("given", "classes", "sentence"),
    [
        (np.zeros((2, 2, 2)), None, r"got shape \(2, 2, 2\)"),
        (3, None, r"got shape \(\)"),
        ([[0], [0, 1]], None, "labels are an array of numbers"),
        ([0.5, 1.0], None, "dtype float64"),
        ([True, False], None, "dtype bool"),
        (["cat", "dog"], None, "of type <U3"),
        ([["cat"], ["dog"]], None, "of type <U3"),
        ([0, -2], None, "from -2 to 0"),
        (np.array([2**63], np.uint64), None, "from 9223372036854775808"),
        ([[0], [2]], None, r"class numbers are of shape \(n,\)"),
        ([[0.0, 0.5]], None, "of bool or of 0 and 1"),
        ([0, 3], 3, "labels of 3 classes are 0 to 2, or 3 columns; got class number 3"),
        (np.eye(3), 4, "got 3 columns"),
        (np.eye(3), 2, "got 3 columns"),
        ([0, 1], "3", "classes is a whole number of 0 or more, got classes='3'"),
        ([0, 0], True, "classes is a whole number"),
        ([0, 1], 2.0, "classes is a whole number"),
        ([0, 1], -1, "classes is a whole number"),
    ],
)
def test_what_is_no_label_is_refused(given, classes, sentence):
    with pytest.raises(ShapeError, match=sentence):
        unwrap(Labels.of.__func__)(Labels, given, classes)


def test_what_labels_cannot_say_is_refused():
    single, multi = Labels.of([0, 1]), Labels.of(np.eye(2))
    with pytest.raises(ShapeError, match="an item may have several classes"):
        _ = multi.numbers
    for c, sentence in ((-1, "got class=-1"), (2, "numbered 0 to 1, got 2"), (0.5, "got class=0.5"), (True, "class=")):
        with pytest.raises(ShapeError, match=sentence):
            unchecked(single.members)(c)
    with pytest.raises(ShapeError, match="both"):
        single.shared_with(multi)
    with pytest.raises(ShapeError, match="the same C"):
        multi.shared_with(Labels.of(np.eye(2, 3)))
    for own, other in ((single, Labels.of([0, 1, 0])), (multi, Labels.of(np.eye(3, 2)))):
        with pytest.raises(ShapeError, match="of as many items, got Labels"):
            own.shared_with(other)


@pytest.mark.parametrize("rows", [None, [[0, 1]], np.True_, True, 1.0, [0.5], "a", np.zeros((3, 1), bool), ...])
def test_rows_that_are_none(rows):
    for own in (Labels.of([0, 1, 1]), Labels.of(np.eye(3))):
        for choose in (own.__getitem__, own.multi_hot):
            with pytest.raises(ShapeError, match="rows"):
                choose(rows)


def test_tensors():
    torch = pytest.importorskip("torch")
    hot = torch.eye(3)
    for tensor in (hot, hot.bfloat16(), hot.half(), hot.bool(), hot.clone().requires_grad_()):
        assert Labels.of(tensor) == Labels.of(np.eye(3))
    assert Labels.of(torch.tensor([2, 0])) == Labels.of([2, 0])
    assert Labels.of(np.eye(3)).multi_hot(torch.tensor([2, 0])).tolist() == [[False, False, True], [True, False, False]]
    for tensor in (torch.ones(3).bfloat16(), torch.zeros(3, 3, device="meta"), torch.eye(3).to_sparse()):
        with pytest.raises(ShapeError, match="labels are"):
            Labels.of(tensor)
