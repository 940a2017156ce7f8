"""Batches that a method wants of its own: classes × images, and triplets."""

from collections.abc import Iterator

import numpy as np

from bitseek.errors import DataError

TRIES = 100


def classes_by_images(
    labels: np.ndarray, classes: int, images: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Batches of P classes with K images each; one epoch is as many batches as hold all N items once.

    The classes of a batch are drawn without repetition; the images of a class come from a shuffled row of all its
    images, which is shuffled again when it is used up. No item is twice in a batch: a class with fewer images than
    asked gives all it has, and an item of several classes stands for the first of them that takes it.

    Args:
        labels: (N,) classes, −1 for none, or (N, C) multi-hot.
        classes: P, at most the number of classes that have an item.
        images: K.
        generator: all randomness comes from here.

    Yields:
        at most P · K item numbers.

    Raises:
        DataError: no item has a class.

    >>> rows = list(classes_by_images(np.repeat([0, 1, 2], 4), 2, 3, np.random.default_rng(0)))
    >>> [len(row) for row in rows]
    [6, 6]
    """
    members = [items for items in members_of_classes(labels) if len(items)]
    decks = [generator.permutation(items) for items in members]
    used = [0] * len(members)
    for _ in range(max(1, len(labels) // (classes * images))):
        taken: dict[int, None] = {}
        for chosen in generator.permutation(len(members))[:classes]:
            wanted = len(taken) + images
            for _ in range(2 * len(members[chosen])):  # what is left of the old row, and a whole new one
                if len(taken) == wanted:
                    break
                if used[chosen] == len(decks[chosen]):
                    decks[chosen], used[chosen] = generator.permutation(members[chosen]), 0
                taken.setdefault(int(decks[chosen][used[chosen]]))
                used[chosen] += 1
        yield np.fromiter(taken, np.int64, len(taken))


def drawn_triplets(labels: np.ndarray, triplets: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of T random triplets; one epoch is as many batches as hold all N items once.

    An anchor is any item that shares a class with another one; a class of it is drawn, then a positive of that class.
    The negative is drawn from all items until it shares no class with the anchor. (Should `TRIES` draws not find one,
    the last stays, and a loss that looks at the labels leaves that triplet out.)

    Args:
        labels: (N,) classes, −1 for none, or (N, C) multi-hot.
        triplets: T.
        generator: all randomness comes from here.

    Yields:
        (3 T,) item numbers: T anchors, their T positives, their T negatives.

    Raises:
        DataError: no two items share a class.
    """
    members = members_of_classes(labels)
    sizes = np.array([len(items) for items in members])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    listed = np.concatenate(members)
    has = np.zeros((len(labels), len(members)), dtype=bool)
    has[listed, np.repeat(np.arange(len(members)), sizes)] = True
    paired = has & (sizes > 1)
    anchors_allowed = np.flatnonzero(paired.any(axis=1))
    if not len(anchors_allowed):
        raise DataError("triplets need two items that share a class, and no two of the training items do")
    for _ in range(max(1, len(labels) // (3 * triplets))):
        anchors = generator.choice(anchors_allowed, triplets)
        chosen = (generator.random((triplets, len(members))) * paired[anchors]).argmax(axis=1)
        place = starts[chosen] + generator.integers(0, sizes[chosen] - 1)
        positives = np.where(listed[place] < anchors, listed[place], listed[place + 1])
        negatives = generator.integers(0, len(labels), triplets)
        for _ in range(TRIES):
            wrong = (has[anchors] & has[negatives]).any(axis=1)
            if not wrong.any():
                break
            negatives[wrong] = generator.integers(0, len(labels), int(wrong.sum()))
        yield np.concatenate([anchors, positives, negatives])


def members_of_classes(labels: np.ndarray) -> list[np.ndarray]:
    """The items of each class in ascending order.

    Args:
        labels: (N,) classes, −1 for none, or (N, C) multi-hot.

    Raises:
        DataError: no item has a class.
    """
    if labels.ndim == 2:
        members = [np.flatnonzero(column) for column in labels.T]
    else:
        members = [np.flatnonzero(labels == one) for one in range(int(labels.max(initial=-1)) + 1)]
    if not any(len(items) for items in members):
        raise DataError("this method draws items by class, and none of the training items has one")
    return members
