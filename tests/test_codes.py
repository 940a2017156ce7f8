"""Codes: every way in and out agrees with plain NumPy bits, and nothing bad gets in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitseek import Codes
from bitseek.errors import BitseekError, CodeWidthError, ShapeError

bit_arrays = st.tuples(st.integers(0, 9), st.integers(1, 300)).flatmap(lambda shape: arrays(np.bool_, shape))


@given(bit_arrays)
def test_round_trips(bits):
    codes = Codes.from_bits(bits)
    n, K = bits.shape
    assert len(codes) == n and codes.bits == K
    assert (codes.to_bits() == bits).all()
    assert (codes.to_signs() == np.where(bits, 1, -1)).all() and codes.to_signs().dtype == np.int8
    assert Codes.from_bits(bits.astype(int)) == codes
    assert Codes.from_bits(codes.to_signs()) == codes
    assert Codes.from_logits(codes.to_signs().astype(np.float32)) == codes
    for order in ("little", "big"):
        assert (codes.to_packed(order) == np.packbits(bits, axis=1, bitorder=order)).all()
        assert Codes.from_packed(codes.to_packed(order), K, order) == codes
    assert Codes.from_hex(codes.hex(), K) == codes


@given(bit_arrays)
def test_hex_reads_like_the_bits(bits):
    for text, row in zip(Codes.from_bits(bits).hex(), bits, strict=True):
        padded = "".join("1" if bit else "0" for bit in row).ljust(4 * len(text), "0")
        assert text == "".join(f"{int(padded[i : i + 4], 2):x}" for i in range(0, len(padded), 4))


def test_zero_is_one_and_minus_zero_too():
    assert Codes.from_logits(np.array([[0.0, -0.0, -1e-45, 1e-45]], np.float32)).to_bits().tolist() == [
        [True, True, False, True]
    ]


def test_nan_is_no_bit():
    with pytest.raises(ShapeError, match="item 1 is NaN"):
        Codes.from_logits(np.array([[1.0, 2.0], [np.nan, 0.0]]))


@pytest.mark.parametrize("bad", [[[0, 2]], [[-1, 0, 1]], [["a"]], [0, 1], [[0.5]], np.zeros((2, 0))])
def test_other_values_are_refused(bad):
    with pytest.raises(ShapeError):
        Codes.from_bits(bad)


def test_ones_alone_are_ones():
    assert Codes.from_bits([[1, 1]]).to_bits().all() and not Codes.from_bits([[-1, -1]]).to_bits().any()


def test_unused_bits_must_be_zero():
    Codes(np.array([[2**5 - 1]], np.uint64), 5)
    with pytest.raises(ShapeError, match="above bit 5"):
        Codes(np.array([[2**5]], np.uint64), 5)
    with pytest.raises(ShapeError, match="bit order"):
        Codes.from_packed(np.array([[0b10000000]], np.uint8), 5, "little")


@pytest.mark.parametrize("words", [np.zeros((2, 2), np.uint64), np.zeros((2, 1), np.int64), np.zeros(2, np.uint64)])
def test_wrong_words(words):
    with pytest.raises(ShapeError, match="packed as"):
        Codes(words, 64)


def test_immutable_and_a_memory_map_stays_one(tmp_path):
    np.save(tmp_path / "words.npy", np.arange(6, dtype=np.uint64).reshape(6, 1))
    words = np.load(tmp_path / "words.npy", mmap_mode="r")
    codes = Codes(words, 64)
    assert isinstance(codes.words, np.memmap) and np.shares_memory(codes.words, words)
    with pytest.raises(AttributeError):
        codes.bits = 3
    with pytest.raises(ValueError, match="read-only"):
        Codes.from_bits([[1]]).words[0] = 0


def test_slices_are_codes():
    codes = Codes.from_bits(np.eye(70, dtype=bool))
    assert codes[3] == codes[3:4] == codes[[3]] == codes[np.arange(70) == 3]
    assert len(codes[[]]) == 0 and codes[-1].to_bits()[0, 69]
    assert Codes.concat([codes[:10], codes[10:]]) == codes == Codes.concat(list(codes))
    assert codes != codes[:-1] and codes != Codes.from_bits(np.eye(70, 71, dtype=bool)) and codes != "codes"


def test_concat_refuses_other_widths():
    with pytest.raises(CodeWidthError, match=r"\[3, 4\]"):
        Codes.concat([Codes.from_bits([[1, 0, 1]]), Codes.from_bits([[1, 0, 1, 0]])])
    with pytest.raises(ShapeError):
        Codes.concat([])


def test_save_and_load(tmp_path):
    codes = Codes.from_bits(np.eye(5, 77, dtype=bool))
    codes.save(tmp_path / "codes.npz", paths=np.array(["a", "b"]))
    assert Codes.load(tmp_path / "codes.npz") == codes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codes.npz"]


def test_damaged_files_say_so(tmp_path):
    path = tmp_path / "codes.npz"
    with pytest.raises(BitseekError, match="no file"):
        Codes.load(path)
    Codes.from_bits([[1, 0]]).save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"nothing", whole[: len(whole) // 2], whole[:-9]):
        path.write_bytes(damaged)
        with pytest.raises(BitseekError, match=r"not an \.npz file"):
            Codes.load(path)
    with pytest.raises(BitseekError, match="cannot write"):
        Codes.from_bits([[1, 0]]).save(tmp_path / "absent" / "codes.npz")


@pytest.mark.parametrize("digits, bits", [(["xyz"], None), (["ab", "abc"], None), (["ab"], 12), ([], None)])
def test_bad_hex(digits, bits):
    with pytest.raises(ShapeError):
        Codes.from_hex(digits, bits)
