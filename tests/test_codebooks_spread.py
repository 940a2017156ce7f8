"""The codebook `spread`: its parts against enumeration, and what it achieves against the published."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.codebooks import codebook
from bitseek.codebooks.balance import balanced_rows
from bitseek.codebooks.bch import bch_columns, bch_steps
from bitseek.codebooks.blocks import linear_blocks, word_blocks
from bitseek.codebooks.bounds import griesmer_distance
from bitseek.codebooks.draw import Draw
from bitseek.codebooks.exchange import exchange, fit
from bitseek.codebooks.galois import lifted_powers, powers, primitive_polynomial
from bitseek.codebooks.juxtaposition import best_juxtaposition
from bitseek.codebooks.kerdock import kerdock_distance, kerdock_words
from bitseek.codebooks.linear import encode, least_weight, shorten, weights

# (C, K): minimum distance of the published O (seed 0), of `spread`, and the least known upper bound (docs/codebooks.md)
TABLE = {
    (10, 16): (8, 8, 8), (10, 32): (16, 17, 17), (10, 64): (32, 35, 35), (10, 128): (64, 70, 70),
    (21, 16): (7, 8, 8), (21, 32): (14, 16, 16), (21, 64): (29, 33, 33), (21, 128): (59, 66, 66),
    (80, 16): (5, 6, 6), (80, 32): (12, 14, 15), (80, 64): (26, 32, 32), (80, 128): (56, 64, 64),
    (100, 16): (5, 6, 6), (100, 32): (12, 14, 14), (100, 64): (25, 32, 32), (100, 128): (54, 64, 64),
}  # fmt: skip


def smallest_distance(words: np.ndarray) -> int:
    signs = words.astype(np.float32) * 2 - 1
    table = (words.shape[1] - signs @ signs.T) / 2
    np.fill_diagonal(table, np.inf)
    return int(table.min())


@pytest.mark.parametrize(("classes", "bits"), TABLE)
def test_better_than_published_wherever_that_is_possible(classes, bits):
    published, expected, bound = TABLE[classes, bits]
    book = codebook("spread", classes, bits, seed=0)
    assert smallest_distance(book.codes.to_bits()) == book.minimum_distance == expected
    assert expected > published or published == bound
    assert expected <= bound <= book.upper_bound
    others = [codebook(name, classes, bits) for name in ("bernoulli", "max-distance", "hadamard")]
    assert book.minimum_distance >= max(other.minimum_distance for other in others)
    assert book.imbalance <= 0.05


@pytest.mark.parametrize(("classes", "bits"), [(10, 64), (100, 32), (21, 16)])
def test_no_seed_is_worse(classes, bits):
    assert {codebook("spread", classes, bits, seed).minimum_distance for seed in (1, 2)} == {TABLE[classes, bits][1]}


@pytest.mark.parametrize(("classes", "bits"), [(3, 4), (6, 9), (12, 24), (17, 20), (25, 12), (40, 48), (129, 16)])
def test_never_worse_than_the_others(classes, bits):
    ours = codebook("spread", classes, bits).minimum_distance
    assert ours >= max(codebook(name, classes, bits).minimum_distance for name in "BOH")


@pytest.mark.parametrize(("classes", "bits", "expected"), [
    (6, 10, 6), (12, 11, 6), (24, 12, 6), (32, 13, 6), (64, 14, 6), (128, 15, 6), (256, 16, 6), (256, 15, 5),
    (2048, 16, 4), (8, 14, 8), (16, 15, 8), (32, 16, 8), (48, 24, 12), (4096, 24, 8),
])  # fmt: skip
def test_codes_that_cannot_be_better(classes, bits, expected):
    assert codebook("spread", classes, bits).minimum_distance == expected


@pytest.mark.parametrize(("bits", "expected"), [(64, 22), (256, 112)])
def test_a_hundred_thousand_classes(bits, expected):
    book = codebook("spread", 100_000, bits)
    assert book.minimum_distance == expected
    signs = book.codes.to_signs().astype(np.float32)
    rows = np.arange(0, 100_000, 1999)
    distances = (bits - signs[rows] @ signs.T) / 2
    distances[np.arange(len(rows)), rows] = bits
    assert distances.min() >= expected
    assert book.imbalance < 0.005


# --- linear codes -----------------------------------------------------------------------------------------------------


def generator(columns, dimension):
    return np.array([[int(c) >> i & 1 for c in columns] for i in range(dimension)])


@given(st.integers(1, 6), st.lists(st.integers(0, 2**31), min_size=1, max_size=40))
def test_weights_against_enumeration(dimension, numbers):
    columns = np.array(numbers, np.int64) % (1 << dimension)
    messages = np.array(list(itertools.product([0, 1], repeat=dimension)))[:, ::-1]  # row u holds the bits of u
    words = messages @ generator(columns, dimension) % 2
    assert weights(columns, dimension).tolist() == words.sum(axis=1).tolist()
    assert (encode(columns, dimension, np.arange(1 << dimension)).to_bits() == words).all()


@given(st.integers(2, 6), st.integers(0, 10**6), st.integers(2, 20))
def test_shorten_keeps_the_words_that_end_in_zero(dimension, seed, length):
    columns = np.random.default_rng(seed).integers(1, 1 << dimension, length)
    words = encode(columns, dimension, np.arange(1 << dimension)).to_bits()
    shorter, smaller = shorten(columns, dimension)
    assert smaller == dimension - 1
    result = encode(shorter, smaller, np.arange(1 << smaller)).to_bits()
    assert {tuple(word) for word in result.tolist()} == {tuple(word) for word in words[~words[:, -1], :-1].tolist()}


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6, 7])
def test_bch_codes_are_nested_and_as_far_apart_as_promised(m):
    for dimension, distance in bch_steps(m):
        if dimension <= 16:
            columns = bch_columns(m, dimension)
            assert len(columns) == 1 << m
            assert least_weight(columns, dimension) >= distance
            assert weights(columns, dimension)[1] == 1 << m  # message 1 is the word of ones


def test_every_linear_block_keeps_its_promise():
    for dimension in (1, 2, 3, 5, 7, 9):
        blocks = list(linear_blocks(dimension, 140))
        assert blocks
        for block in blocks:
            columns = block.columns()
            assert len(columns) == block.length <= 140
            assert 0 < block.distance <= least_weight(columns, dimension)
            assert block.distance <= griesmer_distance(dimension, block.length)


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


@pytest.mark.parametrize("bits", [1, 12, 31, 40])
def test_fit(bits):
    columns = bch_columns(5, 6)
    fitted = fit(columns, 6, bits, Draw(0))
    assert len(fitted) == bits
    assert (fitted > 0).all()
    if bits >= 31:
        assert least_weight(fitted, 6) >= least_weight(columns, 6) - max(0, 32 - bits)


# --- codes that are not linear ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [4, 6])
def test_kerdock_codes(m):
    words = kerdock_words(m, np.arange(4**m))
    assert words.shape == (4**m, 1 << m)
    assert smallest_distance(words) == kerdock_distance(m)
    low = np.flatnonzero(np.arange(4**m) % 4 < 2)
    assert (words[low] == ~words[low + 2]).all()


def test_large_kerdock_codes_at_random_pairs():
    words = kerdock_words(8, np.random.default_rng(0).permutation(4**8)[:1500])
    assert smallest_distance(words) >= kerdock_distance(8) == 120


@pytest.mark.parametrize("complements", [True, False])
@pytest.mark.parametrize("classes", [2, 5, 10, 21, 40, 128, 200])
def test_every_word_block_keeps_its_promise(classes, complements):
    for block in word_blocks(classes, 70, complements):
        words = block.words(Draw(1))
        assert words.shape == (classes, block.length)
        assert smallest_distance(words) >= block.distance > 0


@pytest.mark.parametrize("degree", range(1, 11))
def test_powers_run_through_the_field(degree):
    assert sorted(powers(degree).tolist()) == list(range(1, 1 << degree))
    assert primitive_polynomial(degree).bit_length() == degree + 1


@pytest.mark.parametrize("degree", range(2, 8))
def test_lifted_powers(degree):
    lifted = lifted_powers(degree)
    binary = lifted % 2 @ (1 << np.arange(degree))
    assert binary.tolist() == powers(degree).tolist()  # modulo 2 they are the field's
    assert len({tuple(row) for row in lifted.tolist()}) == (1 << degree) - 1
    last = lifted[-1]
    closed = (np.append(0, last[:-1]) + last[-1] * lifted[degree]) % 4  # times ξ once more: ξ^(2^degree − 1) = 1
    assert closed.tolist() == [1] + [0] * (degree - 1)


# --- putting together -------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=4),
    st.integers(1, 14),
    st.integers(0, 4),
)
@settings(max_examples=80, deadline=None)
def test_juxtaposition_is_the_best(sizes, bits, over):
    chosen, promised = best_juxtaposition(sizes, bits, bits + over)
    best = 0
    for counts in itertools.product(*(range((bits + over) // length + 1) for length, _ in sizes)):
        total = sum(count * length for count, (length, _) in zip(counts, sizes, strict=True))
        if total <= bits + over:
            distance = sum(count * distance for count, (_, distance) in zip(counts, sizes, strict=True))
            best = max(best, distance - max(0, total - bits))
    assert promised == best
    length, distance = (sum(sizes[number][i] for number in chosen) for i in (0, 1))
    assert distance - max(0, length - bits) == promised


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
    first = words[Draw(seed).permutation(count)][:wanted]

    def unevenness(rows):
        return int(((2 * rows.sum(axis=0) - wanted) ** 2).sum())

    assert unevenness(chosen) <= unevenness(first)
