"""What every codebook promises, whatever its name; distances are compared with brute force over unpacked bits."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek import Codes
from bitseek.codebooks import ALIASES, CODEBOOKS, Codebook, codebook
from bitseek.codebooks.bounds import most_words, upper_bound
from bitseek.codebooks.distances import mean_distance, minimum_distance, nearest_distances
from bitseek.codebooks.distinct import duplicates, repair
from bitseek.codebooks.draw import Draw
from bitseek.errors import BitseekError

SIZES = [
    (1, 1),
    (2, 1),
    (1, 7),
    (2, 3),
    (4, 2),
    (5, 8),
    (8, 3),
    (7, 12),
    (10, 16),
    (21, 33),
    (30, 48),
    (12, 63),
    (9, 65),
]
SIZES += [(40, 100), (70, 20), (130, 64), (33, 130)]


def pair_distances(book: Codebook) -> list[int]:
    rows = book.codes.to_bits().tolist()
    return [sum(a != b for a, b in zip(x, y, strict=True)) for x, y in itertools.combinations(rows, 2)]


@pytest.mark.parametrize("name", CODEBOOKS)
@pytest.mark.parametrize(("classes", "bits"), SIZES)
def test_contract(name, classes, bits):
    if name == "max-distance" and (classes, bits) == (8, 3):
        pytest.skip("the published threshold forbids all 2^K words here: see test_codebooks_published")
    book = codebook(name, classes, bits, seed=3)
    assert (book.name, book.seed, book.classes, book.bits, len(book.codes)) == (name, 3, classes, bits, classes)
    distances = pair_distances(book)
    assert book.minimum_distance == (min(distances) if distances else bits) >= book.guaranteed
    assert book.mean_distance == pytest.approx(np.mean(distances) if distances else bits, rel=1e-12)
    assert 1 <= book.minimum_distance <= book.upper_bound
    if classes > 1:  # Plotkin: a column adds at most floor(C/2)·ceil(C/2) to the sum over all pairs
        assert book.minimum_distance <= bits * (classes // 2) * -(-classes // 2) // len(distances)
    again = codebook(name, classes, bits, seed=3)
    assert again.codes == book.codes
    assert again.fingerprint == book.fingerprint
    assert json.loads(json.dumps(book.describe()))["minimum_distance"] == book.minimum_distance


@pytest.mark.parametrize("name", ["bernoulli", "hadamard", "spread"])
@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8])
def test_all_words(name, bits):
    book = codebook(name, 1 << bits, bits, seed=1)
    assert sorted(book.codes.words[:, 0].tolist()) == list(range(1 << bits))
    assert book.minimum_distance == 1


@pytest.mark.parametrize(("name", "fingerprint"), [
    ("bernoulli", "3f0a745ed352a1976344d2511b2a0e58"),
    ("max-distance", "1d96212d38238465751afd3d3f578014"),
    ("hadamard", "ea1a54867db3b54637a6779ce34f6c6d"),
    ("spread", "6662167cd7e52c6649edbce9f2d15c7f"),
])  # fmt: skip
def test_same_words_on_every_machine(name, fingerprint):
    assert codebook(name, 150, 36, seed=7).fingerprint == fingerprint


@pytest.mark.parametrize("name", ["bernoulli", "max-distance", "spread"])
def test_another_seed_gives_other_words(name):
    assert codebook(name, 10, 32, seed=0).fingerprint != codebook(name, 10, 32, seed=1).fingerprint


def test_letters_of_the_field():
    assert {letter: codebook(letter, 4, 8).name for letter in ALIASES} == dict(ALIASES)
    assert set("BNUOMH") == set(ALIASES)


@pytest.mark.parametrize(("name", "classes", "bits", "seed", "sentence"), [
    ("best", 10, 16, 0, "there is no codebook 'best'"),
    ("spread", 0, 16, 0, "1 class or more"),
    ("spread", 10, 0, 0, "1 bit or more"),
    ("spread", 10, 16, -1, "seed of 0 or more"),
    ("bernoulli", 17, 4, 0, "use 5 bits or more"),
    ("hadamard", 100_000, 16, 0, "use 17 bits or more"),
])  # fmt: skip
def test_refused(name, classes, bits, seed, sentence):
    with pytest.raises(BitseekError, match=sentence):
        codebook(name, classes, bits, seed)


def test_equal_codewords_are_refused():
    with pytest.raises(BitseekError, match=r"codeword 2 .* equals an earlier one"):
        Codebook("mine", 0, Codes.from_bits([[0, 1], [1, 1], [0, 1]]))


def test_fingerprint_depends_on_every_bit_and_the_shape():
    bits = np.zeros((2, 3), np.bool_)
    bits[0, 0] = True
    books = [Codebook("mine", 0, Codes.from_bits(bits)), Codebook("mine", 0, Codes.from_bits(~bits))]
    books.append(Codebook("mine", 0, Codes.from_bits(np.pad(bits, ((0, 0), (0, 1))))))
    assert len({book.fingerprint for book in books}) == 3


def test_imbalance():
    book = Codebook("mine", 0, Codes.from_bits([[0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]]))
    assert book.imbalance == (0 + 0.25 + 0.25) / 3


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 140))
@settings(max_examples=60, deadline=None)
def test_distances_against_brute_force(seed, count, bits):
    array = np.random.default_rng(seed).integers(0, 2, (count, bits)).astype(bool)
    array = np.unique(array, axis=0)
    codes = Codes.from_bits(array)
    table = (array[:, None] != array[None]).sum(axis=2)
    pairs = table[np.triu_indices(len(array), 1)]
    assert minimum_distance(codes) == (pairs.min() if len(pairs) else bits)
    assert mean_distance(codes) == pytest.approx(pairs.mean() if len(pairs) else bits)
    assert nearest_distances(codes, codes[: len(codes) // 2]).tolist() == [
        min([*row[: len(array) // 2].tolist(), bits + 1]) for row in table
    ]


def test_minimum_distance_of_many_codes():
    array = np.random.default_rng(0).integers(0, 2, (2500, 70)).astype(bool)
    array[1700] = array[3]
    array[1700, [5, 9, 69]] ^= True
    signs = array.astype(np.float32) * 2 - 1
    table = (70 - signs @ signs.T) / 2 + 1000 * np.eye(2500)
    codes = Codes.from_bits(array)
    assert minimum_distance(codes) == table.min() == 3
    assert minimum_distance(codes, at_least=3) == 3


@given(st.integers(1, 9), st.data())
@settings(max_examples=40, deadline=None)
def test_repair(bits, data):
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=2**bits))
    codes = Codes(np.array(values, np.uint64)[:, None], bits)
    seen: set[int] = set()
    expected = [value in seen or seen.add(value) is not None for value in values]
    assert duplicates(codes).tolist() == expected
    fixed, repaired = repair(codes, Draw(0))
    assert len({int(word) for word in fixed.words[:, 0]}) == len(values)
    assert repaired == sum(expected)
    untouched = ~np.array(expected)
    assert (fixed.words[untouched] == codes.words[untouched]).all()


# Best possible sizes of codes, A(n, d) (Brouwer, Shearer, Sloane & Smith 1990, table I): exact values.
BEST = {(6, 4): 4, (7, 4): 8, (8, 4): 16, (9, 4): 20, (10, 4): 40, (11, 4): 72, (12, 4): 144, (16, 4): 2048}
BEST |= {(9, 6): 4, (10, 6): 6, (11, 6): 12, (12, 6): 24, (13, 6): 32, (14, 6): 64, (15, 6): 128, (16, 6): 256}
BEST |= {(12, 8): 4, (13, 8): 4, (14, 8): 8, (15, 8): 16, (16, 8): 32, (24, 8): 4096, (24, 12): 48, (32, 16): 64}


@pytest.mark.parametrize(("length", "distance"), BEST)
def test_bounds_hold_for_the_best_codes(length, distance):
    words = BEST[length, distance]
    assert most_words(length, distance) >= words
    assert most_words(length - 1, distance - 1) >= words
    assert upper_bound(words, length) >= distance


@given(st.integers(1, 200), st.integers(1, 300))
def test_upper_bound_is_the_largest_distance_allowed(classes, bits):
    bound = upper_bound(classes, bits)
    allowed = [d for d in range(1, bits + 1) if most_words(bits, d) >= classes]
    assert bound == (bits if classes == 1 else max(allowed, default=1))
