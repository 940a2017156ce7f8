import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.data import Pool, Protocol, RelevanceLists, load_split
from bitseek.errors import BitseekError, DataError
from bitseek.images import Paths, Pixels


def pool(n=6, multi=False):
    labels = np.eye(3, dtype=bool)[np.arange(n) % 3] if multi else np.arange(n) % 3
    return Pool(Pixels(np.zeros((n, 2, 2), np.uint8)), labels, ("a", "b", "c"))


def ids(*values):
    return np.array(values, np.int64)


def test_queries_among_training_items_are_refused_with_their_number():
    with pytest.raises(DataError, match="2 of 3 queries are training items"):
        Protocol("p", pool(), ids(0, 1, 2), ids(1, 2, 5), ids(3, 4))


@pytest.mark.parametrize(
    ("train", "query", "database", "k", "message"),
    [
        (ids(0, 6), ids(1), ids(2), None, "outside of the pool"),
        (ids(0), ids(-1), ids(2), None, "outside of the pool"),
        (ids(0, 0, 1), ids(2), ids(3), None, "1 items are in train more than once"),
        (ids(0), ids(), ids(3), None, "no items in query"),
        (ids(0), ids(2), ids(), None, "no items in database"),
        (ids(0).astype(np.float32), ids(2), ids(3), None, "train is whole numbers"),
        (ids(0), np.array([True, False]), ids(3), None, "query is whole numbers"),
        (ids(0), ids(2).reshape(1, 1), ids(3), None, "query is whole numbers"),
        (ids(0), ids(2), ["x"], None, "database are an array of numbers"),
        (np.array([2**64 - 1], np.uint64), ids(2), ids(3), None, "outside of the pool"),
        (ids(0), ids(2), ids(3), 0, "k is a whole number of 1 or more"),
        (ids(0), ids(2), ids(3), True, "k is a whole number"),
        (ids(0), ids(2), ids(3), 2.5, "k is a whole number"),
        (ids(0), ids(2), ids(3), "3", "k is a whole number"),
    ],
)
def test_what_is_no_split_is_refused(train, query, database, k, message, unchecked):
    with pytest.raises(DataError, match=message):
        Protocol("p", pool(), train, query, database, k=k)


def test_a_protocol_is_in_plain_numbers(unchecked):
    split = Protocol("p", pool(), [0, 1], (2,), np.array([3, 4], np.uint8), k=np.int64(2), seed=np.uint8(3))
    assert (type(split.k), type(split.seed)) == (int, int)
    json.dumps(split.describe())
    for role, expected in (("train", [0, 1]), ("query", [2]), ("database", [3, 4])):
        assert getattr(split, role).dtype == np.int64 and getattr(split, role).tolist() == expected
    for seed in ("a", -1, 1.0):
        with pytest.raises(DataError, match="seed is a whole number of 0 or more"):
            dataclasses.replace(split, seed=seed)
    with pytest.raises(DataError, match="name of a protocol is text, got 3"):
        dataclasses.replace(split, name=3)


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
    same = Protocol("q", pool(), ids(3, 0), ids(4), ids(5, 1, 2), k=3, seed=1)
    assert base.checksum == same.checksum
    assert base.checksum != Protocol("p", pool(), ids(0), ids(4), ids(1, 2, 5)).checksum
    assert base.checksum != Protocol("p", pool(), ids(0, 3), ids(4), ids(1, 2)).checksum
    labels = pool().labels.numbers.copy()
    labels[5] = 0
    relabelled = dataclasses.replace(base, pool=dataclasses.replace(pool(), labels=labels))
    assert base.checksum != relabelled.checksum


def test_checksum_of_lists_is_what_its_docstring_says():
    split = listed(easy=([[3, 0], []], [[1], [2]]), hard=([[2], []], [[], []]))
    lines = ["ap\tstandard\n", "junk\teasy\t4\t1\n", "junk\teasy\t5\t2\n", "positives\teasy\t4\t0\n",
             "positives\teasy\t4\t3\n", "positives\thard\t4\t2\n"]  # fmt: skip
    parts = split.role_checksums | {"lists": hashlib.sha256("".join(lines).encode()).hexdigest()}
    whole = "".join(f"{part} {digest}\n" for part, digest in parts.items())
    assert split.checksum == hashlib.sha256(whole.encode()).hexdigest()


