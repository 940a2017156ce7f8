"""Codes in files: in bitseek's own form, and in those of others, read and written by those others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unchecked import unchecked

from bitseek.codes import FORMS, Codes
from bitseek.errors import BitseekError


def random_bits(n, bits, seed=0):
    return np.random.default_rng(seed).random((n, bits)) < 0.5


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 30), bits=st.integers(1, 200))
def test_there_and_back(form, n, bits, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "codes"
    codes = Codes.from_bits(random_bits(n, bits))
    codes.save(path, form)
    assert Codes.load(path, form, bits) == codes


@pytest.mark.parametrize("bits", [8, 64, 72, 256])
def test_faiss_reads_what_we_write(bits, tmp_path):
    faiss = pytest.importorskip("faiss")
    plain = random_bits(50, bits)
    Codes.from_bits(plain).save(tmp_path / "codes.faiss", "faiss")
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
    np.testing.assert_array_equal(Codes.load(path, "faiss").to_bits(), plain)
    if bits > 8:
        plain[:, -3:] = False
        flat.reset()
        flat.add(np.packbits(plain, axis=1, bitorder="little"))
        faiss.write_index_binary(flat, path)
        np.testing.assert_array_equal(Codes.load(path, "faiss", bits - 3).to_bits(), plain[:, :-3])
    mapped = faiss.IndexBinaryIDMap(faiss.IndexBinaryFlat(bits))
    order = np.random.default_rng(2).permutation(50)
    mapped.add_with_ids(np.packbits(plain[order], axis=1, bitorder="little"), order)
    faiss.write_index_binary(mapped, path)
    np.testing.assert_array_equal(Codes.load(path, "faiss").to_bits(), plain)


def test_other_faiss_indexes_are_refused(tmp_path):
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexBinaryHNSW(64, 8)
    index.add(np.zeros((3, 8), np.uint8))
    faiss.write_index_binary(index, str(tmp_path / "index"))
    with pytest.raises(BitseekError, match="not an IndexBinaryFlat"):
        Codes.load(tmp_path / "index", "faiss")


@pytest.mark.parametrize("order", ["little", "big"])
def test_numpy_packs_the_same(order, tmp_path):
    plain = random_bits(20, 50)
    np.save(tmp_path / "packed.npy", np.packbits(plain, axis=1, bitorder=order))
    np.testing.assert_array_equal(Codes.load(tmp_path / "packed.npy", f"packed-{order}", 50).to_bits(), plain)
    Codes.from_bits(plain).save(tmp_path / "ours.npy", f"packed-{order}")
    unpacked = np.unpackbits(np.load(tmp_path / "ours.npy"), axis=1, bitorder=order, count=50)
    np.testing.assert_array_equal(unpacked, plain)


def test_signs_and_hex_are_what_they_say(tmp_path):
    codes = Codes.from_bits([[1, 0, 1, 1, 0], [0, 0, 0, 0, 1]])
    codes.save(tmp_path / "signs.npy", "signs")
    np.testing.assert_array_equal(np.load(tmp_path / "signs.npy"), [[1, -1, 1, 1, -1], [-1, -1, -1, -1, 1]])
    codes.save(tmp_path / "codes.txt", "hex")
    assert (tmp_path / "codes.txt").read_text() == "b0\n08\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", [b"", b"IBxF", b"IBxF" + b"\xff" * 40, b"\x93NUMPY\x01\x00", b"zz\n"])
def test_rubbish_is_refused_with_a_sentence(form, content, tmp_path):
    (tmp_path / "rubbish").write_bytes(content)
    with pytest.raises(BitseekError, match="rubbish"):
        Codes.load(tmp_path / "rubbish", form)


@pytest.mark.parametrize("form", FORMS)
def test_no_damage_gives_another_error(form, tmp_path):
    path = tmp_path / "file"
    Codes.from_bits(random_bits(20, 64)).save(path, form)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(len(whole))] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, max(1, len(damaged)), rng.integers(4)):
            if damaged:
                damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert isinstance(Codes.load(path, form), Codes)
        except BitseekError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("form", FORMS)
def test_the_number_of_bits_that_was_asked_for(form, tmp_path):
    codes = Codes.from_bits(random_bits(3, 64))
    codes.save(tmp_path / "file", form)
    assert Codes.load(tmp_path / "file", form) == Codes.load(tmp_path / "file", form, np.int64(64)) == codes
    for bits in (32, 60, 128):
        with pytest.raises(BitseekError, match=r"file is not a file of codes of the form"):
            Codes.load(tmp_path / "file", form, bits)
    for bits in (0, 6.0, "64"):
        with pytest.raises(BitseekError, match="bits is a whole number"):
            unchecked(Codes.load)(tmp_path / "file", form, bits)


def test_npz_keeps_other_arrays_and_says_what_it_lacks(tmp_path):
    path = tmp_path / "codes.npz"
    codes = Codes.from_bits(random_bits(5, 77))
    codes.save(path, paths=np.array(["a", "b"]), model="fingerprint")
    assert Codes.load(path) == codes
    assert sorted(found.name for found in tmp_path.iterdir()) == ["codes.npz"]
    with np.load(path) as arrays:
        assert arrays["paths"].tolist() == ["a", "b"] and arrays["bits"] == 77
    np.savez(path, words=codes.words)
    with pytest.raises(BitseekError, match=r"codes\.npz .* it holds words instead of words and bits"):
        Codes.load(path)
    for words, bits in ((codes.words, np.array([77])), (codes.words, 7.5), (codes.words, 0), (codes.words[:, :1], 77)):
        np.savez(path, words=words, bits=bits)
        with pytest.raises(BitseekError, match=r"codes\.npz is not a file of codes"):
            Codes.load(path)


def test_names_that_the_codes_need_and_forms_without_names(tmp_path):
    codes = Codes.from_bits([[1]])
    for name in ("words", "bits"):
        with pytest.raises(BitseekError, match=f"kept as '{name}'"):
            codes.save(tmp_path / "file", **{name: np.zeros(3)})
    for form in FORMS.keys() - {"npz"}:
        with pytest.raises(BitseekError, match=f"form '{form}' holds codes only, not labels, paths"):
            codes.save(tmp_path / "file", form, labels=np.zeros(1), paths=np.array(["a"]))
    with pytest.raises(BitseekError, match="not an array of numbers or text"):
        codes.save(tmp_path / "file", odd=object())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", FORMS)
def test_writing_is_atomic(form, tmp_path, monkeypatch):
    path = tmp_path / "file"
    old, new = Codes.from_bits(random_bits(3, 16)), Codes.from_bits(random_bits(3, 16, 1))
    old.save(path, form)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BitseekError, match=r"cannot write .*file: No space left on device"):
        new.save(path, form)
    monkeypatch.undo()
    assert Codes.load(path, form, 16) == old
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_every_form_says_what_it_is():
    assert list(FORMS) == ["npz", "faiss", "packed-little", "packed-big", "signs", "hex"]
    assert all(isinstance(form.about, str) and form.about for form in FORMS.values())


def test_absent_files_and_unknown_forms(tmp_path):
    with pytest.raises(BitseekError, match="there is no file"):
        Codes.load(tmp_path / "nothing", "hex")
    with pytest.raises(BitseekError, match=r"there is no form 'base64' .* npz, faiss, packed-little"):
        Codes.load(tmp_path / "nothing", "base64")
    with pytest.raises(BitseekError, match="cannot write"):
        Codes.from_bits([[1]]).save(tmp_path / "no" / "folder", "hex")


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BitseekError, match="not a file of codes"):
        Codes.load(tmp_path / "evil.npy", "signs")


def test_forms_and_paths_that_are_none(tmp_path, monkeypatch, unchecked):
    codes = Codes.from_bits(random_bits(3, 8))
    for form in ([], None, 3, "x"):
        with pytest.raises(BitseekError, match="there is no form"):
            codes.save(tmp_path / "file", form)
        with pytest.raises(BitseekError, match="there is no form"):
            Codes.load(tmp_path / "file", form)
    for form in FORMS:
        for path in ("", ".", "/", "a\0b", None):
            with pytest.raises(BitseekError, match=r"a path is|cannot write"):
                codes.save(path, form)
    with pytest.raises(BitseekError, match="'ids' cannot be written"):
        codes.save(tmp_path / "file", ids=[[1], [1, 2]])
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("HOME", str(tmp_path))
    for form in FORMS:
        codes.save("~/file", form)
        assert (tmp_path / "file").is_file() and Codes.load("~/file", form, 8) == codes
