"""Codes: every way in and out agrees with plain NumPy bits, and nothing bad gets in."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from unchecked import unchecked

from bitseek.codes import Codes, hamming_distances, words_per_code
from bitseek.errors import CodeWidthError, ShapeError

new_codes = unchecked(object.__new__(Codes).__init__)

bit_arrays = st.tuples(st.integers(0, 9), st.integers(1, 300)).flatmap(lambda shape: arrays(np.bool_, shape))


@given(bit_arrays)
def test_round_trips(bits):
    codes = Codes.from_bits(bits)
    n, K = bits.shape
    assert len(codes) == n and codes.bits == K
    assert codes.words.shape == (n, words_per_code(K))
    assert (codes.to_bits() == bits).all()
    assert (codes.to_signs() == np.where(bits, 1, -1)).all() and codes.to_signs().dtype == np.int8
    assert Codes.from_bits(bits.astype(int)) == codes
    assert Codes.from_bits(codes.to_signs()) == codes
    assert Codes.from_logits(codes.to_signs().astype(np.float32)) == codes
    for order in ("little", "big"):
        packed = codes.to_packed(order)
        assert packed.dtype == np.uint8 and packed.flags.c_contiguous
        assert (packed == np.packbits(bits, axis=1, bitorder=order)).all()
        assert Codes.from_packed(packed, K, order) == codes
    assert Codes.from_hex(codes.hex(), K) == codes


@given(bit_arrays)
def test_words_hold_bit_j_at_place_j_of_64_and_zeros_above(bits):
    words = Codes.from_bits(bits).words
    for row, code in zip(words, bits, strict=True):
        number = sum(int(word) << 64 * i for i, word in enumerate(row))
        assert number == sum(1 << j for j, bit in enumerate(code) if bit)


@given(bit_arrays)
def test_hex_reads_like_the_bits(bits):
    for text, row in zip(Codes.from_bits(bits).hex(), bits, strict=True):
        padded = "".join("1" if bit else "0" for bit in row).ljust(4 * len(text), "0")
        assert text == "".join(f"{int(padded[i : i + 4], 2):x}" for i in range(0, len(padded), 4))


@pytest.mark.parametrize(
    "bad",
    [
        [[0, 2]],
        [[-1, 0, 1]],
        [["a"]],
        [0, 1],
        [[0.5]],
        np.zeros((2, 0)),
        "01",
        None,
        [[None]],
        [[0], [0, 1]],
        1,
        [[1j]],
    ],
)
def test_other_bits_are_refused(bad):
    with pytest.raises(ShapeError):
        Codes.from_bits(bad)


def test_ones_alone_are_ones():
    assert Codes.from_bits([[1, 1]]).to_bits().all() and not Codes.from_bits([[-1, -1]]).to_bits().any()


def test_bits_of_tensors():
    torch = pytest.importorskip("torch")
    bits = np.random.default_rng(0).random((4, 70)) < 0.5
    tensor = torch.from_numpy(bits)
    for form in (tensor, tensor.float(), tensor.bfloat16(), 2.0 * tensor - 1, (2 * tensor.half() - 1).requires_grad_()):
        assert Codes.from_bits(form) == Codes.from_bits(bits)


def test_unused_bits_must_be_zero():
    Codes(np.array([[2**5 - 1]], np.uint64), 5)
    with pytest.raises(ShapeError, match="above bit 5"):
        Codes(np.array([[2**5]], np.uint64), 5)
    with pytest.raises(ShapeError, match="bit order"):
        Codes.from_packed(np.array([[0b10000000]], np.uint8), 5, "little")


@pytest.mark.parametrize(
    "words",
    [
        np.zeros((2, 2), np.uint64),
        np.zeros((2, 1), np.int64),
        np.zeros(2, np.uint64),
        [[1]],
        None,
        np.zeros((2, 1), ">u8"),
    ],
)
def test_wrong_words(words):
    with pytest.raises(ShapeError, match="packed as"):
        new_codes(words, 64)


@pytest.mark.parametrize("bits", [0, -3, 2.0, "64", None, True])
def test_odd_numbers_of_bits(bits):
    with pytest.raises(ShapeError, match=f"bits is a whole number of 1 or more, got bits={bits!r}"):
        new_codes(np.zeros((2, 1), np.uint64), bits)
    with pytest.raises(ShapeError, match="bits is a whole number"):
        unchecked(Codes.from_packed)(np.zeros((2, 1), np.uint8), bits)
    if bits is not None:
        with pytest.raises(ShapeError, match="bits is a whole number"):
            unchecked(Codes.from_hex)(["ab"], bits)


@pytest.mark.parametrize("bits", [np.int64(5), np.uint8(5), np.array(5)])
def test_numbers_of_bits_from_numpy(bits):
    codes = Codes(np.array([[3]], np.uint64), bits)
    assert codes.bits == 5 and type(codes.bits) is int
    assert Codes.from_packed(np.array([[3]], np.uint8), bits) == codes == Codes.from_hex(["c0"], bits)


@pytest.mark.parametrize("packed", [[[1.0]], "ab", 3, np.zeros(3, np.uint8), np.zeros((1, 2), np.uint8), [[300]]])
def test_wrong_bytes(packed):
    with pytest.raises(ShapeError, match="pack"):
        Codes.from_packed(packed, 8)


def test_other_bit_orders():
    with pytest.raises(ShapeError, match="'little' or 'big', got 'middle'"):
        unchecked(Codes.from_packed)(np.zeros((1, 1), np.uint8), 8, "middle")
    with pytest.raises(ShapeError, match="'little' or 'big'"):
        unchecked(Codes.from_bits([[1]]).to_packed)("<")


@pytest.mark.parametrize(
    ("digits", "bits"),
    [
        (["xyz"], None),
        (["ab", "abc"], None),
        (["ab"], 12),
        ([], None),
        ("ab", None),
        ([1, 2], None),
        (["a b"], None),
        (None, 8),
        (3, 8),
        ({"ab"}, 8),
        (iter(["ab"]), 8),
        (b"ab", 8),
    ],
)
def test_bad_hex(digits, bits):
    with pytest.raises(ShapeError, match="hexadecimal"):
        unchecked(Codes.from_hex)(digits, bits)


def test_hex_in_capitals_and_without_strings():
    assert Codes.from_hex(["AB"]) == Codes.from_hex(["ab"])
    assert len(Codes.from_hex([], 12)) == 0


def test_immutable_and_a_memory_map_stays_one(tmp_path):
    np.save(tmp_path / "words.npy", np.arange(6, dtype=np.uint64).reshape(6, 1))
    words = np.load(tmp_path / "words.npy", mmap_mode="r")
    codes = Codes(words, 64)
    assert isinstance(codes.words, np.memmap) and np.shares_memory(codes.words, words)
    with pytest.raises(AttributeError, match="immutable"):
        codes.bits = 3
    with pytest.raises(AttributeError, match="immutable"):
        del codes.bits
    with pytest.raises(ValueError, match="read-only"):
        Codes.from_bits([[1]]).words[0] = 0


def test_the_array_that_was_given_can_still_be_written():
    words = np.zeros((2, 1), np.uint64)
    Codes(words, 64)
    words[0] = 1


class TestSequence:
    codes = Codes.from_bits(np.eye(70, dtype=bool))

    @given(data=st.data())
    @settings(max_examples=60)
    def test_what_is_chosen_is_chosen_of_the_bits(self, data):
        item = data.draw(
            st.slices(70)
            | st.integers(-70, 69)
            | st.integers(-70, 69).map(np.int64)
            | st.lists(st.integers(-70, 69))
            | st.lists(st.integers(-70, 69)).map(tuple)
            | st.lists(st.integers(0, 69)).map(lambda numbers: np.array(numbers, np.uint8))
            | arrays(np.bool_, 70)
        )
        plain = np.eye(70, dtype=bool)
        rows = list(item) if isinstance(item, tuple) else item
        rows = np.asarray(rows, np.int64) if isinstance(rows, list) else rows
        expected = plain[rows]
        np.testing.assert_array_equal(self.codes[item].to_bits(), np.atleast_2d(expected))

    def test_they_are_codes_of_the_same_length(self):
        assert self.codes[3] == self.codes[3:4] == self.codes[[3]] == self.codes[np.arange(70) == 3]
        assert all(isinstance(part, Codes) and part.bits == 70 for part in (self.codes[3], self.codes[[]]))
        assert Codes.concat([self.codes[:10], self.codes[10:]]) == self.codes == Codes.concat(list(self.codes))

    def test_iteration_ends_and_there_is_nothing_beyond(self):
        assert len(list(self.codes)) == 70
        for item in (70, -71, np.int64(70), [0, 70]):
            with pytest.raises(IndexError):
                self.codes[item]
        with pytest.raises(IndexError):
            self.codes[np.zeros(3, bool)]
        for item in ([0.5], "a", None, True, 1.0, np.zeros((2, 2), int)):
            with pytest.raises(ShapeError, match="rows"):
                self.codes[item]

    def test_equality_is_by_bits_and_length(self):
        codes = self.codes
        assert codes != codes[:-1] and codes != Codes.from_bits(np.eye(70, 71, dtype=bool)) and codes != "codes"
        assert copy.deepcopy(codes) == pickle.loads(pickle.dumps(codes)) == codes
        with pytest.raises(TypeError, match="unhashable"):
            hash(codes)
        assert repr(codes) == "Codes(70 × 70 bits)"

    def test_concat_refuses_other_widths(self):
        with pytest.raises(CodeWidthError, match=r"\[3, 4\]"):
            Codes.concat([Codes.from_bits([[1, 0, 1]]), Codes.from_bits([[1, 0, 1, 0]])])
        with pytest.raises(ShapeError, match="nothing"):
            Codes.concat([])

    @pytest.mark.parametrize("parts", ["s", np.zeros((2, 2)), [np.zeros(2)], None, 3])
    def test_concat_refuses_what_is_no_codes(self, parts):
        with pytest.raises(ShapeError, match="codes are Codes, got"):
            unchecked(Codes.concat)(parts)


class TestHammingDistances:
    @settings(max_examples=60, deadline=None)
    @given(
        bits=st.integers(1, 260),
        a=st.integers(0, 30),
        b=st.integers(0, 30),
        seed=st.integers(0, 2**32),
        flat=st.booleans(),
    )
    def test_equals_a_count_of_unequal_bits(self, bits, a, b, seed, flat):
        rng = np.random.default_rng(seed)
        one, other = rng.random((a, bits)) < (1 if flat else 0.5), rng.random((b, bits)) < (0 if flat else 0.5)
        found = hamming_distances(Codes.from_bits(one), Codes.from_bits(other))
        assert found.dtype == np.int32 and found.shape == (a, b)
        np.testing.assert_array_equal(found, (one[:, None] != other[None]).sum(axis=2))

    def test_more_than_one_block(self):
        rng = np.random.default_rng(0)
        one, other = rng.random((700, 40)) < 0.5, rng.random((300, 40)) < 0.5
        found = hamming_distances(Codes.from_bits(one), Codes.from_bits(other))
        expected = 40 - one.astype(int) @ other.T.astype(int) - (~one).astype(int) @ (~other).T.astype(int)
        np.testing.assert_array_equal(found, expected)

    def test_it_is_a_metric(self):
        codes = Codes.from_bits(np.random.default_rng(1).random((25, 33)) < 0.3)
        d = hamming_distances(codes, codes)
        assert (d == d.T).all() and not np.diagonal(d).any()
        assert (d[:, :, None] <= d[:, None, :] + d[None, :, :].transpose(0, 2, 1)).all()

    def test_other_lengths_are_refused(self):
        with pytest.raises(CodeWidthError, match="3 and of 4 bits"):
            hamming_distances(Codes.from_bits([[1, 0, 1]]), Codes.from_bits([[1, 0, 1, 0]]))

    def test_arrays_are_refused(self):
        codes = Codes.from_bits([[1, 0, 1]])
        for pair in ((np.zeros((1, 3)), codes), (codes, [[1, 0, 1]]), (None, codes)):
            with pytest.raises(ShapeError, match=r"codes are Codes, got .*; use Codes\.from_bits"):
                unchecked(hamming_distances)(*pair)
