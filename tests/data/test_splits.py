import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitseek.data._splits import draw_per_class, shuffled
from bitseek.errors import BitseekError, DataError


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
    with pytest.raises(BitseekError, match="seed is a whole number of 0 or more, got seed=-1"):
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


@pytest.mark.parametrize("integer", [np.int64(2), np.uint8(2), np.int16(2), 2])
def test_a_count_is_an_integer_of_any_kind(integer):
    """Bug 14: np.int64(2) was taken for a share, and drew 98 of 100 items."""
    part, rest = draw_per_class(np.zeros(100, np.int64), (integer,), 0, classes="a")
    assert (len(part), len(rest)) == (2, 98)


@pytest.mark.parametrize("share", [np.float32(0.25), np.float64(0.25), 0.25])
def test_a_share_is_a_float_of_any_kind(share):
    assert [len(part) for part in draw_per_class(np.zeros(100, np.int64), (share, 0.0), 0, classes="a")] == [25, 0, 75]


@pytest.mark.parametrize("size", [True, False, np.nan, np.inf, -0.5, np.int64(-1), "2", None, 1.0, np.float32(1)])
def test_what_is_neither_a_count_nor_a_share(size):
    with pytest.raises(DataError, match="a size is a number of items of each class, or a share"):
        draw_per_class(np.zeros(9, np.int64), (size,), 0, classes="a")


@pytest.mark.parametrize("seed", [True, 0.5, np.float64(1), np.nan, "1", None, np.int64(-3)])
def test_odd_seeds(seed):
    with pytest.raises(BitseekError, match="seed is a whole number of 0 or more"):
        inspect.unwrap(shuffled)(np.arange(3), seed)


@given(st.integers(0, 2**70))
def test_seeds_of_any_integer_type(seed):
    order = shuffled(np.arange(30), seed)
    if seed < 2**63:
        np.testing.assert_array_equal(shuffled(np.arange(30), np.int64(seed)), order)


def slow_draw(labels, sizes, seed):
    """Class by class and item by item: an item's key is the next raw number of the class's own stream."""
    parts = [[] for _ in range(len(sizes) + 1)]
    for label in sorted(set(labels.tolist())):
        stream = np.random.PCG64(np.random.SeedSequence([seed, label + 1]))
        keyed = sorted((int(stream.random_raw()), i) for i, other in enumerate(labels.tolist()) if other == label)
        order = [i for _, i in keyed]
        for part, size in zip(parts, sizes, strict=False):
            part += order[:size]
            order = order[size:]
        parts[-1] += order
    return [sorted(part) for part in parts]


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=60), st.integers(0, 2**32), st.data())
def test_a_slow_loop_draws_the_same(labels, seed, data):
    labels = np.array(labels)
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    sizes = (data.draw(st.integers(0, smallest // 2)), data.draw(st.integers(0, smallest // 2)))
    drawn = draw_per_class(labels, sizes, seed, classes="abcd")
    assert [part.tolist() for part in drawn] == slow_draw(labels, sizes, seed)
