"""The bits of a codebook in an order in which its first bits alone hold the codewords apart, for nested codes."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, Int64

from bitseek._checks import whole_number
from bitseek.codes import Codes
from bitseek.errors import BitseekError

_MOST_WORK = 2 * 10**10
"""Of C² K², beyond which the bits stay as they are: some 10 seconds."""
_DEEPEST = 20
"""Pairs that are more bits further apart than the nearest ones all count as if they were so many."""


def order_of_bits(codes: Codes, lengths: Iterable[int]) -> Int64[np.ndarray, " bits"]:
    """The numbers of the bits, (K,), so ordered that the first n hold the codewords apart for each n of some lengths.

    From the longest down, n bits are chosen of those of the next longer length, so that Σ 2^−d over the pairs of
    codewords is small, d being their distance in these bits. Bit after bit is left out, the one without which the sum
    grows least; then one that is kept is exchanged for one that is not, the best first, while the sum falls. The sums
    are exact, so the order is the same on every machine. Ours.

    Args:
        codes: C codewords of K bits. Where C² K² is above 2 · 10^10 the order stays as it is.
        lengths: 1 … K each.

    Raises:
        BitseekError: a length that is none of these.

    >>> order_of_bits(Codes.from_bits([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 1, 1]]), [2]).tolist()
    [2, 3, 0, 1]
    """
    lengths = sorted((whole_number(length, "a length of first bits") for length in lengths), reverse=True)
    if lengths and lengths[0] > codes.bits:
        raise BitseekError(f"the first {lengths[0]} bits are asked for of codes that have {codes.bits}: leave it out")
    inside, after = list(range(codes.bits)), list[int]()
    if len(codes) > 1 and (len(codes) * codes.bits) ** 2 <= _MOST_WORK:
        signs = codes.to_signs().astype(np.float64)
        for length in lengths:
            kept = _exchanged(signs, *_left_out(signs, inside, length))
            after = [bit for bit in inside if bit not in kept] + after
            inside = kept
    return np.array(inside + after)


def _left_out(signs: Float64[np.ndarray, "c k"], bits: list[int], length: int) -> tuple[list[int], list[int]]:
    """So many of the bits, without those that are missed least; and these. Of equal ones the last is left out."""
    kept, out = [*bits], list[int]()
    while len(kept) > length:
        own = signs[:, kept]
        nearness = near(own)
        # without a bit the pairs that it tells apart come nearer by 1, and their terms double: Σ 2^−d over these pairs
        growth = nearness.sum() - ((nearness @ own) * own).sum(axis=0)
        out.append(kept.pop(len(kept) - 1 - int(growth[::-1].argmin())))
    return kept, out


def _exchanged(signs: Float64[np.ndarray, "c k"], kept: list[int], out: list[int]) -> list[int]:
    """The bits that are kept once no exchange with one that is not makes the sum smaller."""
    while out:
        inner, outer = signs[:, kept], signs[:, out]
        nearness = near(inner)
        whole = nearness.sum()
        both = (inner[:, :, None] * outer[:, None, :]).reshape(len(signs), -1)
        one, other, joint = (((nearness @ s) * s).sum(axis=0) for s in (inner, outer, both))
        # the terms of pairs that the one alone tells apart double, those of the other one alone are halved
        joint = joint.reshape(len(kept), len(out))
        first_alone = whole - one[:, None] + other - joint  # 4 Σ 2^−d over the pairs that the first alone tells apart
        second_alone = whole + one[:, None] - other - joint
        change = first_alone - second_alone / 2
        i, j = np.unravel_index(int(change.argmin()), change.shape)
        if change[i, j] >= 0:
            break
        kept[i], out[j] = out[j], kept[i]
    return kept


def near(signs: Float64[np.ndarray, "c n"]) -> Float64[np.ndarray, "c c"]:
    """2^−d of each pair of words as a multiple of that of the nearest ones, a multiple of 2^−20; 0 on the diagonal."""
    distances = (signs.shape[1] - signs @ signs.T) / 2
    others = ~np.eye(len(signs), dtype=np.bool_)
    beyond = distances - distances[others].min()
    return np.where(others, np.exp2(-np.minimum(beyond, _DEEPEST)), 0.0)
