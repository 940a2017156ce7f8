"""The files for TensorBoard's embedding projector."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.report.harness import report_of

from bitseek.codes import Codes
from bitseek.data import Pool
from bitseek.errors import MissingExtra
from bitseek.images import Paths
from bitseek.report import write_projector


def read(folder):
    """(signs, rows of the metadata) of the only embedding below a folder."""
    (tensors,) = folder.glob("*/*/tensors.tsv")
    rows = (tensors.parent / "metadata.tsv").read_text(encoding="utf-8").splitlines()
    return np.loadtxt(tensors, delimiter="\t", ndmin=2), [row.split("\t") for row in rows], tensors.parent


def test_the_codes_go_to_the_projector(report, tmp_path):
    pytest.importorskip("tensorboard")
    assert write_projector(tmp_path, report, sample=30) == tmp_path
    signs, rows, folder = read(tmp_path)
    assert folder.name == "codes_of_digits" and "codes_of_digits" in (tmp_path / "projector_config.pbtxt").read_text()
    assert rows[0] == ["classes", "code", "name"] and len(rows) == 31 and signs.shape == (30, 16)
    assert Codes.from_bits(signs).hex() == [code for _, code, _ in rows[1:]]
    labels = report.protocol.pool.labels.numbers
    assert all(own == str(labels[int(name)]) for own, _, name in rows[1:])
    with Image.open(folder / "sprite.png") as sprite:
        assert sprite.size == (6 * 8, 6 * 8)
        pixels = np.asarray(sprite.convert("L"))
    for i, (_, _, name) in enumerate(rows[1:]):
        top, left = i // 6 * 8, i % 6 * 8
        original = report.protocol.pool.images.array[int(name)].astype(int)
        assert np.abs(pixels[top : top + 8, left : left + 8] - original).max() <= 1


def test_names_stay_in_their_cells_and_features_have_no_pictures(tmp_path):
    pytest.importorskip("tensorboard")
    classes, keys = ("a\tb", "c\nd", ""), tuple(f"x\t{i}\n" for i in range(60))
    hot = np.arange(60)[:, None] % 3 == np.arange(3)
    hot[5] = True
    found = report_of(hot, classes, name="folder:/ein Ort/ü", keys=keys, overlap=True)
    write_projector(tmp_path, found, sample=99)
    signs, rows, folder = read(tmp_path)
    assert len(rows) == 61 and {len(row) for row in rows} == {3} and signs.shape == (60, 16)
    assert [row[0] for row in rows[1:7]] == ["a b", "c d", "none", "a b", "c d", "a b, c d,"]
    assert rows[1][2] == "x\\t0\\n" and not (folder / "sprite.png").exists()


def test_a_picture_that_is_gone_is_grey(tmp_path):
    pytest.importorskip("tensorboard")
    found = report_of(np.arange(8) % 2, "ab", n=8, queries=4)
    Image.new("RGB", (20, 10), "white").save(tmp_path / "5.png")
    pool = Pool(Paths(tmp_path, tuple(f"{i}.png" for i in range(8))), np.arange(8) % 2, ("a", "b"))
    write_projector(tmp_path / "log", replace(found, protocol=replace(found.protocol, pool=pool)))
    _, rows, folder = read(tmp_path / "log")
    assert [row[2] for row in rows[1:]] == ["4.png", "5.png", "6.png", "7.png"]
    with Image.open(folder / "sprite.png") as sprite:
        pixels = np.asarray(sprite.convert("L"))
    assert pixels.shape == (40, 40) and abs(int(pixels[10, 10]) - 127) <= 1  # two by two places of 20 pixels
    assert pixels[10, 30] == 255 and abs(int(pixels[1, 30]) - 127) <= 1  # white, between bars of grey


def test_tensorboard_is_asked_for_by_name(report, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"bitseek\[plots\]"):
        write_projector(tmp_path, report)
    assert not list(tmp_path.iterdir())
