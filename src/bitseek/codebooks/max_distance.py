"""Greedy rejection, as published: the codebook O of OrthoHash, called M ("MaxHD") in later repositories."""

import numpy as np

from bitseek.codebooks.codebook import Codebook
from bitseek.codebooks.distances import nearest_distances
from bitseek.codebooks.draw import Draw
from bitseek.codes import Codes
from bitseek.errors import BitseekError

CHUNK = 4096  # words drawn at a time; part of the definition, since it fixes which random numbers make which word


def max_distance(
    classes: int,
    bits: int,
    seed: int = 0,
    *,
    tries: int = 10_000,
    start_percent: int = 61,
    least_percent: int = 20,
    step_percent: int = 1,
) -> Codebook:
    """Accept random words that are far enough from all accepted ones; ask for less after every 10,000 rejections.

    The threshold t starts at 0.61. A random word is accepted if its distance to every accepted word is t·K or more.
    Rejections are counted, and the count goes on over acceptances; when it reaches `tries` it returns to 0 and t falls
    by 0.01. At the end the words are put in random order, since the early ones are farther apart than the late ones.
    The threshold is held in whole per cent, so a tie such as 0.25·K is decided exactly (the references subtract 0.01
    in floating point, which decides it by rounding).

    Args:
        classes: number of codewords C.
        bits: length K of a codeword.
        seed: 0 or more.
        tries: rejections before the threshold falls (published 10,000).
        start_percent: first threshold in per cent of K (published 61).
        least_percent: the search is given up below this threshold (published 20).
        step_percent: by how much the threshold falls (published 1).

    Raises:
        BitseekError: the threshold fell below `least_percent`, as it does when C is near 2^K.

    Source: the released code of Hoe et al. (2021), `get_codebook`, method "O".
    """
    draw = Draw(seed)
    percent, rejected = start_percent, 0
    accepted = Codes(np.zeros((0, draw.codes(0, bits).words.shape[1]), np.uint64), bits)
    while len(accepted) < classes:
        chunk = draw.codes(CHUNK, bits)
        nearest = nearest_distances(chunk, accepted)
        chosen: list[int] = []
        position = 0
        while position < CHUNK and len(accepted) + len(chosen) < classes:
            far_enough = 100 * nearest[position:] >= percent * bits
            refused = int(far_enough.argmax()) if far_enough.any() else CHUNK - position
            if rejected + refused >= tries:
                position += tries - rejected
                rejected, percent = 0, percent - step_percent
                if percent < least_percent:
                    found = len(accepted) + len(chosen)
                    raise BitseekError(
                        f"max-distance found {found} of {classes} codewords of {bits} bits before "
                        f"its threshold fell below {least_percent} % of the bits; use more bits, or codebook 'spread'"
                    )
                continue
            rejected += refused
            position += refused
            if position < CHUNK:
                chosen.append(position)
                nearest = np.minimum(nearest, nearest_distances(chunk, chunk[position]))
                position += 1
        accepted = Codes.concat([accepted, chunk[chosen]])
    return Codebook("max-distance", seed, accepted[draw.permutation(classes)])
