"""Nested codes on the command line: train once, and measure, encode, export, index and search every length."""

import json

import numpy as np
import pytest

from bitseek.cli import main
from bitseek.codes import Codes
from bitseek.collection import Collection
from bitseek.portable import OnnxHasher
from bitseek.runs import load


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    """A run of 24 bits, of which the first 8 and 16 are codes in their own right."""
    folder = tmp_path_factory.mktemp("nested") / "run"
    main([
        "train", "orthohash", "digits", "--bits", "24", "--epochs", "2", "--lr", "1e-3", "--batch-size", "64",
        "--size", "8", "--out", str(folder), "--set", "lengths=8,16", "--precision", "fp32", "--json",
    ])  # fmt: skip
    return folder


def test_a_training_measures_every_length_and_the_card_says_so(nested, bitseek):
    report = json.loads((nested / "report.json").read_text())
    assert report["bits"] == 24 and list(report["prefixes"]) == ["8", "16"]
    card = (nested / "README.md").read_text()
    for bits, row in report["prefixes"].items():
        assert f"| the first {bits} bits: {row['figure']} | {row['mAP']:.4f} |" in card and 0.2 < row["mAP"] <= 1
    value = bitseek.answer("evaluate", nested)
    assert value == {"run": str(nested), **report} == bitseek.answer("evaluate", nested, "--bits", "all")
    rows = [line.split() for line in bitseek.text("evaluate", nested).splitlines()]
    assert ["by", "number", "of", "first", "bits"] in rows
    for bits, row in {**report["prefixes"], "24": report}.items():
        assert [bits, f"{row['mAP']:.4f}"] in [cells[:2] for cells in rows]


def test_one_length_is_printed_and_never_becomes_the_runs_own_figure(nested, bitseek, tmp_path):
    before = [(nested / name).read_text() for name in ("report.json", "README.md")]
    value = bitseek.answer("evaluate", nested, "--bits", "16", "--out", tmp_path / "16.json")
    row = json.loads(before[0])["prefixes"]["16"]
    assert (value["bits"], value["mAP"], value["prefixes"]) == (16, row["mAP"], {})
    assert json.loads((tmp_path / "16.json").read_text())["mAP"] == row["mAP"]
    bitseek.answer("report", nested, "--bits", "16", "--sample", "40", "--out", tmp_path / "16.html")
    assert "16-bit codes by orthohash" in (tmp_path / "16.html").read_text(encoding="utf-8")
    assert before == [(nested / name).read_text() for name in ("report.json", "README.md")]


def test_lengths_that_were_not_trained(nested, trained, digits, bitseek, tmp_path):
    for command in (
        ("evaluate", nested, "--bits", "12"),
        ("encode", nested, digits, "--bits", "12", "--out", tmp_path / "a.npz"),
        ("export", nested, tmp_path / "a.onnx", "--bits", "12"),
        ("index", tmp_path / "c", digits, "--model", nested, "--bits", "12"),
    ):
        assert "trained to give codes of 8 or 16 or 24 bits, not of 12" in bitseek.refusal(*command)
    assert "of 24 bits, not of 16; " in bitseek.refusal("evaluate", trained, "--bits", "16")
    assert "--bits" in bitseek.refusal("evaluate", nested, "--bits", "some")
    assert list(tmp_path.iterdir()) == []


def test_encode_writes_the_first_bits_under_their_own_name(nested, digits, bitseek, tmp_path):
    value = bitseek.answer("encode", nested, digits, "--bits", "8", "--out", tmp_path / "8.npz")
    assert (value["items"], value["bits"]) == (30, 8)
    hasher = load(nested)
    with np.load(tmp_path / "8.npz") as file:
        assert str(file["fingerprint"]) == f"{hasher.fingerprint}:8"
        assert Codes.load(tmp_path / "8.npz") == hasher.encode(file["paths"].tolist(), bits=8)


def test_index_and_search_the_first_bits(nested, digits, bitseek, tmp_path):
    place = tmp_path / "c"
    assert bitseek.answer("index", place, digits, "--model", nested, "--bits", "16")["added"] == 30
    with Collection.open(place) as opened:
        assert opened.bits == 16 and opened.fingerprint == f"{load(nested).fingerprint}:16"
    assert bitseek.answer("index", place, "--model", nested, "--bits", "16")["unchanged"] == 30
    assert bitseek.answer("index", place, "--model", nested)["unchanged"] == 30  # the whole model is cut
    image = sorted(digits.rglob("*.png"))[0]
    hits = bitseek.answer("search", place, image, "-k", "3", "--model", nested)[0]["hits"]
    assert hits[0]["distance"] == 0 and len(hits) == 3
    assert "holds codes of 16 bits, not of 8" in bitseek.refusal("index", place, "--bits", "8")
    assert bitseek.answer("index", tmp_path / "all", digits, "--model", nested)["added"] == 30
    assert "holds codes of 24 bits, not of 16" in bitseek.refusal("index", tmp_path / "all", "--bits", "16")


def test_export_gives_every_length_or_one(nested, digits, bitseek, tmp_path):
    whole = bitseek.answer("export", nested, tmp_path / "whole.onnx")
    first = bitseek.answer("export", nested, tmp_path / "16.onnx", "--bits", "16")
    assert whole["bits"] == 24 and OnnxHasher(tmp_path / "whole.onnx").lengths == (8, 16, 24)
    assert first["bits"] == 16 and first["fingerprint"] == f"{load(nested).fingerprint}:16+onnx"
    assert bitseek.answer("index", tmp_path / "c", digits, "--model", tmp_path / "whole.onnx", "--bits", "16")
    assert bitseek.answer("index", tmp_path / "c", "--model", tmp_path / "16.onnx")["unchanged"] == 30
    assert "--bits" in bitseek.refusal("export", tmp_path / "c", tmp_path / "c.npz", "--bits", "8")
    small = ("export", tmp_path / "whole.onnx", tmp_path / "small.onnx", "--int8", "--images", digits, "--bits", "8")
    assert "export the run" in bitseek.refusal(*small)
