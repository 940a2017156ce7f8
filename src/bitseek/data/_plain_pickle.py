"""Reading old pickles of plain data without executing anything.

CIFAR and revisited Oxford and Paris are published as pickles. A pickle is a program; this reader lets it build
containers, numbers, strings and numeric arrays and call nothing else. Not even NumPy's own functions are within its
reach: arrays are collected as their shape, type and bytes, and built when the file has been read.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from bitseek._files import parse


def load_plain(path: Path) -> Any:
    """The contents of a pickle of dicts, lists, tuples, strings, numbers and numeric arrays.

    Byte strings of Python 2 become str by Latin-1.

    Raises:
        BitseekError: the file asks for anything else, or is damaged.
    """

    def parsed(path: Path) -> Any:
        with path.open("rb") as file:
            return _finished(_PlainUnpickler(file, encoding="latin1").load())

    return parse(path, "a pickle of plain data", parsed)


class _Dtype:
    """What `numpy.dtype` is called with; only numbers and truth values."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = str(code), "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = str(state[1])

    def finished(self) -> np.dtype[Any]:
        dtype = np.dtype((self.order if self.order in "<>" else "") + self.code)
        if dtype.kind not in "biuf":
            raise ValueError(f"arrays of numbers are expected, it has one of {dtype}")
        return dtype


class _Array:
    """What an array is restored from."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, self.fortran, self.data = state

    def finished(self) -> np.ndarray:
        flat = np.frombuffer(_bytes(self.data), self.dtype.finished())
        return flat.reshape(self.shape, order="F" if self.fortran else "C").copy()


class _Scalar:
    """A number of NumPy's."""

    def __init__(self, dtype: _Dtype, data: Any) -> None:
        self.dtype, self.data = dtype, data

    def finished(self) -> Any:
        return np.frombuffer(_bytes(self.data), self.dtype.finished())[0].item()


def _bytes(data: Any) -> Any:
    return data.encode("latin1") if isinstance(data, str) else data


def _array(*_: Any) -> _Array:
    return _Array()


def _from_buffer(data: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", bytes(data)))
    return array


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""  # how the old protocols write it


def _ndarray(*_: Any) -> None:
    raise ValueError("it makes an array in a way that is not known")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _ndarray,  # only named, as the type to restore
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
}
for _module in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_module}.multiarray", "_reconstruct"] = _array
    _ALLOWED[f"{_module}.multiarray", "scalar"] = _Scalar
    _ALLOWED[f"{_module}.numeric", "_frombuffer"] = _from_buffer


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ValueError(f"it asks to run {module}.{name}, which no plain data need; it is refused") from None


_PLAIN = (str, bytes, bool, int, float, type(None))


def _finished(value: Any) -> Any:
    """The same containers with the arrays and numbers in place of their parts."""
    if isinstance(value, dict):
        return {_finished(key): _finished(item) for key, item in value.items()}
    if isinstance(value, list | tuple):  # of labels, say, and long: no call for each
        return type(value)(item if isinstance(item, _PLAIN) else _finished(item) for item in value)
    if isinstance(value, _Array | _Scalar):
        return value.finished()
    if isinstance(value, _PLAIN):
        return value
    raise ValueError(f"it holds {type(value).__name__}, which is not plain data")
