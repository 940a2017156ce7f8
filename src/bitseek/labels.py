"""Labels: which of C classes each of n items has, in one form for single labels and for several.

Labels are kept packed in words of 64 bits. A single label is one word, the number of the class; any other set of
classes is a row of bits, ceil(C / 64) words. Two items are relevant to each other when they share a class, so an item
without a label is relevant to nothing.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from bitseek._checks import as_array, as_rows, whole_number
from bitseek.errors import ShapeError

NONE = np.uint64(2**64 - 1)
"""The word of an item without a single label: −1 as a signed number."""

_EXPECTED = "labels are (n,) integers, -1 for none, or (n, C) multi-hot of bool or of 0 and 1"
_ITEMS_AT_ONCE = 1 << 14


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of n items, immutable; `Labels.of` makes them.

    Attributes:
        words: (n, w) uint64, read-only. Single labels: w = 1, the number of the class, or 2⁶⁴ − 1 for none. Otherwise
            w = max(1, ceil(C / 64)), and bit c % 64 of word c // 64 says whether the item has class c.
        classes: C, the number of classes.
        single: whether an item has at most one class, by form: (n,) integers were given.

    >>> labels = Labels.of([2, 0, -1, 2])
    >>> labels
    Labels(4 items, 3 classes, single)
    >>> labels.members(2), labels.counts
    (array([0, 3]), array([1, 0, 2]))
    >>> labels.multi_hot([0, 2]).astype(int)
    array([[0, 0, 1],
           [0, 0, 0]])
    """

    words: UInt64[np.ndarray, "n w"]
    classes: int
    single: bool

    @classmethod
    def of(cls, labels: Any, classes: int | None = None) -> "Labels":
        """Labels from any form: `Labels`, class numbers or multi-hot rows.

        Args:
            labels: `Labels`; (n,) integers, −1 for no label; or (n, C) multi-hot of bool, or of the numbers 0 and 1; as
                an array, a list or a tensor. A contiguous array of int64 is not copied, so don't write to it after.
            classes: C; by default the number of columns, or the greatest class number + 1.

        Raises:
            ShapeError: another shape, other values, or classes that are not among the C.
        """
        if isinstance(labels, Labels):
            if classes in (None, labels.classes):
                return labels
            labels = labels.numbers if labels.single else labels.multi_hot()
        classes = None if classes is None else whole_number(classes, "classes", 0)
        array = as_array(labels, "labels")
        if array.ndim not in (1, 2):
            raise ShapeError(f"{_EXPECTED}, got shape {array.shape}")
        single = array.ndim == 1
        words, least = _numbers(array) if single else (_packed(array), array.shape[1])
        if classes is not None and (classes < least or (not single and classes > least)):
            got = f"class number {least - 1}" if single else f"{least} columns"
            raise ShapeError(f"labels of {classes} classes are 0 to {classes - 1}, or {classes} columns; got {got}")
        return cls(words, least if classes is None else classes, single)

    def __post_init__(self) -> None:
        self.words.flags.writeable = False

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: Any) -> "Labels":
        """The labels of the items chosen by a number, a slice, a mask or an array of numbers; always `Labels`."""
        return Labels(self.words[as_rows(rows)], self.classes, self.single)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Labels):
            return NotImplemented
        return (self.single, self.classes) == (other.single, other.classes) and np.array_equal(self.words, other.words)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Labels({len(self)} items, {self.classes} classes, {'single' if self.single else 'multi-hot'})"

    @property
    def any(self) -> Bool[np.ndarray, " n"]:
        """Whether each item has a label."""
        return np.asarray(self.words[:, 0] != NONE if self.single else self.words.any(axis=1))

    @property
    def numbers(self) -> Int64[np.ndarray, " n"]:
        """The class number of each item, −1 for none; a read-only view.

        Raises:
            ShapeError: these labels are multi-hot.
        """
        if not self.single:
            raise ShapeError(f"{self!r} have no class numbers, as an item may have several classes; use multi_hot()")
        return self.words[:, 0].view(np.int64)

    def multi_hot(self, rows: Any = slice(None)) -> Bool[np.ndarray, "m C"]:
        """Labels of some items as (m, C) bool, a new array; an item without a label is a row of zeros."""
        words = self[rows].words
        if not self.single:
            octets = np.ascontiguousarray(words, "<u8").view(np.uint8)
            return np.unpackbits(octets, axis=1, count=self.classes, bitorder="little").view(np.bool_)
        hot = np.zeros((len(words), self.classes), np.bool_)
        labelled = np.flatnonzero(words[:, 0] != NONE)
        hot[labelled, words[labelled, 0].astype(np.int64)] = True
        return hot

    def shared_with(self, other: "Labels") -> Bool[np.ndarray, " n"]:
        """Whether items share a class, pair by pair; one item on either side is compared with all of the other.

        Raises:
            ShapeError: labels of two forms, or of two numbers of columns or of items.

        >>> labels = Labels.of([2, 0, -1, 2])
        >>> labels[0].shared_with(labels)
        array([ True, False, False,  True])
        """
        self.check_comparable(other)
        if len(self) != len(other) and 1 not in (len(self), len(other)):
            raise ShapeError(f"labels that are compared pair by pair are of as many items, got {self!r} and {other!r}")
        if self.single:
            return np.asarray((self.words[:, 0] == other.words[:, 0]) & (self.words[:, 0] != NONE))
        return np.asarray((self.words & other.words).any(axis=1))

    def check_comparable(self, other: "Labels") -> None:
        """Raise `ShapeError` unless both are single labels, or both multi-hot with the same number of columns."""
        if self.single != other.single or (not self.single and self.classes != other.classes):
            raise ShapeError(
                "labels that are compared are both (n,) integers or both (n, C) multi-hot with the same C, "
                f"got {self!r} and {other!r}"
            )

    def members(self, number: int) -> Int64[np.ndarray, " m"]:
        """The items of one class, ascending."""
        if not whole_number(number, "class", 0) < self.classes:
            raise ShapeError(f"classes are numbered 0 to {self.classes - 1}, got {number}")
        items, classes = self._by_class
        low, high = np.searchsorted(classes, [number, number + 1])
        return items[low:high]

    @property
    def counts(self) -> Int64[np.ndarray, " C"]:
        """Number of items of each class."""
        return np.bincount(self.pairs()[1], minlength=self.classes).astype(np.int64, copy=False)

    def pairs(self) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """The item and the class of every label that an item has, by item."""
        if self.single:
            items = np.flatnonzero(self.any)
            return items, self.numbers[items]
        found = [np.zeros((0, 2), np.int64)]
        for start in range(0, len(self), _ITEMS_AT_ONCE):
            found.append(np.argwhere(self.multi_hot(slice(start, start + _ITEMS_AT_ONCE))) + np.array([start, 0]))
        items, classes = np.concatenate(found).T
        return items, classes

    @cached_property
    def _by_class(self) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
        """The pairs by class, and by item within a class."""
        items, classes = self.pairs()
        order = np.argsort(classes, kind="stable")
        return items[order], classes[order]


