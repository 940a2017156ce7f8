"""The fingerprints of one hasher in its several forms, and which of them give the same codes."""

import hashlib

ONNX = "+onnx"
INT8 = "+int8-"


def same_codes(a: str, b: str) -> bool:
    """Whether the codes of two models can be compared and mixed.

    A hasher and its float32 export differ only in bits whose logit is next to zero (`LOGIT_BOUND`), so they can. An
    8-bit model gives codes of its own, near the others, but mixing them costs accuracy; it goes with itself only. So do
    the first bits of a model's codes, `BASE:BITS`, in either form: with themselves, and never with the whole codes.

    Args:
        a: fingerprint of one.
        b: fingerprint of the other.

    >>> same_codes("8d5a6a7ab07ee0a1", "8d5a6a7ab07ee0a1+onnx")
    True
    >>> same_codes("8d5a6a7ab07ee0a1+onnx", "8d5a6a7ab07ee0a1+int8-54e6c2d0")
    False
    >>> same_codes("8d5a6a7ab07ee0a1:32", "8d5a6a7ab07ee0a1:32+onnx")
    True
    >>> same_codes("8d5a6a7ab07ee0a1:32", "8d5a6a7ab07ee0a1")
    False
    """
    return a.removesuffix(ONNX) == b.removesuffix(ONNX)


def of_int8(float32: str, graph: bytes) -> str:
    """Fingerprint of an 8-bit model: that of the hasher, and 8 digits of what the model computes.

    Args:
        float32: fingerprint of what it was made from.
        graph: the serialised model without its metadata.
    """
    return f"{float32.removesuffix(ONNX)}{INT8}{hashlib.blake2b(graph, digest_size=4).hexdigest()}"
