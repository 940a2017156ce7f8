"""Lists of duplicates: read back by csv and json, every name as it is on disk, and no cell that is a formula."""

import csv
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.codes import Codes
from bitseek.collection._duplicates import Duplicates
from bitseek.collection._group_files import COLUMNS, write_groups
from bitseek.collection._item import Item
from bitseek.errors import BitseekError


def item(id, path, label):
    return Item(id, path, "/photos", label, 640, 480, 12345, 10**18, "00ff" * 8, "0")


def said(one):
    """What the columns say of an item."""
    return {name: getattr(one, name) for name in COLUMNS[3:]}


CODES = Codes.from_bits(np.array([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]))
NAMES = [
    b"/photos/plain.jpg",
    b"/photos/new\nline, \"quoted\" and 'single'.jpg",
    b"/photos/not-utf-8-\xff\xfe.jpg",
    "/photos/ü 日本 ☃.jpg".encode(),
    b"/photos/carriage\rreturn\ttab;semicolon.jpg",
]
ITEMS = [
    item(i, os.fsdecode(name), label)
    for i, (name, label) in enumerate(zip(NAMES, ["=1+1", None, "@x", "'quoted", "-2"], strict=True))
]


def write(file, items=ITEMS, codes=CODES, radius=1):
    found = Duplicates.find(codes, radius, hashes=[None, None, b"a" * 16, b"a" * 16, None][: len(codes)])
    return found, write_groups(file, found.groups(), found, lambda ids: [items[i] for i in ids])


def rows_of(file):
    """The table, with the apostrophes taken away."""
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        head, *rows = csv.reader(text)
    assert tuple(head) == COLUMNS
    return [dict(zip(head, (cell.removeprefix("'") for cell in row), strict=True)) for row in rows]


def test_csv(tmp_path):
    write(tmp_path / "groups.csv")
    rows = rows_of(tmp_path / "groups.csv")
    assert [(row["group"], row["distance"], row["exact"], int(row["id"])) for row in rows] == [
        *(("1", "1", "false", i) for i in (0, 1, 4)),
        *(("2", "0", "true", i) for i in (2, 3)),
    ]
    assert [os.fsencode(row["path"]) for row in rows] == [NAMES[i] for i in (0, 1, 4, 2, 3)]
    assert [row["label"] or None for row in rows] == [ITEMS[i].label for i in (0, 1, 4, 2, 3)]
    assert b"not-utf-8-\xff\xfe.jpg" in (tmp_path / "groups.csv").read_bytes(), "the bytes that the name has on disk"


def test_json(tmp_path):
    found, _ = write(tmp_path / "groups.json")
    content = json.loads((tmp_path / "groups.json").read_text("utf-8"))
    assert content["format"] == "bitseek duplicates"
    assert (content["radius"], content["radius_max"], content["linkage"]) == (1, 1, "connected")
    assert content["histogram"] == found.histogram.tolist() == [2, 2]
    assert [(group["distance"], group["exact"]) for group in content["groups"]] == [(1, False), (0, True)]
    items = [one for group in content["groups"] for one in group["items"]]
    assert [os.fsencode(one["path"]) for one in items] == [NAMES[i] for i in (0, 1, 4, 2, 3)]
    assert items == [said(ITEMS[i]) for i in (0, 1, 4, 2, 3)]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = st.binary(min_size=1, max_size=20).map(lambda name: os.fsdecode(name.replace(b"\0", b"=")))


@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(names, min_size=2, max_size=5),
    label=st.none() | texts.filter(bool),
    begin=st.sampled_from(["", "=", "+", "-", "@", "\t", "\r", "'", "''"]),
)
def test_any_name_is_read_back_and_is_no_formula(names, label, begin, tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    items = [item(i, begin + name, label and begin + label) for i, name in enumerate(names)]
    codes = Codes.from_bits(np.ones((len(items), 3), bool))
    for suffix in ("csv", "json"):
        write(folder / f"groups.{suffix}", items, codes)
    found = json.loads((folder / "groups.json").read_text("utf-8"))["groups"][0]["items"]
    assert found == list(map(said, items))
    rows = rows_of(folder / "groups.csv")
    assert [(row["path"], row["label"] or None) for row in rows] == [(one.path, one.label) for one in items]
    with (folder / "groups.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as text:
        cells = [cell for row in csv.reader(text) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_list_is_replaced_by_another_and_nothing_else_is(suffix, tmp_path):
    file = tmp_path / f"groups.{suffix}"
    for _ in range(2):
        assert write(file)[1] == file
    for content in (b"", b"group,distance\r\n1,2\r\n", b'{"format": "other"}'):
        file.write_bytes(content)
        with pytest.raises(BitseekError, match="is not a list of duplicates of bitseek"):
            write(file)
        assert file.read_bytes() == content


def test_no_groups_and_other_names(tmp_path):
    codes = Codes.from_bits(np.eye(4, dtype=bool)[:2])
    write(tmp_path / "a.json", codes=codes)
    assert json.loads((tmp_path / "a.json").read_text())["groups"] == []
    write(tmp_path / "a.CSV", codes=codes)
    assert rows_of(tmp_path / "a.CSV") == []
    with pytest.raises(BitseekError, match=r"should end in \.csv or \.json"):
        write(tmp_path / "a.txt")
