"""Batches of classes × images, and of triplets."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.errors import DataError
from bitseek.labels import Labels
from bitseek.methods import _samplers


def classes_by_images(labels, *arguments):
    return _samplers.classes_by_images(Labels.of(labels), *arguments)


def drawn_triplets(labels, *arguments):
    return _samplers.drawn_triplets(Labels.of(labels), *arguments)


def random(seed=0):
    return np.random.default_rng(seed)


def multi_hot(rows, classes):
    labels = np.zeros((len(rows), classes), np.uint8)
    for row, given_classes in zip(labels, rows, strict=True):
        row[list(given_classes)] = 1
    return labels


def test_ten_classes_of_eight_images_by_counting():
    labels = random().permutation(np.repeat(np.arange(25), 40))
    batches = list(classes_by_images(labels, 10, 8, random()))
    assert len(batches) == 1000 // 80
    for batch in batches:
        assert len(set(batch.tolist())) == 80
        assert sorted(Counter(labels[batch].tolist()).values()) == [8] * 10


def test_all_items_of_equal_classes_are_seen_once_an_epoch():
    labels = random().permutation(np.repeat(np.arange(4), 30))
    batches = list(classes_by_images(labels, 4, 5, random()))
    assert sorted(np.concatenate(batches).tolist()) == list(range(120))


def test_a_small_class_gives_all_it_has_and_a_lone_class_is_enough():
    labels = np.array([0] * 20 + [1] * 3 + [-1] * 5)
    for batch in classes_by_images(labels, 4, 6, random()):
        assert Counter(labels[batch].tolist()) == {0: 6, 1: 3}
    assert [len(batch) for batch in classes_by_images(np.zeros(7, int), 10, 5, random())] == [5]


def test_a_class_that_does_not_divide_still_gives_as_many_as_asked():
    labels = np.repeat([0, 1], 10)
    for batch in classes_by_images(np.tile(labels, 1), 2, 8, random()):
        assert Counter(labels[batch].tolist()) == {0: 8, 1: 8}


def test_the_same_generator_gives_the_same_batches_and_another_gives_others():
    """The known ResNet-18 variant draws from a module-wide generator that is never seeded."""
    labels = random().integers(0, 10, 400)
    for sampler in (lambda g: classes_by_images(labels, 5, 4, g), lambda g: drawn_triplets(labels, 10, g)):
        one, same, other = (np.concatenate(list(sampler(random(seed)))).tolist() for seed in (1, 1, 2))
        assert one == same
        assert one != other


labelled = st.integers(1, 60).flatmap(
    lambda n: st.lists(st.sets(st.integers(0, 5), max_size=3), min_size=n, max_size=n).filter(any)
)


@given(labelled, st.integers(1, 7), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_batches_of_any_multi_label_data(rows, classes, images, seed):
    labels = multi_hot(rows, 6)
    batches = list(classes_by_images(labels, classes, images, random(seed)))
    assert len(batches) == max(1, len(rows) // (classes * images))
    for batch in batches:
        assert batch.dtype == np.int64
        assert len(set(batch.tolist())) == len(batch) <= classes * images
        assert labels[batch].any(axis=1).all()
        smallest = min(images, *(int(column.sum()) for column in labels.T if column.any()))
        assert len(batch) >= smallest


@given(labelled, st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_triplets_of_any_multi_label_data(rows, triplets, seed):
    labels = multi_hot(rows, 6)
    alike = labels.astype(int) @ labels.T > 0
    if not (alike & ~np.eye(len(rows), dtype=bool)).any():
        with pytest.raises(DataError, match="share a class"):
            list(drawn_triplets(labels, triplets, random(seed)))
        return
    batches = list(drawn_triplets(labels, triplets, random(seed)))
    assert len(batches) == max(1, len(rows) // (3 * triplets))
    for batch in batches:
        anchors, positives, negatives = batch.reshape(3, triplets)
        assert (anchors != positives).all()
        assert alike[anchors, positives].all()
        possible = (~alike).mean(axis=1)[anchors] > 0.1  # so that 100 draws are sure to find one
        assert not alike[anchors, negatives][possible].any()


def test_triplets_of_single_labels_and_their_spread():
    labels = np.array([0] * 30 + [1] * 30 + [2] * 30 + [3, -1, -1])
    rows = np.concatenate(
        [batch.reshape(3, 5) for seed in range(40) for batch in drawn_triplets(labels, 5, random(seed))], 1
    )
    anchors, positives, negatives = rows
    assert (labels[anchors] == labels[positives]).all()
    assert (labels[anchors] != labels[negatives]).all()
    assert not set(anchors.tolist()) & {90, 91, 92}
    assert set(anchors.tolist()) == set(positives.tolist()) == set(range(90))
    assert set(negatives.tolist()) == set(range(93))


def test_no_labels_at_all():
    for labels in (np.full(10, -1), np.zeros((10, 3), np.uint8), np.zeros(0, int)):
        with pytest.raises(DataError):
            list(classes_by_images(labels, 2, 2, random()))
        with pytest.raises(DataError):
            list(drawn_triplets(labels, 2, random()))
