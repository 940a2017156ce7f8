import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from bitseek.data import OWN_PROTOCOLS, describe_folder, load_protocol
from bitseek.errors import BitseekError, DataError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "my images"
    for name, count in (("cats", 20), ("dogs & co", 10), ("empty", 0)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (4, 4)).save(folder / name / f"{i}.png")
    (folder / "dogs & co" / "deep").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "dogs & co" / "deep" / "x.JPG")
    (folder / "cats" / "notes.txt").write_text("no image")
    return folder


def test_classes_are_sub_folders(folder):
    split = load_protocol(f"folder:{folder}")
    assert split.pool.classes == ("cats", "dogs & co")
    assert len(split.pool) == 31 and len(split.query) == 2 + 1
    names = [split.pool.key(i) for i in range(31)]
    assert names == sorted(names, key=lambda name: name.split("/")) and "dogs & co/deep/x.JPG" in names
    for name, label in zip(names, split.pool.labels.numbers, strict=True):
        assert split.pool.classes[label] == name.split("/")[0]
    np.testing.assert_array_equal(split.train, split.database)
    assert sorted([*split.query, *split.database]) == list(range(31))
    assert all(path.is_file() for path in split.pool.images.rows(split.query))


def test_sizes(folder):
    split = load_protocol(f"folder:{folder}", query=3, train=5, k=7)
    assert (len(split.query), len(split.train), len(split.database), split.k) == (6, 10, 25, 7)
    assert np.isin(split.train, split.database).all()
    assert np.bincount(split.pool.labels.numbers[split.query]).tolist() == [3, 3]
    split = load_protocol(f"folder:{folder}", query=0.25, train=0.5)
    assert np.bincount(split.pool.labels.numbers[split.query]).tolist() == [5, 2]
    assert np.bincount(split.pool.labels.numbers[split.train]).tolist() == [10, 5]
    with pytest.raises(DataError, match="'dogs & co' has 11 items, fewer than the 12"):
        load_protocol(f"folder:{folder}", query=12)


def test_the_split_does_not_depend_on_where_the_folder_lies(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    first, second = load_protocol(f"folder:{folder}", seed=3), load_protocol(f"folder:{copy}", seed=3)
    assert first.checksum == second.checksum
    assert first.checksum != load_protocol(f"folder:{folder}", seed=4).checksum
    again = first.origin.load(copy)
    assert again.checksum == first.checksum and again.origin == dataclasses.replace(first.origin, name=f"folder:{copy}")


def test_images_without_a_class(folder):
    for i in range(10):
        Image.new("RGB", (4, 4)).save(folder / f"loose {i}.png")
    split = load_protocol(f"folder:{folder}")
    assert (split.pool.labels.numbers == -1).sum() == 10
    assert split.describe()["unlabelled"] == {"train": 9, "query": 1, "database": 9}
    flat = load_protocol(f"folder:{folder / 'cats'}")
    assert flat.pool.classes == () and (flat.pool.labels.numbers == -1).all() and len(flat.query) == 2
    assert flat.pool.labels.multi_hot().shape == (20, 0)


def test_no_folder_and_no_images(folder, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        load_protocol(f"folder:{tmp_path / 'absent'}")
    with pytest.raises(DataError, match="there are no images"):
        load_protocol(f"folder:{folder / 'empty'}")


def filled(root, counts):
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", (2, 2)).save(root / name / f"{i}.png")
    return root


def test_counts_and_shares_of_numpy(folder):
    """Bug 14, through the options."""
    split = load_protocol(f"folder:{folder}", query=np.int64(2), train=np.float32(0.5))
    assert len(load_protocol(f"folder:{folder}", query=np.array(2)).query) == 4, "a number in an array of no axes"
    assert np.bincount(split.pool.labels.numbers[split.query]).tolist() == [2, 2]
    assert np.bincount(split.pool.labels.numbers[split.train]).tolist() == [10, 5]
    assert split.origin.options == {"query": 2, "train": 0.5}
    for option in ({"query": True}, {"query": "many"}, {"k": 0}, {"k": 2.5}, {"query": np.nan}, {"split": "train"}):
        with pytest.raises(BitseekError):
            load_protocol(f"folder:{folder}", **option)


def test_describe(folder):
    Image.new("RGB", (4, 4)).save(folder / "loose.png")
    found = describe_folder(folder)
    assert json.loads(json.dumps(found)) == found
    assert found == {"images": 32, "classes": {"cats": 20, "dogs & co": 11}, "without_class": 1, "split": {}}
    assert OWN_PROTOCOLS["folder"].describe(str(folder)) == describe_folder(str(folder)) == found
    assert OWN_PROTOCOLS["lists"].describe(str(folder)) is None
    with pytest.raises(DataError, match="there is no folder"):
        OWN_PROTOCOLS["folder"].describe(str(folder / "absent"))


@pytest.fixture
def split_folder(tmp_path):
    return filled(tmp_path / "set", {"train/cat": 6, "train/dog": 4, "Test/cat": 3, "Test/dog": 1, "Test/owl": 1})


def test_sub_folders_that_look_like_a_split_are_not_taken_for_classes(split_folder):
    """Bug 22: train and test were the two classes, without a word."""
    with pytest.raises(DataError, match="look like a split, not like classes") as caught:
        load_protocol(f"folder:{split_folder}")
    for part in ("train (10 images, 2 sub-folders)", "Test (5 images, 3 sub-folders)", "split=folders", "split=draw"):
        assert part in str(caught.value)
    assert describe_folder(split_folder)["split"] == {
        "train": {"images": 10, "classes": {"cat": 6, "dog": 4}, "without_class": 0},
        "Test": {"images": 5, "classes": {"cat": 3, "dog": 1, "owl": 1}, "without_class": 0},
    }
    drawn = load_protocol(f"folder:{split_folder}", split="draw")
    assert drawn.pool.classes == ("Test", "train") and drawn.seed == 0
    alone = load_protocol(f"folder:{split_folder / 'train'}", query=1)
    assert alone.pool.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["train"], True),
        (["train", "val"], True),
        (["TRAINING", "testing", "notes"], True),
        (["query", "gallery"], True),
        (["train", "plane"], False),
        (["train", "plane", "ship", "test"], False),
        (["trains", "tests"], False),
        (["cat", "dog"], False),
    ],
)
def test_what_looks_like_a_split(tmp_path, names, refused):
    filled(tmp_path, dict.fromkeys(names, 3))
    assert bool(describe_folder(tmp_path)["split"]) == refused
    if refused:
        with pytest.raises(DataError, match="look like a split"):
            load_protocol(f"folder:{tmp_path}")
    else:
        assert len(load_protocol(f"folder:{tmp_path}").pool.classes) == len(names)


