"""Nested codes: which lengths a model was trained for, and the name of its codes at one of them.

The first bits of a nested code are a code in their own right (NHL, arXiv 2412.08922). They are codes of another kind
than the whole: a distance between the two means nothing, so they have a fingerprint of their own.
"""

from collections.abc import Sequence
from typing import Any

from bitseek._checks import whole_number
from bitseek.errors import CodeWidthError


def trained_length(bits: Any, lengths: Sequence[int], model: str) -> int:
    """The length at which codes are wanted, if the model was trained for it.

    Args:
        bits: what was asked for.
        lengths: at which the first bits of the model's codes are codes in their own right, ascending.
        model: in words.

    Raises:
        CodeWidthError: it was not: what its first bits give would be codes, but poor ones.
    """
    length = whole_number(bits, "bits")
    if length not in lengths:
        there = " or ".join(map(str, lengths))
        raise CodeWidthError(
            f"{model} was trained to give codes of {there} bits, not of {length}; ask for one of these lengths, or "
            f"train nested codes: --set lengths={length}"
        )
    return length


def prefix_fingerprint(fingerprint: str, bits: int) -> str:
    """Fingerprint of a model's first bits.

    Args:
        fingerprint: `BASE`, or `BASE+FORM` where the model has another form, for all bits or for a prefix.
        bits: length of the prefix.

    >>> prefix_fingerprint("8d5a6a7ab07ee0a1", 32), prefix_fingerprint("8d5a6a7ab07ee0a1:32+onnx", 16)
    ('8d5a6a7ab07ee0a1:32', '8d5a6a7ab07ee0a1:16+onnx')
    """
    base, plus, form = fingerprint.partition("+")
    return f"{base.partition(':')[0]}:{bits}{plus}{form}"
