"""Samplers for losses over triplets: batches of classes × images, and of drawn triplets."""

from collections.abc import Iterator

import numpy as np

from bitseek.errors import DataError
from bitseek.labels import Labels

TRIES = 100


def classes_by_images(
    labels: Labels, classes: int, images: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Batches of P classes with M images each; an epoch has as many batches as hold all N items once.

    The classes of a batch are drawn without repetition. The images of a class come from a shuffled list of all its
    images, which is shuffled again when it is used up. No item is twice in a batch: a class with fewer images gives all
    of them, and an item of several classes stands for the first class of the batch that takes it.

    Args:
        labels: of the N items; a DataError if none has a class.
        classes: P, at most the number of classes that have an item.
        images: M.
        generator: the only source of randomness.

    Yields:
        at most P · M item numbers.

    >>> batches = classes_by_images(Labels.of(np.repeat([0, 1, 2], 4)), 2, 3, np.random.default_rng(0))
    >>> [len(batch) for batch in batches]
    [6, 6]
    """
    members = [items for items in _members(labels) if len(items)]
    shuffled = [generator.permutation(items) for items in members]
    used = [0] * len(members)
    for _ in range(max(1, len(labels) // (classes * images))):
        taken: dict[int, None] = {}
        for c in generator.permutation(len(members))[:classes]:
            full = len(taken) + images
            for _ in range(2 * len(members[c])):  # the rest of the list, and a whole new one
                if len(taken) == full:
                    break
                if used[c] == len(shuffled[c]):
                    shuffled[c], used[c] = generator.permutation(members[c]), 0
                taken.setdefault(int(shuffled[c][used[c]]))
                used[c] += 1
        yield np.fromiter(taken, np.int64, len(taken))


def drawn_triplets(labels: Labels, triplets: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of T random triplets; an epoch has as many batches as hold all N items once.

    An anchor is any item that shares a class with another one; a class of it is drawn, then a positive of that class.
    The negative is drawn from all items until it shares no class with the anchor; after `TRIES` draws the last one
    stays, and the loss has to leave that triplet out.

    Args:
        labels: of the N items; a DataError if no two share a class.
        triplets: T.
        generator: the only source of randomness.

    Yields:
        (3 T,) item numbers: T anchors, their T positives, their T negatives.
    """
    members = _members(labels)
    sizes = np.array([len(items) for items in members])
    starts, listed = np.cumsum(sizes) - sizes, np.concatenate(members)
    with_classmates = np.unique(listed[np.repeat(sizes > 1, sizes)])
    if not len(with_classmates):
        raise DataError("triplets need two items that share a class, and no two of the training items do")
    for _ in range(max(1, len(labels) // (3 * triplets))):
        anchors = generator.choice(with_classmates, triplets)
        shared = labels.multi_hot(anchors) & (sizes > 1)
        chosen = (generator.random(shared.shape) * shared).argmax(axis=1)
        place = starts[chosen] + generator.integers(0, sizes[chosen] - 1)
        positives = np.where(listed[place] < anchors, listed[place], listed[place + 1])
        negatives = generator.integers(0, len(labels), triplets)
        for _ in range(TRIES):
            wrong = labels[anchors].shared_with(labels[negatives])
            if not wrong.any():
                break
            negatives[wrong] = generator.integers(0, len(labels), int(wrong.sum()))
        yield np.concatenate([anchors, positives, negatives])


def _members(labels: Labels) -> list[np.ndarray]:
    """The items of each class, ascending."""
    if not labels.any.any():
        raise DataError("this method draws items by class, and none of the training items has one")
    return [labels.members(c) for c in range(labels.classes)]