def test_checksum_sees_every_item_that_is_listed_and_not_their_order():
    lists = {"easy": ([[3, 0], [1]], [[1], [2]]), "hard": ([[2], []], [[0], []])}
    base = listed(**lists)
    assert base.checksum == listed(hard=lists["hard"], easy=([[0, 3], [1]], [[1], [2]])).checksum
    assert base.checksum != dataclasses.replace(base, lists=None).checksum
    others = [
        listed(easy=lists["easy"]),
        listed(**lists | {"easy": ([[3], [1]], [[1], [2]])}),
        listed(**lists | {"easy": ([[1], [3, 0]], [[1], [2]])}),
        listed(**lists | {"easy": ([[3, 0], [1]], [[1], []])}),
        listed(**lists | {"hard": ([[0], []], [[2], []])}),
        dataclasses.replace(base, lists=dataclasses.replace(base.lists, ap="trapezoid")),
    ]
    assert len({base.checksum, *(other.checksum for other in others)}) == 1 + len(others)
    assert all(other.role_checksums == base.role_checksums for other in others)


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
    described = Protocol("p", p, ids(0, 1), ids(2, 5), ids(0, 1, 2, 3), k=2, seed=7).describe()
    json.dumps(described)
    assert described["unlabelled"] == {"train": 1, "query": 1, "database": 1}
    assert described["queries_in_database"] == 1 and described["train_in_database"] == 2
    assert (described["train"], described["query"], described["database"]) == (2, 2, 4)
    assert described["k"] == 2 and described["seed"] == 7 and described["classes"] == 2


def test_split_can_be_saved_and_loaded(tmp_path):
    protocol = Protocol("p", pool(), ids(0, 3), ids(4), ids(1, 2, 5), k=2, seed=9)
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
    with pytest.raises(BitseekError, match="there is no file"):
        load_split(tmp_path / "absent.json", pool())
    good = json.loads((tmp_path / "split.json").read_text())
    for text in (
        "{",
        "[]",
        '{"name": "p"}',
        json.dumps(good | {"train": ["x"]}),
        json.dumps(good | {"query": []}),
        *(json.dumps(good | wrong) for wrong in ({"k": True}, {"name": 3}, {"seed": "a"}, {"train": [0.5, 3.0]})),
    ):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(BitseekError):
            load_split(tmp_path / "bad.json", pool())
    with pytest.raises(BitseekError, match="cannot write"):
        Protocol("p", pool(), ids(0), ids(4), ids(1)).save_split(tmp_path / "no" / "split.json")


def brute_relevance(labels, query_ids, database_ids):
    """By slow loops: who shares a class with whom, and who is who."""
    relevant = [[bool(set(labels[q]) & set(labels[d])) for d in database_ids] for q in query_ids]
    return relevant, [[q == d for d in database_ids] for q in query_ids]


