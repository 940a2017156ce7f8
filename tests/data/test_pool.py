import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitseek.data import Pool
from bitseek.errors import BitseekError, DataError
from bitseek.images import Features, Loose, Paths, Pixels
from bitseek.labels import Labels


def test_multi_hot_of_single_labels():
    pool = Pool(Pixels(np.zeros((4, 1, 1), np.uint8)), np.array([2, -1, 0, 2]), ("a", "b", "c"))
    expected = [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]]
    np.testing.assert_array_equal(pool.labels.multi_hot(), expected)
    np.testing.assert_array_equal(pool.labels.multi_hot(np.array([1, 3])), np.array(expected)[[1, 3]])
    np.testing.assert_array_equal(pool.labels.any, [True, False, True, True])
    assert not pool.multi_label and pool.key(3) == "3" and len(pool) == 4


def test_multi_hot_of_multi_labels():
    labels = np.array([[1, 1], [0, 0], [0, 1]], bool)
    pool = Pool(Paths(Path("x"), ("a.png", "b.png", "c.png")), labels, ("p", "q"))
    np.testing.assert_array_equal(pool.labels.multi_hot([2, 0]), labels[[2, 0]])
    np.testing.assert_array_equal(pool.labels.any, [True, False, True])
    assert pool.multi_label and pool.key(1) == "b.png"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1]), "3 items need 3 labels, got 2"),
        (np.array([0.0, 1, 1]), "labels are"),
        (np.zeros((3, 3), bool), "got 3 columns"),
        (np.full((3, 2), 2), "labels are"),
        (np.array([0, 1, 2]), "got class number 2"),
        (np.array([0, 1, -2]), "from -2"),
    ],
)
def test_labels_must_fit(labels, message):
    with pytest.raises(BitseekError, match=message):
        Pool(Pixels(np.zeros((3, 1, 1), np.uint8)), labels, ("a", "b"))


def test_keys_must_fit():
    with pytest.raises(DataError, match="3 items need 3 keys, got 1"):
        Pool(Pixels(np.zeros((3, 1, 1), np.uint8)), np.zeros(3, np.int64), ("a",), keys=("x",))


def test_labels_have_one_form():
    images = Pixels(np.zeros((3, 1, 1), np.uint8))
    for labels in (np.array([1, -1, 0], np.int32), [1, -1, 0], Labels.of([1, -1, 0], 2)):
        pool = Pool(images, labels, ("a", "b"))
        assert pool.labels == Labels.of([1, -1, 0], classes=2) and not pool.multi_label
    hot = np.array([[0, 1], [0, 0], [1, 0]])
    assert Pool(images, hot, ("a", "b")).labels == Labels.of(hot.astype(bool))


def test_a_pool_cannot_be_changed_but_replaced():
    pool = Pool(Pixels(np.zeros((3, 1, 1), np.uint8)), [0, 1, 0], ("a", "b"), name="mine")
    with pytest.raises(dataclasses.FrozenInstanceError):
        pool.name = "other"
    other = dataclasses.replace(pool, labels=np.array([1, 1, 1]))
    assert other.labels.numbers.tolist() == [1, 1, 1] and other.images is pool.images and other.name == "mine"


def test_item_hashes_are_blake2b_of_name_and_key(tmp_path):
    names = ("a/1.png", "b\udce9.png", "new\nline.png")
    pool = Pool(Paths(tmp_path, names), [0, 0, 0], ("a",), name="mine")
    raw = [b"mine\0a/1.png", b"mine\0b\xe9.png", b"mine\0new\nline.png"]
    expected = [int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "little") for whole in raw]
    hashes = pool.item_hashes()
    assert hashes.dtype == np.uint64 and hashes.tolist() == expected
    assert pool.item_hashes(np.array([2, 0])).tolist() == [expected[2], expected[0]]


def test_item_hashes_know_an_item_in_another_split_and_no_other(tmp_path):
    files = ("a/1.png", "a/2.png", "b/3.png")
    one, two = Pool(Paths(tmp_path, files), [0, 0, 1], ("a", "b")), Pool(Paths(tmp_path, files[1:]), [0, 1], ("a", "b"))
    assert one.name == two.name == f"folder:{tmp_path}"
    np.testing.assert_array_equal(one.item_hashes([1, 2]), two.item_hashes())
    elsewhere = Pool(Paths(tmp_path / "other", files), [0, 0, 1], ("a", "b"))
    assert not np.isin(one.item_hashes(), elsewhere.item_hashes()).any()
    link = tmp_path.parent / f"{tmp_path.name} link"
    link.symlink_to(tmp_path)
    np.testing.assert_array_equal(Pool(Paths(link, files), [0, 0, 1], ("a", "b")).item_hashes(), one.item_hashes())


@pytest.mark.parametrize("kind", [Pixels, lambda array: Features((array.reshape(len(array), -1).astype(np.float32),))])
def test_pools_without_a_name_are_known_by_their_contents(kind):
    rng = np.random.default_rng(0)
    array, labels = rng.integers(0, 256, (500, 3, 3), np.uint8), np.arange(500) % 7
    pool, same = (Pool(kind(array.copy()), labels, tuple("abcdefg")) for _ in range(2))
    assert pool.name == same.name
    np.testing.assert_array_equal(pool.item_hashes([0, 9]), same.item_hashes([0, 9]))
    other_images = Pool(kind(rng.integers(0, 256, (500, 3, 3), np.uint8)), labels, tuple("abcdefg"))
    other_labels = Pool(kind(array), labels[::-1], tuple("abcdefg"))
    for other in (other_images, other_labels):
        assert other.name != pool.name and not np.isin(other.item_hashes(), pool.item_hashes()).any()
    loose = Pool(Loose(("a.png",)), [0], ("a",))
    assert loose.name != Pool(Loose(("a.png", "b.png")), [0, 0], ("a",)).name


def test_pools_of_loose_images_are_known_by_their_paths_and_pixels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)

    def name(*items):
        return Pool(Loose(items), [0] * len(items), ("a",)).name

    assert name("a.png") == name(tmp_path / "a.png") == name(b"a.png") != name("b.png")
    assert name(*array) == name(*array.copy()) == name(*map(Image.fromarray, array)) != name(*array[::-1])
    file = io.BytesIO()
    Image.fromarray(array[0]).save(file, "PNG")
    assert name(file) == name(array[0]) and name("a\0b", np.zeros(3)), "what cannot be read does no harm"
    assert name() == name()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ((0, 1, 2), "text, got 0"),
        (("a", "b", "a"), "1 items have the key of another"),
        (("a", b"b", "c"), "text, got b'b'"),
    ],
)
def test_keys_are_different_texts(keys, message, unchecked):
    with pytest.raises(DataError, match=message):
        Pool(Pixels(np.zeros((3, 1, 1), np.uint8)), np.zeros(3, np.int64), ("a",), keys=keys)
