"""`mds`: minimal-distance-separated hash centres, as far apart as so many words can be with near certainty.

Wang, Pan, Liu, Lai, Yin, Liu, "Deep Hashing with Minimal-Distance-Separated Hash Centers", CVPR 2023.
"""

from math import comb

import numpy as np
from jaxtyping import Float64

from bitseek.codebooks._codebook import Codebook, upper_bound
from bitseek.codebooks._draw import Draw
from bitseek.codebooks._hadamard import hadamard_matrix
from bitseek.codebooks._published import repair
from bitseek.codes import Codes
from bitseek.errors import BitseekError

MOST_CLASSES = 2048
"""Every sweep compares every flip of every centre with all other centres."""
_STARTS = 4
_PATIENCE = 3

Signs = Float64[np.ndarray, "classes bits"]


def mds(classes: int, bits: int, seed: int = 0) -> Codebook:
    """C words of K bits that are d apart or more, d the aim of `separation`, and far apart in the mean.

    The start is the paper's: rows of [H; −H] of Sylvester's matrix where K is a power of two, random words elsewhere
    and beyond. Then sweeps: each centre b in turn is moved, given the others h_j, to where Σ_j h_j · b is small
    subject to h_j · b ≤ K − 2d for all j (eq. 8), until all are d apart.

    The paper relaxes b to the box and the sphere and solves that by ADMM, with hundreds of inversions a centre; here
    bits of b are flipped, the best first, for as long as Σ_j max(0, h_j · b − (K − 2d))², and then Σ_j h_j · b, falls.
    It is exact in integers, so that a seed gives the same words on every machine. In the released code a sweep that
    reaches d can be discarded for one with a larger mean; here the largest minimum distance is kept, then the mean.

    Raises:
        BitseekError: more than 2048 classes.
    """
    if classes > MOST_CLASSES:
        raise BitseekError(
            f"the codebook 'mds' is searched for {MOST_CLASSES} classes at most, got {classes}; take 'spread'"
        )
    draw, aim = Draw(seed), separation(classes, bits)
    rows = hadamard_matrix(bits) if bits & (bits - 1) == 0 else np.zeros((0, bits))
    start = np.concatenate([rows, -rows])[:classes]
    drawn = draw.codes(classes - len(start), bits).to_signs()
    centres = np.concatenate([start, drawn])[draw.permutation(classes)].astype(np.float64)
    best, reached, waited = centres, _quality(centres), 0
    while reached[0] < aim and waited < _PATIENCE:
        for place in range(classes):
            centres = _moved(centres, place, bits - 2 * aim, draw)
        quality = _quality(centres)
        waited = 0 if quality > reached else waited + 1
        if quality > reached:
            best, reached = centres, quality
    codes, repaired = repair(Codes.from_bits(best > 0), draw, draw.codes)
    return Codebook("mds", seed, codes, repaired=repaired)


def separation(classes: int, bits: int) -> int:
    """The least d for which all within radius d − 1 of C words can be all 2^K words (Gilbert–Varshamov), at most K.

    C words that are d − 1 apart are certain to exist; of d that is not so, and it is limited to what no words can
    exceed. (The released code calls it d_max.)

    >>> separation(100, 16), separation(100, 64), separation(555, 32)
    (4, 24, 9)
    """
    within, distance = 1, 1
    while within * classes < 1 << bits and distance < bits:
        within += comb(bits, distance)
        distance += 1
    return min(distance, upper_bound(classes, bits))


def _quality(centres: Signs) -> tuple[int, int]:
    """Minimum distance, and minus the sum of the products of all centres: larger is farther apart."""
    products = centres @ centres.T
    np.fill_diagonal(products, -centres.shape[1])
    total = centres.sum(axis=0)
    return int(centres.shape[1] - products.max(initial=-centres.shape[1])) // 2, -int(total @ total)


def _moved(centres: Signs, place: int, most: int, draw: Draw) -> Signs:
    """The centres with one of them at the best place that was found from where it is, or from random words."""
    others = np.delete(centres, place, axis=0)
    word, cost = _descend(others, centres[place], most)
    for _ in range(_STARTS):
        if not cost[0]:
            break
        other, lower = _descend(others, draw.codes(1, centres.shape[1]).to_signs()[0].astype(np.float64), most)
        if lower < cost:
            word, cost = other, lower
    moved = centres.copy()
    moved[place] = word
    return moved


def _descend(
    others: Signs, word: Float64[np.ndarray, " bits"], most: int
) -> tuple[Float64[np.ndarray, " bits"], tuple[int, int]]:
    """Flip bits of a word while that lowers (Σ_j max(0, h_j · b − most)², Σ_j h_j · b); the word and that cost."""
    products, total = others @ word, others.sum(axis=0)
    cost = (int(np.maximum(products - most, 0) @ np.maximum(products - most, 0)), int(total @ word))
    while True:
        after = products[:, None] - 2 * others * word  # of the product with each other word, for each flip
        over = np.maximum(after - most, 0)
        violations = np.einsum("jk,jk->k", over, over).astype(np.int64)
        sums = (total @ word - 2 * total * word).astype(np.int64)
        flip = int(np.lexsort((sums, violations))[0])
        lower = (int(violations[flip]), int(sums[flip]))
        if lower >= cost:
            return word, cost
        word = word.copy()
        word[flip] = -word[flip]
        products, cost = after[:, flip], lower
