import inspect
import io
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bitseek.errors import BitseekError, ImageError
from bitseek.images import IMAGE_EXTENSIONS, decode, decode_many, find_images, printable, stamp, walk

buffer = io.BytesIO()
Image.new("RGB", (1, 1)).save(buffer, "PNG")
ONE_PIXEL = buffer.getvalue()


def test_find_images_order_links_and_hidden(tmp_path):
    folder, outside = tmp_path / "in", tmp_path / "out"
    for name in ["b/2.PNG", "b/10.png", "a.jpg", "b.jpeg", "b/c/1.webp", "notes.txt", ".hidden.png", ".git/x.png"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    outside.mkdir()
    (outside / "secret.png").touch()
    (folder / "away").symlink_to(outside)
    (folder / "away.png").symlink_to(outside / "secret.png")
    (folder / "broken.png").symlink_to(folder / "nothing.png")
    (folder / "loop").symlink_to(folder)
    (folder / "z.png").symlink_to(folder / "a.jpg")
    names = [path.relative_to(folder).as_posix() for path in find_images([folder])]
    assert names == ["a.jpg", "b/10.png", "b/2.PNG", "b/c/1.webp", "b.jpeg", "z.png"]
    assert find_images(folder) == find_images(str(folder)) == find_images([folder, folder / "a.jpg"])
    assert find_images([folder / "notes.txt", folder / "a.jpg"]) == [folder / "notes.txt", folder / "a.jpg"]
    with pytest.raises(ImageError, match=r"broken\.png, only a link that leads nowhere"):
        find_images(folder / "broken.png")
    with pytest.raises(ImageError, match=r"no file or folder .*absent"):
        find_images([folder, tmp_path / "absent"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything is readable here")
def test_unreadable_folder(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(ImageError, match="cannot read the folder"):
        find_images(tmp_path)


BYTES = st.binary(min_size=1, max_size=12).map(lambda raw: raw.replace(b"\0", b"x").replace(b"/", b"y"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(BYTES, min_size=1, max_size=5, unique=True))
def test_names_of_any_bytes_are_found_decoded_and_printed(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("bytes")
    names = {b"a" + name + b".png" for name in names}
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(ONE_PIXEL)
    found = find_images(os.fsencode(folder))
    assert {os.fsencode(path.name) for path in found} == names
    assert all(not isinstance(image, ImageError) for _, image in decode_many(found, 2))
    for path in found:
        path.write_bytes(b"damaged")
    for _, error in decode_many(found, 2):
        assert isinstance(error, ImageError) and str(error).isprintable()
        str(error).encode("utf-8")


def test_one_name_that_is_not_utf_8_is_no_reason_to_stop(tmp_path):
    for name in (b"caf\xe9.png", b"new\nline.png", b"plain.png"):
        (tmp_path / os.fsdecode(name)).write_bytes(ONE_PIXEL)
    found = find_images([tmp_path])
    assert [os.fsencode(path.name) for path in found] == [b"caf\xe9.png", b"new\nline.png", b"plain.png"]
    assert [printable(path.name) for path in found] == [r"caf\xe9.png", r"new\nline.png", "plain.png"]
    with pytest.raises(ImageError, match=r"no file or folder .*b\\xffc"):
        find_images(os.fsencode(tmp_path) + b"/b\xffc")


def by_hand(folder, inside=None):
    """What `walk` shall find: each folder listed and sorted, recursively."""
    inside = inside or folder.resolve()
    for path in sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from by_hand(path, inside)
        elif path.suffix.lower() not in IMAGE_EXTENSIONS:
            continue
        elif not path.is_symlink() or (path.is_file() and path.resolve().is_relative_to(inside)):
            yield path


PARTS = st.sampled_from([b"a", b"b", b"a.b", b"A", b"\xff", "ü".encode(), b" ", b"-", b".c", b"a\nb", b"x.png"])
NAMES = st.sampled_from(
    [b"1.png", b"2.JPG", b"10.webp", b"a.txt", b".x.png", b"png", b"\xe9.gif", b"a.png", b"b.tar.gz"]
)


@settings(max_examples=60, deadline=None)
@given(tree=st.dictionaries(st.lists(PARTS, max_size=3).map(tuple), st.sets(NAMES, max_size=4), max_size=6))
def test_walk_finds_what_listing_by_hand_finds_with_its_stat(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("tree")
    for parts, names in tree.items():
        place = folder.joinpath(*map(os.fsdecode, parts))
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not (place / os.fsdecode(name)).exists():
                (place / os.fsdecode(name)).write_bytes(name * len(parts))
    (folder / "z.png").symlink_to("nothing")
    (folder / "y.png").symlink_to(folder.parent)
    expected = list(by_hand(folder))
    found = list(walk(folder))
    assert [name for name, _ in found] == [os.fsencode(path.relative_to(folder)) for path in expected]
    assert [status for _, status in found] == [path.stat() for path in expected]
    assert find_images(folder) == expected
    assert found == list(walk(str(folder))) == list(walk(os.fsencode(folder) + b"/"))


def test_walk_of_what_is_no_folder_and_of_a_deep_one(tmp_path):
    (tmp_path / "a.png").touch()
    for path in (tmp_path / "a.png", tmp_path / "absent"):
        with pytest.raises(ImageError, match="there is no folder"):
            list(walk(path))
    deep = tmp_path.joinpath(*["d"] * 200)
    deep.mkdir(parents=True)
    (deep / "b.png").touch()
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(inspect.stack()) + 100)
        found = list(walk(tmp_path))
    finally:
        sys.setrecursionlimit(limit)
    assert [name for name, _ in found] == [b"a.png", b"d/" * 200 + b"b.png"]


def test_walk_leaves_out_what_is_deleted_meanwhile(tmp_path):
    for name in ("a.png", "b.png", "c/d.png", "e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = walk(tmp_path)
    assert next(found)[0] == b"a.png"
    (tmp_path / "b.png").unlink()
    shutil.rmtree(tmp_path / "c")
    assert [name for name, _ in found] == [b"e.png"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a b.png", "a b.png"),
        ("ü/日本.png", "ü/日本.png"),
        ("tab\t\x1b[31m", r"tab\t\x1b[31m"),
        (b"\xff", r"\xff"),
        (Path("x"), "x"),
        ("\ud800.png", r"\ud800.png"),
    ],
)
def test_printable(path, text):
    assert printable(path) == text


def test_a_file_is_listed_once_however_its_path_is_written(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "~b.png"):
        (tmp_path / "in" / name).write_bytes(ONE_PIXEL)
    monkeypatch.chdir(tmp_path / "in")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_images(["a.png", tmp_path / "in", "../in/a.png", "~/in", "."]) == [
        Path("a.png"),
        Path(tmp_path, "in/~b.png"),
    ]
    assert find_images(".") == [Path("a.png"), Path("~b.png")]
    assert decode("~/in/a.png").shape == decode("~b.png").shape == (1, 1, 3)


@pytest.mark.parametrize("path", ["", b"", "a\0b", "\ud800", None, 3])
def test_what_is_no_path(path, unchecked):
    for paths in (path, [path]):
        with pytest.raises(BitseekError, match="a path is text"):
            find_images(paths)
    with pytest.raises(ImageError, match=r"a path is text|an image is a path"):
        decode(path)


@pytest.mark.parametrize(
    ("mtime_ns", "expected"),
    [(0, 0), (-1, -1), (2**63 - 1, 2**63 - 1), (2**63, 2**63 - 1), (10**20, 2**63 - 1), (-(10**20), -(2**63))],
)
def test_a_time_of_any_century_is_int64(mtime_ns, expected):
    status = os.stat_result((0,) * 6 + (7,) + (0,) * 3, {"st_mtime_ns": mtime_ns})
    assert stamp(status) == (7, expected)


def test_the_stamp_of_a_file_is_its_size_and_time(tmp_path):
    (tmp_path / "a.png").write_bytes(ONE_PIXEL)
    os.utime(tmp_path / "a.png", ns=(0, 1_700_000_000_123_456_700))
    ((_, status),) = walk(tmp_path)
    assert stamp(status) == (len(ONE_PIXEL), 1_700_000_000_123_456_700)
