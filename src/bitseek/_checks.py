"""Checks of what users give: whole numbers, choices of rows, and arrays of numbers from NumPy, torch or lists."""

import operator
from typing import Any

import numpy as np

from bitseek.errors import BitseekError, ShapeError


def whole_number(value: Any, name: str, least: int = 1) -> int:
    """An integer that a user gave, of Python or NumPy.

    Raises:
        ShapeError: another type (bool and float among them), or less than `least`.
    """
    try:
        number = None if isinstance(value, bool | np.bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise ShapeError(f"{name} is a whole number of {least} or more, got {name}={value!r}")
    return number


def is_tensor(values: Any) -> bool:
    """Whether these are a torch tensor, found out without importing torch."""
    return hasattr(values, "detach") and hasattr(values, "cpu")


def as_array(values: Any, what: str) -> np.ndarray:
    """Anything array-like as a NumPy array: lists, arrays, and tensors on any device.

    Reals of less than 32 bits in a tensor, some of which NumPy does not have, become float32, which holds them all.

    Raises:
        ShapeError: not an array of real numbers or bool.
    """
    try:
        if is_tensor(values):
            values = values.detach().cpu()
            values = values.float() if values.is_floating_point() and values.element_size() < 4 else values
        array = np.asarray(values)
    except Exception as error:
        raise ShapeError(f"{what} are an array of numbers, got {type(values).__name__}: {error}") from error
    if array.dtype.kind not in "biuf":
        raise ShapeError(f"{what} are an array of numbers, got {type(values).__name__} of type {array.dtype}")
    return array


def as_rows(rows: Any) -> slice | np.ndarray:
    """Rows that a user chose, for NumPy: a slice as it is; one number, several of them, or a mask as (m,) array.

    Raises:
        ShapeError: none of these.
    """
    if isinstance(rows, slice):
        return rows
    chosen = as_array(rows, "the rows chosen")
    if chosen.ndim == 0 and chosen.dtype.kind != "b":
        chosen = chosen[None]
    chosen = chosen if chosen.size else chosen.astype(np.int64)
    if chosen.ndim != 1 or chosen.dtype.kind == "f":
        raise ShapeError(f"rows are chosen by a number, a slice, a mask or numbers (m,), got {rows!r:.80}")
    return chosen


def as_ids(ids: Any, size: int, what: str = "ids", of: str = "this index") -> np.ndarray:
    """Ids of items that a user gave, one or several, as (m,) int64.

    Args:
        ids: whole numbers.
        size: how many ids were ever given: 0 … size − 1.
        what: they are called in errors.
        of: whose they are.

    Raises:
        ShapeError: what is no row of whole numbers.
        BitseekError: an id that was never given.
    """
    given = np.atleast_1d(as_array(ids, what))
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        mask = "; of a mask, give np.flatnonzero" if given.dtype.kind == "b" else ""
        raise ShapeError(f"{what} are whole numbers in one row, got {given.shape} {given.dtype}{mask}")
    given = given.astype(np.int64)
    if given.size and (given.min() < 0 or given.max() >= size):
        bad = given[(given < 0) | (given >= size)][:5].tolist()
        raise BitseekError(f"{what} of {of} are {f'0 to {size - 1}' if size else 'none'}, got {bad}")
    return given
