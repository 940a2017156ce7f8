"""Hadamard matrices: n rows of n signs, any two orthogonal, hence n words at distance n / 2 from one another.

Orders that are built: 1, 2, q + 1 and 2(q + 1) for a prime or the square of a prime q (Paley), and all products
(Kronecker; Sylvester's matrices are the powers of the one of order 2). All orders 4, 8, 12, … 88 are among them; 92 is
the first that is not.

Sources: Sylvester (1867); Paley, "On orthogonal matrices" (1933).
"""

from functools import cache
from math import isqrt

import numpy as np
from jaxtyping import Int8, Int64


def hadamard_matrix(order: int) -> Int8[np.ndarray, "n n"]:
    """The Hadamard matrix of a constructible order, with only ones in its first row and column.

    For a power of two it is Sylvester's, row for row.

    >>> hadamard_matrix(4)
    array([[ 1,  1,  1,  1], [ 1, -1,  1, -1], [ 1,  1, -1, -1], [ 1, -1, -1,  1]], dtype=int8)
    """
    matrix = np.ones((1, 1), np.int8)
    for factor in _factors(order) or ():
        matrix = np.kron(matrix, _prime_order(factor))
    if len(matrix) != order:
        raise ValueError(f"no construction of a Hadamard matrix of order {order} is known to bitseek")
    matrix = matrix * matrix[:, :1]
    return (matrix * matrix[:1]).astype(np.int8)


def has_hadamard_matrix(order: int) -> bool:
    """Whether `hadamard_matrix` can build this order."""
    return order == 1 or _factors(order) is not None


@cache
def _factors(order: int) -> tuple[int, ...] | None:
    """Orders of Sylvester's and Paley's matrices with this product, fewest first; none where there are none."""
    if order == 1:
        return ()
    if order % 2 == 0 and order & (order - 1) == 0:
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
    """The q from which Paley builds this order, or 0."""
    if _is_field(order - 1) and (order - 1) % 4 == 3:
        return order - 1
    if order % 2 == 0 and _is_field(order // 2 - 1) and (order // 2 - 1) % 4 == 1:
        return order // 2 - 1
    return 0


def _prime_order(order: int) -> Int8[np.ndarray, "n n"]:
    if order == 2:
        return np.array([[1, 1], [1, -1]], np.int8)
    q = _paley_field(order)
    jacobsthal = _quadratic_characters(q)
    core = np.zeros((q + 1, q + 1), np.int64)
    core[1:, 1:] = jacobsthal
    core[0, 1:] = 1
    if q % 4 == 3:  # Paley I: the core is skew
        core[1:, 0] = -1
        return (core + np.eye(q + 1, dtype=np.int64)).astype(np.int8)
    core[1:, 0] = 1  # Paley II: the core is symmetric, and every entry becomes a 2 × 2 block
    off_diagonal = np.kron(core, np.array([[1, 1], [1, -1]]))
    return (off_diagonal + np.kron(np.eye(q + 1, dtype=np.int64), np.array([[1, -1], [-1, -1]]))).astype(np.int8)


def _quadratic_characters(q: int) -> Int64[np.ndarray, "q q"]:
    """χ(a − b) for all a, b of the field of q elements: 0, 1 for a square, −1 for any other."""
    root = isqrt(q)
    p = root if root * root == q else q
    elements = np.arange(q)
    if p == q:
        squares = elements * elements % p
        difference = (elements[:, None] - elements) % p
    else:  # a + b√g is written as a + p·b, with g not a square modulo p
        g = min(set(range(1, p)) - {x * x % p for x in range(p)})
        a, b = elements % p, elements // p
        squares = (a * a + g * b * b) % p + p * (2 * a * b % p)
        difference = (a[:, None] - a) % p + p * ((b[:, None] - b) % p)
    character = np.full(q, -1)
    character[squares] = 1
    character[0] = 0
    characters: np.ndarray = character[difference]
    return characters


def _is_field(q: int) -> bool:
    """Whether q is an odd prime, or the square of one."""
    root = isqrt(q)
    return _is_odd_prime(q) or (root * root == q and _is_odd_prime(root))


@cache
def _is_odd_prime(q: int) -> bool:
    return q > 2 and q % 2 == 1 and all(q % divisor for divisor in range(3, isqrt(q) + 1, 2))
