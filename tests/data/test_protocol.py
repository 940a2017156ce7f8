import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from bitseek.data import Paths, Pixels, Pool, Protocol, load_split
from bitseek.errors import BitseekError, DataError


def pool(n=6, multi=False):
    labels = np.eye(3, dtype=bool)[np.arange(n) % 3] if multi else np.arange(n) % 3
    return Pool(Pixels(np.zeros((n, 2, 2), np.uint8)), labels, ("a", "b", "c"))


def ids(*values):
    return np.array(values, np.int64)


def test_queries_among_training_items_are_refused_with_their_number():
    with pytest.raises(DataError, match="2 of 3 queries are training items"):
        Protocol("p", pool(), ids(0, 1, 2), ids(1, 2, 5), ids(3, 4))


@pytest.mark.parametrize(
    ("train", "query", "database", "at", "message"),
    [
        (ids(0, 6), ids(1), ids(2), None, "outside of the pool"),
        (ids(0), ids(-1), ids(2), None, "outside of the pool"),
        (ids(0, 0, 1), ids(2), ids(3), None, "1 items are in train more than once"),
        (ids(0), ids(), ids(3), None, "no items in query"),
        (ids(0), ids(2), ids(), None, "no items in database"),
        (ids(0).astype(np.int32), ids(2), ids(3), None, "int64"),
        (ids(0), ids(2).reshape(1, 1), ids(3), None, "int64"),
        (ids(0), ids(2), ids(3), 0, "at is 1 or more"),
    ],
)
def test_what_is_no_split_is_refused(train, query, database, at, message):
    with pytest.raises(DataError, match=message):
        Protocol("p", pool(), train, query, database, at=at)


def test_a_protocol_may_have_no_training_items():
    assert len(Protocol("p", pool(), ids(), ids(0), ids(1)).train) == 0


def test_checksum_is_what_its_docstring_says():
    protocol = Protocol("p", pool(), ids(0), ids(4), ids(0, 5))
    lines = {"train": "0\t0\n", "query": "4\t1\n", "database": "0\t0\n5\t2\n"}
    sums = {role: hashlib.sha256(text.encode()).hexdigest() for role, text in lines.items()}
    assert protocol.role_checksums == sums
    whole = "".join(f"{role} {sums[role]}\n" for role in ("train", "query", "database"))
    assert protocol.checksum == hashlib.sha256(whole.encode()).hexdigest()


def test_checksum_of_multi_labels():
    protocol = Protocol("p", pool(multi=True), ids(0), ids(4), ids(2))
    assert protocol.role_checksums["query"] == hashlib.sha256(b"4\t40\n").hexdigest()


def test_checksum_sees_the_items_and_labels_and_nothing_else():
    base = Protocol("p", pool(), ids(0, 3), ids(4), ids(1, 2, 5))
    same = Protocol("q", pool(), ids(3, 0), ids(4), ids(5, 1, 2), at=3, seed=1)
    assert base.checksum == same.checksum
    assert base.checksum != Protocol("p", pool(), ids(0), ids(4), ids(1, 2, 5)).checksum
    assert base.checksum != Protocol("p", pool(), ids(0, 3), ids(4), ids(1, 2)).checksum
    labels = pool().labels.copy()
    labels[5] = 0
    relabelled = dataclasses.replace(base, pool=dataclasses.replace(pool(), labels=labels))
    assert base.checksum != relabelled.checksum


def test_checksum_does_not_depend_on_the_root_nor_the_order_of_the_pool():
    def protocol(root, order):
        names = ("x/1.png", "y/ü.png", "z.png")
        where = {name: i for i, name in enumerate(order)}
        labels = np.array([names.index(name) for name in order])
        p = Pool(Paths(Path(root), order), labels, ("a", "b", "c"))
        return Protocol("p", p, ids(where[names[0]]), ids(where[names[1]]), ids(where[names[2]]))

    a = protocol("/one", ("x/1.png", "y/ü.png", "z.png"))
    b = protocol("two", ("z.png", "x/1.png", "y/ü.png"))
    assert a.checksum == b.checksum


def test_describe():
    labels = np.array([0, -1, 1, 0, 1, -1])
    p = Pool(Pixels(np.zeros((6, 2, 2), np.uint8)), labels, ("a", "b"))
    described = Protocol("p", p, ids(0, 1), ids(2, 5), ids(0, 1, 2, 3), at=2, seed=7).describe()
    json.dumps(described)
    assert described["unlabelled"] == {"train": 1, "query": 1, "database": 1}
    assert described["queries_in_database"] == 1 and described["train_in_database"] == 2
    assert (described["train"], described["query"], described["database"]) == (2, 2, 4)
    assert described["at"] == 2 and described["seed"] == 7 and described["classes"] == 2


def test_split_can_be_saved_and_loaded(tmp_path):
    protocol = Protocol("p", pool(), ids(0, 3), ids(4), ids(1, 2, 5), at=2, seed=9)
    protocol.save_split(tmp_path / "split.json")
    loaded = load_split(tmp_path / "split.json", pool())
    assert loaded.describe() == protocol.describe()
    assert [path.name for path in tmp_path.iterdir()] == ["split.json"]
    for role in ("train", "query", "database"):
        np.testing.assert_array_equal(getattr(loaded, role), getattr(protocol, role))


def test_split_of_other_data_is_refused(tmp_path):
    Protocol("p", pool(), ids(0, 3), ids(4), ids(1, 2, 5)).save_split(tmp_path / "split.json")
    with pytest.raises(DataError, match="other data"):
        load_split(tmp_path / "split.json", pool(multi=True))
    with pytest.raises(DataError, match="cannot read"):
        load_split(tmp_path / "absent.json", pool())
    for text in ("{", "[]", '{"name": "p"}', '{"name":"p","at":null,"seed":0,"train":["x"],"query":[],"database":[]}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DataError):
            load_split(tmp_path / "bad.json", pool())
    with pytest.raises(BitseekError, match="cannot write"):
        Protocol("p", pool(), ids(0), ids(4), ids(1)).save_split(tmp_path / "no" / "split.json")