@given(st.data(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_relevance_by_labels(data, multi):
    n = data.draw(st.integers(4, 12))
    sets = st.sets(st.integers(0, 2), max_size=3 if multi else 1)
    labels = data.draw(st.lists(sets, min_size=n, max_size=n))
    hot = np.array([[c in of for c in range(3)] for of in labels])
    given_labels = hot if multi else np.array([next(iter(of), -1) for of in labels])
    p = Pool(Pixels(np.zeros((n, 1, 1), np.uint8)), given_labels, ("a", "b", "c"))
    chosen = data.draw(st.permutations(range(n)))
    query, database = ids(*chosen[:2]), ids(*sorted(chosen[1:]))  # one query is in the database
    split = Protocol("p", p, ids(), query, database)
    some = data.draw(st.permutations(database.tolist()))[: data.draw(st.integers(1, len(database)))]
    relevance = split.relevance(query[::-1], ids(*some))
    relevant, left_out = brute_relevance(labels, query[::-1].tolist(), some)
    assert (relevance.queries, relevance.database) == (2, len(some))
    for i in range(2):
        np.testing.assert_array_equal(relevance.left_out(i), left_out[i])
        expected = np.array(relevant[i]) & ~np.array(left_out[i])
        np.testing.assert_array_equal(relevance.relevant(i) & ~relevance.left_out(i), expected)


def listed(**levels):
    """Six items; 4 and 5 are queries, and 5 is in the database too."""
    lists = {
        level: (tuple(map(np.array, positives)), tuple(map(np.array, junk)))
        for level, (positives, junk) in levels.items()
    }
    lists = {level: tuple(tuple(a.astype(np.int64) for a in part) for part in parts) for level, parts in lists.items()}
    found = RelevanceLists({k: v[0] for k, v in lists.items()}, {k: v[1] for k, v in lists.items()})
    return Protocol("p", pool(), ids(), ids(4, 5), ids(0, 1, 2, 3, 5), lists=found)


def test_relevance_by_lists():
    split = listed(easy=([[3, 0], []], [[1], [2]]), hard=([[2], [1, 5]], [[], [0, 3]]))
    assert split.levels == ("easy", "hard")
    relevance = split.relevance(split.query, split.database, "easy")
    assert relevance.relevant(0).tolist() == [True, False, False, True, False]
    assert relevance.left_out(0).tolist() == [False, True, False, False, False]
    assert relevance.relevant(1).tolist() == [False] * 5
    assert relevance.left_out(1).tolist() == [False, False, True, False, True]  # its junk, and itself
    # Item 3 and query 4 could not be read: places move, lists stay with their queries.
    relevance = split.relevance(ids(5), ids(5, 2, 0, 1), "hard")
    assert (relevance.relevant(0) & ~relevance.left_out(0)).tolist() == [False, False, False, True]
    assert relevance.left_out(0).tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("positives", "junk", "ap", "message"),
    [
        (
            {"all": ([-3], [0])},
            {"all": ([], [])},
            "standard",
            "the positives of all has indices outside of the pool of 6",
        ),
        ({"all": ([1], [0])}, {"all": ([], [99])}, "standard", "the junk of all has indices outside of the pool of 6"),
        ({"all": ([1.5], [0])}, {"all": ([], [])}, "standard", "the positives of all is whole numbers"),
        ({"all": (3, [0])}, {"all": ([], [])}, "standard", "the positives of all is whole numbers"),
        ({"all": ([1], [0])}, {}, "standard", "all needs one list of positives and one of junk"),
        ({"main": ([1], [0])}, {"main": ([], [])}, "standard", "some of easy, medium and hard, got main"),
        ({"all": ([1], [0]), "easy": ([], [])}, {"all": ([], []), "easy": ([], [])}, "standard", "got all, easy"),
        ({}, {}, "standard", "got none"),
        ({"all": ([1], [0])}, {"all": ([], [])}, "rectangle", "ap of lists is standard or trapezoid, got 'rectangle'"),
    ],
)
def test_lists_are_checked(positives, junk, ap, message, unchecked):
    with pytest.raises(DataError, match=message):
        Protocol("p", pool(), ids(), ids(4, 5), ids(0, 1), lists=RelevanceLists(positives, junk, ap))


def test_lists_may_be_lists(unchecked):
    given = RelevanceLists({"all": [[1], [0]]}, {"all": [[], (1,)]})
    split = Protocol("p", pool(), ids(), ids(4, 5), ids(0, 1), lists=given)
    relevance = split.relevance(split.query, split.database)
    assert [relevance.relevant(i).tolist() for i in range(2)] == [[False, True], [True, False]]
    assert relevance.left_out(1).tolist() == [False, True]


def test_what_has_no_relevance():
    split = listed(easy=([[3], []], [[], []]))
    with pytest.raises(DataError, match="p has no level 'all'; it has easy"):
        split.relevance(split.query, split.database)
    with pytest.raises(DataError, match="no list for the item '0'"):
        split.relevance(ids(0), split.database, "easy")
    with pytest.raises(DataError, match="easy needs one list of positives and one of junk for each query"):
        listed(easy=([[3]], [[], []]))
    with pytest.raises(DataError, match="relevance lists, which the file of a split cannot hold"):
        split.save_split("split.json")
    by_labels = Protocol("p", pool(), ids(0), ids(4), ids(1, 2))
    assert by_labels.levels == ("all",)
    with pytest.raises(DataError, match="p has no level 'easy'; it has all"):
        by_labels.relevance(by_labels.query, by_labels.database, "easy")
    nothing = dataclasses.replace(by_labels, pool=dataclasses.replace(pool(), labels=np.full(6, -1)))
    assert not nothing.relevance(nothing.query, nothing.database).known
    assert by_labels.relevance(by_labels.query, by_labels.database).known


def test_a_split_keeps_cut_off_and_denominator(tmp_path):
    Protocol("p", pool(), ids(0), ids(4), ids(1, 2), k=2, denominator="min").save_split(tmp_path / "s.json")
    loaded = load_split(tmp_path / "s.json", pool())
    assert (loaded.k, loaded.denominator, loaded.origin) == (2, "min", None)


def test_the_checksum_of_names_that_are_not_utf_8():
    p = Pool(Paths(Path("x"), ("b\udce9.png", "c.png", "d.png")), [0, 0, 1], ("a", "b"))
    protocol = Protocol("p", p, ids(0), ids(1), ids(2))
    assert protocol.role_checksums["train"] == hashlib.sha256(b"b\xe9.png\t0\n").hexdigest()
