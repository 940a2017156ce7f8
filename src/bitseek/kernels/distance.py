"""Where is the next block of codes with one that is near enough? The inner loop of every search.

Codes lie in one flat array of words: word w of code j is `words[base + j * code_step + w * word_step]`. So the same
functions read rows, as `Codes` has them (code_step = words per code, word_step = 1), and planes, where all first words
come one after the other (code_step = 1): from planes, eight codes are one load.

Most codes are too far away. A block of them is ruled out without a branch: `distance - limit` is negative for a near
one, and the sign of the bitwise or of all of them tells whether there was any; xor, popcount, add, or: each on vectors.
Only in a block that holds a near one are codes looked at one by one.

Indices are unsigned: numba wraps negative ones around, and the loop over words then becomes gathers, three times as
slow. Nothing is sliced: a slice counts references to its array, atomically, which takes as long as a short loop.
"""

import numpy as np

from bitseek.kernels.jit import inner, popcount

BLOCK = 128


@inner
def next_block(
    words: np.ndarray,
    base: int,
    code_step: int,
    word_step: int,
    start: int,
    stop: int,
    queries: np.ndarray,
    row: int,
    limit: int,
    sums: np.ndarray,
) -> tuple[int, int]:
    """The next few codes among which there may be one nearer than `limit`: where they begin, and how many.

    Args:
        words: codes as rows or planes, see the head of this file.
        base: where code 0 begins.
        code_step: words from one code to the next.
        word_step: words from one word of a code to its next.
        start: the first code to look at.
        stop: the end of the codes to look at.
        queries: (q, words) of the queries.
        row: which query.
        limit: a code is near if its distance is less than this.
        sums: room for BLOCK int64, which receives the distances.

    Returns:
        `stop` and 0 when there are no more.
    """
    j = start
    if stop - start >= BLOCK:
        at, size = base + start * code_step, (stop - start) // BLOCK * BLOCK
        width = queries.shape[1]
        if width == 1:
            j += _skip_1(words, at, size, queries[row, 0], limit)
        elif width == 2:
            j += _skip_2(words, at, code_step, word_step, size, queries[row, 0], queries[row, 1], limit)
        elif width == 4 and code_step == 1:
            j += _skip_4(words, at, word_step, size, queries, row, limit)
        elif code_step == 1:
            j += _skip_planes(words, at, word_step, size, queries, row, limit, sums)
        else:
            j += _skip_rows(words, at, code_step, size, queries, row, limit)
    size = min(BLOCK, stop - j)
    if size > 0:
        measure(words, base + j * code_step, code_step, word_step, queries, row, sums, size)
        if size < BLOCK:  # the rest, which has not been tested
            signs = 0
            for e in range(np.uint64(size)):
                signs |= sums[e] - limit
            if signs >= 0:
                return stop, 0
    return j, size


@inner
def measure(
    words: np.ndarray,
    at: int,
    code_step: int,
    word_step: int,
    queries: np.ndarray,
    row: int,
    sums: np.ndarray,
    size: int,
) -> None:
    """Distances of `size` codes from `at` on to one query, into `sums`."""
    count, step = np.uint64(size), np.uint64(code_step)
    for w in range(queries.shape[1]):
        query, first = queries[row, w], np.uint64(at + w * word_step)
        if code_step == 1 and w == 0:
            for j in range(count):
                sums[j] = popcount(words[first + j] ^ query)
        elif code_step == 1:
            for j in range(count):
                sums[j] += popcount(words[first + j] ^ query)
        else:
            for j in range(count):
                sums[j] = popcount(words[first + j * step] ^ query) + (sums[j] if w else 0)


@inner
def _skip_1(words: np.ndarray, at: int, size: int, query: int, limit: int) -> int:
    """How many codes lie before the first block with a near one; of one word each."""
    for start in range(0, size, BLOCK):
        a = np.uint64(at + start)
        signs = 0
        for j in range(np.uint64(BLOCK)):
            signs |= popcount(words[a + j] ^ query) - limit
        if signs < 0:
            return start
    return size


@inner
def _skip_2(words: np.ndarray, at: int, code_step: int, word_step: int, size: int, q0: int, q1: int, limit: int) -> int:
    """The same for codes of two words."""
    step, second = np.uint64(2), np.uint64(1)
    for start in range(0, size, BLOCK):
        signs = 0
        if code_step == 1:
            a, b = np.uint64(at + start), np.uint64(at + start + word_step)
            for j in range(np.uint64(BLOCK)):
                signs |= popcount(words[a + j] ^ q0) + popcount(words[b + j] ^ q1) - limit
        else:
            a = np.uint64(at + 2 * start)
            for j in range(np.uint64(BLOCK)):
                signs |= popcount(words[a + step * j] ^ q0) + popcount(words[a + step * j + second] ^ q1) - limit
        if signs < 0:
            return start
    return size


@inner
def _skip_4(words: np.ndarray, at: int, word_step: int, size: int, queries: np.ndarray, row: int, limit: int) -> int:
    """The same for planes of four words."""
    step = np.uint64(word_step)
    q0, q1, q2, q3 = queries[row, 0], queries[row, 1], queries[row, 2], queries[row, 3]
    for start in range(0, size, BLOCK):
        a = np.uint64(at + start)
        b, c, d = a + step, a + step + step, a + step + step + step
        signs = 0
        for j in range(np.uint64(BLOCK)):
            bits = popcount(words[a + j] ^ q0) + popcount(words[b + j] ^ q1)
            signs |= bits + popcount(words[c + j] ^ q2) + popcount(words[d + j] ^ q3) - limit
        if signs < 0:
            return start
    return size


@inner
def _skip_planes(
    words: np.ndarray, at: int, word_step: int, size: int, queries: np.ndarray, row: int, limit: int, sums: np.ndarray
) -> int:
    """The same for planes of many words: four at a time, and no further once all codes of a block are too far."""
    width, step = queries.shape[1], np.uint64(word_step)
    for start in range(0, size, BLOCK):
        w = 0
        signs = -1
        while w < width and signs < 0:
            signs = 0
            a, q0 = np.uint64(at + start + w * word_step), queries[row, w]
            if w + 4 <= width:
                b, c, d = a + step, a + step + step, a + step + step + step
                q1, q2, q3 = queries[row, w + 1], queries[row, w + 2], queries[row, w + 3]
                for j in range(np.uint64(BLOCK)):
                    bits = popcount(words[a + j] ^ q0) + popcount(words[b + j] ^ q1)
                    bits += popcount(words[c + j] ^ q2) + popcount(words[d + j] ^ q3)
                    bits += sums[j] if w else 0
                    sums[j] = bits
                    signs |= bits - limit
                w += 4
            else:
                for j in range(np.uint64(BLOCK)):
                    bits = popcount(words[a + j] ^ q0) + (sums[j] if w else 0)
                    sums[j] = bits
                    signs |= bits - limit
                w += 1
        if signs < 0:
            return start
    return size


@inner
def _skip_rows(words: np.ndarray, at: int, code_step: int, size: int, queries: np.ndarray, row: int, limit: int) -> int:
    """The same for rows of many words."""
    width = np.uint64(code_step)
    for start in range(0, size, BLOCK):
        signs = 0
        for code in range(np.uint64(at + start * code_step), np.uint64(at + (start + BLOCK) * code_step), width):
            bits = 0
            for w in range(width):
                bits += popcount(words[code + w] ^ queries[row, w])
            signs |= bits - limit
        if signs < 0:
            return start
    return size
