import lzma
import re
import string

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bitseek.data import load_protocol
from bitseek.data.lists import read_list
from bitseek.errors import DataError
from bitseek.images import Paths


def write(path, *lines, end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode("utf-8", "surrogateescape"))
    return path


def test_one_hot_and_multi_hot(tmp_path):
    items = read_list(write(tmp_path / "l.txt", "a/1.jpg 0 1 0", "./b.jpg  1 0 1 ", "ç\t0\t0\t0"))
    assert items.paths == ("a/1.jpg", "b.jpg", "ç")
    np.testing.assert_array_equal(items.labels, [[0, 1, 0], [1, 0, 1], [0, 0, 0]])
    assert items.labels.dtype == bool


def test_class_index(tmp_path):
    items = read_list(write(tmp_path / "l.txt", "a.jpg 0", "b c.jpg 12", "d 1.jpg 1"))
    assert items.paths == ("a.jpg", "b c.jpg", "d 1.jpg") and items.labels.tolist() == [0, 12, 1]
    items = read_list(write(tmp_path / "l.txt", "a.jpg 0", "b.jpg 1", "c 7 1", "d.jpg 0"))
    assert items.paths == ("a.jpg", "b.jpg", "c 7", "d.jpg") and items.labels.tolist() == [0, 1, 1, 0]


def test_paths_that_end_in_numbers(tmp_path):
    items = read_list(write(tmp_path / "l.txt", "a b 0 1", "img 1 1 0", "img10 0 0", "x 0 1 1 0 1", "10 1 1"))
    assert items.paths == ("a b", "img 1", "img10", "x 0 1 1", "10")
    np.testing.assert_array_equal(items.labels, [[0, 1], [1, 0], [0, 0], [0, 1], [1, 1]])


names = st.text(string.ascii_letters + string.digits + " ._-ü", min_size=1).map(
    lambda name: re.sub(r"\s+", " ", name.strip()) + ".jpg"
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(2, 12), st.lists(names, min_size=1, max_size=12, unique=True), st.booleans())
def test_what_is_written_is_read(tmp_path, data, columns, paths, packed):
    labels = data.draw(
        st.lists(
            st.lists(st.integers(0, 1), min_size=columns, max_size=columns), min_size=len(paths), max_size=len(paths)
        )
    )
    lines = [f"{path} {' '.join(map(str, row))}" for path, row in zip(paths, labels, strict=True)]
    path = write(tmp_path / "l.txt", *lines, end=data.draw(st.sampled_from(["\n", "\r\n"])))
    if packed:
        path = tmp_path / "l.txt.xz"
        path.write_bytes(lzma.compress((tmp_path / "l.txt").read_bytes()))
    items = read_list(path)
    assert items.paths == tuple(paths)
    np.testing.assert_array_equal(items.labels, labels)


def test_byte_order_mark_blank_lines_and_other_encodings(tmp_path):
    items = read_list(write(tmp_path / "l.txt", "\ufeffa 0 1", "", "b\udce9.jpg 1 0", "   "))
    assert items.paths == ("a", "b\udce9.jpg") and items.labels.sum() == 2


def test_strip(tmp_path):
    path = write(tmp_path / "l.txt", "./data/x/a.jpg 0 1", "data/x/b.jpg 1 0", "other/c.jpg 1 0")
    assert read_list(path, strip="data/x/").paths == ("a.jpg", "b.jpg", "other/c.jpg")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty"),
        (["", " "], "is empty"),
        (["a 0 1 0", "b 0 1 0", "c 0 1"], r"line 3 has 2 labels of 0 or 1, most lines have 3"),
        (["a 0 1 0", "b 0 2 0", "c 0 1 0"], r"line 2 has 1 labels"),
        (["a 3", "b", "c 4"], "line 2 is not a path"),
        (["a 3", "b x", "c 4"], "line 2 is not a path"),
        (["a 3", "b -2"], "line 2 is not a path"),
        (["a 0 1", "b 1 0", "./a 0 1"], "lists 1 images more than once, 'a'"),
    ],
)
def test_damaged_lists(tmp_path, lines, message):
    with pytest.raises(DataError, match=message) as caught:
        read_list(write(tmp_path / "bad.txt", *lines))
    assert "bad.txt" in str(caught.value)


