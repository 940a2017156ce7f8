"""The component codes of `spread`: their promises against enumeration, their weights against the literature."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codebooks.oracles import all_distances, macwilliams, smallest_distance

from bitseek.codebooks._blocks import (
    balanced_rows,
    bch_columns,
    bch_steps,
    kerdock_code,
    kerdock_distance,
    lifted_powers,
    linear_blocks,
    primitive,
    word_blocks,
)
from bitseek.codebooks._codebook import griesmer_distance
from bitseek.codebooks._draw import Draw
from bitseek.codebooks._linear import least_weight, weights

# --- finite fields --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", range(1, 11))
def test_powers_run_through_the_field(degree):
    polynomial, powers = primitive(degree)
    assert sorted(powers.tolist()) == list(range(1, 1 << degree))
    assert polynomial.bit_length() == degree + 1
    doubled = powers << 1
    doubled[doubled >> degree == 1] ^= polynomial
    assert (doubled == np.roll(powers, -1)).all()  # α times each power is the next, and the last gives α⁰


def test_primitive_polynomials_of_the_literature():
    expected = {2: 0b111, 3: 0b1011, 4: 0b10011, 5: 0b100101, 6: 0b1000011, 7: 0b10000011, 8: 0b100011101}
    assert {degree: primitive(degree)[0] for degree in expected} == expected


@pytest.mark.parametrize("degree", range(2, 8))
def test_lifted_powers(degree):
    lifted = lifted_powers(degree)
    binary = lifted % 2 @ (1 << np.arange(degree))
    assert binary.tolist() == primitive(degree)[1].tolist()  # modulo 2 they are the field's
    assert len({tuple(row) for row in lifted.tolist()}) == (1 << degree) - 1
    last = lifted[-1]
    closed = (np.append(0, last[:-1]) + last[-1] * lifted[degree]) % 4  # times ξ once more: ξ^(2^degree − 1) = 1
    assert closed.tolist() == [1] + [0] * (degree - 1)


def test_the_lift_of_x3_x_1_is_that_of_the_literature():
    # Hammons et al. (1994): h(x) = x³ + 2x² + x − 1 over Z4, so ξ³ = 1 − ξ − 2ξ²
    assert lifted_powers(3)[3].tolist() == [1, 3, 2]


# --- linear ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6, 7])
def test_bch_codes_are_nested_and_as_far_apart_as_promised(m):
    for dimension, distance in bch_steps(m):
        if dimension <= 16:
            columns = bch_columns(m, dimension)
            assert len(columns) == 1 << m
            assert least_weight(columns, dimension) >= distance
            assert weights(columns, dimension)[1] == 1 << m  # message 1 is the word of ones
    larger, smaller = bch_columns(m, bch_steps(m)[-1][0]), bch_columns(m, m + 1)
    assert (larger & ((1 << m + 1) - 1) == smaller).all()


# Weight distributions: MacWilliams & Sloane, chapters 13 to 15 (Reed–Muller and extended BCH codes).
DISTRIBUTIONS = {
    (4, 5): {0: 1, 8: 30, 16: 1},
    (5, 6): {0: 1, 16: 62, 32: 1},
    (4, 11): {0: 1, 4: 140, 6: 448, 8: 870, 10: 448, 12: 140, 16: 1},
    (5, 11): {0: 1, 12: 496, 16: 1054, 20: 496, 32: 1},
    (5, 16): {0: 1, 8: 620, 12: 13888, 16: 36518, 20: 13888, 24: 620, 32: 1},
}


@pytest.mark.parametrize(("m", "dimension"), DISTRIBUTIONS)
def test_bch_codes_have_the_weights_of_the_literature(m, dimension):
    distribution = np.bincount(weights(bch_columns(m, dimension), dimension), minlength=(1 << m) + 1)
    assert {w: n for w, n in enumerate(distribution.tolist()) if n} == DISTRIBUTIONS[m, dimension]
    dual = macwilliams(distribution)
    assert min(dual) >= 0
    assert sum(dual) == 1 << (1 << m) - dimension
    if (m, dimension) == (5, 16):
        assert dual == distribution.tolist()  # self-dual
    if dimension == m + 1:
        assert dual[1:4] == [0, 0, 0]  # the dual of a first-order Reed–Muller code is an extended Hamming code


def test_every_linear_block_keeps_its_promise():
    for dimension in (1, 2, 3, 5, 7, 9):
        blocks = list(linear_blocks(dimension, 140))
        assert blocks
        for block in blocks:
            columns = block.build()
            assert len(columns) == block.length <= 140
            assert ((columns >= 0) & (columns < 1 << dimension)).all()
            assert 0 < block.distance <= least_weight(columns, dimension)
            assert block.distance <= griesmer_distance(dimension, block.length)


@pytest.mark.parametrize("dimension", [2, 3, 4, 5])
def test_macdonald_codes_attain_griesmers_bound(dimension):
    for inner in range(1, dimension):
        length = (1 << dimension) - (1 << inner)
        best = max(block.distance for block in linear_blocks(dimension, length) if block.length == length)
        assert best == griesmer_distance(dimension, length)


# --- not linear -----------------------------------------------------------------------------------------------------

# Distance distributions: 4^m words of 2^m bits; the first is the Nordstrom–Robinson code.
KERDOCK = {4: {6: 112, 8: 30, 10: 112, 16: 1}, 6: {28: 1984, 32: 126, 36: 1984, 64: 1}}


@pytest.mark.parametrize("m", KERDOCK)
def test_kerdock_codes_have_the_distances_of_the_literature(m):
    words = kerdock_code(m, np.arange(4**m))
    assert words.shape == (4**m, 1 << m)
    signs = words.astype(np.float32) * 2 - 1
    distances = ((1 << m) - signs @ signs.T) / 2
    for row in distances[:: 4**m // 16]:  # the same from every word
        values, counts = np.unique(row[row > 0].astype(int), return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == KERDOCK[m]
    assert min(KERDOCK[m]) == kerdock_distance(m)
    low = np.flatnonzero(np.arange(4**m) % 4 < 2)
    assert (words[low] == ~words[low + 2]).all()


def test_the_formal_dual_of_the_kerdock_code_is_the_preparata_code():
    distribution = np.zeros(17, np.int64)
    distribution[[0, *KERDOCK[4]]] = [1, *KERDOCK[4].values()]
    assert macwilliams(distribution) == distribution.tolist()  # at length 16 they are the same


def test_large_kerdock_codes_at_random_pairs():
    words = kerdock_code(8, np.random.default_rng(0).permutation(4**8)[:1500])
    signs = words.astype(np.float32) * 2 - 1
    distances = (256 - signs @ signs.T)[np.triu_indices(1500, 1)] / 2
    assert set(np.unique(distances).tolist()) <= {120, 128, 136, 256}
    assert distances.min() == kerdock_distance(8)


@pytest.mark.parametrize("complements", [True, False])
@pytest.mark.parametrize("classes", [2, 5, 10, 21, 40, 128, 200])
def test_every_word_block_keeps_its_promise(classes, complements):
    for block in word_blocks(classes, 70, complements):
        words = block.build(Draw(1))
        assert words.shape == (classes, block.length)
        assert block.length <= 70
        assert smallest_distance(words) >= block.distance > 0


def test_large_kerdock_blocks_are_made_of_complementary_pairs():
    (block,) = (block for block in word_blocks(5000, 256, True) if block.distance == 120)
    words = block.build(Draw(2))
    assert words.shape == (5000, 256)
    assert (words[0::2] == ~words[1::2]).all()
    assert smallest_distance(words[:200]) >= 120


# --- balance --------------------------------------------------------------------------------------------------------


def unevenness(rows):
    return int(((2 * rows.sum(axis=0) - len(rows)) ** 2).sum())


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 12), st.data())
@settings(max_examples=40, deadline=None)
def test_balanced_rows(seed, count, bits, data):
    words = np.random.default_rng(seed).integers(0, 2, (count, bits)).astype(bool)
    wanted = data.draw(st.integers(1, count))
    chosen = balanced_rows(words, wanted, Draw(seed))
    assert chosen.shape == (wanted, bits)
    available = [tuple(word) for word in words.tolist()]
    for word in chosen.tolist():
        available.remove(tuple(word))  # each row at most as often as it is there
    assert unevenness(chosen) <= unevenness(words[Draw(seed).permutation(count)][:wanted])


def test_no_single_swap_improves_the_balance():
    words = np.unique(np.random.default_rng(4).integers(0, 2, (24, 9)).astype(bool), axis=0)
    chosen = balanced_rows(words, 8, Draw(0))
    taken = {tuple(word) for word in chosen.tolist()}
    others = [word for word in words if tuple(word.tolist()) not in taken]
    for place in range(8):
        for word in others:
            swapped = chosen.copy()
            swapped[place] = word
            assert unevenness(swapped) >= unevenness(chosen)


def test_balance_is_the_mean_distance():
    words = np.random.default_rng(1).integers(0, 2, (30, 11)).astype(bool)
    chosen = balanced_rows(words, 10, Draw(0))
    most = 11 * 25  # 5 · 5 for every bit
    assert 4 * (most - sum(all_distances(chosen))) == unevenness(chosen)
