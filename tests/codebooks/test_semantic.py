"""Semantic centres: no allowed exchange or flip is better, by brute force; no two words too close."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codebooks.oracles import smallest_distance

from bitseek import BitseekError
from bitseek.codebooks import make_codebook, semantic_codebook
from bitseek.codebooks._mds import separation
from bitseek.codebooks._semantic import _exchanged, fit_error


def similarity_of(classes, seed):
    """Of points in three groups."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(classes, 4)) + 2 * rng.normal(size=(3, 4))[rng.integers(0, 3, classes)]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    table = points @ points.T
    other = ~np.eye(classes, dtype=bool)
    table -= table[other].mean()
    table /= np.abs(table[other]).max()
    np.fill_diagonal(table, 1)
    return (table + table.T) / 2


def words_of(book):
    return book.codes.to_signs().astype(float)


def slow_error(words, wanted):
    pairs = itertools.permutations(range(len(words)), 2)
    return sum((wanted[i, j] - words[i] @ words[j] / words.shape[1]) ** 2 for i, j in pairs)


@given(st.integers(2, 9), st.integers(0, 8), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_no_allowed_flip_is_better(classes, spare, seed):
    bits = (classes - 1).bit_length() + spare + 1
    wanted = similarity_of(classes, seed) if classes > 2 else np.eye(2)
    book = semantic_codebook(wanted, bits, seed)
    words = words_of(book)
    least = min(separation(classes, bits), make_codebook("mds", classes, bits, seed).minimum_distance)
    assert smallest_distance(book.codes.to_bits()) >= least == book.guaranteed
    error = slow_error(words, wanted)
    assert error == pytest.approx(fit_error(words, wanted))
    for i, k in itertools.product(range(classes), range(bits)):
        flipped = words.copy()
        flipped[i, k] *= -1
        if smallest_distance(flipped > 0) >= least:
            assert slow_error(flipped, wanted) >= error - 1e-8


@given(st.integers(2, 9), st.integers(1, 8), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_words_begin_with_given_bits_and_no_allowed_flip_of_the_others_is_better(classes, free, seed):
    wanted = similarity_of(classes, seed) if classes > 2 else np.eye(2)
    shorter = semantic_codebook(wanted, (classes - 1).bit_length() + seed % 3, seed)
    bits = shorter.bits + free
    book = semantic_codebook(wanted, bits, seed, first=shorter.codes)
    words = words_of(book)
    assert book.codes.prefix(shorter.bits).to_bits().tolist() == shorter.codes.to_bits().tolist()
    assert smallest_distance(book.codes.to_bits()) >= book.guaranteed >= 1
    error = slow_error(words, wanted)
    for i, k in itertools.product(range(classes), range(shorter.bits, bits)):
        flipped = words.copy()
        flipped[i, k] *= -1
        if smallest_distance(flipped > 0) >= book.guaranteed:
            assert slow_error(flipped, wanted) >= error - 1e-8


def test_first_bits_that_do_not_fit_are_refused():
    wanted = similarity_of(10, 0)
    shorter = semantic_codebook(wanted, 8).codes
    for bits, first in ((8, shorter), (16, shorter[:9])):
        with pytest.raises(BitseekError, match=f"10 classes and {bits} bits begin with 10 codes of fewer bits"):
            semantic_codebook(wanted, bits, first=first)
    with pytest.raises(BitseekError, match="the same bits, and 1 more do not tell them apart"):
        semantic_codebook(wanted, 9, first=shorter[np.zeros(10, int)])


def test_what_is_no_code_and_no_number_is_refused(unchecked):
    wanted = similarity_of(10, 0)
    with pytest.raises(BitseekError, match="got ndarray: make Codes of it"):
        semantic_codebook(wanted, 16, first=np.ones((10, 8), bool))
    for wrong in ({"bits": "8"}, {"bits": 8.0}, {"bits": 0}, {"bits": 16, "distance": 2.5}):
        with pytest.raises(BitseekError, match="is a whole number of 1 or more"):
            semantic_codebook(wanted, **wrong)


@pytest.mark.parametrize("seed", range(5))
def test_no_exchange_is_better_and_none_changes_a_distance(seed):
    rng, wanted = np.random.default_rng(seed), similarity_of(7, seed)
    start = rng.choice([-1.0, 1.0], (7, 10))
    words = _exchanged(start, wanted, start.shape[1])
    assert sorted(map(tuple, words)) == sorted(map(tuple, start))
    error = slow_error(words, wanted)
    assert error <= slow_error(start, wanted)
    for i, j in itertools.combinations(range(7), 2):
        order = list(range(7))
        order[i], order[j] = j, i
        assert slow_error(words[order], wanted) >= error - 1e-8


@pytest.mark.parametrize(("classes", "bits"), [(10, 16), (20, 32), (60, 64)])
def test_centres_follow_the_similarity_better_than_those_that_do_not_know_it(classes, bits):
    wanted = similarity_of(classes, 1)
    book = semantic_codebook(wanted, bits)
    blind, words = words_of(make_codebook("mds", classes, bits)), words_of(book)
    assert fit_error(words, wanted) < 0.7 * fit_error(blind, wanted)
    other = ~np.eye(classes, dtype=bool)
    assert np.corrcoef((words @ words.T)[other], wanted[other])[0, 1] > 0.5
    assert semantic_codebook(wanted, bits).fingerprint == book.fingerprint


def test_a_larger_distance_can_be_asked_for_and_refused():
    wanted = similarity_of(10, 0)
    assert semantic_codebook(wanted, 32, distance=14).minimum_distance >= 14
    assert semantic_codebook(wanted, 32, distance=1).minimum_distance >= 1
    with pytest.raises(BitseekError, match=r"found at distance \d+, not 30: ask for less"):
        semantic_codebook(wanted, 32, distance=30)


def test_one_class_and_too_few_bits():
    assert semantic_codebook(np.ones((1, 1)), 5).classes == 1
    with pytest.raises(BitseekError, match="2 bits have only 4 words for 5 classes"):
        semantic_codebook(np.eye(5), 2)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((2, 3)), np.zeros((0, 0)), np.full((2, 2), np.nan), np.full((2, 2), 1.5), np.array([[1, 0.2], [0.1, 1]])],
)
def test_what_is_no_similarity_is_refused(wrong):
    with pytest.raises(BitseekError, match="similarity of"):
        semantic_codebook(wrong, 8)
