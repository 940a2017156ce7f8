"""The published lists themselves, and the oddities that are known of them."""

import lzma
import re

import numpy as np
import pytest

from bitseek.data import PROTOCOLS, load_protocol
from bitseek.data.lists import read_list
from bitseek.errors import DataError

SIZES = {
    "coco/database_hashnet_112218": (112_218, 80),
    "coco/test": (5_000, 80),
    "coco/train": (10_000, 80),
    "imagenet/database": (128_503, 100),
    "imagenet/test": (5_000, 100),
    "imagenet/train": (13_000, 100),
    "mirflickr/database": (20_000, 38),
    "mirflickr/test": (1_000, 38),
    "mirflickr/train": (4_000, 38),
    "nuswide_21/test": (2_100, 21),
    "nuswide_21/train": (10_500, 21),
    "nuswide_21_m/test": (2_100, 21),
    "nuswide_21_m/train": (10_500, 21),
    "nuswide_81_m/test": (5_000, 81),
    "nuswide_81_m/train": (10_000, 81),
    "voc2012/database": (6_540, 20),
    "voc2012/test": (1_000, 20),
    "voc2012/train": (4_000, 20),
}


@pytest.fixture(scope="module")
def lists(shared_data):
    folder = shared_data / "lists"
    if not folder.is_dir():
        pytest.skip(f"no published lists in {folder}")
    return folder


@pytest.fixture(scope="module")
def read(lists):
    return {name: read_list(lists / f"{name}.txt.xz", strip="data/coco/") for name in SIZES}


def test_every_list_is_known(lists):
    assert {path.relative_to(lists).as_posix() for path in lists.glob("*/*")} == {f"{name}.txt.xz" for name in SIZES}


def test_sizes(read):
    assert {name: items.labels.shape for name, items in read.items()} == SIZES
    assert all(len(items.paths) == size[0] for items, size in zip(read.values(), SIZES.values(), strict=True))


@pytest.mark.parametrize("name", ["mirflickr/train", "nuswide_81_m/test", "voc2012/database"])
def test_read_as_a_slow_reader_does(lists, read, name):
    with lzma.open(lists / f"{name}.txt.xz", "rt") as file:
        rows = [line.split() for line in file]
    assert read[name].paths == tuple(row[0] for row in rows)
    np.testing.assert_array_equal(read[name].labels, [[int(value) for value in row[1:]] for row in rows])


@pytest.mark.parametrize(("name", "folder"), [("mirflickr25k", "mirflickr"), ("voc2012", "voc2012")])
def test_complete_protocols_load_and_are_the_published_ones(lists, name, folder):
    split = load_protocol(name, lists=lists / folder, check_images=False)
    assert split.name == name and split.k == PROTOCOLS[name].k
    assert split.multi_label and split.queries_in_database == 0


def test_imagenet100(lists):
    split = load_protocol("imagenet100", lists=lists / "imagenet", check_images=False)
    assert split.k == 1000 and not split.multi_label and split.queries_in_database == 0
    assert np.isin(split.train, split.database).all()
    numbers = split.pool.labels.numbers
    counts = {role: np.bincount(numbers[getattr(split, role)]) for role in ("train", "query", "database")}
    assert set(counts["train"]) == {130} and set(counts["query"]) == {50}
    assert (counts["database"].min(), counts["database"].max()) == (1029, 1300)
    assert len(set(split.pool.classes)) == 100
    for i in split.database[::97]:
        assert split.pool.classes[split.pool.labels.numbers[i]] in split.pool.key(i)


def test_mirflickr_has_images_without_a_label(lists):
    split = load_protocol("mirflickr25k", lists=lists / "mirflickr", check_images=False)
    assert split.describe()["unlabelled"] == {"train": 72, "query": 19, "database": 328}
    assert split.describe()["train_in_database"] == 0


def test_voc_classes(lists):
    split = load_protocol("voc2012", lists=lists / "voc2012", check_images=False)
    assert split.pool.classes[split.pool.labels.counts.argmax()] == "person"


def test_coco_the_two_splits_are_not_one(read):
    """The queries of DeepHash's split lie in the database of HashNet's, but for the 384 that train there."""
    train, test = set(read["coco/train"].paths), set(read["coco/test"].paths)
    database = set(read["coco/database_hashnet_112218"].paths)
    assert not train & test
    assert len(test & database) == 5_000 - 384
    assert len(train & database) == 10_000 - 793


