"""The field's codebooks, compared with slow programs that follow their description word by word."""

import numpy as np
import pytest
from scipy.linalg import hadamard as sylvester

from bitseek.codebooks import codebook
from bitseek.codebooks.bernoulli import bernoulli
from bitseek.codebooks.draw import Draw
from bitseek.codebooks.hadamard import best_order, hadamard
from bitseek.codebooks.hadamard_matrix import hadamard_matrix, has_hadamard_matrix
from bitseek.codebooks.max_distance import CHUNK, max_distance
from bitseek.errors import BitseekError


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


def test_max_distance_gives_up_where_the_published_one_does():
    assert slow_max_distance(70, 8, 0, 300)[0] is None
    with pytest.raises(BitseekError, match="of 70 codewords of 8 bits before its threshold fell below 20 %"):
        max_distance(70, 8, 0, tries=300)


@pytest.mark.parametrize(("classes", "bits", "published"), [(10, 32, 16), (21, 64, 29), (100, 16, 5), (100, 64, 25)])
def test_max_distance_is_as_good_as_published(classes, bits, published):
    achieved = [codebook("O", classes, bits, seed).minimum_distance for seed in range(3)]
    assert published - 1 <= np.median(achieved) <= published + 1


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


def test_hadamard_beyond_the_matrix_is_balanced():
    book = hadamard(400, 64, seed=2)
    assert (book.codes.to_signs()[128:].sum(axis=1) == 0).all()
    assert book.repaired == 0
    assert hadamard(400, 64, seed=3).codes != book.codes
    crowded = hadamard(90, 8, seed=0)  # 16 rows, and only 70 balanced words of which some are rows
    assert crowded.repaired > 0
    assert crowded.minimum_distance == 1


def test_hadamard_matrices():
    built = [order for order in range(1, 300) if has_hadamard_matrix(order)]
    assert set(range(4, 92, 4)) | {1, 2} <= set(built)
    assert 92 not in built
    for order in built:
        matrix = hadamard_matrix(order).astype(np.int64)
        assert (matrix @ matrix.T == order * np.eye(order)).all()
        assert (matrix[0] == 1).all()
        assert (matrix[:, 0] == 1).all()
    with pytest.raises(ValueError, match="order 92"):
        hadamard_matrix(92)


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
