"""First bits of codes are codes in their own right, and the names of what a model gives at one length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from unchecked import unchecked

from bitseek.codes import Codes, hamming_distances, prefix_fingerprint, trained_length
from bitseek.errors import CodeWidthError, ShapeError

cut_bits = st.tuples(st.integers(0, 7), st.integers(1, 300)).flatmap(
    lambda shape: st.tuples(arrays(np.bool_, shape), st.integers(1, shape[1]))
)


@given(cut_bits)
def test_the_first_bits_are_those_of_the_array(given):
    bits, length = given
    codes = Codes.from_bits(bits)
    first = codes.prefix(length)
    assert first.bits == length and len(first) == len(bits)
    np.testing.assert_array_equal(first.to_bits(), bits[:, :length])
    assert first == Codes.from_bits(bits[:, :length])  # also the unused bits of the last word
    assert codes == Codes.from_bits(bits)  # which stay as they were
    assert first.hex() == Codes.from_bits(bits[:, :length]).hex()
    np.testing.assert_array_equal(
        hamming_distances(first, first), (bits[:, None, :length] ^ bits[None, :, :length]).sum(axis=2)
    )


@given(cut_bits, st.data())
def test_a_prefix_of_a_prefix(given, data):
    bits, length = given
    shorter = data.draw(st.integers(1, length))
    codes = Codes.from_bits(bits)
    assert codes.prefix(length).prefix(shorter) == codes.prefix(shorter)


def test_whole_words_are_not_copied_and_a_memory_map_stays_one(tmp_path):
    words = np.random.default_rng(0).integers(0, 2**64, (50, 4), dtype=np.uint64)
    words.tofile(tmp_path / "words")
    mapped = np.memmap(tmp_path / "words", np.uint64, "r", shape=(50, 4))
    for array in (words, mapped):
        codes = Codes(array, 256)
        for length in (64, 128, 192, 256):
            assert np.shares_memory(codes.prefix(length).words, array)
        assert not np.shares_memory(codes.prefix(100).words, array)
        assert isinstance(codes.prefix(128).words, type(array))
    first = Codes(words, 256).prefix(64)
    assert not first.words.flags.writeable
    first.save(tmp_path / "first.npz")
    assert Codes.load(tmp_path / "first.npz") == first == Codes.from_packed(first.to_packed(), 64)
    assert first[7] == Codes(words[7:8, :1].copy(), 64)


@pytest.mark.parametrize("length", [0, -1, 1.0, "8", True, None])
def test_no_number_of_bits(length):
    with pytest.raises(ShapeError, match="bits is a whole number of 1 or more"):
        unchecked(Codes.from_bits([[1, 0, 1]]).prefix)(length)


def test_more_bits_than_there_are():
    with pytest.raises(CodeWidthError, match="codes of 3 bits have no first 4 bits; give 3 at most"):
        Codes.from_bits([[1, 0, 1]]).prefix(4)


def test_a_length_that_was_not_trained_is_refused_with_those_that_were():
    assert trained_length(np.int64(32), (16, 32, 64), "it") == 32
    with pytest.raises(CodeWidthError, match=r"^it was trained to give codes of 16 or 32 or 64 bits, not of 24; ask"):
        trained_length(24, (16, 32, 64), "it")
    with pytest.raises(CodeWidthError, match=r"of 64 bits, not of 16; .* --set lengths=16"):
        trained_length(16, (64,), "it")
    with pytest.raises(ShapeError):
        trained_length(0, (64,), "it")


@pytest.mark.parametrize("form", ["", "+onnx", "+int8-54e6c2d0"])
def test_fingerprints_of_prefixes(form):
    base = "8d5a6a7ab07ee0a1"
    first = prefix_fingerprint(base + form, 32)
    assert first == f"{base}:32{form}" and prefix_fingerprint(first, 16) == f"{base}:16{form}"
