"""score and convert: files of codes that anything has made."""

import numpy as np
import pytest

from bitseek.codes import FORMS, Codes
from bitseek.metrics import Relevance, retrieval


def scored(tmp_path, **changes):
    """A file to score, and what is in it."""
    rng = np.random.default_rng(0)
    arrays = {
        "query_codes": rng.random((7, 12)) < 0.5,
        "database_codes": rng.random((90, 12)) < 0.5,
        "query_labels": rng.integers(0, 3, 7),
        "database_labels": rng.integers(0, 3, 90),
    } | changes
    np.savez(tmp_path / "codes.npz", **{name: a for name, a in arrays.items() if a is not None})
    return tmp_path / "codes.npz", arrays


def packed(bits, order):
    return np.packbits(bits, axis=1, bitorder=order)


def test_score_reads_every_form_of_codes(bitseek, tmp_path):
    path, arrays = scored(tmp_path)
    names = ("query_codes", "database_codes")
    relevance = Relevance.from_labels(arrays["query_labels"], arrays["database_labels"])
    expected = retrieval(*(Codes.from_bits(arrays[name]) for name in names), relevance, k=20)
    plain = bitseek.answer("score", path, "-k", "20")
    assert {"mAP", "mAP_best", "mAP_worst", "k", "denominator", "ties", "queries", "database", "bits"} <= set(plain)
    assert plain["mAP"] == pytest.approx(expected.mAP) and (plain["bits"], plain["k"]) == (12, 20)
    for change, more in (
        (lambda bits: bits.astype(np.uint8), {}),
        (lambda bits: np.where(bits, 1, -1).astype(np.int8), {}),
        (lambda bits: np.where(bits, 1.0, -1.0).astype(np.float32), {}),
        (lambda bits: bits, {"bits": 12}),
        (lambda bits: packed(bits, "little"), {"bits": 12}),
        (lambda bits: packed(bits, "big"), {"bits": 12}),
        (lambda bits: packed(bits, "big"), {"bits": 12, "bit_order": "big"}),
        (lambda bits: np.array(Codes.from_bits(bits).words), {"bits": 12}),
    ):
        path, _ = scored(tmp_path, **{name: change(arrays[name]) for name in names}, **more)
        assert bitseek.answer("score", path, "--k", "20") == plain
    assert "mAP" in bitseek.text("score", path) and bitseek.answer("score", path)["k"] is None


def test_the_bit_order_is_one_for_the_file(bitseek, tmp_path):
    """Bug 13: it was guessed for each array, so one packed the other way round than the other gave a wrong figure."""
    _, arrays = scored(tmp_path)
    mixed = {
        "query_codes": packed(arrays["query_codes"], "little"),
        "database_codes": packed(arrays["database_codes"], "big"),
        "bits": 12,
    }
    path, _ = scored(tmp_path, **mixed)
    assert "with neither bit order are the 4 bits beyond bit 12 zero" in bitseek.refusal("score", path)
    assert "is not packed in big bit order" in bitseek.refusal("score", path, "--bit-order", "big")
    path, _ = scored(tmp_path, **mixed, bit_order="little")
    assert "is not packed in little bit order" in bitseek.refusal("score", path)
    # A query whose padding would fit either order is read as the database says.
    bits = np.zeros((7, 12), bool)
    bits[:, [1, 5]] = True
    little = {"query_codes": packed(bits, "little"), "database_codes": packed(arrays["database_codes"], "little")}
    plain = bitseek.answer("score", scored(tmp_path, query_codes=bits)[0])
    assert bitseek.answer("score", scored(tmp_path, **little, bits=12)[0]) == plain
    assert bitseek.answer("score", scored(tmp_path, **little, bits=12)[0], "--bit-order", "little") == plain


def test_score_multi_hot_ids_and_ties(bitseek, tmp_path):
    rng = np.random.default_rng(1)
    hot = {"query_labels": rng.random((7, 5)) < 0.3, "database_labels": (rng.random((90, 5)) < 0.3).astype(np.int64)}
    path, _ = scored(tmp_path, **hot)
    values = {
        order: bitseek.answer("score", path, "--ties", order) for order in ("expected", "best", "worst", "stable")
    }
    assert all(value["ties"] == order for order, value in values.items())
    mean = {order: value["mAP"] for order, value in values.items()}
    assert (
        mean["worst"] <= min(mean["expected"], mean["stable"]) and max(mean["expected"], mean["stable"]) <= mean["best"]
    )
    path, _ = scored(tmp_path, query_ids=np.arange(7), database_ids=np.arange(90))
    assert bitseek.answer("score", path)["excluded"] == 7
    path, arrays = scored(tmp_path)
    reals, _ = scored(tmp_path, database_labels=arrays["database_labels"].astype(np.float64))
    assert bitseek.answer("score", reals) == bitseek.answer("score", scored(tmp_path)[0])


def test_score_without_any_hit(bitseek, tmp_path):
    path, _ = scored(tmp_path, query_labels=np.full(7, 9))
    assert bitseek.answer("score", path)["mAP"] == 0
    assert bitseek.answer("score", path, "--no-hit", "skip")["mAP"] is None


