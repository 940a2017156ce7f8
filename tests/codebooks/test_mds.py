"""The codebook `mds`: its aim against the definition and the reference's table, and that it is reached."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codebooks.oracles import all_distances, smallest_distance

from bitseek import BitseekError
from bitseek.codebooks import make_codebook
from bitseek.codebooks._codebook import upper_bound
from bitseek.codebooks._draw import Draw
from bitseek.codebooks._mds import MOST_CLASSES, _descend, _moved, separation

LENGTHS = (16, 32, 48, 64, 128)
AIMS = {
    10: (6, 13, 21, 28, 58), 20: (6, 12, 19, 26, 56), 21: (6, 12, 19, 26, 56), 80: (5, 11, 17, 24, 52),
    100: (4, 10, 17, 24, 52), 196: (4, 10, 16, 23, 51), 555: (3, 9, 15, 21, 49),
}  # fmt: skip
"""Derived by hand from the released code's d_max (methods-new.md, section 1)."""


@pytest.mark.parametrize("classes", AIMS)
def test_the_aim_is_that_of_the_released_code_and_it_is_reached(classes):
    assert tuple(separation(classes, bits) for bits in LENGTHS) == AIMS[classes]
    for bits, aim in zip(LENGTHS, AIMS[classes], strict=True):
        if classes < 555 or bits <= 32:
            assert smallest_distance(make_codebook("mds", classes, bits).codes.to_bits()) >= aim


@given(st.integers(2, 300), st.integers(0, 12))
def test_the_aim_is_the_least_distance_whose_balls_can_cover(classes, spare):
    bits = (classes - 1).bit_length() + spare
    covers = [d for d in range(1, bits + 1) if classes * sum(comb(bits, i) for i in range(d)) >= 2**bits]
    assert separation(classes, bits) == min(covers[0] if covers else bits, upper_bound(classes, bits))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("classes", "bits"), [(90, 8), (129, 16), (50, 24), (40, 11)])
def test_no_seed_misses_the_aim(classes, bits, seed):
    """The sweep that reaches d is kept; the released code can discard it for one with a larger mean."""
    book = make_codebook("mds", classes, bits, seed)
    assert book.repaired == 0 and book.minimum_distance >= separation(classes, bits)
    assert np.mean(all_distances(book.codes.to_bits())) >= 0.99 * bits / 2


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 9))
@settings(deadline=None, max_examples=50)
def test_a_word_moves_while_a_flip_lowers_its_cost(seed, count, bits):
    rng = np.random.default_rng(seed)
    others, start = rng.choice([-1.0, 1.0], (count, bits)), rng.choice([-1.0, 1.0], bits)
    most = int(rng.integers(-1, bits))

    def cost(word):
        violations = sum(max(0, int(other @ word) - most) ** 2 for other in others)
        return violations, int(sum(other @ word for other in others))

    found, claimed = _descend(others, start, most)
    assert claimed == cost(found) <= cost(start)
    for k in range(bits):
        flipped = found.copy()
        flipped[k] *= -1
        assert cost(flipped) >= claimed


def test_only_one_centre_moves_at_a_time():
    centres = np.random.default_rng(0).choice([-1.0, 1.0], (9, 12))
    moved = _moved(centres, 4, 2, Draw(0))
    assert (np.delete(moved, 4, axis=0) == np.delete(centres, 4, axis=0)).all()
    assert not (moved[4] == centres[4]).all()


def test_so_many_classes_are_refused():
    with pytest.raises(BitseekError, match=rf"{MOST_CLASSES} classes at most, got {MOST_CLASSES + 1}; take 'spread'"):
        make_codebook("mds", MOST_CLASSES + 1, 64)
