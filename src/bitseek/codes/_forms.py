"""Files of codes, in bitseek's own form and in those of other programs; nothing in a file is executed.

Bytes hold multiples of eight bits, so the number of bits must be given when others are read from faiss or packed files;
what is beyond them must be zero.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from bitseek._checks import whole_number
from bitseek._files import atomic, parse, read_npz, user_path, write_npy, write_npz
from bitseek.codes._bits import BitOrder, Words, as_bits, from_bytes, from_hex, pack, to_bytes, to_hex, unpack
from bitseek.codes._faiss import find_codes, write_codes
from bitseek.errors import BitseekError, ShapeError

Found = tuple[Words, int]
"""Words of codes, and their number of bits."""

Made = TypeVar("Made")


class Form(NamedTuple):
    """What such a file is, how codes are written to it atomically, and how they are read from it."""

    about: str
    write: Callable[..., None]
    read: Callable[[Path, int | None], Found]


def write(path: str | os.PathLike[str], form: str, words: Words, bits: int, arrays: dict[str, Any]) -> None:
    """Write codes to a file, and to npz also other arrays."""
    writer = _known(form).write
    if arrays and form != "npz":
        raise BitseekError(f"a file of form {form!r} holds codes only, not {', '.join(arrays)}; use the form 'npz'")
    writer(user_path(path), words, bits, **arrays)


def read(path: str | os.PathLike[str], form: str, bits: int | None, make: Callable[[Words, int], Made]) -> Made:
    """What `make` makes of the words of the codes in a file and their number of bits."""
    reader = _known(form).read
    return parse(path, f"a file of codes of the form {form!r}", lambda path: make(*reader(path, bits)))


def _known(form: str) -> Form:
    if not isinstance(form, str) or form not in FORMS:
        raise BitseekError(f"there is no form {form!r} of a file of codes; there are {', '.join(FORMS)}")
    return FORMS[form]


def _found(array: np.ndarray, bits: int | None = None) -> Found:
    """Codes from an array of their bits, which should be `bits` wide."""
    if bits is not None and array.shape[1] != bits:
        raise ShapeError(f"it holds codes of {array.shape[1]} bits, not {bits}")
    return pack(array), array.shape[1]


# --- npz: bitseek's own ---------------------------------------------------------------------------------------


def _write_npz(path: Path, words: Words, bits: int, /, **arrays: Any) -> None:
    if taken := arrays.keys() & {"words", "bits"}:
        raise BitseekError(f"the codes themselves are kept as {min(taken)!r}; give this array another name")
    write_npz(path, words=words, bits=np.int64(bits), **arrays)


def _read_npz(path: Path, bits: int | None) -> Found:
    arrays = read_npz(path)
    if not {"words", "bits"} <= arrays.keys():
        raise ShapeError(f"it holds {', '.join(arrays) or 'nothing'} instead of words and bits")
    found = whole_number(arrays["bits"][()], "bits")
    if bits not in (None, found):
        raise ShapeError(f"it holds codes of {found} bits, not {bits}")
    return arrays["words"], found


# --- faiss: an IndexBinaryFlat, as faiss.write_index_binary writes it ------------------------------------------


def _write_faiss(path: Path, words: Words, bits: int) -> None:
    packed = to_bytes(words, bits, "little")
    with atomic(path) as part, part.open("wb") as file:
        write_codes(file, packed.shape[1], [packed])


def _read_faiss(path: Path, bits: int | None) -> Found:
    with path.open("rb") as file:
        found = find_codes(file)
        packed, ids = found.codes(file, 0, found.size), found.ids(file, 0, found.size)
    if not np.array_equal(np.sort(ids), np.arange(found.size)):
        raise ShapeError("its ids are not 0 to n - 1; in bitseek the id of an item is its place")
    return _found(from_bytes(packed[np.argsort(ids)], bits, "little"))


# --- single arrays, and text -----------------------------------------------------------------------------------


def _read_array(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _packed(order: BitOrder) -> Form:
    return Form(
        f".npy, (n, ceil(bits / 8)) uint8, as np.packbits(bits, axis=1, bitorder='{order}')",
        lambda path, words, bits: write_npy(path, to_bytes(words, bits, order)),
        lambda path, bits: _found(from_bytes(_read_array(path), bits, order)),
    )


def _write_hex(path: Path, words: Words, bits: int) -> None:
    with atomic(path) as part:
        part.write_text("".join(f"{line}\n" for line in to_hex(words, bits)), encoding="ascii")


FORMS = {
    "npz": Form(".npz with words and bits, and other arrays by other names", _write_npz, _read_npz),
    "faiss": Form("an IndexBinaryFlat, as faiss.write_index_binary writes it", _write_faiss, _read_faiss),
    "packed-little": _packed("little"),
    "packed-big": _packed("big"),
    "signs": Form(
        ".npy, (n, bits) int8 of -1 and +1",
        lambda path, words, bits: write_npy(path, np.where(unpack(words, bits), np.int8(1), np.int8(-1))),
        lambda path, bits: _found(as_bits(_read_array(path)), bits),
    ),
    "hex": Form(
        "text, one code a line, the first bit being the highest of the first digit",
        _write_hex,
        lambda path, bits: _found(from_hex(path.read_text("ascii").split(), bits)),
    ),
}
"""The forms by name."""
