"""Choose words so that every bit divides the classes in halves.

The mean distance of a codebook is largest when it does, since a column of p ones and C − p zeros adds p (C − p) to the
sum of all distances.
"""

import numpy as np
from jaxtyping import Bool

from bitseek.codebooks.draw import Draw, signs_of

_MOST_WORDS = 2048
_SWAPS = 1000


def balanced_rows(words: Bool[np.ndarray, "n bits"], count: int, draw: Draw) -> Bool[np.ndarray, "count bits"]:
    """`count` of the words, chosen at random and then exchanged while the columns become more balanced.

    A swap of a chosen word x for another y changes Σ_j s_j², s being the column sums of the signs, by
    −2 s·x + 2 s·y + |x − y|². The swap that lowers it most is made until none does. With more than 2048 words the
    random choice stays: its columns are balanced to about 1/√count of the classes.
    """
    words = words[draw.permutation(len(words))]
    if count == len(words) or len(words) > _MOST_WORDS:
        return words[:count]
    signs = signs_of(words)
    apart = 2 * (words.shape[1] - signs @ signs.T)
    chosen = np.arange(len(words)) < count
    for _ in range(_SWAPS):
        inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
        along = 2 * (signs @ signs[chosen].sum(axis=0))
        change = along[outside][None] - along[inside][:, None] + apart[np.ix_(inside, outside)]
        leaving, arriving = np.unravel_index(int(change.argmin()), change.shape)
        if change[leaving, arriving] >= 0:
            break
        chosen[inside[leaving]], chosen[outside[arriving]] = False, True
    return words[chosen]
