"""Independent fair bits: the codebook B of the field (N and U, signs of symmetric reals, have the same law)."""

from bitseek.codebooks.codebook import Codebook
from bitseek.codebooks.distinct import repair
from bitseek.codebooks.draw import Draw


def bernoulli(classes: int, bits: int, seed: int = 0) -> Codebook:
    """Every bit is an independent fair coin; a codeword that has come before is drawn again and counted.

    Args:
        classes: number of codewords C, 1 … 2^bits.
        bits: length K of a codeword, 1 or more.
        seed: 0 or more.

    Source: Hoe et al., "One loss for all: deep hashing with a single cosine similarity based learning objective"
    (2021), codebook B; the repair is ours. Without it 7 % of the draws at C = 100, K = 16 have two equal codewords.
    """
    draw = Draw(seed)
    codes, repaired = repair(draw.codes(classes, bits), draw)
    return Codebook("bernoulli", seed, codes, repaired=repaired)