def test_score_says_what_is_wrong(bitseek, tmp_path):
    assert "there is no file" in bitseek.refusal("score", tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("nothing")
    assert "is not an .npz file" in bitseek.refusal("score", tmp_path / "text.npz")
    np.savez(tmp_path / "object.npz", query_codes=np.array([{}], dtype=object))
    assert "is not an .npz file" in bitseek.refusal("score", tmp_path / "object.npz")
    for changes, message in (
        ({"database_labels": None}, "no array 'database_labels'"),
        ({"query_codes": np.full((7, 12), 3)}, "got values like"),
        ({"query_codes": np.full((7, 2), 3, np.uint8)}, "packed codes, but no number `bits`"),
        ({"query_labels": np.arange(6)}, "7"),
        ({"query_codes": np.ones((7, 13), bool)}, "13"),
        (
            {"query_codes": np.ones((7, 3), np.uint8), "bits": 12},
            "neither (n, 12) bits nor both packed in (n, 2) uint8",
        ),
        ({"database_codes": np.zeros((0, 12), bool), "database_labels": np.zeros(0, int)}, "0 items"),  # bug 20
        ({"query_codes": np.zeros((0, 12), bool), "query_labels": np.zeros(0, int)}, "quer"),
    ):
        assert message in bitseek.refusal("score", scored(tmp_path, **changes)[0])
    path, _ = scored(tmp_path)
    assert '"some"' in bitseek.refusal("score", path, "-k", "some")
    assert "k" in bitseek.refusal("score", path, "-k", "0")


ODD = {
    "a number": np.array(3),
    "text": np.array(["a"] * 7),
    "nothing": np.zeros((0,)),
    "three axes": np.zeros((7, 12, 2)),
    "not a number": np.full((7, 12), np.nan),
    "complex": np.full((7, 12), 1j),
    "large": np.full((7, 12), 1e300),
    "negative": np.full(7, -5),
}


@pytest.mark.parametrize("name", ["query_codes", "query_labels", "query_ids", "bits", "bit_order"])
@pytest.mark.parametrize("odd", ODD)
def test_score_answers_odd_arrays_in_a_sentence(name, odd, bitseek, tmp_path):
    """Whatever is in the file, there is a sentence or, where the array makes sense after all, a figure."""
    _, arrays = scored(tmp_path)
    more = {"query_ids": np.arange(7), "database_ids": np.arange(90), "bits": 12}
    if name == "bit_order":
        more |= {codes: packed(arrays[codes], "big") for codes in ("query_codes", "database_codes")}
    path, _ = scored(tmp_path, **{**more, name: ODD[odd]})
    status, out, err = bitseek.run("score", path)
    assert (status, out) == (1, "") or (status == 0 and "mAP" in out)
    assert status == 0 or (err.startswith("bitseek: ") and err.count("\n") == 1)


@pytest.mark.parametrize("form", FORMS)
def test_convert_there_and_back(form, bitseek, tmp_path):
    codes = Codes.from_bits(np.random.default_rng(0).random((9, 24)) < 0.5)
    codes.save(tmp_path / "codes.npz")
    value = bitseek.answer("convert", tmp_path / "codes.npz", tmp_path / "other", "--to", form)
    assert (value["items"], value["bits"], value["form"]) == (9, 24, form)
    assert Codes.load(tmp_path / "other", form, 24) == codes
    said = bitseek.text("convert", tmp_path / "other", tmp_path / "back.npz", "--from", form, "--bits", "24")
    assert said == f"{tmp_path / 'back.npz'}: 9 codes of 24 bits\n"
    assert Codes.load(tmp_path / "back.npz") == codes


def test_convert_says_what_is_wrong(bitseek, tmp_path):
    (tmp_path / "text").write_text("zz\n")
    assert "hex" in bitseek.refusal("convert", tmp_path / "text", tmp_path / "out", "--from", "hex", "--to", "npz")
    assert "there is no file" in bitseek.refusal("convert", tmp_path / "absent.npz", tmp_path / "out.faiss")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.faiss").exists()


def test_convert_goes_by_the_name(bitseek, tmp_path):
    """It wrote an npz under the name of a faiss file."""
    codes = Codes.from_bits(np.random.default_rng(0).random((9, 24)) < 0.5)
    codes.save(tmp_path / "a.npz")
    assert bitseek.answer("convert", tmp_path / "a.npz", tmp_path / "b.faiss")["form"] == "faiss"
    assert Codes.load(tmp_path / "b.faiss", "faiss") == codes
    assert bitseek.answer("convert", tmp_path / "b.faiss", tmp_path / "c.NPZ")["form"] == "npz"
    assert Codes.load(tmp_path / "c.NPZ") == codes
    for options, message in (
        ((tmp_path / "a.npz", tmp_path / "d"), "say so with --to: npz, faiss"),
        ((tmp_path / "a.npz", tmp_path / "d.npy"), "say so with --to: packed-little, packed-big, signs"),
        ((tmp_path / "a", tmp_path / "d.npz"), "say so with --from"),
        ((tmp_path / "a.npz", tmp_path / "d.faiss", "--to", "npz"), "ends in .faiss, as a file of the form faiss does"),
        ((tmp_path / "a.npz", tmp_path / "d", "--from", "hex", "--to", "npz"), "but --from is hex"),
        ((tmp_path / "a.npz", tmp_path / "d.npz", "--to", "nope"), "there is no form 'nope'"),
    ):
        assert message in bitseek.refusal("convert", *options), options
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npz", "b.faiss", "c.NPZ"]