def test_coco_lists_of_two_splits_are_not_mixed(lists, tmp_path):
    """HashNet's database with DeepHash's other lists: the sizes fit, but only 4,616 queries are in the database."""
    (tmp_path / "database.txt.xz").write_bytes((lists / "coco" / "database_hashnet_112218.txt.xz").read_bytes())
    for role in ("train", "test"):
        (tmp_path / f"{role}.txt.xz").write_bytes((lists / "coco" / f"{role}.txt.xz").read_bytes())
    with pytest.raises(DataError, match=r"coco-hashnet has 5000 queries in the database, these files have 4616"):
        load_protocol("coco-hashnet", lists=tmp_path, check_images=False)


def test_nuswide_21_and_21_m_by_flickr_number(read):
    def numbers(name):
        return {re.match(r"images/\d+_(\d+)", path)[1] for path in read[name].paths}

    first = {role: numbers(f"nuswide_21/{role}") for role in ("train", "test")}
    second = {role: numbers(f"nuswide_21_m/{role}") for role in ("train", "test")}
    assert len(first["train"] & second["train"]) == 1_038
    assert len(first["test"] & second["test"]) == 39
    assert len(first["test"] & second["train"]) == 187
    assert len(first["train"] & second["test"]) == 215
    assert not first["train"] & first["test"] and not second["train"] & second["test"]


def test_every_list_but_mirflickrs_has_labels_for_all(read):
    without = {name: int((~items.labels.any(axis=1)).sum()) for name, items in read.items()}
    assert {name: count for name, count in without.items() if count} == {
        "mirflickr/train": 72, "mirflickr/test": 19, "mirflickr/database": 328
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("nuswide-21", "nuswide_21"),
        ("nuswide-21-m", "nuswide_21_m"),
        ("nuswide-81-m", "nuswide_81_m"),
        ("nuswide-81", "nuswide_81_m"),
        ("coco-hashnet", "coco"),
    ],
)
def test_an_absent_database_list_says_what_to_do(lists, name, folder):
    with pytest.raises(DataError, match=r"there is no file .*database\.txt.* Put the lists of"):
        load_protocol(name, lists=lists / folder)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("nuswide-21-m", "nuswide_21_m"), ("nuswide-81-m", "nuswide_81_m"), ("nuswide-21", "nuswide_21")],
)
def test_nuswide_lists_are_the_published_ones(lists, read, tmp_path, name, folder):
    """Train and query have the known checksums; a database made up here shows that they are looked at."""
    for role in ("train", "test"):
        (tmp_path / f"{role}.txt.xz").write_bytes((lists / folder / f"{role}.txt.xz").read_bytes())
    split = load_protocol(f"lists:{tmp_path}", database="train.txt", check_images=False)
    assert PROTOCOLS[name].checksums["train"] == split.role_checksums["train"]
    assert PROTOCOLS[name].checksums["query"] == split.role_checksums["query"]


def test_changed_lists_are_refused(lists, tmp_path):
    for role in ("train", "test", "database"):
        with lzma.open(lists / "voc2012" / f"{role}.txt.xz", "rt") as file:
            (tmp_path / f"{role}.txt").write_text(file.read())
    assert load_protocol("voc2012", lists=tmp_path, check_images=False).multi_label
    lines = (tmp_path / "database.txt").read_text().splitlines()
    (tmp_path / "database.txt").write_text("\n".join(reversed(lines)))  # the order does not matter
    assert load_protocol("voc2012", lists=tmp_path, check_images=False).multi_label
    (tmp_path / "database.txt").write_text("\n".join([lines[0].replace("0", "1", 1), *lines[1:]]))
    with pytest.raises(DataError, match="of database are not the published ones"):
        load_protocol("voc2012", lists=tmp_path, check_images=False)
    (tmp_path / "database.txt").write_text("\n".join(lines[1:]))
    with pytest.raises(DataError, match="voc2012 has 6540 items in database, these files have 6539"):
        load_protocol("voc2012", lists=tmp_path, check_images=False)
    with pytest.raises(DataError, match="listed images are absent"):
        load_protocol("voc2012", lists=lists / "voc2012", images=tmp_path)
