"""Random choices against what the raw stream of PCG64 says, one number at a time, and against their laws."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bitseek.codebooks._draw import Draw


def stream(seed):
    """The same 64-bit numbers, as Python integers."""
    generator = np.random.PCG64(seed)
    while True:
        yield int(generator.random_raw())


def take(numbers, count):
    return [next(numbers) for _ in range(count)]


@given(st.integers(0, 2**40), st.integers(1, 30), st.integers(1, 10**6))
def test_integers_and_permutations_are_those_of_the_stream(seed, count, limit):
    draw, numbers = Draw(seed), stream(seed)
    assert draw.raw(count, 2).tolist() == [take(numbers, 2) for _ in range(count)]
    assert draw.below(limit, count).tolist() == [number % limit for number in take(numbers, count)]
    keys = take(numbers, count)
    assert draw.permutation(count).tolist() == sorted(range(count), key=keys.__getitem__)


@given(st.integers(0, 2**40), st.integers(0, 5), st.integers(1, 150))
def test_codes_are_the_low_bits_of_the_stream(seed, count, bits):
    numbers, words = stream(seed), -(-bits // 64)
    expected = [[number >> i & 1 for number in take(numbers, words) for i in range(64)][:bits] for _ in range(count)]
    codes = Draw(seed).codes(count, bits)
    assert codes.bits == bits
    assert codes.to_bits().astype(int).tolist() == expected


@given(st.integers(0, 2**40), st.integers(0, 6), st.integers(1, 40))
def test_balanced_codes_have_zeros_where_the_smallest_numbers_are(seed, count, bits):
    numbers = stream(seed)
    expected = []
    for _ in range(count):
        keys = take(numbers, bits)
        zeros = sorted(range(bits), key=keys.__getitem__)[: bits // 2]
        expected.append([i not in zeros for i in range(bits)])
    assert Draw(seed).balanced_codes(count, bits).to_bits().tolist() == expected


def test_many_balanced_codes_are_drawn_in_parts_of_one_stream():
    bits = 1 << 18  # 4 codes at a time
    codes = Draw(3).balanced_codes(9, bits)
    assert (codes.to_bits().sum(axis=1) == bits // 2).all()
    draw = Draw(3)
    assert all(draw.balanced_codes(1, bits) == codes[i] for i in range(9))


def test_every_permutation_is_equally_likely():
    draw = Draw(0)
    counts = Counter(tuple(draw.permutation(4).tolist()) for _ in range(4800))
    assert len(counts) == 24
    chi_squared = sum((count - 200) ** 2 / 200 for count in counts.values())
    assert chi_squared < 50  # 23 degrees of freedom: exceeded once in a thousand


def test_seeds_give_other_streams():
    assert len({Draw(seed).raw(1).tobytes() for seed in range(100)}) == 100
