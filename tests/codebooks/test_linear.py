"""Linear codes as columns, against enumeration, MacWilliams' identity and codes that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard as sylvester
from tests.codebooks.oracles import generator_of, macwilliams, span, weight_distribution

from bitseek.codebooks._blocks import bch_columns
from bitseek.codebooks._draw import Draw
from bitseek.codebooks._linear import encode, exchange, fit, least_weight, shorten, walsh, weights

dimensions_and_columns = st.integers(1, 6).flatmap(
    lambda k: st.tuples(st.just(k), st.lists(st.integers(0, (1 << k) - 1), min_size=1, max_size=40))
)


@given(st.integers(0, 8), st.integers(0, 10**6))
def test_walsh_is_the_product_with_sylvesters_matrix(log, seed):
    values = np.random.default_rng(seed).integers(-(10**9), 10**9, 1 << log)
    assert (walsh(values) == sylvester(1 << log, dtype=np.int64) @ values).all()
    assert (walsh(walsh(values)) == values << log).all()


@given(dimensions_and_columns)
def test_weights_against_enumeration(code):
    dimension, numbers = code
    columns = np.array(numbers, np.int64)
    words = span(generator_of(columns, dimension))
    assert weights(columns, dimension).tolist() == words.sum(axis=1).tolist()
    assert least_weight(columns, dimension) == words[1:].sum(axis=1).min()
    assert (encode(columns, dimension, np.arange(1 << dimension)).to_bits() == words).all()


@given(st.integers(1, 5), st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_weights_satisfy_macwilliams_identity(dimension, seed, surplus):
    rng = np.random.default_rng(seed)
    columns = np.concatenate([1 << np.arange(dimension), rng.integers(1, 1 << dimension, surplus)])
    bits = dimension + surplus
    distribution = np.bincount(weights(columns, dimension), minlength=bits + 1)
    every = span(np.eye(bits, dtype=int))
    dual = every[~(every.astype(int) @ generator_of(columns, dimension).T % 2).any(axis=1)]
    assert len(dual) == 1 << surplus
    assert macwilliams(distribution) == weight_distribution(dual).tolist()


def test_simplex_codes_have_one_weight_and_hamming_codes_for_duals():
    for dimension in range(2, 7):
        columns = np.arange(1, 1 << dimension)
        assert set(weights(columns, dimension)[1:].tolist()) == {1 << dimension - 1}
        dual = macwilliams(np.bincount(weights(columns, dimension), minlength=len(columns) + 1))
        assert (dual[1], dual[2]) == (0, 0)
        assert dual[3] == len(columns) * (len(columns) - 1) // 6  # the lines of the projective space


@given(st.integers(2, 6), st.integers(0, 10**6), st.integers(2, 20))
def test_shorten_keeps_the_words_that_end_in_zero(dimension, seed, length):
    columns = np.random.default_rng(seed).integers(1, 1 << dimension, length)
    words = span(generator_of(columns, dimension))
    shorter = shorten(columns)
    assert len(shorter) == length - 1
    result = span(generator_of(shorter, dimension - 1))
    assert {tuple(word) for word in result.tolist()} == {tuple(word) for word in words[~words[:, -1], :-1].tolist()}


# --- the search -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "dimension", "distance"), [(24, 12, 8), (32, 8, 13), (32, 7, 14), (48, 8, 20)])
def test_exchange_finds_the_best_known_linear_codes(length, dimension, distance):
    reached = 0
    for margin in (1, 2, 3):
        draw = Draw(0)
        start = 1 + draw.below((1 << dimension) - 1, length)
        columns, claimed = exchange(start, dimension, distance, 500, draw, margin)
        words = encode(columns, dimension, np.arange(1 << dimension)).to_bits()
        assert claimed == words.sum(axis=1)[1:].min() >= least_weight(start, dimension)
        reached = max(reached, claimed)
    assert reached == distance


def test_the_golay_code_is_found_with_its_weights_and_is_its_own_dual():
    for margin in (1, 2, 3):
        draw = Draw(0)
        columns, reached = exchange(1 + draw.below((1 << 12) - 1, 24), 12, 8, 500, draw, margin)
        if reached == 8:
            break
    distribution = np.bincount(weights(columns, 12), minlength=25)
    assert {w: n for w, n in enumerate(distribution.tolist()) if n} == {0: 1, 8: 759, 12: 2576, 16: 759, 24: 1}
    assert macwilliams(distribution) == distribution.tolist()


@given(st.integers(2, 6), st.integers(1, 30), st.integers(0, 30), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_exchange_never_returns_less_than_its_start(dimension, bits, steps, seed):
    start = 1 + Draw(seed).below((1 << dimension) - 1, bits)
    before = start.copy()
    columns, claimed = exchange(start, dimension, bits, steps, Draw(seed + 1))
    assert (start == before).all()
    assert columns.shape == (bits,)
    assert ((columns > 0) & (columns < 1 << dimension)).all()
    assert claimed == span(generator_of(columns, dimension))[1:].sum(axis=1).min() >= least_weight(start, dimension)


@pytest.mark.parametrize("bits", [1, 12, 31, 40])
def test_fit(bits):
    columns = bch_columns(5, 6)
    fitted = fit(columns, 6, bits, Draw(0))
    assert len(fitted) == bits
    assert (fitted > 0).all()
    if bits >= 31:
        assert least_weight(fitted, 6) >= least_weight(columns, 6) - max(0, 32 - bits)


def test_fit_makes_the_best_single_choice():
    columns = bch_columns(4, 5)
    reached = {}
    for bits in (15, 17):
        reached[bits] = least_weight(fit(columns, 5, bits, Draw(0)), 5)
    assert reached[15] == max(least_weight(np.delete(columns, i), 5) for i in range(16)) == 7
    assert reached[17] == max(least_weight(np.append(columns, c), 5) for c in range(1, 32)) == 8
