"""The field's codebooks, compared with slow programs that follow their description word by word."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard as sylvester

from bitseek import BitseekError, Codes
from bitseek.codebooks import make_codebook
from bitseek.codebooks._draw import Draw
from bitseek.codebooks._hadamard import has_hadamard_matrix
from bitseek.codebooks._published import CHUNK, bernoulli, best_order, hadamard, max_distance, repair


def slow_max_distance(classes, bits, seed, tries):
    """One word at a time: (accepted words before the permutation, final threshold in per cent)."""
    draw = Draw(seed)

    def words():
        while True:
            yield from draw.codes(CHUNK, bits).to_bits().tolist()

    accepted, percent, rejections = [], 61, 0
    for word in words():
        if all(sum(a != b for a, b in zip(word, other, strict=True)) * 100 >= percent * bits for other in accepted):
            accepted.append(word)
        else:
            rejections += 1
        if rejections >= tries:
            rejections, percent = 0, percent - 1
        if len(accepted) == classes:
            return accepted, percent
        if percent < 20:
            return None, percent
    raise AssertionError("the stream of words has no end")


@pytest.mark.parametrize(
    ("classes", "bits", "tries"), [(2, 1, 5), (4, 8, 50), (9, 12, 300), (12, 24, 300), (7, 70, 200)]
)
def test_max_distance_is_the_published_loop(classes, bits, tries):
    for seed in range(3):
        slow, _ = slow_max_distance(classes, bits, seed, tries)
        fast = max_distance(classes, bits, seed, tries=tries).codes.to_bits().tolist()
        assert sorted(fast) == sorted(slow)


def test_max_distance_crosses_chunks_and_counts_rejections_over_acceptances():
    slow, percent = slow_max_distance(6, 20, 0, 1000)
    assert percent < 56  # more than 5,000 rejections: past the first chunk, with the threshold lowered several times
    assert sorted(max_distance(6, 20, 0, tries=1000).codes.to_bits().tolist()) == sorted(slow)


def test_max_distance_compares_with_more_words_than_fit_one_table():
    slow, _ = slow_max_distance(1100, 40, 1, 40)
    fast = max_distance(1100, 40, 1, tries=40).codes.to_bits().tolist()
    assert sorted(fast) == sorted(slow)
    assert fast != slow  # permuted


def test_max_distance_gives_up_where_the_published_one_does():
    assert slow_max_distance(70, 8, 0, 300)[0] is None
    with pytest.raises(BitseekError, match="of 70 codewords of 8 bits before its threshold fell below 20 %"):
        max_distance(70, 8, 0, tries=300)


@pytest.mark.parametrize(("classes", "bits", "published"), [(10, 32, 16), (21, 64, 29), (100, 16, 5), (100, 64, 25)])
def test_max_distance_is_as_good_as_published(classes, bits, published):
    achieved = [make_codebook("O", classes, bits, seed).minimum_distance for seed in range(3)]
    assert published - 1 <= np.median(achieved) <= published + 1


# --- Hadamard -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 16, 64, 128])
def test_hadamard_has_sylvesters_rows(bits):
    signs = hadamard(min(2 * bits, 2**bits), bits, seed=5).codes.to_signs()
    matrix = sylvester(bits) if bits > 1 else sylvester(2)[:, 1:]
    assert (signs == np.concatenate([matrix, -matrix])[: len(signs)]).all()


@pytest.mark.parametrize("bits", range(3, 140))
def test_hadamard_keeps_its_distance_at_every_length(bits):
    order = best_order(bits)
    book = hadamard(2 * order, bits)
    assert book.repaired == 0 or bits < 4
    if bits >= 4:
        assert book.minimum_distance >= min(order // 2, bits - order // 2) > 0
    if bits > 4:
        assert book.minimum_distance >= bits / 2 - (3 if bits < 89 else 4)


@given(st.integers(2, 400))
def test_no_order_promises_more_than_the_chosen_one(bits):
    def promise(order):  # columns dropped if it is larger, repeated if it is smaller
        return order // 2 - max(0, order - bits)

    orders = [order for order in range(2, 2 * bits + 1) if has_hadamard_matrix(order)]
    chosen = best_order(bits)
    assert promise(chosen) == max(map(promise, orders))
    assert all(promise(order) < promise(chosen) for order in orders if order > chosen)


def test_hadamard_beyond_the_matrix_is_balanced():
    book = hadamard(400, 64, seed=2)
    assert (book.codes.to_signs()[128:].sum(axis=1) == 0).all()
    assert book.repaired == 0
    assert hadamard(400, 64, seed=3).codes != book.codes
    crowded = hadamard(90, 8, seed=0)  # 16 rows, and only 70 balanced words of which some are rows
    assert crowded.repaired > 0
    assert crowded.minimum_distance == 1


# --- Bernoulli, and the repair --------------------------------------------------------------------------------------


def test_bernoulli_repairs_as_often_as_the_birthday_problem_says():
    books = [bernoulli(100, 16, seed) for seed in range(300)]
    collided = sum(book.repaired > 0 for book in books)
    probability = 1 - np.prod(1 - np.arange(100) / 2**16)  # 7.3 %
    assert abs(collided - 300 * probability) < 4 * np.sqrt(300 * probability * (1 - probability))
    assert all(book.minimum_distance >= 1 for book in books)


def test_bernoulli_bits_are_fair_and_independent():
    bits = bernoulli(20_000, 70, 1).codes.to_signs().astype(np.float64)
    assert np.abs(bits.mean(axis=0)).max() < 5 / np.sqrt(20_000)
    correlation = bits.T @ bits / 20_000 - np.eye(70)
    assert np.abs(correlation).max() < 6 / np.sqrt(20_000)


@given(st.integers(1, 9), st.data())
@settings(max_examples=40, deadline=None)
def test_repair(bits, data):
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=2**bits))
    codes = Codes(np.array(values, np.uint64)[:, None], bits)
    seen: set[int] = set()
    repeated = np.array([value in seen or seen.add(value) is not None for value in values])
    draw = Draw(0)
    fixed, repaired = repair(codes, draw, draw.codes)
    assert len({int(word) for word in fixed.words[:, 0]}) == len(values)
    assert repaired == repeated.sum()
    assert (fixed.words[~repeated] == codes.words[~repeated]).all()


@pytest.mark.parametrize("bits", [3, 30])
def test_repair_ends_where_the_law_has_no_unused_word(bits):
    codes = Codes(np.zeros((8, 1), np.uint64), bits)

    def always_zero(count, bits):
        return Codes(np.zeros((count, 1), np.uint64), bits)

    fixed, repaired = repair(codes, Draw(0), always_zero)
    assert repaired == 7
    assert len(np.unique(fixed.words)) == 8
