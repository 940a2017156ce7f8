"""Codes: n binary codes of equal length, and the distances between them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Bool, Int8, Int32, UInt8, UInt64

from bitseek._checks import as_array, as_rows, whole_number
from bitseek.codes import _bits, _forms
from bitseek.codes._bits import BitOrder, known_order, words_per_code
from bitseek.errors import CodeWidthError, ShapeError


class Codes:
    """n binary codes of equal length, immutable.

    Args:
        words: (n, ceil(bits / 64)) uint64, not copied: a memory map stays one. Bit j of a code is bit j % 64 (least
            significant first) of word j // 64; bits above `bits` must be zero.
        bits: length of a code, 1 or more.

    Raises:
        ShapeError: `words` is not such an array, or has bits set above `bits`.

    >>> codes = Codes.from_bits([[1, 0, 1, 1, 0], [0, 0, 0, 0, 1]])
    >>> codes
    Codes(2 × 5 bits)
    >>> codes.hex()
    ['b0', '08']
    >>> codes[1].to_signs()
    array([[-1, -1, -1, -1,  1]], dtype=int8)
    """

    __slots__ = ("bits", "words")

    words: UInt64[np.ndarray, "n words"]
    bits: int

    def __init__(self, words: np.ndarray, bits: SupportsIndex) -> None:
        length = whole_number(bits, "bits")
        given = words if isinstance(words, np.ndarray) else np.empty(0)
        if given.ndim != 2 or given.dtype != np.uint64 or given.shape[1] != words_per_code(length):
            what = f"{given.shape} {given.dtype}" if given is words else type(words).__name__
            raise ShapeError(
                f"codes of {length} bits are packed as (n, {words_per_code(length)}) uint64, got {what}; "
                "use Codes.from_bits or Codes.from_logits"
            )
        if length % 64 and (given[:, -1] >> np.uint64(length % 64)).any():
            raise ShapeError(f"the packed codes have bits set above bit {length}; they are not codes of {length} bits")
        frozen = given.view()
        frozen.flags.writeable = False
        object.__setattr__(self, "words", frozen)
        object.__setattr__(self, "bits", length)

    def __setattr__(self, name: str, value: object = None) -> None:
        raise AttributeError("Codes are immutable")

    __delattr__ = __setattr__

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (np.array(self.words), self.bits)

    # --- from and to other forms ------------------------------------------------------------------------------

    @classmethod
    def from_logits(cls, logits: Any) -> "Codes":
        """Codes of real outputs: a bit is 1 where `logit >= 0` (see `signs`).

        Args:
            logits: (n, bits) real numbers: an array, or a torch tensor on any device, with or without a gradient.

        Raises:
            ShapeError: another shape, numbers without a sign, or a NaN.
        """
        ones = _bits.is_one(as_array(logits, "logits"))
        if ones.ndim != 2:
            raise ShapeError(f"logits are (n, bits), got shape {ones.shape}")
        return cls.from_bits(ones)

    @classmethod
    def from_bits(cls, bits: Any) -> "Codes":
        """Codes from their bits.

        Args:
            bits: (n, K) bool, or any numbers that are all in {0, 1} or all in {−1, +1}; an array or a torch tensor.

        Raises:
            ShapeError: another shape, or other values.
        """
        array = _bits.as_bits(bits)
        return cls(_bits.pack(array), array.shape[1])

    def to_bits(self) -> Bool[np.ndarray, "n bits"]:
        """The bits, (n, bits) bool."""
        return _bits.unpack(self.words, self.bits)

    def to_signs(self) -> Int8[np.ndarray, "n bits"]:
        """The bits as −1 and +1, (n, bits) int8."""
        return np.where(self.to_bits(), np.int8(1), np.int8(-1))

    @classmethod
    def from_packed(cls, packed: Any, bits: SupportsIndex, order: BitOrder = "little") -> "Codes":
        """Codes from bytes, as `np.packbits(bits, axis=1, bitorder=order)` makes them.

        Args:
            packed: (n, ceil(bits / 8)) uint8; the padding in the last byte must be zero.
            bits: length of a code.
            order: `little` (faiss, NumPy's bitorder="little") or `big` (NumPy's default).
        """
        return cls.from_bits(_bits.from_bytes(packed, whole_number(bits, "bits"), known_order(order)))

    def to_packed(self, order: BitOrder = "little") -> UInt8[np.ndarray, "n bytes"]:
        """The bits in bytes, (n, ceil(bits / 8)) uint8; padding is zero. See `from_packed`."""
        return _bits.to_bytes(self.words, self.bits, known_order(order))

    @classmethod
    def from_hex(cls, digits: Sequence[str], bits: SupportsIndex | None = None) -> "Codes":
        """Codes from hexadecimal strings, the first bit being the highest of the first digit.

        Args:
            digits: n strings of equal length, as `Codes.hex` gives them.
            bits: length of a code; 4 × the number of digits if not given. Needed for no strings at all.
        """
        return cls.from_bits(_bits.from_hex(digits, None if bits is None else whole_number(bits, "bits")))

    def hex(self) -> list[str]:
        """One string of ceil(bits / 4) hexadecimal digits a code; the first bit is the highest of the first digit."""
        return _bits.to_hex(self.words, self.bits)

    @classmethod
    def concat(cls, parts: Sequence["Codes"]) -> "Codes":
        """The codes of several `Codes`, one after the other; all must have the same number of bits."""
        parts = list(parts) if isinstance(parts, Iterable) else [parts]
        if not parts:
            raise ShapeError("nothing to concatenate")
        check_codes(*parts)
        widths = {part.bits for part in parts}
        if len(widths) > 1:
            raise CodeWidthError(f"codes of {sorted(widths)} bits cannot be put together")
        return cls(np.concatenate([part.words for part in parts]), parts[0].bits)

    def save(self, path: str | os.PathLike[str], /, form: str = "npz", **arrays: Any) -> None:
        """Write the codes to a file, atomically.

        Args:
            path: the file.
            form: `npz` or another of `FORMS`: faiss, packed-little, packed-big, signs, hex.
            arrays: what else to keep in an npz file, by name.

        Raises:
            BitseekError: no such form, or the file cannot be written.
        """
        _forms.write(path, form, self.words, self.bits, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str], form: str = "npz", bits: SupportsIndex | None = None) -> "Codes":
        """Read codes from a file that `save` or another program wrote. Nothing in the file is executed.

        Args:
            path: the file.
            form: one of `FORMS`.
            bits: length of a code, where the form cannot hold it (faiss, packed, hex); all bits of the file if None.

        Raises:
            BitseekError: no such form or file, or something else is in it.
        """
        return _forms.read(path, form, None if bits is None else whole_number(bits, "bits"), cls)

    def prefix(self, bits: SupportsIndex) -> "Codes":
        """The first bits of each code, as codes in their own right; what a nested code is by itself at that length.

        Nothing is copied where `bits` is a multiple of 64 or all bits, so a memory map stays one.

        Args:
            bits: how many, 1 … the length of the codes.

        Raises:
            CodeWidthError: the codes have fewer.

        >>> Codes.from_bits([[1, 0, 1, 1, 0]]).prefix(3).to_bits()
        array([[ True, False,  True]])
        """
        length = whole_number(bits, "bits")
        if length > self.bits:
            raise CodeWidthError(f"codes of {self.bits} bits have no first {length} bits; give {self.bits} at most")
        words = self.words[:, : words_per_code(length)]
        if length % 64 and length < self.bits:
            words = words.copy()
            words[:, -1] &= np.uint64((1 << length % 64) - 1)
        return type(self)(words, length)

    # --- a sequence of codes ----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, item: Any) -> "Codes":
        """The codes chosen by a number, a slice, a mask or an array of numbers; always `Codes`."""
        return type(self)(self.words[as_rows(item)], self.bits)

    def __iter__(self) -> Iterator["Codes"]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Codes):
            return NotImplemented
        return self.bits == other.bits and np.array_equal(self.words, other.words)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Codes({len(self)} × {self.bits} bits)"


def hamming_distances(a: Codes, b: Codes) -> Int32[np.ndarray, "a b"]:
    """All distances between two sets of codes: how many bits of a[i] and b[j] differ, (len(a), len(b)) int32.

    Raises:
        CodeWidthError: codes of different length.
        ShapeError: something else than `Codes`.

    >>> hamming_distances(Codes.from_bits([[0, 0, 1]]), Codes.from_bits([[0, 0, 1], [1, 1, 1]]))
    array([[0, 2]], dtype=int32)
    """
    check_codes(a, b)
    if a.bits != b.bits:
        raise CodeWidthError(f"codes of {a.bits} and of {b.bits} bits cannot be compared; encode both with one model")
    distances = np.zeros((len(a), len(b)), np.int32)
    rows = max(1, _AT_ONCE // max(1, len(b)))
    for start in range(0, len(a), rows):
        for word in range(a.words.shape[1]):
            differing = a.words[start : start + rows, word, None] ^ b.words[:, word]
            distances[start : start + rows] += np.bitwise_count(differing)
    return distances


def check_codes(*given: Any, bits: int | None = None, of: str = "this index") -> None:
    """Refuse what is no `Codes`, bits or logits for example, and codes of another length.

    Args:
        given: what shall be codes.
        bits: the length that they shall have; any if None.
        of: what holds codes of that length, in words.

    Raises:
        ShapeError: it is something else.
        CodeWidthError: another length.
    """
    for codes in given:
        if not isinstance(codes, Codes):
            raise ShapeError(f"codes are Codes, got {type(codes).__name__}; use Codes.from_bits or Codes.from_logits")
        if bits not in (None, codes.bits):
            raise CodeWidthError(
                f"{of} holds codes of {bits} bits, got codes of {codes.bits} bits; use the same hasher for both"
            )


_AT_ONCE = 1 << 16
"""Pairs of words compared at once, so that they stay in the processor's cache."""