def _numbers(labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Class numbers as (n, 1) words, a view if they are contiguous int64; and the greatest + 1."""
    if len(labels) and not np.issubdtype(labels.dtype, np.integer):
        raise ShapeError(f"{_EXPECTED}, got dtype {labels.dtype} of shape {labels.shape}")
    least, greatest = (int(labels.min()), int(labels.max())) if len(labels) else (-1, -1)
    if least < -1 or greatest > np.iinfo(np.int64).max:
        raise ShapeError(f"{_EXPECTED}; got numbers from {least} to {greatest}")
    return np.ascontiguousarray(labels, np.int64).view(np.ndarray).view(np.uint64)[:, None], greatest + 1


def _packed(labels: np.ndarray) -> np.ndarray:
    """Multi-hot labels as (n, max(1, ceil(C / 64))) uint64; block by block, so that no copy is made."""
    n, classes = labels.shape
    packed = np.zeros((n, 8 * max(1, -(-classes // 64))), np.uint8)
    for start in range(0, n, _ITEMS_AT_ONCE):
        block = labels[start : start + _ITEMS_AT_ONCE]
        hot = block if block.dtype == np.bool_ else block == 1
        if hot is not block and not (hot | (block == 0)).all():
            raise ShapeError(f"{_EXPECTED}; class numbers are of shape (n,): got other values in {labels.shape}")
        packed[start : start + len(block), : -(-classes // 8)] = np.packbits(hot, axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False)
