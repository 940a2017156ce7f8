"""Rows of a Hadamard matrix, then their complements, then random words: the codebook H of the field."""

import numpy as np

from bitseek.codebooks.codebook import Codebook
from bitseek.codebooks.distinct import repair
from bitseek.codebooks.draw import Draw
from bitseek.codebooks.hadamard_matrix import hadamard_matrix, has_hadamard_matrix
from bitseek.codes import Codes


def hadamard(classes: int, bits: int, seed: int = 0) -> Codebook:
    """The first C rows of [H; −H], and random words with ⌊K/2⌋ zeros for the classes beyond.

    For K a power of two this is the published codebook with Sylvester's matrix, its constant first row included;
    up to 2K classes its minimum distance is K/2. The random words are the first draw, as in RelaHash and FIRe (CSQ
    draws up to 20 times); a word that has come before is drawn again and counted.

    For other K the references fail. Here the matrix has the order n that promises the largest minimum distance, the
    larger order on a tie: for n ≥ K the first n − K columns are dropped, the constant one among them, which leaves
    K − n/2 or more; for n < K columns are repeated, which leaves n/2. Orders are those of `hadamard_matrix`, so n is
    seldom more than 3 away from K, where Sylvester's alone would drop up to half of the columns.

    Args:
        classes: number of codewords C, 1 … 2^bits.
        bits: length K of a codeword, 1 or more.
        seed: 0 or more; it matters only for more than 2n classes.

    Source: Yuan et al., "Central similarity quantization" (2020), as released in RelaHash and FIRe.
    """
    order = best_order(bits)
    matrix = hadamard_matrix(order)
    surplus = np.arange(bits - order) % max(1, order - 1) + min(1, order - 1)
    columns = np.concatenate([np.arange(max(0, order - bits), order), surplus])
    rows = matrix[:, columns]
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
    orders = [order for order in range(1, 2 * bits + 1) if has_hadamard_matrix(order)]
    return max(orders, key=lambda order: (min(order // 2, bits - order // 2) if order > 1 else 0, order))
