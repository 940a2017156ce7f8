import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitseek.data.splits import draw_per_class, shuffled
from bitseek.errors import DataError


def test_shuffled_depends_on_the_set_the_seed_and_the_stream_only():
    items = np.arange(100, 200)
    np.testing.assert_array_equal(shuffled(items[::-1].copy(), 3, 1), shuffled(items, 3, 1))
    orders = {tuple(shuffled(items, seed, stream)) for seed in range(5) for stream in range(5)}
    assert len(orders) == 25
    assert all(sorted(order) == list(range(100, 200)) for order in orders)


def test_shuffled_is_uniform():
    first = np.array([shuffled(np.arange(6), seed)[0] for seed in range(3000)])
    counts = np.bincount(first, minlength=6)
    assert ((counts - 500) ** 2 / 500).sum() < 20.5  # chi-squared, 5 degrees of freedom, p = .001


def test_negative_seed():
    with pytest.raises(DataError, match="a seed is 0 or more, got -1"):
        shuffled(np.arange(3), -1)


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=80), st.integers(0, 2**40), st.data())
def test_draw_per_class_cuts_every_class(labels, seed, data):
    labels = np.array(labels)
    smallest = np.unique(labels, return_counts=True)[1].min()
    first = data.draw(st.integers(0, int(smallest)))
    sizes = (first, data.draw(st.integers(0, int(smallest) - first)))
    parts = draw_per_class(labels, sizes, seed, classes="abcde")
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    for part, size in zip(parts, sizes, strict=False):
        assert (np.diff(part) > 0).all()
        for label in np.unique(labels):
            assert (labels[part] == label).sum() == size
    again = draw_per_class(labels, sizes, seed, classes="abcde")
    for part, other in zip(parts, again, strict=True):
        np.testing.assert_array_equal(part, other)


def test_the_draw_of_a_class_does_not_depend_on_the_other_classes():
    labels = np.array([0] * 20 + [1] * 20)
    alone = draw_per_class(labels[:20], (5,), 0, classes="ab")[0]
    both = draw_per_class(labels, (5,), 0, classes="ab")[0]
    np.testing.assert_array_equal(both[both < 20], alone)
    assert (both[both >= 20] - 20).tolist() != alone.tolist()  # and two classes are not cut alike


@pytest.mark.parametrize(("members", "drawn"), [(1, 0), (2, 1), (5, 1), (10, 2), (19, 3), (100, 20)])
def test_fractions(members, drawn):
    part, rest = draw_per_class(np.zeros(members, np.int64), (0.2,), 0, classes="a")
    assert (len(part), len(rest)) == (drawn, members - drawn)


def test_too_few_items_and_wrong_sizes():
    with pytest.raises(DataError, match="'b' has 2 items, fewer than the 3"):
        draw_per_class(np.array([0, 0, 0, 1, 1]), (3,), 0, classes="ab")
    with pytest.raises(DataError, match="without a label has 1 items"):
        draw_per_class(np.array([0, 0, -1]), (2,), 0, classes="a")
    for size in (-1, 1.0, 2.5):
        with pytest.raises(DataError, match="a size is"):
            draw_per_class(np.zeros(9, np.int64), (size,), 0, classes="a")
