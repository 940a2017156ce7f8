"""The order of bits against a slow loop in exact fractions, and what it is for: prefixes of words that lie apart."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codebooks.oracles import smallest_distance

from bitseek import BitseekError
from bitseek.codebooks import CODEBOOKS, make_codebook, order_of_bits
from bitseek.codebooks._order import near
from bitseek.codes import Codes


def slow_order(words, lengths):
    """As its docstring says, one bit and one exchange at a time, each by the whole sum."""

    def total(bits):
        distances = (sum(a[bit] != b[bit] for bit in bits) for a, b in itertools.combinations(words, 2))
        return sum(Fraction(1, 2**distance) for distance in distances)

    inside, after = list(range(len(words[0]))), []
    for length in sorted(lengths, reverse=True):
        kept, out = list(inside), []
        while len(kept) > length:
            gone = min(reversed(kept), key=lambda bit: total([other for other in kept if other != bit]))
            kept.remove(gone)
            out.append(gone)
        while True:
            exchanges = [[*kept[:i], new, *kept[i + 1 :]] for i in range(len(kept)) for new in out]
            best = min(exchanges, key=total, default=kept)
            if total(best) >= total(kept):
                break
            out[out.index(*set(best) - set(kept))] = next(bit for bit in kept if bit not in best)
            kept = best
        after = [bit for bit in inside if bit not in kept] + after
        inside = kept
    return inside + after


@given(st.integers(2, 8), st.integers(1, 10), st.sets(st.integers(1, 10), max_size=3), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_it_is_that_of_a_slow_loop(classes, bits, lengths, seed):
    words = np.random.default_rng(seed).integers(0, 2, (classes, bits))
    lengths = {min(length, bits) for length in lengths}
    assert order_of_bits(Codes.from_bits(words), lengths).tolist() == slow_order(words.tolist(), lengths)


@pytest.mark.parametrize("name", CODEBOOKS)
@pytest.mark.parametrize("classes", [10, 100])
def test_first_bits_lie_further_apart_than_those_of_most_other_orders(name, classes):
    codes = make_codebook(name, classes, 64, seed=1).codes
    order = order_of_bits(codes, (16, 32))
    assert sorted(order) == list(range(64))
    bits = codes.to_bits()
    rng = np.random.default_rng(0)
    for length in (16, 32):
        others = [smallest_distance(bits[:, rng.permutation(64)[:length]]) for _ in range(20)]
        assert smallest_distance(bits[:, order[:length]]) >= max(others) - 1 > 0
        assert smallest_distance(bits[:, order[:length]]) >= np.median(others)


def test_sums_are_exact_whatever_the_distances():
    """Multiples of 2^−20, of which 2^33 have a sum that a float64 holds; those further away all count as much."""
    signs = np.ones((3, 60))
    signs[1, :3] = signs[2, 3:] = -1
    assert np.array_equal(near(signs), np.array([[0, 1, 2**-20], [1, 0, 2**-20], [2**-20, 2**-20, 0]]))


@pytest.mark.parametrize(("classes", "bits"), [(1, 5), (3000, 112)])
def test_nothing_to_order_and_too_much(classes, bits):
    words = np.random.default_rng(0).integers(0, 2, (classes, bits))
    assert order_of_bits(Codes.from_bits(words), (2, 4)).tolist() == list(range(bits))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (0, "a whole number of 1 or more, got .*=0"),
        (-1, "a whole number of 1 or more, got .*=-1"),
        (4.0, "a whole number of 1 or more, got .*=4.0"),
        (True, "a whole number of 1 or more, got .*=True"),
        (np.int64(9), "the first 9 bits are asked for of codes that have 8"),
    ],
)
def test_other_lengths_are_refused(wrong, message, unchecked):
    with pytest.raises(BitseekError, match=message):
        order_of_bits(make_codebook("spread", 4, 8).codes, (4, wrong))
