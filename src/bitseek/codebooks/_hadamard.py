"""Hadamard matrices: n rows of n signs, any two orthogonal, hence n words at distance n / 2 from one another.

Orders that are built: 1, 2, q + 1 and 2(q + 1) for a prime or the square of a prime q (Paley), and all products
(Kronecker; Sylvester's matrices are the powers of the one of order 2). All orders 4, 8, 12, … 88 are among them; 92 is
the first that is not. (`scipy.linalg` has Sylvester's alone, and takes half a second to import.)

Sources: Sylvester (1867); Paley, "On orthogonal matrices" (1933).
"""

from functools import cache, reduce
from math import isqrt

import numpy as np
from jaxtyping import Int8, Int64


def hadamard_matrix(order: int) -> Int8[np.ndarray, "n n"]:
    """The Hadamard matrix of a constructible order, with only ones in its first row and column.

    For a power of two it is Sylvester's, row for row.

    Raises:
        ValueError: an order without a construction here.

    >>> hadamard_matrix(4)
    array([[ 1,  1,  1,  1], [ 1, -1,  1, -1], [ 1,  1, -1, -1], [ 1, -1, -1,  1]], dtype=int8)
    """
    factors = _factors(order)
    if factors is None:
        raise ValueError(f"no construction of a Hadamard matrix of order {order} is known to bitseek")
    matrix = reduce(np.kron, map(_elementary, factors), np.ones((1, 1), np.int8))
    matrix = matrix * matrix[:, :1]
    return (matrix * matrix[:1]).astype(np.int8)


def has_hadamard_matrix(order: int) -> bool:
    """Whether `hadamard_matrix` can build this order."""
    return _factors(order) is not None


@cache
def _factors(order: int) -> tuple[int, ...] | None:
    """Orders of Sylvester's and Paley's matrices with this product, fewest first; None if there are none."""
    if order & (order - 1) == 0:
        return (2,) * (order.bit_length() - 1)
    if order % 4:
        return None
    if _paley_field(order):
        return (order,)
    for factor in range(2, isqrt(order) + 1):
        if order % factor == 0:
            left, right = _factors(factor), _factors(order // factor)
            if left is not None and right is not None:
                return left + right
    return None


def _paley_field(order: int) -> int:
    """The q from which Paley builds this order (q + 1 with q ≡ 3, or 2(q + 1) with q ≡ 1 modulo 4), or 0."""
    for q, remainder in ((order - 1, 3), (order // 2 - 1, 1)):
        root = isqrt(q)
        if q % 4 == remainder and (_is_prime(q) or (root * root == q and _is_prime(root))):
            return q
    return 0


def _elementary(order: int) -> Int8[np.ndarray, "n n"]:
    if order == 2:
        return np.array([[1, 1], [1, -1]], np.int8)
    q = _paley_field(order)
    core = np.zeros((q + 1, q + 1), np.int8)
    core[1:, 1:] = _quadratic_characters(q)
    core[0, 1:] = 1
    core[1:, 0] = -1 if q % 4 == 3 else 1
    identity = np.eye(q + 1, dtype=np.int8)
    if q % 4 == 3:  # Paley I: the core is skew
        return core + identity
    pair, diagonal = np.array([[1, 1], [1, -1]], np.int8), np.array([[1, -1], [-1, -1]], np.int8)
    return np.kron(core, pair) + np.kron(identity, diagonal)  # Paley II: the core is symmetric


def _quadratic_characters(q: int) -> Int64[np.ndarray, "q q"]:
    """χ(a − b) for all a, b of the field of q elements: 0 for 0, 1 for a square, −1 for any other."""
    p = isqrt(q) if isqrt(q) ** 2 == q else q
    g = min(set(range(1, p)) - {x * x % p for x in range(p)})  # not a square modulo p
    b, a = np.divmod(np.arange(q), p)  # the number a + p·b stands for the element a + b√g; b = 0 if q is prime
    squares = (a * a + g * b * b) % p + p * (2 * a * b % p)
    difference = (a[:, None] - a) % p + p * ((b[:, None] - b) % p)
    character = np.full(q, -1)
    character[squares] = 1
    character[0] = 0
    characters: np.ndarray = character[difference]
    return characters


@cache
def _is_prime(odd: int) -> bool:
    return odd > 2 and all(odd % divisor for divisor in range(3, isqrt(odd) + 1, 2))
