"""dedup, verify: what looks after a collection."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from bitseek.collection import Collection


@pytest.fixture
def indexed(bitseek, trained, digits, tmp_path):
    """30 digits, the first of them three times, once under a name that is not UTF-8 and has a newline in it."""
    shutil.copytree(digits, tmp_path / "photos")
    first = sorted((tmp_path / "photos").rglob("*.png"))[0]
    shutil.copy(first, tmp_path / "photos" / "copy,1.png")
    shutil.copy(first, tmp_path / "photos" / os.fsdecode(b"caf\xe9\n.png"))
    bitseek.answer("index", tmp_path / "collection", tmp_path / "photos", "--model", trained)
    return tmp_path / "collection"


def components(items, radius):
    """Groups by single linkage, the slow way."""
    groups = [{item.id} for item in items]
    for a in items:
        for b in items:
            if bin(int(a.code, 16) ^ int(b.code, 16)).count("1") <= radius:
                one, other = (next(group for group in groups if each.id in group) for each in (a, b))
                if one is not other:
                    groups.remove(other)
                    one |= other
    return {frozenset(group) for group in groups if len(group) > 1}


def test_a_collection_is_made_anew_without_gaps(indexed, bitseek, tmp_path, monkeypatch):
    """As docs/owners.md says: 8 bytes for each code that is gone, and three commands that leave them out."""
    photos, fresh = tmp_path / "photos", tmp_path / "fresh"
    first, second, *_ = sorted(photos.rglob("0/*.png"))
    for grey in range(3):
        Image.fromarray(np.full((8, 8), 80 * grey, np.uint8)).save(second)
        bitseek.answer("index", indexed)
    bitseek.answer("remove", indexed, first)
    assert (indexed / "codes.bin").stat().st_size == 8 * (32 + 3)
    with Collection.open(indexed) as opened:
        before = {item.path: item.code for item in opened.items()}
    assert len(before) == 31
    bitseek.text("export", indexed, tmp_path / "all.npz")
    bitseek.answer("index", fresh, "--codes", tmp_path / "all.npz", "--model", indexed / "model")
    monkeypatch.setattr("bitseek.runs.Hasher.logits_of", lambda *_: pytest.fail("a picture is encoded again"))
    done = bitseek.answer("index", fresh, photos)
    assert (done["items"], done["added"], done["unchanged"]) == (32, 1, 31)  # what was removed by hand is there again
    bitseek.answer("remove", fresh, first)
    with Collection.open(fresh) as opened:
        assert {item.path: item.code for item in opened.items()} == before
    assert (fresh / "codes.bin").stat().st_size == 8 * 32
    monkeypatch.undo()
    assert bitseek.answer("verify", fresh)["ok"]


@pytest.mark.parametrize("radius", [0, 3])
def test_groups_are_the_components(indexed, bitseek, radius):
    with Collection.open(indexed) as opened:
        items = opened.items()
    value = bitseek.answer("dedup", indexed, "--radius", radius)
    found = {frozenset(item["id"] for item in group["items"]) for group in value["groups"]}
    assert found == components(items, radius)
    copies = {item.id for item in items if item.hash == next(i.hash for i in items if "copy" in i.path)}
    assert len(copies) == 3 and any(copies <= group for group in found)
    assert len(value["histogram"]) == radius + 1 and value["linkage"] == "connected"
    smaller = [components(items, each) for each in range(radius + 1)]
    assert [each["groups"] for each in value["within"]] == [len(groups) for groups in smaller]
    assert [each["images"] for each in value["within"]] == [sum(map(len, groups)) for groups in smaller]
    complete = bitseek.answer("dedup", indexed, "--radius", radius, "--linkage", "complete")
    codes = {item.id: int(item.code, 16) for item in items}
    for group in complete["groups"]:
        ids = [item["id"] for item in group["items"]]
        assert max(bin(codes[a] ^ codes[b]).count("1") for a in ids for b in ids) == group["distance"] <= radius


def test_groups_are_written(indexed, bitseek, tmp_path):
    table, tree = tmp_path / "g.csv", tmp_path / "g.json"
    for _ in range(2):  # its own are replaced
        text = bitseek.text("dedup", indexed, "--radius", "0", "--out", table)
        bitseek.text("dedup", indexed, "--radius", "0", "--out", tree)
    assert "3 images, the same content" in text and r"caf\xe9\n.png" in text and "within 0 bits (connected)" in text
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    groups = json.loads(tree.read_text(encoding="utf-8"))["groups"]
    assert len(rows) == sum(len(group["items"]) for group in groups)
    names = {os.fsencode(row["path"]).rpartition(b"/")[2] for row in rows}
    assert {b"copy,1.png", b"caf\xe9\n.png"} <= names
    assert names == {os.fsencode(item["path"]).rpartition(b"/")[2] for group in groups for item in group["items"]}
    assert {row["size"] for row in rows if row["exact"] == "true"} <= {row["size"] for row in rows}
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    assert "mine.csv exists and is not" in bitseek.refusal("dedup", indexed, "--out", mine)
    assert "as .csv or .json" in bitseek.refusal("dedup", indexed, "--out", tmp_path / "g.txt")
    assert "radius" in bitseek.refusal("dedup", indexed, "--radius", "-1")
    assert "is not a collection" in bitseek.refusal("dedup", tmp_path)
    assert mine.read_text() == "mine" and len(list((tmp_path / "photos").rglob("*.png"))) == 32


def test_verify_finds_and_mends(indexed, bitseek, tmp_path):
    value = bitseek.answer("verify", indexed)
    assert (value["ok"], value["items"], value["findings"], value["gone"], value["changed"]) == (True, 32, [], 0, 0)
    whole = (indexed / "codes.bin").read_bytes()
    (indexed / "codes.bin").write_bytes(whole[:8] + bytes([whole[8] ^ 1]) + whole[9:])
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "photos" / "copy,1.png")
    status, out, err = bitseek.run("verify", indexed, "--no-repair")
    assert status == 1 and "codes" in out and "1 findings" in out and "1 were changed" in out
    assert err.startswith("bitseek: 1 findings") and err.count("\n") == 1
    assert out.splitlines()[0].split() == ["part", "problem", "mended"]
    assert bitseek.answer("verify", indexed)["ok"] and (indexed / "codes.bin").read_bytes() == whole
    assert bitseek.answer("verify", indexed)["findings"] == []
    assert "is not a collection" in bitseek.refusal("verify", tmp_path)
