"""Codes in files of others, read and written by those others: faiss and NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek import interchange
from bitseek.codes import Codes
from bitseek.errors import BitseekError


def random_bits(n, bits, seed=0):
    return np.random.default_rng(seed).random((n, bits)) < 0.5


@pytest.mark.parametrize("form", interchange.FORMS)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 30), bits=st.integers(1, 200))
def test_there_and_back(form, n, bits, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "codes"
    codes = Codes.from_bits(random_bits(n, bits))
    interchange.write(codes, path, form)
    assert interchange.read(path, form, bits) == codes


@pytest.mark.parametrize("bits", [8, 64, 72, 256])
def test_faiss_reads_what_we_write(bits, tmp_path):
    faiss = pytest.importorskip("faiss")
    plain = random_bits(50, bits)
    interchange.write(Codes.from_bits(plain), tmp_path / "codes.faiss", "faiss")
    index = faiss.read_index_binary(str(tmp_path / "codes.faiss"))
    assert index.d == bits and index.ntotal == 50
    queries = random_bits(7, bits, 1)
    distances, _ = index.search(np.packbits(queries, axis=1, bitorder="little"), 50)
    expected = np.sort((queries[:, None] ^ plain[None]).sum(axis=2), axis=1)
    np.testing.assert_array_equal(distances, expected)


@pytest.mark.parametrize("bits", [8, 64, 72])
def test_we_read_what_faiss_writes(bits, tmp_path):
    faiss = pytest.importorskip("faiss")
    plain = random_bits(50, bits)
    packed = np.packbits(plain, axis=1, bitorder="little")
    path = str(tmp_path / "codes.faiss")
    flat = faiss.IndexBinaryFlat(bits)
    flat.add(packed)
    faiss.write_index_binary(flat, path)
    np.testing.assert_array_equal(interchange.read(path, "faiss").to_bits(), plain)
    if bits > 8:
        plain[:, -3:] = False
        flat.reset()
        flat.add(np.packbits(plain, axis=1, bitorder="little"))
        faiss.write_index_binary(flat, path)
        np.testing.assert_array_equal(interchange.read(path, "faiss", bits - 3).to_bits(), plain[:, :-3])
    mapped = faiss.IndexBinaryIDMap(faiss.IndexBinaryFlat(bits))
    order = np.random.default_rng(2).permutation(50)
    mapped.add_with_ids(np.packbits(plain[order], axis=1, bitorder="little"), order)
    faiss.write_index_binary(mapped, path)
    np.testing.assert_array_equal(interchange.read(path, "faiss").to_bits(), plain)


def test_other_faiss_indexes_are_refused(tmp_path):
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexBinaryHNSW(64, 8)
    index.add(np.zeros((3, 8), np.uint8))
    faiss.write_index_binary(index, str(tmp_path / "index"))
    with pytest.raises(BitseekError, match="not an IndexBinaryFlat"):
        interchange.read(tmp_path / "index", "faiss")


@pytest.mark.parametrize("order", ["little", "big"])
def test_numpy_packs_the_same(order, tmp_path):
    plain = random_bits(20, 50)
    np.save(tmp_path / "packed.npy", np.packbits(plain, axis=1, bitorder=order))
    np.testing.assert_array_equal(interchange.read(tmp_path / "packed.npy", f"packed-{order}", 50).to_bits(), plain)
    interchange.write(Codes.from_bits(plain), tmp_path / "ours.npy", f"packed-{order}")
    unpacked = np.unpackbits(np.load(tmp_path / "ours.npy"), axis=1, bitorder=order, count=50)
    np.testing.assert_array_equal(unpacked, plain)


def test_signs_and_hex_are_what_they_say(tmp_path):
    codes = Codes.from_bits([[1, 0, 1, 1, 0], [0, 0, 0, 0, 1]])
    interchange.write(codes, tmp_path / "signs.npy", "signs")
    np.testing.assert_array_equal(np.load(tmp_path / "signs.npy"), [[1, -1, 1, 1, -1], [-1, -1, -1, -1, 1]])
    interchange.write(codes, tmp_path / "codes.txt", "hex")
    assert (tmp_path / "codes.txt").read_text() == "b0\n08\n"


@pytest.mark.parametrize("form", interchange.FORMS)
@pytest.mark.parametrize("content", [b"", b"IBxF", b"IBxF" + b"\xff" * 40, b"\x93NUMPY\x01\x00", b"zz\n"])
def test_rubbish_is_refused_with_a_sentence(form, content, tmp_path):
    (tmp_path / "rubbish").write_bytes(content)
    with pytest.raises(BitseekError, match="rubbish"):
        interchange.read(tmp_path / "rubbish", form)


def test_absent_files_and_unknown_forms(tmp_path):
    with pytest.raises(BitseekError, match="there is no file"):
        interchange.read(tmp_path / "nothing", "hex")
    with pytest.raises(BitseekError, match="faiss, packed-little"):
        interchange.read(tmp_path / "nothing", "base64")
    with pytest.raises(BitseekError, match="cannot write"):
        interchange.write(Codes.from_bits([[1]]), tmp_path / "no" / "folder", "hex")


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BitseekError, match="cannot be read"):
        interchange.read(tmp_path / "evil.npy", "signs")
