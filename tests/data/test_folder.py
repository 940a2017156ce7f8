import shutil

import numpy as np
import pytest
from PIL import Image

from bitseek.data import protocol
from bitseek.errors import DataError


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
    split = protocol(f"folder:{folder}")
    assert split.pool.classes == ("cats", "dogs & co")
    assert len(split.pool) == 31 and len(split.query) == 2 + 1
    names = [split.pool.key(i) for i in range(31)]
    assert names == sorted(names, key=lambda name: name.split("/")) and "dogs & co/deep/x.JPG" in names
    for name, label in zip(names, split.pool.labels, strict=True):
        assert split.pool.classes[label] == name.split("/")[0]
    np.testing.assert_array_equal(split.train, split.database)
    assert sorted([*split.query, *split.database]) == list(range(31))
    assert all(path.is_file() for path in split.pool.images.rows(split.query))


def test_sizes(folder):
    split = protocol(f"folder:{folder}", query=3, train=5, at=7)
    assert (len(split.query), len(split.train), len(split.database), split.at) == (6, 10, 25, 7)
    assert np.isin(split.train, split.database).all()
    assert np.bincount(split.pool.labels[split.query]).tolist() == [3, 3]
    split = protocol(f"folder:{folder}", query=0.25, train=0.5)
    assert np.bincount(split.pool.labels[split.query]).tolist() == [5, 2]
    assert np.bincount(split.pool.labels[split.train]).tolist() == [10, 5]
    with pytest.raises(DataError, match="'dogs & co' has 11 items, fewer than the 12"):
        protocol(f"folder:{folder}", query=12)


def test_the_split_does_not_depend_on_where_the_folder_lies(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    first, second = protocol(f"folder:{folder}", seed=3), protocol(f"folder:{copy}", seed=3)
    assert first.checksum == second.checksum
    assert first.checksum != protocol(f"folder:{folder}", seed=4).checksum


def test_images_without_a_class(folder):
    for i in range(10):
        Image.new("RGB", (4, 4)).save(folder / f"loose {i}.png")
    split = protocol(f"folder:{folder}")
    assert (split.pool.labels == -1).sum() == 10
    assert split.describe()["unlabelled"] == {"train": 9, "query": 1, "database": 9}
    flat = protocol(f"folder:{folder / 'cats'}")
    assert flat.pool.classes == () and (flat.pool.labels == -1).all() and len(flat.query) == 2
    assert flat.pool.multi_hot().shape == (20, 0)


def test_no_folder_and_no_images(folder, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        protocol(f"folder:{tmp_path / 'absent'}")
    with pytest.raises(DataError, match="there are no images"):
        protocol(f"folder:{folder / 'empty'}")
