"""Bits as plain arrays: the rule by which reals become bits, and bits in words, bytes and hexadecimal digits.

A real becomes a bit by one rule, `bit = 1 if logit >= 0 else 0`. A code of K bits lies in ceil(K / 64) words of 64
bits; bit j of the code is bit j % 64 (least significant first) of word j // 64; bits above K in the last one are zero.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar, cast

import numpy as np
from jaxtyping import Bool, UInt8, UInt64

from bitseek._checks import as_array, is_tensor
from bitseek.errors import ShapeError

BitOrder = Literal["little", "big"]
Bits = Bool[np.ndarray, "n bits"]
Words = UInt64[np.ndarray, "n words"]
Logits = TypeVar("Logits")


def words_per_code(bits: int) -> int:
    """Number of 64-bit words that hold a code of `bits` bits."""
    return -(-bits // 64)


def signs(logits: Logits) -> Logits:
    """+1 where `logit >= 0`, else −1, in the type and on the device of the logits; no gradient flows through it.

    Args:
        logits: a NumPy array or torch tensor of any shape.

    Raises:
        ShapeError: not signed real numbers, or NaN in a NumPy array. Tensors are not searched for NaN (which becomes
            −1), since that would wait for the device.

    >>> signs(np.array([0.3, -0.0, -2.0], np.float32))
    array([ 1.,  1., -1.], dtype=float32)
    """
    ones = is_one(logits)
    values: Any = logits if is_tensor(logits) else as_array(logits, "logits")
    found: Any = ones.to(values.dtype) if is_tensor(values) else ones.astype(values.dtype)
    found *= 2
    found -= 1
    return cast(Logits, found)


def is_one(logits: Any) -> Any:
    """Which logits are bits of value 1: a bool array or tensor of their shape, on their device; see `signs`."""
    values = logits if is_tensor(logits) else as_array(logits, "logits")
    kind: Any = values.dtype
    real = kind.is_signed and not kind.is_complex if is_tensor(values) else kind.kind in "fi"
    if not real:
        raise ShapeError(f"logits are real numbers with a sign, got {kind}; for bits use Codes.from_bits")
    if isinstance(values, np.ndarray) and np.isnan(values).any():
        item = np.argwhere(np.isnan(values))[0][:1].sum()
        raise ShapeError(f"a logit of item {item} is NaN, which is neither 0 nor 1; check the model and its input")
    return values >= 0


def as_bits(values: Any) -> Bits:
    """Bits from bool, or from numbers that are all in {0, 1} or all in {−1, +1}."""
    array = as_array(values, "bits")
    if array.ndim != 2:
        raise ShapeError(f"bits are (n, bits), got shape {array.shape}")
    if array.dtype == np.bool_:
        return array
    ones: np.ndarray = array == 1
    if not ((ones | (array == 0)).all() or (ones | (array == -1)).all()):
        raise ShapeError(
            f"bits are all in {{0, 1}} or all in {{-1, +1}}, got values like {np.unique(array)[:5].tolist()}; "
            "for real numbers use Codes.from_logits"
        )
    return ones


def pack(bits: Bits) -> Words:
    """Words of codes, from their bits."""
    n, length = bits.shape
    if not length:
        raise ShapeError("a code has at least 1 bit, got none")
    padded = np.zeros((n, 8 * words_per_code(length)), np.uint8)
    padded[:, : -(-length // 8)] = np.packbits(bits, axis=1, bitorder="little")
    return padded.view("<u8").astype(np.uint64, copy=False)


def unpack(words: Words, bits: int) -> Bits:
    """The bits of codes, from their words."""
    raw = np.ascontiguousarray(words, "<u8").view(np.uint8)
    return np.unpackbits(raw, axis=1, count=bits, bitorder="little").view(np.bool_)


def known_order(order: Any) -> BitOrder:
    """The bit order, or a ShapeError."""
    if order not in ("little", "big"):
        raise ShapeError(f"a bit order is 'little' or 'big', got {order!r}")
    return cast(BitOrder, order)


def to_bytes(words: Words, bits: int, order: BitOrder) -> UInt8[np.ndarray, "n bytes"]:
    """Codes in ceil(bits / 8) bytes each, from their words."""
    if order == "big":
        return np.packbits(unpack(words, bits), axis=1, bitorder="big")
    raw = np.ascontiguousarray(words, "<u8").view(np.uint8)
    return np.ascontiguousarray(raw[:, : -(-bits // 8)])


def from_bytes(packed: Any, bits: int | None, order: BitOrder) -> Bits:
    """The bits of codes, from bytes; as many as there are if `bits` is None."""
    packed = as_array(packed, "packed bits")
    given = 8 * packed.shape[-1] if packed.ndim and bits is None else bits or 0
    if packed.ndim != 2 or packed.dtype != np.uint8 or packed.shape[1] != -(-given // 8):
        shape = f"{packed.shape} {packed.dtype}"
        raise ShapeError(f"{given} bits are packed as (n, {-(-given // 8)}) uint8, got {shape}")
    unpacked = np.unpackbits(packed, axis=1, bitorder=order).view(np.bool_)
    if unpacked[:, given:].any():
        raise ShapeError(f"the padding after bit {given} is not zero; is the bit order really {order!r}?")
    return unpacked[:, :given]


def to_hex(words: Words, bits: int) -> list[str]:
    """One string of ceil(bits / 4) hexadecimal digits a code."""
    return [row.tobytes().hex()[: -(-bits // 4)] for row in to_bytes(words, bits, "big")]


def from_hex(digits: Any, bits: int | None) -> Bits:
    """The bits of codes, from strings of hexadecimal digits; 4 a digit if `bits` is None."""
    listed = isinstance(digits, Sequence | np.ndarray) and not isinstance(digits, str)
    if not listed or not all(isinstance(text, str) for text in digits):
        raise ShapeError(f"hexadecimal codes are a list of strings, one a code, got {digits!r:.50}")
    if not len(digits) and bits is None:
        raise ShapeError("no hexadecimal strings say nothing of the length of a code; give bits")
    bits = 4 * len(digits[0]) if bits is None else bits
    width = -(-bits // 4)
    for text in digits:
        if len(text) != width or not set(text) <= set("0123456789abcdefABCDEF"):
            raise ShapeError(f"{bits} bits are {width} hexadecimal digits, got {text!r:.50}")
    raw = bytes.fromhex("".join(text + "0" * (width % 2) for text in digits))
    packed = np.frombuffer(raw, np.uint8).reshape(len(digits), -(-width // 2))
    return from_bytes(packed[:, : -(-bits // 8)], bits, "big")