def test_a_split_by_folders(split_folder):
    Image.new("RGB", (2, 2)).save(split_folder / "train" / "no class.png")
    split = load_protocol(f"folder:{split_folder}", split="folders", k=4, seed=3)
    assert split.pool.classes == ("cat", "dog", "owl") and split.k == 4 and split.seed is None
    for role, folder in (("train", "train"), ("query", "Test"), ("database", "train")):
        keys = split.pool.keys_of(getattr(split, role))
        assert sorted(keys) == sorted(
            p.relative_to(split_folder).as_posix() for p in (split_folder / folder).rglob("*.png")
        )
    for key, label in zip(split.pool.keys_of(), split.pool.labels.numbers.tolist(), strict=True):
        assert (split.pool.classes[label] if label >= 0 else "no class.png") == key.split("/")[1]
    assert split.origin.load().checksum == split.checksum
    with pytest.raises(DataError, match="are for a split that is drawn"):
        load_protocol(f"folder:{split_folder}", split="folders", query=3)


def test_the_roles_of_folders(tmp_path):
    names = ["training", "val", "test", "gallery"]
    split = load_protocol(f"folder:{filled(tmp_path, {f'{name}/x': 2 for name in names})}", split="folders")
    roles = {
        role: {key.split("/")[0] for key in split.pool.keys_of(getattr(split, role))}
        for role in ("train", "query", "database")
    }
    assert roles == {"train": {"training"}, "query": {"test"}, "database": {"gallery"}}
    shutil.rmtree(tmp_path / "test")
    split = load_protocol(f"folder:{tmp_path}", split="folders")
    assert {key.split("/")[0] for key in split.pool.keys_of(split.query)} == {"val"}
    shutil.rmtree(tmp_path / "training")
    with pytest.raises(DataError, match="no images for train: no sub-folder train or training"):
        load_protocol(f"folder:{tmp_path}", split="folders")


def test_names_of_any_bytes(tmp_path):
    """Bug 17: a name that is not UTF-8, and one with a newline."""
    for folder in (b"caf\xe9", b"two\nlines"):
        (tmp_path / os.fsdecode(folder)).mkdir()
        for i in range(3):
            Image.new("RGB", (2, 2)).save(tmp_path / os.fsdecode(folder + b"/%d\xff.png" % i))
    split = load_protocol(f"folder:{tmp_path}", query=1)
    assert split.pool.classes == ("caf\udce9", "two\nlines") and len(split.train) == 4
    again = split.origin.load()
    assert again.checksum == split.checksum
    np.testing.assert_array_equal(again.pool.item_hashes(), split.pool.item_hashes())
    assert json.loads(json.dumps(split.describe())) == split.describe()