def test_absent_and_truncated_lists(tmp_path):
    with pytest.raises(DataError, match=r"there is no list .*no\.txt"):
        read_list(tmp_path / "no.txt")
    raw = lzma.compress(b"a 0 1\nb 1 0\n" * 50)
    (tmp_path / "cut.txt.xz").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=r"cannot read the list .*cut\.txt\.xz"):
        read_list(tmp_path / "cut.txt.xz")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "lists" / "train.txt", "im 1.png 0 1", "im 2.png 1 1")
    write(tmp_path / "lists" / "test.txt", "im 3.png 1 0", "im 4.png 0 0")
    write(tmp_path / "lists" / "database.txt", "im 5.png 1 1", "im 3.png 1 0", "im 1.png 0 1")
    for i in range(1, 6):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / "images" / f"im {i}.png")
    return tmp_path / "lists"


def test_protocol_of_lists(folder, tmp_path):
    split = load_protocol(f"lists:{folder}", root=tmp_path / "images", k=5)
    assert split.multi_label and split.k == 5 and split.seed is None
    keys = {role: [split.pool.key(i) for i in getattr(split, role)] for role in ("train", "query", "database")}
    assert keys == {
        "train": ["im 1.png", "im 2.png"],
        "query": ["im 3.png", "im 4.png"],
        "database": ["im 1.png", "im 3.png", "im 5.png"],
    }
    assert len(split.pool) == 5  # an image in two lists is one item
    assert split.queries_in_database == 1 and split.describe()["unlabelled"]["query"] == 1
    np.testing.assert_array_equal(split.pool.labels.multi_hot(split.query), [[1, 0], [0, 0]])
    assert isinstance(split.pool.images, Paths) and split.pool.images.rows(split.query)[0].is_file()


def test_absent_images_are_counted(folder, tmp_path):
    (tmp_path / "images" / "im 2.png").unlink()
    (tmp_path / "images" / "im 5.png").unlink()
    with pytest.raises(DataError, match=r"2 of 5 listed images are absent, for one .*im 2\.png"):
        load_protocol(f"lists:{folder}", root=tmp_path / "images")
    assert len(load_protocol(f"lists:{folder}", root=tmp_path / "images", check_images=False).pool) == 5


def test_leaks_are_refused_with_their_number(folder):
    write(folder / "train.txt", "im 3.png 1 0", "im 4.png 0 0", "im 1.png 0 1")
    with pytest.raises(DataError, match="2 of 2 queries are training items"):
        load_protocol(f"lists:{folder}", check_images=False)


def test_lists_that_disagree(folder):
    write(folder / "train.txt", "im 1.png 1 1", "im 2.png 1 1")
    with pytest.raises(DataError, match=r"disagree about the labels of 1 images, 'im 1\.png'"):
        load_protocol(f"lists:{folder}", check_images=False)
    write(folder / "train.txt", "im 1.png 0 1 0", "im 2.png 1 1 0")
    with pytest.raises(DataError, match="labels of different forms"):
        load_protocol(f"lists:{folder}", check_images=False)
    write(folder / "train.txt", "im 1.png 3", "im 2.png 4")
    with pytest.raises(DataError, match="labels of different forms"):
        load_protocol(f"lists:{folder}", check_images=False)


def test_one_hot_lists_are_single_label(tmp_path):
    write(tmp_path / "train.txt", "a 0 1 0", "b 1 0 0")
    write(tmp_path / "test.txt", "c 0 0 1")
    write(tmp_path / "database.txt", "d 0 1 0")
    split = load_protocol(f"lists:{tmp_path}", check_images=False)
    assert split.pool.labels.numbers.tolist() == [1, 0, 2, 1] and split.pool.classes == ("0", "1", "2")
    write(tmp_path / "train.txt", "a 1", "b 0")
    write(tmp_path / "test.txt", "c 2")
    write(tmp_path / "database.txt", "d 1")
    indexed = load_protocol(f"lists:{tmp_path}", check_images=False)
    assert indexed.checksum == split.checksum


def test_other_file_names_and_absent_lists(folder):
    (folder / "database.txt").rename(folder / "db.txt")
    with pytest.raises(DataError, match=r"there is no file .*database\.txt"):
        load_protocol(f"lists:{folder}", check_images=False)
    assert len(load_protocol(f"lists:{folder}", database="db.txt", check_images=False).database) == 3
    split = load_protocol(f"lists:{folder}", database="train.txt", check_images=False)
    np.testing.assert_array_equal(split.train, split.database)
