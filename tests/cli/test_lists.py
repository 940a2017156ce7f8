"""methods, protocols, backbones, codebooks: what there is."""

import re

import pytest
from PIL import Image


@pytest.mark.parametrize("name", ["methods", "protocols", "backbones"])
def test_lists(name, bitseek):
    rows = bitseek.answer(name)
    assert len(rows) > 5
    lines = bitseek.text(name).splitlines()
    assert lines[0].split()[0] in rows[0] and [line.split()[0] for line in lines[1 : len(rows) + 1]] == [
        next(iter(row.values())) for row in rows
    ]
    assert "no-such-thing" in bitseek.refusal(name, "no-such-thing")


def test_one_method(bitseek):
    (row,) = bitseek.answer("methods", "orthohash")
    assert row["recipe"]["margin"] == 0.2 and row["year"] == 2021
    shown = bitseek.text("methods", "dsh")
    assert "hyper-parameter" in shown and "Deep Supervised Hashing" in shown and re.search("margin +none", shown)


def test_one_protocol(bitseek):
    (row,) = bitseek.answer("protocols", "cifar10-1")
    assert (row["train"], row["query"], row["database"], row["k"]) == (5000, 1000, 59000, "all")
    assert row["options"] == {"download": True} and "options: download" in bitseek.text("protocols", "cifar10-1")
    (row,) = bitseek.answer("protocols", "lists")
    assert row["protocol"] == "lists:PATH" and row["train"] is None


def test_a_folder_is_counted(bitseek, pictures):
    """Bug 22: `train/`, `test/` and `val/` were taken for classes without a word."""
    (row,) = bitseek.answer("protocols", f"folder:{pictures}")
    assert row["images"] == 36 and row["classes"] == {"blue": 12, "green": 12, "red": 12} and row["split"] == {}
    Image.new("RGB", (8, 8)).save(pictures / "direct.png")
    shown = bitseek.text("protocols", f"folder:{pictures}").splitlines()
    assert ["classes:", "blue", "12"] in [line.split() for line in shown]
    assert ["without_class", "1"] in [line.split() for line in shown]
    for part in ("train", "test"):
        (pictures.parent / "split" / part / "cat").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(pictures.parent / "split" / part / "cat" / "1.png")
    shown = bitseek.text("protocols", "folder:split")
    assert "split: train: classes: cat" in shown and "split: test: images" in shown
    message = bitseek.refusal("train", "lsh", "folder:split", "--backbone", "small-cnn")
    assert "look like a split, not like classes" in message and "split=folders" in message
    assert "there is no folder" in bitseek.refusal("protocols", "folder:absent")


def test_backbones(bitseek):
    assert any(row["backbone"] == "mobilenetv2_100" for row in bitseek.answer("backbones", "mobilenetv2"))
    assert {row["backbone"] for row in bitseek.answer("backbones", "small-cnn")} == {"small-cnn"}
    assert "see: bitseek backbones PART-OF-NAME" in bitseek.text("backbones")


def test_codebooks(bitseek):
    rows = {row["codebook"]: row for row in bitseek.answer("codebooks", "--classes", "21", "--bits", "16")}
    assert rows["spread"]["minimum_distance"] == 8 == rows["spread"]["upper_bound"]
    assert rows["max-distance"]["minimum_distance"] in (6, 7)
    assert bitseek.text("codebooks", "--classes", "4", "--bits", "8").count("\n") == len(rows) + 1
    assert "5 bits or more" in bitseek.refusal("codebooks", "--classes", "21", "--bits", "4")
