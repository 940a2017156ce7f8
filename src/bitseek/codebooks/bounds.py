"""What no codebook can exceed: the bounds of Plotkin and Hamming on the minimum distance."""

from math import comb


def upper_bound(classes: int, bits: int) -> int:
    """The largest minimum distance that `classes` codewords of `bits` bits may have by these bounds.

    Sources: Plotkin (1960) and Hamming (1950), as in MacWilliams & Sloane, "The theory of error-correcting codes",
    chapters 1 and 2. Delsarte's linear programming bound is tighter for some sizes and needs a solver.

    >>> upper_bound(10, 64), upper_bound(80, 16), upper_bound(2, 7)
    (35, 6, 7)
    """
    if classes < 2:
        return bits
    low, high = 1, bits
    while low < high:
        middle = (low + high + 1) // 2
        if most_words(bits, middle) >= classes:
            low = middle
        else:
            high = middle - 1
    return low


def most_words(bits: int, distance: int) -> int:
    """An upper bound of A(bits, distance): how many words of `bits` bits can be `distance` or more apart.

    >>> most_words(16, 8), most_words(8, 5), most_words(3, 1)
    (32, 4, 8)
    """
    if distance > bits:
        return 1
    if distance % 2:  # a parity bit makes the distance even: A(n, 2t − 1) = A(n + 1, 2t)
        bits, distance = bits + 1, distance + 1
    return min(_plotkin(bits, distance), _hamming(bits - 1, distance - 1))


def _plotkin(bits: int, even: int) -> int:
    if 2 * even > bits:
        return 2 * (even // (2 * even - bits))
    return 4 * even << (bits - 2 * even)  # A(n, d) ≤ 2 A(n − 1, d), down to n = 2d where A ≤ 4d


def _hamming(bits: int, odd: int) -> int:
    ball = sum(comb(bits, radius) for radius in range((odd - 1) // 2 + 1))
    return (1 << bits) // ball


def griesmer_distance(dimension: int, bits: int) -> int:
    """The largest minimum distance of a linear code of this dimension and length by Griesmer's bound (1960).

    >>> griesmer_distance(5, 16), griesmer_distance(12, 24)
    (8, 8)
    """
    if dimension > bits:
        return 0
    low, high = 1, bits
    while low < high:
        middle = (low + high + 1) // 2
        if sum(-(-middle // (1 << i)) for i in range(dimension)) <= bits:
            low = middle
        else:
            high = middle - 1
    return low
