"""Codewords as far apart as bitseek can put them: algebra for the large sizes, search for the small ones."""

import numpy as np
from jaxtyping import Bool, Int64

from bitseek.codebooks.balance import balanced_rows
from bitseek.codebooks.blocks import linear_blocks, word_blocks
from bitseek.codebooks.bounds import griesmer_distance, upper_bound
from bitseek.codebooks.codebook import Codebook
from bitseek.codebooks.distances import total_distance
from bitseek.codebooks.draw import Draw
from bitseek.codebooks.exchange import exchange, fit
from bitseek.codebooks.juxtaposition import best_juxtaposition
from bitseek.codebooks.linear import encode, least_weight
from bitseek.codes import Codes

_EFFORT = 300_000_000  # additions that the search may spend: 2 or 3 seconds
_MOST_STEPS = 2000
_SEARCHED_BITS = 512  # longer codes are only improved from the algebraic start
_SEARCHED_DIMENSION = 17
_BALANCED_CLASSES = 2048


def spread(classes: int, bits: int, seed: int = 0) -> Codebook:
    """C codewords with the largest minimum distance of all the constructions that bitseek knows.

    The candidates are

    * a linear code of dimension k = ⌈log₂ C⌉: extended BCH and MacDonald codes side by side, improved by `exchange`;
      since C > 2^(k−1), no choice of C of its words can be farther apart than the code itself;
    * words that are not linear, side by side: Levenshtein's codes from Hadamard matrices, which reach Plotkin's bound
      for few classes, and Kerdock codes;
    * the same with only such blocks as hold the complements of their words.

    The largest minimum distance wins, and among equals (up to 2048 classes) the largest mean distance. The words are
    chosen so that the bits are balanced over the classes. The seed then permutes the bits, complements some of them and
    permutes the classes, none of which changes a distance.

    Args:
        classes: number of codewords C, 1 … 2^bits.
        bits: length K of a codeword, 1 or more.
        seed: 0 or more.
    """
    draw = Draw(seed)
    if classes == 1:
        return Codebook("spread", seed, draw.codes(1, bits))
    dimension = (classes - 1).bit_length()
    columns, distance = _linear(dimension, bits, upper_bound(classes, bits), draw)
    best = _linear_words(columns, dimension, classes, draw) if classes <= _BALANCED_CLASSES else None
    for complements in (True, False):
        longest = bits + bits // 8 + 4
        blocks = list(word_blocks(classes, longest, complements))
        chosen, promised = best_juxtaposition([(block.length, block.distance) for block in blocks], bits, longest)
        if promised > distance or (promised == distance and best is not None):
            parts = [blocks[number].words(draw)[draw.permutation(classes)] for number in chosen]
            words = _exact_length(np.concatenate(parts, axis=1), bits, draw)
            if best is None or promised > distance or total_distance(words) > total_distance(best):
                best, distance = words, promised
    if best is None:
        best = _linear_words(columns, dimension, classes, draw)
    return Codebook("spread", seed, _disguise(best, draw), guaranteed=distance)


def _linear(dimension: int, bits: int, bound: int, draw: Draw) -> tuple[Int64[np.ndarray, " bits"], int]:
    """Columns of a linear code of this dimension and length, and its minimum distance or a lower bound of it."""
    longest = bits + bits // 8 + 4
    blocks = list(linear_blocks(dimension, longest))
    chosen, promised = best_juxtaposition([(block.length, block.distance) for block in blocks], bits, longest)
    start = np.concatenate([np.zeros(0, np.int64), *(blocks[number].columns() for number in chosen)])
    if dimension > _SEARCHED_DIMENSION:
        filled = np.concatenate([start, np.ones(max(0, bits - len(start)), np.int64)])
        return filled[:bits], promised
    best = fit(start, dimension, bits, draw)
    distance = least_weight(best, dimension)
    target = min(bound, griesmer_distance(dimension, bits))
    steps = min(_MOST_STEPS, _EFFORT // (dimension << dimension)) // 4
    for attempt in range(4):
        from_best = attempt == 0 or bits > _SEARCHED_BITS
        begin = best if from_best else 1 + draw.below((1 << dimension) - 1, bits)
        found, reached = exchange(begin, dimension, target, steps, draw, margin=1 + attempt % 3)
        if reached > distance:
            best, distance = found, reached
    return best, distance


def _linear_words(columns: Int64[np.ndarray, " bits"], dimension: int, classes: int, draw: Draw) -> Codes:
    """C of the 2^k words of a linear code: a balanced choice if there are few, else any."""
    if classes > _BALANCED_CLASSES:
        return encode(columns, dimension, draw.permutation(1 << dimension)[:classes])
    words = encode(columns, dimension, np.arange(1 << dimension)).to_bits()
    return Codes.from_bits(balanced_rows(words, classes, draw))


def _exact_length(words: Bool[np.ndarray, "n length"], bits: int, draw: Draw) -> Codes:
    """Drop the least balanced columns, or add balanced ones, until there are `bits`."""
    uneven = np.abs(2 * words.sum(axis=0) - len(words))
    kept = np.sort(np.argsort(uneven, kind="stable")[:bits])
    added = [(draw.permutation(len(words)) < len(words) // 2)[:, None] for _ in range(bits - len(kept))]
    return Codes.from_bits(np.concatenate([words[:, kept], *added], axis=1))


def _disguise(codes: Codes, draw: Draw) -> Codes:
    """The same distances from other words: bits permuted, some complemented, classes permuted."""
    order = draw.permutation(codes.bits)
    shuffled = codes[draw.permutation(len(codes))]
    flipped = draw.codes(1, codes.bits).words
    parts = [shuffled[start : start + 8192].to_bits()[:, order] for start in range(0, len(codes), 8192)]
    moved = Codes.concat([Codes.from_bits(part) for part in parts])
    return Codes(moved.words ^ flipped, codes.bits)
