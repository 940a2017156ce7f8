"""Binary codes: the one value that every stage of bitseek gives to the next.

A code of K bits lies in ceil(K / 64) words of 64 bits; bit j of the code is bit j % 64 (least significant first) of
word j // 64, and the bits above K in the last word are zero. Users see bits, signs or hex digits, never the packing.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, overload

import numpy as np
from jaxtyping import Bool, Int8, UInt8, UInt64

from bitseek.errors import BitseekError, CodeWidthError, ShapeError
from bitseek.npz import read_npz, write_npz

BitOrder = Literal["little", "big"]


class Codes:
    """n binary codes of equal length, immutable.

    Args:
        words: (n, ceil(bits / 64)) uint64, not copied: a memory map stays one. Bits above `bits` must be zero.
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

    def __init__(self, words: np.ndarray, bits: int) -> None:
        if bits < 1:
            raise ShapeError(f"a code has at least 1 bit, got bits={bits}")
        if words.ndim != 2 or words.dtype != np.uint64 or words.shape[1] != words_per_code(bits):
            raise ShapeError(
                f"codes of {bits} bits are packed as (n, {words_per_code(bits)}) uint64, "
                f"got {words.shape} {words.dtype}; use Codes.from_bits or Codes.from_logits"
            )
        if bits % 64 and (words[:, -1] >> np.uint64(bits % 64)).any():
            raise ShapeError(f"the packed codes have bits set above bit {bits}; they are not codes of {bits} bits")
        frozen = words.view()
        frozen.flags.writeable = False
        object.__setattr__(self, "words", frozen)
        object.__setattr__(self, "bits", int(bits))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Codes are immutable")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (np.array(self.words), self.bits)

    # --- from other forms -------------------------------------------------------------------------------------

    @classmethod
    def from_logits(cls, logits: Any) -> "Codes":
        """The one place where reals become bits: `bit = 1 if logit >= 0 else 0`.

        Args:
            logits: (n, bits) floats, an array or whatever NumPy can read as one (a torch tensor on the CPU).

        Raises:
            ShapeError: not two-dimensional, or a NaN among the logits.
        """
        logits = np.asarray(logits)
        if logits.ndim != 2:
            raise ShapeError(f"logits are (n, bits), got shape {logits.shape}")
        if np.isnan(logits).any():
            bad = int(np.flatnonzero(np.isnan(logits).any(axis=1))[0])
            raise ShapeError(f"a logit of item {bad} is NaN, which is no bit; look at the model or its input")
        return cls._pack(logits >= 0)

    @classmethod
    def from_bits(cls, bits: Any) -> "Codes":
        """Codes from their bits.

        Args:
            bits: (n, K) bool, or any numbers that are all in {0, 1} or all in {−1, +1}.

        Raises:
            ShapeError: another shape, or other values.
        """
        array = np.asarray(bits)
        if array.ndim != 2:
            raise ShapeError(f"bits are (n, K), got shape {array.shape}")
        if array.dtype != np.bool_:
            if not np.issubdtype(array.dtype, np.number):
                raise ShapeError(f"bits are bool, 0/1 or -1/+1, got dtype {array.dtype}")
            ones = array == 1
            if not ((ones | (array == 0)).all() or (ones | (array == -1)).all()):
                other = np.unique(array)[:5]
                raise ShapeError(
                    f"bits are all in {{0, 1}} or all in {{-1, +1}}, got values like {other.tolist()}; "
                    "for real numbers use Codes.from_logits"
                )
            array = ones
        return cls._pack(array)

    @classmethod
    def from_packed(cls, packed: np.ndarray, bits: int, order: BitOrder = "little") -> "Codes":
        """Codes from bytes, as `np.packbits(bits, axis=1, bitorder=order)` makes them.

        Args:
            packed: (n, ceil(bits / 8)) uint8; the padding in the last byte must be zero.
            bits: length of a code.
            order: `little` (faiss, NumPy's bitorder="little") or `big` (NumPy's default).
        """
        expected = -(-bits // 8)
        if packed.ndim != 2 or packed.dtype != np.uint8 or packed.shape[1] != expected:
            raise ShapeError(f"{bits} bits are packed as (n, {expected}) uint8, got {packed.shape} {packed.dtype}")
        unpacked = np.unpackbits(packed, axis=1, bitorder=order).astype(bool)
        if unpacked[:, bits:].any():
            raise ShapeError(f"the padding after bit {bits} is not zero; is the bit order really {order!r}?")
        return cls._pack(unpacked[:, :bits])

    @classmethod
    def from_hex(cls, digits: Sequence[str], bits: int | None = None) -> "Codes":
        """Codes from hexadecimal strings, the first bit being the highest of the first digit.

        Args:
            digits: n strings of equal length, as `Codes.hex` gives them.
            bits: length of a code; 4 × the number of digits if not given. Needed for no strings at all.
        """
        width = len(digits[0]) if len(digits) else -(-(bits or 0) // 4)
        bits = 4 * width if bits is None else bits
        for text in digits:
            if len(text) != width or not set(text.lower()) <= set("0123456789abcdef"):
                raise ShapeError(f"{text!r} is not {width} hexadecimal digits")
        if width != -(-bits // 4):
            raise ShapeError(f"{bits} bits are {-(-bits // 4)} hexadecimal digits, got {width}")
        raw = bytes.fromhex("".join(text + "0" * (width % 2) for text in digits))
        packed = np.frombuffer(raw, np.uint8).reshape(len(digits), -(-width // 2))
        return cls.from_packed(packed[:, : -(-bits // 8)], bits, "big")

    @classmethod
    def _pack(cls, bits: Bool[np.ndarray, "n bits"]) -> "Codes":
        n, length = bits.shape
        if length < 1:
            raise ShapeError("a code has at least 1 bit, got none")
        padded = np.zeros((n, 8 * words_per_code(length)), np.uint8)
        padded[:, : -(-length // 8)] = np.packbits(bits, axis=1, bitorder="little")
        return cls(padded.view("<u8").astype(np.uint64, copy=False), length)

    # --- to other forms ---------------------------------------------------------------------------------------

    def to_bits(self) -> Bool[np.ndarray, "n bits"]:
        """The bits, (n, bits) bool."""
        raw = np.ascontiguousarray(self.words, "<u8").view(np.uint8)
        return np.unpackbits(raw, axis=1, count=self.bits, bitorder="little").view(np.bool_)

    def to_signs(self) -> Int8[np.ndarray, "n bits"]:
        """The bits as −1 and +1, (n, bits) int8."""
        return (2 * self.to_bits().view(np.int8) - 1).astype(np.int8, copy=False)

    def to_packed(self, order: BitOrder = "little") -> UInt8[np.ndarray, "n bytes"]:
        """The bits in bytes, (n, ceil(bits / 8)) uint8; padding is zero. See `from_packed`."""
        if order == "big":
            return np.packbits(self.to_bits(), axis=1, bitorder="big")
        raw = np.ascontiguousarray(self.words, "<u8").view(np.uint8)
        return np.ascontiguousarray(raw[:, : -(-self.bits // 8)])

    def hex(self) -> list[str]:
        """One string of ceil(bits / 4) hexadecimal digits a code; the first bit is the highest of the first digit."""
        width = -(-self.bits // 4)
        return [row.tobytes().hex()[:width] for row in self.to_packed("big")]

    @classmethod
    def concat(cls, parts: Sequence["Codes"]) -> "Codes":
        """The codes of several `Codes`, one after the other; all must have the same number of bits."""
        if not parts:
            raise ShapeError("nothing to concatenate")
        widths = {part.bits for part in parts}
        if len(widths) > 1:
            raise CodeWidthError(f"codes of {sorted(widths)} bits cannot be put together")
        return cls(np.concatenate([part.words for part in parts]), parts[0].bits)

    # --- on disk ----------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], **arrays: Any) -> None:
        """Write an `.npz` file with `words` and `bits`, and whatever else is given by name; atomically.

        Raises:
            BitseekError: the file cannot be written.
        """
        write_npz(path, words=self.words, bits=np.int64(self.bits), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Codes":
        """Read what `save` wrote. Nothing in the file is executed.

        Raises:
            BitseekError: no such file, or not a file of codes.
        """
        arrays = read_npz(path)
        try:
            return cls(arrays["words"], int(arrays["bits"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BitseekError(f"{os.fspath(path)} is not a file of codes: {error}") from error

    # --- a sequence of codes ----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.words)

    @overload
    def __getitem__(self, item: int) -> "Codes": ...
    @overload
    def __getitem__(self, item: slice | np.ndarray | Sequence[int]) -> "Codes": ...
    def __getitem__(self, item: Any) -> "Codes":
        """The codes chosen by a number, a slice, a mask or an array of numbers; always `Codes`."""
        if isinstance(item, int | np.integer):
            item = [int(item)]
        elif isinstance(item, Sequence):
            item = np.asarray(item, dtype=np.int64 if not len(item) else None)
        return type(self)(self.words[item], self.bits)

    def __iter__(self) -> Iterator["Codes"]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Codes):
            return NotImplemented
        return self.bits == other.bits and np.array_equal(self.words, other.words)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Codes({len(self)} × {self.bits} bits)"


def words_per_code(bits: int) -> int:
    """Number of 64-bit words that hold a code of `bits` bits."""
    return -(-bits // 64)
