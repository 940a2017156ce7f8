"""`spread`: codewords as far apart as bitseek can put them, by algebra for the large sizes and search for the small."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from bitseek.codebooks._blocks import balanced_rows, linear_blocks, word_blocks
from bitseek.codebooks._codebook import Codebook, griesmer_distance, total_distance, upper_bound
from bitseek.codebooks._draw import Draw
from bitseek.codebooks._linear import Columns, encode, exchange, fit, least_weight
from bitseek.codes import Codes

_ADDITIONS = 300_000_000  # that the search may spend: 2 or 3 seconds
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
    """
    draw = Draw(seed)
    if classes == 1:
        return Codebook("spread", seed, draw.codes(1, bits))
    dimension, longest = (classes - 1).bit_length(), bits + bits // 8 + 4
    columns, distance = _linear(dimension, bits, longest, upper_bound(classes, bits), draw)
    best = _linear_words(columns, dimension, classes, draw) if classes <= _BALANCED_CLASSES else None
    for complements in (True, False):
        blocks = list(word_blocks(classes, longest, complements))
        chosen, promised = juxtaposition([(block.length, block.distance) for block in blocks], bits, longest)
        if promised > distance or (promised == distance and best is not None):
            parts = [blocks[number].build(draw)[draw.permutation(classes)] for number in chosen]
            words = _exact_length(np.concatenate(parts, axis=1), bits, draw)
            if best is None or promised > distance or total_distance(words) > total_distance(best):
                best, distance = words, promised
    if best is None:
        best = _linear_words(columns, dimension, classes, draw)
    return Codebook("spread", seed, _equivalent(best, draw), guaranteed=distance)


def juxtaposition(sizes: Sequence[tuple[int, int]], bits: int, longest: int) -> tuple[list[int], int]:
    """Blocks (length, distance) with the largest sum of distances on K bits, each used any number of times: a knapsack.

    The total length is `longest` at most: every bit beyond K must be dropped and may cost 1 of the distance, and a
    missing bit is filled with anything. Returns the places of the chosen blocks in `sizes`, and their distance.

    >>> juxtaposition([(18, 10), (22, 12), (11, 6)], 64, 70)  # Levenshtein's 10 words of 64 bits
    ([0, 0, 0, 2], 35)
    """
    lengths, distances = np.array(sizes, np.int64).reshape(-1, 2).T
    reached = np.zeros(longest + 1, np.int64)
    last = np.full(longest + 1, -1, np.int64)  # the block that ends at this length; −1: one bit without a block
    for length in range(1, longest + 1):
        reached[length] = reached[length - 1]
        usable = np.flatnonzero(lengths <= length)
        if len(usable):
            totals = reached[length - lengths[usable]] + distances[usable]
            place = int(totals.argmax())
            if totals[place] > reached[length]:
                reached[length], last[length] = totals[place], usable[place]
    promised = reached[bits:] - np.arange(longest + 1 - bits)
    length = bits + int(promised.argmax())
    chosen = []
    while length:
        if last[length] >= 0:
            chosen.append(int(last[length]))
        length -= int(lengths[last[length]]) if last[length] >= 0 else 1
    return sorted(chosen), int(promised.max())


def _linear(dimension: int, bits: int, longest: int, bound: int, draw: Draw) -> tuple[Columns, int]:
    """Columns of a linear code of this dimension and length, and its minimum distance or a lower bound of it."""
    blocks = list(linear_blocks(dimension, longest))
    chosen, promised = juxtaposition([(block.length, block.distance) for block in blocks], bits, longest)
    start = np.concatenate([np.zeros(0, np.int64), *(blocks[number].build() for number in chosen)])
    if dimension > _SEARCHED_DIMENSION:
        return np.append(start, np.ones(max(0, bits - len(start)), np.int64))[:bits], promised
    best = fit(start, dimension, bits, draw)
    distance = least_weight(best, dimension)
    target = min(bound, griesmer_distance(dimension, bits))
    steps = min(_MOST_STEPS, _ADDITIONS // (dimension << dimension)) // 4
    for attempt in range(4):
        from_best = attempt == 0 or bits > _SEARCHED_BITS
        begin = best if from_best else 1 + draw.below((1 << dimension) - 1, bits)
        found, reached = exchange(begin, dimension, target, steps, draw, margin=1 + attempt % 3)
        if reached > distance:
            best, distance = found, reached
    return best, distance


def _linear_words(columns: Columns, dimension: int, classes: int, draw: Draw) -> Codes:
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


def _equivalent(codes: Codes, draw: Draw) -> Codes:
    """Other words with the same distances: bits permuted, some complemented, classes permuted."""
    order = draw.permutation(codes.bits)
    shuffled = codes[draw.permutation(len(codes))]
    flipped = draw.codes(1, codes.bits).words
    parts = [shuffled[start : start + 8192].to_bits()[:, order] for start in range(0, len(codes), 8192)]
    moved = Codes.concat([Codes.from_bits(part) for part in parts])
    return Codes(moved.words ^ flipped, codes.bits)
