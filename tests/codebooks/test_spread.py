"""The codebook `spread`: what it achieves against the published and the best possible, and how it is put together."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codebooks.oracles import all_distances, smallest_distance

from bitseek import Codes
from bitseek.codebooks import make_codebook
from bitseek.codebooks._draw import Draw
from bitseek.codebooks._spread import _equivalent, _exact_length, juxtaposition

# (C, K): minimum distance of the published O (seed 0), of `spread`, and the least known upper bound (docs/codebooks.md)
TABLE = {
    (10, 16): (8, 8, 8), (10, 32): (16, 17, 17), (10, 64): (32, 35, 35), (10, 128): (64, 70, 70),
    (21, 16): (7, 8, 8), (21, 32): (14, 16, 16), (21, 64): (29, 33, 33), (21, 128): (59, 66, 66),
    (80, 16): (5, 6, 6), (80, 32): (12, 14, 15), (80, 64): (26, 32, 32), (80, 128): (56, 64, 64),
    (100, 16): (5, 6, 6), (100, 32): (12, 14, 14), (100, 64): (25, 32, 32), (100, 128): (54, 64, 64),
}  # fmt: skip


@pytest.mark.parametrize(("classes", "bits"), TABLE)
def test_better_than_published_wherever_that_is_possible(classes, bits):
    published, expected, bound = TABLE[classes, bits]
    book = make_codebook("spread", classes, bits, seed=0)
    assert smallest_distance(book.codes.to_bits()) == book.minimum_distance == expected
    assert expected > published or published == bound
    assert expected <= bound <= book.upper_bound
    others = [make_codebook(name, classes, bits) for name in ("bernoulli", "max-distance", "hadamard")]
    assert book.minimum_distance >= max(other.minimum_distance for other in others)
    assert book.imbalance <= 0.05


@pytest.mark.parametrize(("classes", "bits"), [(10, 64), (100, 32), (21, 16)])
def test_no_seed_is_worse(classes, bits):
    assert {make_codebook("spread", classes, bits, seed).minimum_distance for seed in (1, 2)} == {
        TABLE[classes, bits][1]
    }


@pytest.mark.parametrize(("classes", "bits"), [(3, 4), (6, 9), (12, 24), (17, 20), (25, 12), (40, 48), (129, 16)])
def test_never_worse_than_the_others(classes, bits):
    ours = make_codebook("spread", classes, bits).minimum_distance
    assert ours >= max(make_codebook(name, classes, bits).minimum_distance for name in "BOH")


@pytest.mark.parametrize(("classes", "bits", "expected"), [
    (6, 10, 6), (12, 11, 6), (24, 12, 6), (32, 13, 6), (64, 14, 6), (128, 15, 6), (256, 16, 6), (256, 15, 5),
    (2048, 16, 4), (8, 14, 8), (16, 15, 8), (32, 16, 8), (48, 24, 12), (4096, 24, 8),
])  # fmt: skip
def test_codes_that_cannot_be_better(classes, bits, expected):
    assert make_codebook("spread", classes, bits).minimum_distance == expected


@pytest.mark.parametrize(("bits", "expected"), [(64, 22), (256, 112)])
def test_a_hundred_thousand_classes(bits, expected):
    book = make_codebook("spread", 100_000, bits)
    assert book.guaranteed == expected
    signs = book.codes.to_signs().astype(np.float32)
    rows = np.arange(0, 100_000, 1999)
    distances = (bits - signs[rows] @ signs.T) / 2
    distances[np.arange(len(rows)), rows] = bits
    assert distances.min() >= expected
    assert book.minimum_distance == expected
    assert book.imbalance < 0.005


# --- putting together -----------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=0, max_size=4),
    st.integers(1, 14),
    st.integers(0, 4),
)
@settings(max_examples=80, deadline=None)
def test_juxtaposition_is_the_best(sizes, bits, over):
    chosen, promised = juxtaposition(sizes, bits, bits + over)
    best = 0
    for counts in itertools.product(*(range((bits + over) // length + 1) for length, _ in sizes)):
        total = sum(count * length for count, (length, _) in zip(counts, sizes, strict=True))
        if total <= bits + over:
            distance = sum(count * distance for count, (_, distance) in zip(counts, sizes, strict=True))
            best = max(best, distance - max(0, total - bits))
    assert promised == best
    length, distance = (sum(sizes[number][i] for number in chosen) for i in (0, 1))
    assert distance - max(0, length - bits) == promised


@given(st.integers(0, 10**6), st.integers(2, 20), st.integers(1, 20), st.integers(1, 25))
@settings(deadline=None)
def test_words_are_brought_to_length(seed, count, length, bits):
    words = np.random.default_rng(seed).integers(0, 2, (count, length)).astype(bool)
    result = _exact_length(words, bits, Draw(seed)).to_bits()
    assert result.shape == (count, bits)
    uneven = sorted(abs(2 * words.sum(axis=0) - count).tolist())
    kept = min(bits, length)
    assert sorted(abs(2 * result[:, :kept].sum(axis=0) - count).tolist()) == uneven[:kept]  # the least uneven ones
    assert (result[:, kept:].sum(axis=0) == count // 2).all()


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 140))
@settings(deadline=None)
def test_equivalent_words_have_the_same_distances(seed, count, bits):
    words = np.random.default_rng(seed).integers(0, 2, (count, bits)).astype(bool)
    moved = _equivalent(Codes.from_bits(words), Draw(seed)).to_bits()
    assert sorted(all_distances(moved)) == sorted(all_distances(words))
    columns = np.minimum(words.sum(axis=0), count - words.sum(axis=0))
    assert sorted(np.minimum(moved.sum(axis=0), count - moved.sum(axis=0)).tolist()) == sorted(columns.tolist())


def test_equivalent_words_of_many_classes_are_moved_alike():
    words = np.random.default_rng(0).integers(0, 2, (9000, 40)).astype(bool)
    moved = _equivalent(Codes.from_bits(words), Draw(0)).to_bits()
    assert sorted((words.sum(axis=0) - 4500).__abs__().tolist()) == sorted(
        (moved.sum(axis=0) - 4500).__abs__().tolist()
    )
    assert smallest_distance(moved[:50]) > 0
