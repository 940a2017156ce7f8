"""What every codebook promises, whatever its name; distances are compared with brute force over unpacked bits."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codebooks.oracles import all_distances, delsarte, smallest_distance

from bitseek import BitseekError, Codes
from bitseek.codebooks import ALIASES, CODEBOOKS, Codebook, make_codebook
from bitseek.codebooks._codebook import duplicates, griesmer_distance, most_words, total_distance, upper_bound

SIZES = [
    (1, 1), (2, 1), (1, 7), (2, 3), (4, 2), (5, 8), (8, 3), (7, 12), (10, 16), (21, 33), (30, 48), (12, 63), (9, 65),
    (40, 100), (70, 20), (130, 64), (33, 130),
]  # fmt: skip


FORBIDDEN = ("max-distance", 8, 3)  # by the published threshold: see test_published


@pytest.mark.parametrize(
    ("name", "classes", "bits"), [(name, *size) for name in CODEBOOKS for size in SIZES if (name, *size) != FORBIDDEN]
)
def test_contract(name, classes, bits):
    book = make_codebook(name, classes, bits, seed=3)
    assert (book.name, book.seed, book.classes, book.bits, len(book.codes)) == (name, 3, classes, bits, classes)
    distances = all_distances(book.codes.to_bits())
    assert book.minimum_distance == min(distances, default=bits) >= book.guaranteed
    assert book.mean_distance == pytest.approx(np.mean(distances) if distances else bits, rel=1e-12)
    assert 1 <= book.minimum_distance <= book.upper_bound
    if classes > 1:  # Plotkin: a column adds at most floor(C/2)·ceil(C/2) to the sum over all pairs
        assert book.minimum_distance <= bits * (classes // 2) * -(-classes // 2) // len(distances)
    again = make_codebook(name, classes, bits, seed=3)
    assert again.codes == book.codes
    assert again.fingerprint == book.fingerprint


@given(
    st.sampled_from(["bernoulli", "hadamard", "mds", "spread"]),
    st.integers(1, 60),
    st.integers(0, 20),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_any_size(name, classes, spare, seed):
    bits = max(1, (classes - 1).bit_length() + spare)
    book = make_codebook(name, classes, bits, seed)
    words = book.codes.to_bits()
    assert words.shape == (classes, bits)
    assert len(np.unique(words, axis=0)) == classes
    assert book.guaranteed <= book.minimum_distance == smallest_distance(words) <= book.upper_bound
    assert (name == "spread") <= (book.repaired == 0)


@given(st.integers(2, 40), st.integers(0, 20), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_max_distance_keeps_its_least_threshold_or_says_that_it_cannot(classes, spare, seed):
    bits = (classes - 1).bit_length() + spare
    try:
        book = make_codebook("max-distance", classes, bits, seed)
    except BitseekError as error:
        assert "use more bits" in str(error)
        assert spare <= 4
    else:
        assert 100 * smallest_distance(book.codes.to_bits()) >= 20 * bits


@pytest.mark.parametrize("name", ["bernoulli", "hadamard", "mds", "spread"])
@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8])
def test_all_words(name, bits):
    book = make_codebook(name, 1 << bits, bits, seed=1)
    assert sorted(book.codes.words[:, 0].tolist()) == list(range(1 << bits))
    assert book.minimum_distance == 1


# (C, K, seed): first digits of the fingerprints of all of `CODEBOOKS`, recorded before their first release. Models hold
# codewords, so these may never change.
RECORDED = {
    (2, 1, 7): ("bd5b8dc16d73c6c4", "bd5b8dc16d73c6c4", "bd5b8dc16d73c6c4", "bd5b8dc16d73c6c4", "bd5b8dc16d73c6c4"),
    (5, 8, 7): ("8e5ec602ca24fda2", "4498c583063da744", "61f9e5f33646ce64", "72995701e26bd8d8", "163eabaff3bd46b2"),
    (7, 12, 7): ("27e8adef580b01a3", "9fc4fb24e666c823", "77ab1b0ff73ed9ac", "75456d9992c48a99", "8a67bbc5c9bccd1d"),
    (10, 64, 7): ("dc3409c3ccf3fe0f", "bdbb3b1613eccce4", "037e53ce27e81a1f", "4c39360fc5b0d553", "2a199b83899d82a1"),
    (9, 65, 7): ("9f77e6478b7ed1ce", "e509e6cefef53b94", "7e4ed001c21d2d63", "577064c2af610b3b", "2927184fe9255d6b"),
    (70, 20, 7): ("353279fe20973f93", "afe73b0504f6a4f7", "bf69bfba7dd81637", "5327bcfaf246d102", "047a9245f5409d0d"),
    (33, 130, 7): ("714a32125125a760", "35526514362c9d33", "7349a24d3c1365b3", "ee56b744eca4482e", "7e3b4f7f19c2278d"),
    (100, 48, 7): ("4fb98f0d38842ee8", "d5256598883e7bdd", "25d294836f39d50c", "3bab8ca5ab490d70", "00b7e9d7ce40708d"),
    (90, 8, 7): ("ae2d6ac040b37051", "", "378f075b6556df97", "9fb839c76462c320", "e4214bbfee0c8b20"),
    (256, 8, 7): ("d3c33c984f3ef376", "", "daa233bcf748f60a", "4e9bfe1918c5eb96", "9c5cd6d5865697bd"),
    (1000, 64, 7): ("ae3033295a4032ca", "e31205d99addeaf5", "1897d050d7226fc1", "b574debbd38cf0cb", "7cbf05ed7920a153"),
    (3000, 40, 7): ("aa93d533a0a7565f", "", "b7f98b86114c6ead", "", "da52599ff244a89f"),
    (25, 12, 7): ("8d3f8143888318d2", "73fb859f826a46b4", "0076a28467515ae4", "afd4d5756eeb6b59", "941d205ced68a3ff"),
    (129, 16, 7): ("433d5d9967b6ee96", "7e333ea714d010e3", "d6647b0fa4f10c71", "66193b4fad687f4e", "2e298924fc32e519"),
    (81, 64, 7): ("001e280ee1ac4877", "632095bd2975e714", "9f19ecab3b25f4b0", "d683e94a71fa714f", "1b37b770dccd716d"),
    (20, 512, 3): ("cee2493dab728b2a", "1d7024df2d9568f2", "49f8dd7f62cf5fd1", "bd8a4cf3b9a44cbb", "c028551aeba9695d"),
    (1000, 2048, 3): (
        "faf71356cd56d954", "9f03ac47b962d6c3", "f0cdb432738a19e7", "872577c56a632236", "5d93cf57ccf372db",
    ),
    (100000, 64, 3): ("12aef7a8ee928f13", "", "0854fe7562317e50", "", "dadf7b553be40da7"),
}  # fmt: skip


@pytest.mark.parametrize(("classes", "bits", "seed"), RECORDED)
def test_same_words_on_every_machine_and_in_every_version(classes, bits, seed):
    recorded = dict(zip(CODEBOOKS, RECORDED[classes, bits, seed], strict=True))
    made = {name: make_codebook(name, classes, bits, seed).fingerprint[:16] for name in CODEBOOKS if recorded[name]}
    assert made == {name: digits for name, digits in recorded.items() if digits}


@pytest.mark.parametrize("name", ["bernoulli", "max-distance", "mds", "spread"])
def test_another_seed_gives_other_words(name):
    assert make_codebook(name, 10, 32, seed=0).fingerprint != make_codebook(name, 10, 32, seed=1).fingerprint


def test_letters_of_the_field():
    assert {letter: make_codebook(letter, 4, 8).name for letter in ALIASES} == dict(ALIASES)
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
        make_codebook(name, classes, bits, seed)


def test_codebooks_need_neither_torch_nor_the_compiler():
    program = (
        "import sys; from bitseek.codebooks import make_codebook\n"
        "book = make_codebook('spread', 100, 32); book.describe()\n"
        "assert not {'torch', 'numba', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


# --- the value ------------------------------------------------------------------------------------------------------


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


def test_describe_is_the_whole_value_in_json():
    book = make_codebook("bernoulli", 100, 7, seed=2)
    described = json.loads(json.dumps(book.describe()))
    assert described["repaired"] == book.repaired > 0
    for name, value in described.items():
        assert value == pytest.approx(getattr(book, name), abs=1e-6) if isinstance(value, float) else value


# --- distances ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 140))
@settings(max_examples=60, deadline=None)
def test_distances_against_brute_force(seed, count, bits):
    words = np.unique(np.random.default_rng(seed).integers(0, 2, (count, bits)).astype(bool), axis=0)
    book = Codebook("mine", 0, Codes.from_bits(words))
    distances = all_distances(words)
    assert book.minimum_distance == smallest_distance(words)
    assert total_distance(book.codes) == sum(distances)
    assert book.mean_distance == pytest.approx(np.mean(distances) if distances else bits)


def test_minimum_distance_of_many_codewords():
    words = np.random.default_rng(0).integers(0, 2, (2500, 70)).astype(bool)
    words[1700] = words[3]
    words[1700, [5, 9, 69]] ^= True
    signs = words.astype(np.float32) * 2 - 1
    table = (70 - signs @ signs.T) / 2 + 1000 * np.eye(2500)
    codes = Codes.from_bits(words)
    assert Codebook("mine", 0, codes).minimum_distance == table.min() == 3
    assert Codebook("mine", 0, codes, guaranteed=3).minimum_distance == 3


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_duplicates(values):
    seen: set[int] = set()
    expected = [value in seen or seen.add(value) is not None for value in values]
    assert duplicates(Codes(np.array(values, np.uint64)[:, None], 4)).tolist() == expected


# --- bounds ---------------------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize(("classes", "bits"), [(2, 9), (10, 12), (17, 16), (40, 20), (100, 32)])
def test_no_codebook_exceeds_the_linear_programming_bound(classes, bits):
    best = max(d for d in range(1, bits + 1) if d == 1 or delsarte(bits, d) >= classes - 1e-6)
    assert make_codebook("spread", classes, bits).minimum_distance <= best <= bits


def test_bounds_hold_for_every_small_code():
    words = np.arange(1 << 5)
    table = np.bitwise_count(words[:, None] ^ words)
    for classes in (2, 3, 4, 5):
        largest = max(
            int(table[np.ix_(rows, rows)][np.triu_indices(classes, 1)].min())
            for rows in ((0, *others) for others in itertools.combinations(range(1, 32), classes - 1))
        )
        assert make_codebook("spread", classes, 5).minimum_distance <= largest <= upper_bound(classes, 5)


@given(st.integers(1, 200), st.integers(1, 300))
def test_upper_bound_is_the_largest_distance_allowed(classes, bits):
    allowed = [d for d in range(1, bits + 1) if most_words(bits, d) >= classes]
    assert upper_bound(classes, bits) == (bits if classes == 1 else max(allowed, default=1))


@given(st.integers(1, 12), st.integers(1, 200))
def test_griesmer_distance_is_the_largest_distance_allowed(dimension, bits):
    needed = {d: sum(int(np.ceil(d / 2**i)) for i in range(dimension)) for d in range(bits + 1)}
    assert griesmer_distance(dimension, bits) == max(d for d in needed if needed[d] <= bits)
    simplex = (1 << dimension) - 1  # attains the bound
    assert griesmer_distance(dimension, simplex) == (simplex + 1) // 2
