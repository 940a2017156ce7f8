from pathlib import Path

import numpy as np
import pytest

from bitseek.data import Features, Paths, Pixels, Pool
from bitseek.errors import DataError


def test_pixels():
    grey = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(Pixels(grey).rows(np.array([1])), grey[1:])
    assert len(Pixels(np.zeros((5, 2, 2, 3), np.uint8))) == 5
    for wrong in (grey.astype(np.float32), np.zeros((2, 3, 4, 1), np.uint8), np.zeros((2, 3), np.uint8)):
        with pytest.raises(DataError, match="pixels are"):
            Pixels(wrong)


def test_paths():
    paths = Paths(Path("root"), ("a/1.png", "b c/2.png", "d.png"))
    assert paths.rows([2, 1]) == [Path("root/d.png"), Path("root/b c/2.png")]
    assert paths.rows(slice(None)) == [Path("root/a/1.png"), Path("root/b c/2.png"), Path("root/d.png")]
    assert len(paths) == 3


def test_features_of_several_parts_read_like_one_array(tmp_path):
    whole = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    np.save(tmp_path / "part.npy", whole[5:12])
    mapped = np.load(tmp_path / "part.npy", mmap_mode="r")
    features = Features((whole[:5], mapped, whole[12:]))
    assert len(features) == 20 and features.dimensions == 3
    np.testing.assert_array_equal(features.array, whole)
    chosen = np.array([19, 0, 5, 11, 12, 4, 0])
    np.testing.assert_array_equal(features.rows(chosen), whole[chosen])
    np.testing.assert_array_equal(features.rows(slice(3, 14, 2)), whole[3:14:2])
    np.testing.assert_array_equal(features.rows(whole[:, 0] > 0), whole[whole[:, 0] > 0])
    np.testing.assert_array_equal(Features((whole,)).rows(chosen), whole[chosen])


def test_features_must_fit():
    with pytest.raises(DataError, match="float32"):
        Features((np.zeros((2, 3)),))
    with pytest.raises(DataError, match="float32"):
        Features((np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)))
    with pytest.raises(DataError, match="none"):
        Features(())


def test_multi_hot_of_single_labels():
    pool = Pool(Pixels(np.zeros((4, 1, 1), np.uint8)), np.array([2, -1, 0, 2]), ("a", "b", "c"))
    expected = [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]]
    np.testing.assert_array_equal(pool.multi_hot(), expected)
    np.testing.assert_array_equal(pool.multi_hot(np.array([1, 3])), np.array(expected)[[1, 3]])
    np.testing.assert_array_equal(pool.unlabelled, [False, True, False, False])
    assert not pool.multi_label and pool.key(3) == "3" and len(pool) == 4


def test_multi_hot_of_multi_labels():
    labels = np.array([[1, 1], [0, 0], [0, 1]], bool)
    pool = Pool(Paths(Path("x"), ("a.png", "b.png", "c.png")), labels, ("p", "q"))
    np.testing.assert_array_equal(pool.multi_hot([2, 0]), labels[[2, 0]])
    np.testing.assert_array_equal(pool.unlabelled, [False, True, False])
    assert pool.multi_label and pool.key(1) == "b.png"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1]), "labels of 3 items"),
        (np.array([0, 1, 1], np.int32), "labels of 3 items"),
        (np.zeros((3, 3), bool), "labels of 3 items"),
        (np.zeros((3, 2), np.int64), "labels of 3 items"),
        (np.array([0, 1, 2]), r"−1 … 1, got 0 … 2"),
        (np.array([0, 1, -2]), r"got -2"),
    ],
)
def test_labels_must_fit(labels, message):
    with pytest.raises(DataError, match=message):
        Pool(Pixels(np.zeros((3, 1, 1), np.uint8)), labels, ("a", "b"))


def test_keys_must_fit():
    with pytest.raises(DataError, match="3 items need 3 keys, got 1"):
        Pool(Pixels(np.zeros((3, 1, 1), np.uint8)), np.zeros(3, np.int64), ("a",), keys=("x",))
