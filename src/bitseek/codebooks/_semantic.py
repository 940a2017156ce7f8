"""Semantic hash centres: codewords whose products follow the similarity of their classes, none too close to another.

Chen, Liu, Zhou, Ma, Chen, Zhang, "Deep Hashing with Semantic Hash Centers for Image Retrieval", ACM TOIS 2025.
"""

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from bitseek._checks import whole_number
from bitseek.codebooks._codebook import Codebook, duplicates
from bitseek.codebooks._mds import MOST_CLASSES, mds, separation
from bitseek.codes import Codes
from bitseek.errors import BitseekError

_SWEEPS = 30
_GAIN = 1e-9  # of the error; less is rounding

Matrix = Float64[np.ndarray, "classes classes"]
Signs = Float64[np.ndarray, "classes bits"]


def semantic_codebook(
    similarity: ArrayLike, bits: int, seed: int = 0, distance: int | None = None, first: Codes | None = None
) -> Codebook:
    """C codewords h_c, at least d apart, with a small Σ_{i≠j} (s_ij − h_i · h_j / K)² (eq. 9).

    The start are the centres of `mds`. First the words change classes: two are exchanged while that lowers the error,
    which changes no distance. Then bits of one word after the other are flipped, the best first, where it lowers the
    error and the word stays d away from all others. (The paper takes steps along a relaxed gradient and accepts those
    that keep the distance; it has a second term that pushes all words apart, which is for d to do here.)

    With `first` the words begin with given bits, and only the others are searched: so the centres of nested codes agree
    in the bits that they share. The start are then centres of the other bits, and an exchange of these can bring two
    words nearer to each other, so that d is less than without.

    Args:
        similarity: (C, C) symmetric, s in [−1, 1]: −1 for classes that may have complementary words, 0 for those half
            of whose bits differ, 1 for the most alike. The diagonal does not count.
        bits: length of a codeword, K.
        seed: of the start.
        distance: d; by default that of `mds` for so many words, lowered to what the start has.
        first: C codes of less than K bits that the words begin with, one a class.

    Raises:
        BitseekError: no square, finite, symmetric matrix of values in [−1, 1]; fewer words of K bits than classes;
            more than 2048 classes; other first bits than C codes of less than K, or so many equal ones that the other
            bits do not tell the classes apart; or words that are d apart were not found.
        ShapeError: bits or distance is no whole number above 0.
    """
    bits = whole_number(bits, "bits")
    distance = None if distance is None else whole_number(distance, "distance")
    wanted = np.asarray(similarity, np.float64)
    if wanted.ndim != 2 or wanted.shape[0] != wanted.shape[1] or not len(wanted):
        raise BitseekError(f"the similarity of C classes is a (C, C) matrix, got {wanted.shape}")
    if not np.isfinite(wanted).all() or np.abs(wanted).max() > 1 + 1e-6 or not np.allclose(wanted, wanted.T, atol=1e-6):
        raise BitseekError("the similarity of classes is symmetric, with values in −1 … 1; scale it before")
    classes = len(wanted)
    if classes > MOST_CLASSES:
        raise BitseekError(f"semantic centres are searched for {MOST_CLASSES} classes at most, got {classes}")
    least = (classes - 1).bit_length()
    if bits < least:
        raise BitseekError(f"{bits} bits have only {1 << bits} words for {classes} classes; take more bits")
    if first is not None and not (isinstance(first, Codes) and len(first) == classes and first.bits < bits):
        got = (
            f"{len(first)} of {first.bits}" if isinstance(first, Codes) else f"{type(first).__name__}: make Codes of it"
        )
        raise BitseekError(
            f"codewords of {classes} classes and {bits} bits begin with {classes} codes of fewer bits, got {got}"
        )
    fixed = np.empty((classes, 0)) if first is None else first.to_signs().astype(np.float64)
    free = bits - fixed.shape[1]
    # Words of the free bits alone, so that what they lie apart is added to what the first bits do; too few bits for so
    # many words of their own take the last ones of whole words.
    start = mds(classes, free if free >= least else bits, seed).codes.to_signs()[:, -free:]
    words = np.hstack([fixed, _exchanged(start.astype(np.float64), wanted - fixed @ fixed.T / bits, bits)])
    codes = Codes.from_bits(words > 0)
    if duplicates(codes).any():
        raise BitseekError(f"classes begin with the same bits, and {free} more do not tell them apart: take more bits")
    closest = Codebook("semantic", seed, codes).minimum_distance
    aim = min(separation(classes, bits), closest) if distance is None else distance
    if closest < aim:
        raise BitseekError(
            f"{classes} words of {bits} bits were found at distance {closest}, not {aim}: ask for less, or take more "
            "bits"
        )
    for _ in range(_SWEEPS):
        flips = sum(_flip(words, place, wanted, bits - 2 * aim, free) for place in range(classes))
        if not flips:
            break
    return Codebook("semantic", seed, Codes.from_bits(words > 0), guaranteed=aim)


def fit_error(codewords: Signs, similarity: Matrix) -> float:
    """Σ_{i≠j} (s_ij − h_i · h_j / K)² of (C, K) ±1 codewords."""
    difference = similarity - codewords @ codewords.T / codewords.shape[1]
    np.fill_diagonal(difference, 0)
    return float(np.square(difference).sum())


def _exchanged(words: Signs, wanted: Matrix, bits: int) -> Signs:
    """Words, or a part of words of K bits, in another order of smaller error.

    The best exchange for each class in turn, until there is none.
    """
    words = words.copy()
    similarity = wanted - np.diag(np.diag(wanted))
    products = words @ words.T / bits
    np.fill_diagonal(products, 0)
    for _ in range(_SWEEPS):
        exchanges = 0
        for i in range(len(words)):
            # What Σ s_kl p_kl gains if i and j exchange their words, for every j; the squares do not change.
            gain = (similarity[i] @ products + similarity @ products[i]) - (
                similarity[i] @ products[i] + np.einsum("jk,jk->j", similarity, products)
            )
            gain += 2 * similarity[i] * products[i]  # the two themselves stay as far apart as they are
            gain[i] = 0
            j = int(gain.argmax())
            if gain[j] > _GAIN:
                order = np.arange(len(words))
                order[[i, j]] = order[[j, i]]
                words, products = words[order], products[np.ix_(order, order)]
                exchanges += 1
        if not exchanges:
            break
    return words


def _flip(words: Signs, place: int, wanted: Matrix, most: int, free: int) -> int:
    """Flip some of the last bits of one word, the best allowed one first, while the error falls; returns how many."""
    classes, bits = words.shape
    others = np.delete(words, place, axis=0)
    wished = np.delete(wanted[place], place)
    word = words[place]
    for flipped in range(free):
        products = others @ word
        change = others * word  # a flip of bit k takes 2 of these from the products
        allowed = ((products[:, None] - 2 * change) <= most).all(axis=0)
        error = (wished - products / bits) @ change * 4 / bits + 4 * (classes - 1) / bits**2
        error[~allowed] = np.inf
        error[: bits - free] = np.inf
        flip = int(error.argmin())
        if not error[flip] < -_GAIN:
            return flipped
        word[flip] = -word[flip]
    return free
