"""The codebooks of the field: independent bits (B), greedy rejection (O), rows of a Hadamard matrix (H).

All take the number of codewords C, 1 … 2^K, their length K, and a seed.

Sources: Hoe et al., "One loss for all: deep hashing with a single cosine similarity based learning objective" (2021);
Yuan et al., "Central similarity quantization for efficient image and video retrieval" (2020).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int32

from bitseek.codebooks._codebook import Codebook, duplicates
from bitseek.codebooks._draw import Draw
from bitseek.codebooks._hadamard import hadamard_matrix, has_hadamard_matrix
from bitseek.codes import Codes, hamming_distances
from bitseek.errors import BitseekError

CHUNK = 4096  # words that max-distance draws at a time: it fixes which random numbers make which word
_FIRST_PERCENT, _LEAST_PERCENT = 61, 20  # thresholds of max-distance, in per cent of the bits
_REDRAWS = 20
_LIST_ALL = 20  # up to so many bits the unused words can be listed; with more bits a redraw soon finds one


def bernoulli(classes: int, bits: int, seed: int = 0) -> Codebook:
    """Every bit is an independent fair coin; a codeword that equals an earlier one is drawn again and counted.

    N and U of the field, the signs of symmetric reals, have the same law. The repair is ours: without it 7 % of the
    codebooks with C = 100, K = 16 have two equal codewords.
    """
    draw = Draw(seed)
    codes, repaired = repair(draw.codes(classes, bits), draw, draw.codes)
    return Codebook("bernoulli", seed, codes, repaired=repaired)


def max_distance(classes: int, bits: int, seed: int = 0, *, tries: int = 10_000) -> Codebook:
    """Accept random words that are far enough from all accepted ones; lower the threshold after 10,000 rejections.

    The threshold t starts at 0.61. A random word is accepted if its distance to every accepted word is t·K or more.
    Rejections are counted over acceptances; when their number reaches `tries` it returns to 0 and t falls by 0.01. At
    the end the words are permuted, since the early ones are farther apart than the late ones. The threshold is a whole
    number of per cent, so a tie such as 0.25·K is decided exactly (the references subtract 0.01 in floating point,
    which decides it by rounding).

    Raises:
        BitseekError: the threshold fell below 0.20, as it does when C is near 2^K.

    Source: the released code of Hoe et al. (2021), `get_codebook`, method "O"; "M" in later repositories.
    """
    draw = Draw(seed)
    percent, rejected = _FIRST_PERCENT, 0
    accepted = draw.codes(0, bits)
    while len(accepted) < classes:
        chunk = draw.codes(CHUNK, bits)
        nearest = _nearest(chunk, accepted)
        chosen: list[int] = []
        place = 0
        while place < CHUNK and len(accepted) + len(chosen) < classes:
            far_enough = 100 * nearest[place:] >= percent * bits
            refused = int(far_enough.argmax()) if far_enough.any() else CHUNK - place
            if rejected + refused >= tries:
                place += tries - rejected
                rejected, percent = 0, percent - 1
                if percent < _LEAST_PERCENT:
                    found = len(accepted) + len(chosen)
                    raise BitseekError(
                        f"max-distance found {found} of {classes} codewords of {bits} bits before "
                        f"its threshold fell below {_LEAST_PERCENT} % of the bits; use more bits, or codebook 'spread'"
                    )
                continue
            rejected += refused
            place += refused
            if place < CHUNK:
                chosen.append(place)
                nearest = np.minimum(nearest, _nearest(chunk, chunk[place]))
                place += 1
        accepted = Codes.concat([accepted, chunk[chosen]])
    return Codebook("max-distance", seed, accepted[draw.permutation(classes)])


def hadamard(classes: int, bits: int, seed: int = 0) -> Codebook:
    """The first C rows of [H; −H], and random words with ⌊K/2⌋ zeros for the classes beyond.

    For K a power of two this is the published codebook with Sylvester's matrix, its constant first row included;
    up to 2K classes its minimum distance is K/2. The random words are the first draw, as in RelaHash and FIRe (CSQ
    draws up to 20 times); a word that equals an earlier one is drawn again and counted.

    For other K the references fail. Here the matrix has the order n that promises the largest minimum distance, the
    larger order on a tie: for n ≥ K the first n − K columns are dropped, the constant one among them, which leaves
    K − n/2 or more; for n < K columns are repeated, which leaves n/2. Orders are those of `hadamard_matrix`, so n is
    seldom more than 3 away from K, where Sylvester's alone would drop up to half of the columns. The seed matters only
    for more than 2n classes.

    Source: Yuan et al. (2020), as released in RelaHash and FIRe.
    """
    order = best_order(bits)
    repeated = np.arange(bits - order) % max(1, order - 1) + min(1, order - 1)
    rows = hadamard_matrix(order)[:, [*range(max(0, order - bits), order), *repeated]]
    signs = np.concatenate([rows, -rows])[:classes]
    draw = Draw(seed)
    codes = Codes.concat([Codes.from_bits(signs > 0), draw.balanced_codes(classes - len(signs), bits)])
    codes, repaired = repair(codes, draw, draw.balanced_codes)
    return Codebook("hadamard", seed, codes, repaired=repaired)


def best_order(bits: int) -> int:
    """The order of a Hadamard matrix whose rows, brought to `bits` columns, are the farthest apart.

    >>> [best_order(bits) for bits in (16, 12, 48, 21, 22, 92)]
    [16, 12, 48, 20, 24, 96]
    """
    orders = filter(has_hadamard_matrix, range(1, 2 * bits + 1))
    return max(orders, key=lambda order: (min(order // 2, bits - order // 2) if order > 1 else 0, order))


def repair(codes: Codes, draw: Draw, redraw: Callable[[int, int], Codes]) -> tuple[Codes, int]:
    """Replace every code that equals an earlier one by a new draw, until all are distinct; also count them.

    `redraw` draws (count, bits) new codes in the law of the codebook. After 20 draws the words that are still missing
    are drawn uniformly, so that the repair ends even if that law has no unused word left.
    """
    words = codes.words.copy()
    pending = np.flatnonzero(duplicates(codes))
    repaired, draws = len(pending), 0
    while len(pending):
        kept = np.delete(words, pending, axis=0)
        if draws < _REDRAWS:
            words[pending] = redraw(len(pending), codes.bits).words
        elif codes.bits <= _LIST_ALL:
            unused = np.setdiff1d(np.arange(1 << codes.bits, dtype=np.uint64), kept[:, 0])
            words[pending] = unused[draw.permutation(len(unused))[: len(pending)], None]
        else:
            words[pending] = draw.codes(len(pending), codes.bits).words
        together = Codes(np.concatenate([kept, words[pending]]), codes.bits)
        pending = pending[duplicates(together)[len(kept) :]]  # the first of equals is a kept one
        draws += 1
    return Codes(words, codes.bits), repaired


def _nearest(codes: Codes, others: Codes) -> Int32[np.ndarray, " n"]:
    """Distance of each code to the nearest of `others`; K + 1 where there are no others."""
    nearest = np.full(len(codes), codes.bits + 1, np.int32)
    for start in range(0, len(others), 1024):  # tables of distances of 16 MiB at most
        nearest = np.minimum(nearest, hamming_distances(codes, others[start : start + 1024]).min(axis=1))
    return nearest
