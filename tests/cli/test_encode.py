"""encode, export: codes and models into files."""

import subprocess
import sys

import numpy as np
import pytest

from bitseek.codes import Codes
from bitseek.collection import Collection
from bitseek.runs import load


def test_encode_is_what_python_does(trained, digits, bitseek, tmp_path):
    images = sorted(digits.rglob("*.png"))
    (tmp_path / "broken.png").write_bytes(images[0].read_bytes()[:40])
    status, out, err = bitseek.run("encode", trained, digits, tmp_path / "broken.png", "--out", tmp_path / "c.npz")
    assert status == 0 and out == f"{tmp_path / 'c.npz'}: 30 codes of 24 bits\n"
    assert "1 images could not be read" in err and "broken.png" in err
    hasher = load(trained)
    codes = Codes.load(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as file:
        assert sorted(file["paths"].tolist()) == [str(image) for image in images]
        assert str(file["fingerprint"]) == hasher.fingerprint
        assert codes == hasher.encode(file["paths"].tolist())
    value = bitseek.answer("encode", trained, *images[:2], "--out", tmp_path / "two.npz")
    assert (value["items"], value["bits"], value["unreadable"]) == (2, 24, [])


def test_encode_says_what_is_wrong(trained, bitseek, tmp_path):
    out = tmp_path / "c.npz"
    (tmp_path / "empty").mkdir()
    assert "there are no images in" in bitseek.refusal("encode", trained, tmp_path / "empty", "--out", out)
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert "nothing was written" in bitseek.refusal("encode", trained, tmp_path / "bad.png", "--out", out)
    assert not out.exists()


def test_a_model_file_stands_for_its_run_without_torch(exported, trained, digits, tmp_path):
    """encode, index and search in a process where torch cannot be imported; the codes are those of the run."""
    commands = [
        ["encode", exported, digits, "--out", tmp_path / "c.npz"],
        ["index", tmp_path / "c", digits, "--model", exported],
        ["search", tmp_path / "c", next(digits.rglob("*.png")), "-k", "3", "--json"],
        ["search", tmp_path / "c", tmp_path / "query.png", "--json"],
    ]
    (tmp_path / "query.png").write_bytes(next(digits.rglob("*.png")).read_bytes())
    code = f"""
import sys
for name in ("torch", "timm", "torchvision", "sklearn"):
    sys.modules[name] = None
from bitseek.cli import main
for arguments in {[[str(word) for word in command] for command in commands]!r}:
    main(arguments)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "c.npz") as file:
        paths = file["paths"].tolist()
    hasher = load(trained)
    logits = hasher.logits(paths)
    differs = Codes.load(tmp_path / "c.npz").to_bits() != (logits >= 0)
    assert np.abs(logits[differs]).max(initial=0) < 1e-4
    with Collection.open(tmp_path / "c") as opened:
        assert opened.fingerprint == hasher.fingerprint + "+onnx" and len(opened) == 30


def test_int8(exported, digits, bitseek, tmp_path):
    small = tmp_path / "small.onnx"
    value = bitseek.answer("export", exported, small, "--int8", "--images", digits)
    assert "+int8-" in value["fingerprint"] and value["bytes"] < exported.stat().st_size
    bitseek.answer("index", tmp_path / "c", digits, "--model", small)
    assert "made by model" in bitseek.refusal("index", tmp_path / "c", "--model", exported)


@pytest.mark.parametrize("kind", ["npz", "parquet", "faiss"])
def test_a_collection_goes_out_and_comes_in_again(kind, exported, digits, bitseek, tmp_path):
    bitseek.answer("index", tmp_path / "a", digits, "--model", exported)
    file = tmp_path / f"codes.{kind}"
    assert bitseek.text("export", tmp_path / "a", file) == f"{file}: 30 items\n"
    assert bitseek.answer("export", tmp_path / "a", file)["items"] == 30  # its own is replaced
    assert bitseek.answer("index", tmp_path / "b", "--codes", file, "--model", exported)["items"] == 30
    with Collection.open(tmp_path / "a") as one, Collection.open(tmp_path / "b") as other:
        assert one.codes == other.codes
        if kind != "faiss":
            assert [item.path for item in one.items()] == [item.path for item in other.items()]


def test_export_says_what_is_wrong(trained, exported, digits, bitseek, tmp_path):
    bitseek.answer("index", tmp_path / "c", digits, "--model", exported)
    mine = tmp_path / "mine.onnx"
    mine.write_text("mine")
    for arguments, message in [
        ((trained, tmp_path / "m.npz"), "as FILE.onnx"),
        ((tmp_path / "absent", tmp_path / "m.onnx"), "absent"),
        ((trained, mine), "is not an ONNX file of bitseek"),
        ((exported, tmp_path / "m.onnx"), "ONNX model already"),
        ((exported, tmp_path / "m.onnx", "--int8"), "needs images"),
        ((trained, tmp_path / "m.onnx", "--images", digits), "needs images"),
        ((exported, tmp_path / "m.onnx", "--int8", "--images", tmp_path / "none"), "none"),
        ((tmp_path / "c", tmp_path / "m.onnx"), "is a collection"),
        ((tmp_path / "c", tmp_path / "m.txt"), "is a collection"),
        ((tmp_path / "c", tmp_path / "codes.npz", "--int8"), "without --int8"),
    ]:
        assert message in bitseek.refusal("export", *arguments), arguments
    assert mine.read_text() == "mine" and not (tmp_path / "m.onnx").exists() and not (tmp_path / "codes.npz").exists()
