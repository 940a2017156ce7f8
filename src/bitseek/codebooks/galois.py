"""The finite field of 2^m elements and its lift to Z4, as powers of a primitive element."""

from functools import cache

import numpy as np
from jaxtyping import Int64


@cache
def primitive_polynomial(degree: int) -> int:
    """The smallest primitive polynomial of this degree over two elements; bit i is the coefficient of x^i.

    >>> [bin(primitive_polynomial(m)) for m in (1, 3, 4)]
    ['0b11', '0b1011', '0b10011']
    """
    for polynomial in range((1 << degree) + 1, 1 << (degree + 1), 2):
        if _order_of_x(polynomial, degree) == (1 << degree) - 1:
            return polynomial
    raise AssertionError("every degree has a primitive polynomial")


def _order_of_x(polynomial: int, degree: int) -> int:
    value, order = 1, 0
    while True:
        value <<= 1
        if value >> degree:
            value ^= polynomial
        order += 1
        if value == 1 or order >= 1 << degree:
            return order


def powers(degree: int) -> Int64[np.ndarray, " n"]:
    """α⁰, α¹, … of a primitive element α, each as the integer of its coordinates: (2^degree − 1,) int64."""
    polynomial = primitive_polynomial(degree)
    values = np.empty((1 << degree) - 1, np.int64)
    value = 1
    for exponent in range(len(values)):
        values[exponent] = value
        value <<= 1
        if value >> degree:
            value ^= polynomial
    return values


def lifted_powers(degree: int) -> Int64[np.ndarray, "n degree"]:
    """ξ⁰, ξ¹, … of order 2^degree − 1 in the Galois ring of 4^degree elements: (2^degree − 1, degree) int64 in 0 … 3.

    The polynomial of ξ is the lift of the primitive one by Graeffe's method: h(x²) = ±(e(x)² − o(x)²), where e and o
    are its even and odd powers.
    """
    binary = np.array([primitive_polynomial(degree) >> i & 1 for i in range(degree + 1)], np.int64)
    even, odd = binary.copy(), binary.copy()
    even[1::2], odd[::2] = 0, 0
    lift = (np.convolve(even, even) - np.convolve(odd, odd))[::2] % 4
    if lift[degree] == 3:
        lift = -lift % 4
    values = np.zeros(((1 << degree) - 1, degree), np.int64)
    values[0, 0] = 1
    for exponent in range(1, len(values)):
        previous = values[exponent - 1]
        values[exponent, 1:] = previous[:-1]
        values[exponent] = (values[exponent] - previous[-1] * lift[:degree]) % 4
    return values
