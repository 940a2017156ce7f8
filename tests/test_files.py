"""Files: written whole or not at all, read or refused in a sentence; those of the user are left alone."""

import json
import os
import random
import stat
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tests.kills import Program

from bitseek._files import OwnedFiles, atomic, free_target, parse, read_json, read_npz, user_path, write_json, write_npz
from bitseek.errors import BitseekError, ShapeError


class TestUserPath:
    def test_the_home_folder_and_every_kind_of_path(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path)
        for path in ("~/a", b"~/a", Path("~/a")):
            assert user_path(path) == tmp_path / "home" / "a"
        assert user_path("~nobody-of-that-name.jpg") == Path("~nobody-of-that-name.jpg")
        assert user_path("x/../a") == Path("x/../a") and user_path("x/../a", resolve=True) == tmp_path.resolve() / "a"
        (tmp_path / "~").touch()
        assert user_path("~") == Path("~"), "a file of that very name"
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        assert user_path("loop", resolve=True).name == "loop"

    @pytest.mark.parametrize("path", ["", b"", "a\0b", b"a\0b", "\ud800", None, 3, ["a"]])
    def test_what_is_no_path_is_refused_by_all_that_take_one(self, path, unchecked):
        for use in (
            user_path,
            read_json,
            read_npz,
            write_npz,
            lambda path: write_json(path, 1),
            lambda path: atomic(path).__enter__(),
            lambda path: OwnedFiles(path, "manifest"),
        ):
            with pytest.raises(BitseekError, match="a path is text"):
                use(path)

    def test_files_below_the_home_folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        write_npz("~/a.npz", a=np.arange(3))
        write_json("~/a.json", [1])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.npz"]
        assert read_npz("~/a.npz")["a"].tolist() == [0, 1, 2] and read_json("~/a.json") == [1]
        owned = OwnedFiles("~/folder", "manifest")
        owned.add(["x"])
        assert owned.names == {"x"} and (tmp_path / "folder" / "manifest").is_file()


class TestAtomic:
    @pytest.mark.parametrize("mode", [0o600, 0o444, 0o660])
    def test_a_file_keeps_its_permissions(self, mode, tmp_path):
        target = tmp_path / "file"
        target.touch()
        target.chmod(mode)
        with atomic(target) as part:
            part.write_text("new")
        assert target.read_text() == "new" and stat.S_IMODE(target.stat().st_mode) == mode

    def test_a_link_stays_one(self, tmp_path):
        (tmp_path / "there").mkdir()
        link, target = tmp_path / "link", tmp_path / "there" / "file"
        link.symlink_to(target)
        for text in ("one", "two"):  # the first makes the file
            with atomic(link) as part:
                part.write_text(text)
            assert link.is_symlink() and target.read_text() == text
        assert list(target.parent.iterdir()) == [target]

    @pytest.mark.parametrize("path", [".", "/", ".."])
    def test_folders_without_a_name(self, path):
        with pytest.raises(BitseekError, match=r"cannot write .*not a file"), atomic(path):
            pass

    def test_the_file_is_as_before_until_the_block_ends(self, tmp_path):
        target = tmp_path / "file"
        target.write_text("old")
        with atomic(target) as part:
            part.write_text("new")
            assert target.read_text() == "old"
        assert target.read_text() == "new"
        assert list(tmp_path.iterdir()) == [target]

    def test_after_an_error_nothing_has_changed(self, tmp_path):
        target = tmp_path / "file"
        target.write_text("old")
        with pytest.raises(KeyError), atomic(target) as part:
            part.write_text("half")
            raise KeyError
        assert target.read_text() == "old"
        assert list(tmp_path.iterdir()) == [target]

    @pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "not allowed")])
    def test_what_the_system_says_becomes_a_sentence(self, error, tmp_path):
        with pytest.raises(BitseekError, match=f"cannot write .*file: {error.strerror}"), atomic(tmp_path / "file"):
            raise error
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("path", ["absent/file", "plain/file", "folder", "x" * 300])
    def test_places_that_cannot_be_written(self, path, tmp_path):
        (tmp_path / "plain").write_text("")
        (tmp_path / "folder").mkdir()
        with pytest.raises(BitseekError, match="cannot write"), atomic(tmp_path / path) as part:
            part.write_text("new")
        assert sorted(found.name for found in tmp_path.iterdir()) == ["folder", "plain"]

    @pytest.mark.skipif(not Path("/dev/null").exists(), reason="there are no devices here")
    def test_a_device_is_not_replaced_by_a_file(self, tmp_path):
        (tmp_path / "null").symlink_to("/dev/null")
        with pytest.raises(BitseekError, match="not a file"), atomic(tmp_path / "null") as part:
            part.write_text("new")
        assert stat.S_ISCHR(Path("/dev/null").stat().st_mode) and (tmp_path / "null").is_symlink()

    def test_several_threads_may_write_one_file(self, tmp_path):
        target, wrong = tmp_path / "file", []

        def write(text):
            for _ in range(20):
                with atomic(target) as part:
                    part.write_text(text * 1000)
                if len(set(target.read_text())) != 1:
                    wrong.append(text)

        threads = [threading.Thread(target=write, args=(text,)) for text in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong and [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_a_kill_while_writing_leaves_the_old_content_or_the_new(self, tmp_path):
        """Before each step, and amid the write that follows it."""
        file, new, found = tmp_path / "file", "new" * 30_000, []
        code = f"with atomic(f'{{folder}}/file') as part: part.write_text({new!r})"
        with Program("from bitseek._files import atomic", code) as program:
            for step in range(program.steps(tmp_path)):
                for room in (None, 1000):
                    file.write_text("old")
                    program.run(tmp_path, step, room)
                    found.append(file.read_text())
        assert set(found) == {"old", new}


plain_arrays = st.one_of(
    arrays(np.float32, array_shapes(max_side=4), elements=st.floats(width=32)),
    arrays(np.bool_, array_shapes(max_side=4)),
    arrays(np.int64, array_shapes(min_dims=0, max_side=4)),
    arrays("<U5", array_shapes(max_side=4)),
)


class TestNpz:
    @settings(max_examples=40, deadline=None)
    @given(contents=st.dictionaries(st.sampled_from(["a", "words", "file", "path", "args", "x.y"]), plain_arrays))
    def test_there_and_back(self, contents, tmp_path_factory):
        path = tmp_path_factory.mktemp("npz") / "file.npz"
        write_npz(path, **contents)
        read = read_npz(path)
        assert read.keys() == contents.keys()
        for name, array in contents.items():
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)
        with np.load(path, allow_pickle=False) as theirs:
            assert set(theirs.files) == set(contents), "it is NumPy's own form"

    def test_equal_arrays_give_equal_bytes(self, tmp_path, monkeypatch):
        for name, now in (("one", 1e9), ("two", 1.5e9)):
            monkeypatch.setattr(time, "time", lambda now=now: now)
            write_npz(tmp_path / name, a=np.arange(5), b=3)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()

    def test_objects_are_neither_written_nor_read(self, tmp_path):
        with pytest.raises(BitseekError, match="'odd' cannot be written"):
            write_npz(tmp_path / "file", odd=np.array([{}], dtype=object))
        with pytest.raises(BitseekError, match=r"'odd' cannot be written to .*file: "):
            write_npz(tmp_path / "file", odd=[[1], [1, 2]])
        assert not list(tmp_path.iterdir())
        np.savez(tmp_path / "evil.npz", odd=np.array([{}], dtype=object))
        with pytest.raises(BitseekError, match="allow_pickle"):
            read_npz(tmp_path / "evil.npz")

    def test_absent_and_other_files(self, tmp_path):
        with pytest.raises(BitseekError, match="there is no file"):
            read_npz(tmp_path / "absent")
        with pytest.raises(BitseekError, match="cannot read"):
            read_npz(tmp_path)
        np.save(tmp_path / "single.npy", np.arange(3))
        with pytest.raises(BitseekError, match="it is a single array"):
            read_npz(tmp_path / "single.npy")

    def test_no_damage_gives_another_error(self, tmp_path):
        path = tmp_path / "file.npz"
        write_npz(path, words=np.arange(20, dtype=np.uint64), names=np.array(["a", "b"]))
        whole = path.read_bytes()
        rng = random.Random(0)
        for _ in range(150):
            damaged = bytearray(whole)
            if rng.random() < 0.3:
                del damaged[rng.randrange(len(damaged)) :]
            for _ in range(rng.randrange(4)):
                if damaged:
                    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            path.write_bytes(damaged)
            try:
                assert all(isinstance(array, np.ndarray) for array in read_npz(path).values())
            except BitseekError as error:
                assert str(path) in str(error)

    def test_encrypted_archives_are_refused(self, tmp_path):
        path = tmp_path / "file.npz"
        write_npz(path, a=np.arange(3))
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag "encrypted" in the central directory
        path.write_bytes(content)
        with zipfile.ZipFile(path) as archive, pytest.raises(RuntimeError):
            archive.read("a.npy")
        with pytest.raises(BitseekError, match=r"not an \.npz file"):
            read_npz(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class TestJson:
    @settings(max_examples=60, deadline=None)
    @given(value=json_values)
    def test_there_and_back(self, value, tmp_path_factory):
        path = tmp_path_factory.mktemp("json") / "file"
        write_json(path, value)
        assert read_json(path) == value
        assert json.loads(path.read_bytes()) == value

    def test_names_that_are_not_utf_8_come_back(self, tmp_path):
        name = os.fsdecode(b"caf\xe9 \xff.jpg")
        write_json(tmp_path / "file", [name, "ä\n"])
        assert os.fsencode(read_json(tmp_path / "file")[0]) == b"caf\xe9 \xff.jpg"
        (tmp_path / "file").read_text(encoding="utf-8")

    @pytest.mark.parametrize("value", [{1, 2}, object(), {("a",): 1}, np.float32(1), float("nan"), [float("inf")]])
    def test_values_that_json_cannot_hold(self, value, tmp_path):
        with pytest.raises(BitseekError, match="cannot write"):
            write_json(tmp_path / "file", value)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"nothing", b"[" * 100_000])
    def test_other_content(self, content, tmp_path):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(BitseekError, match="file is not JSON"):
            read_json(tmp_path / "file")
        with pytest.raises(BitseekError, match="there is no file"):
            read_json(tmp_path / "absent")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FileNotFoundError(), "there is no file .*x"),
        (IsADirectoryError(21, "Is a directory"), "cannot read .*x: Is a directory"),
        (EOFError("it ends"), "x is not a song: it ends"),
        (ShapeError("it has no rows"), "x is not a song: it has no rows"),
        (BitseekError("the file y is bad"), "^the file y is bad$"),
    ],
)
def test_whatever_a_parser_raises_becomes_a_sentence(error, sentence):
    def parser(path):
        raise error

    with pytest.raises(BitseekError, match=sentence):
        parse("x", "a song", parser)


class TestOwnedFiles:
    def write(self, owned, *names):
        owned.add(names)
        for name in names:
            path = owned.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as part:
                part.write_text("ours")

    def test_only_what_was_recorded_is_deleted(self, tmp_path):
        owned = OwnedFiles(tmp_path / "new", "files.json")
        assert owned.names == set()
        self.write(owned, "a", "sub/b", "sub/deep/c")
        (tmp_path / "new" / "sub" / "mine").write_text("the user's")
        assert OwnedFiles(tmp_path / "new", "files.json").names == {"a", "sub/b", "sub/deep/c"}
        owned.remove()
        left = sorted(path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*"))
        assert left == ["sub", "sub/mine"]
        assert owned.names == set()

    def test_some_are_deleted_and_forgotten(self, tmp_path):
        owned = OwnedFiles(tmp_path, "files.json")
        self.write(owned, "a", "b", "folder/c")
        (tmp_path / "d").write_text("the user's")
        owned.remove(["a", "d", "folder/c", "never"])
        assert owned.names == {"b"}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "d", "files.json"]

    def test_a_file_of_the_user_is_not_replaced(self, tmp_path):
        owned = OwnedFiles(tmp_path, "files.json")
        (tmp_path / "a").write_text("the user's")
        with pytest.raises(BitseekError, match="a exists and was not written by bitseek; move it away"):
            owned.add(["a", "b"])
        assert owned.names == set() and not (tmp_path / "files.json").exists()
        owned.add(["b"])
        (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
        with pytest.raises(BitseekError, match="exists"):
            owned.add(["dangling"])
        assert owned.names == {"b"}

    def test_recording_twice_is_no_error(self, tmp_path):
        owned = OwnedFiles(tmp_path, "files.json")
        self.write(owned, "a")
        before = (tmp_path / "files.json").stat().st_mtime_ns
        self.write(owned, "a")
        assert (tmp_path / "files.json").stat().st_mtime_ns == before
        assert owned.names == {"a"}

    def test_what_is_recorded_but_gone_or_now_a_folder_is_no_error(self, tmp_path):
        owned = OwnedFiles(tmp_path, "files.json")
        owned.add(["a", "b", "c"])
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "mine").write_text("the user's")
        owned.remove()
        assert (tmp_path / "b" / "mine").read_text() == "the user's"

    @pytest.mark.parametrize("name", ["../a", "/etc/hostname", "sub/../../a", "", ".", "..", "a\\b", "a\0b", "link/a"])
    def test_names_that_lead_out_of_the_folder(self, name, tmp_path):
        folder, outside = tmp_path / "folder", tmp_path / "outside"
        folder.mkdir()
        outside.mkdir()
        for path in (tmp_path / "a", outside / "a"):
            path.write_text("the user's")
        (folder / "link").symlink_to(outside)
        owned = OwnedFiles(folder, "files.json")
        with pytest.raises(BitseekError, match="is outside"):
            owned.add([name])
        write_json(folder / "files.json", {"format": OwnedFiles._FORMAT, "files": [name, "b"]})
        assert owned.names == {"b"}
        owned.remove()
        assert (tmp_path / "a").exists() and (outside / "a").exists() and (folder / "link").is_symlink()

    def test_a_link_in_place_of_a_file_loses_nothing(self, tmp_path):
        folder = tmp_path / "folder"
        owned = OwnedFiles(folder, "files.json")
        self.write(owned, "a", "b")
        for name, target in (("a", tmp_path / "outside"), ("b", folder / "inside")):
            target.write_text("the user's")
            (folder / name).unlink()
            (folder / name).symlink_to(target)
        owned.remove()
        assert (tmp_path / "outside").read_text() == (folder / "inside").read_text() == "the user's"

    def test_links_in_a_circle(self, tmp_path):
        (tmp_path / "a").symlink_to(tmp_path / "b")
        (tmp_path / "b").symlink_to(tmp_path / "a")
        with pytest.raises(BitseekError):
            OwnedFiles(tmp_path, "files.json").add(["a/c"])

    @pytest.mark.parametrize(
        "manifest",
        [b"", b"{", b"[]", b"3", b'{"files": ["mine"]}', b'{"format": "other", "files": ["mine"]}', b"\xff",
         json.dumps({"format": OwnedFiles._FORMAT, "files": "mine"}).encode(),
         json.dumps({"format": OwnedFiles._FORMAT, "files": ["mine", 3]}).encode(),
         json.dumps({"format": OwnedFiles._FORMAT}).encode()],
    )  # fmt: skip
    def test_a_manifest_that_bitseek_did_not_write(self, manifest, tmp_path):
        (tmp_path / "files.json").write_bytes(manifest)
        (tmp_path / "mine").write_text("the user's")
        owned = OwnedFiles(tmp_path, "files.json")
        assert owned.names == set()
        with pytest.raises(BitseekError, match="is not a list of bitseek's files"):
            owned.add(["a"])
        owned.remove()
        owned.remove(["mine"])
        assert (tmp_path / "files.json").read_bytes() == manifest
        assert (tmp_path / "mine").read_text() == "the user's"

    def test_temporary_files_of_killed_writers(self, tmp_path):
        owned = OwnedFiles(tmp_path, "files.json")
        self.write(owned, "a", "sub/b")
        ours = [".a.123-0123abcd.part", "sub/.b.1-ffffffff.part", ".files.json.77-00000000.part"]
        users = [".c.123-0123abcd.part", ".a.part", ".a.x-0123abcd.part", "sub/.a.123-0123abcd.part", "a.123.part"]
        for name in ours + users:
            (tmp_path / name).write_text("")
        owned.remove(["a"])
        assert not any((tmp_path / name).exists() for name in ours)
        assert all((tmp_path / name).exists() for name in users)
        assert (tmp_path / "sub" / "b").exists()

    def test_names_that_are_not_utf_8(self, tmp_path):
        name = os.fsdecode(b"caf\xe9.jpg")
        owned = OwnedFiles(tmp_path, "files.json")
        self.write(owned, name)
        assert owned.names == {name}
        owned.remove()
        assert not list(tmp_path.iterdir())

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(BitseekError, match="cannot make the folder"):
            OwnedFiles(tmp_path / "file" / "inside", "files.json").add(["a"])

    def test_a_kill_leaves_nothing_unknown(self, tmp_path):
        """A process that writes and removes files is killed before each step; then only the user's are left."""
        mine = {"mine-1": "1", "sub/mine-2": "2"}
        for name, text in mine.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        program = """
owned = OwnedFiles(folder, "files.json")
for i in range(2):
    names = [f"file-{i}", f"sub/file-{i}", f"sub-{i}/file"]
    owned.add(names)
    for name in names:
        (owned.folder / name).parent.mkdir(exist_ok=True)
        with atomic(owned.folder / name) as part:
            part.write_text("x" * 10_000)
    owned.remove(owned.names - set(names))
"""
        known = set()
        with Program("from bitseek._files import OwnedFiles, atomic", program) as killable:
            steps = killable.steps(tmp_path)
            for step in range(steps):
                OwnedFiles(tmp_path, "files.json").remove()
                left = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
                assert {name: path.read_text() for name, path in left.items()} == mine
                for folder in (tmp_path / "sub-0", tmp_path / "sub-1"):  # made by a process that wrote nothing in it
                    with suppress(FileNotFoundError):
                        folder.rmdir()
                killable.kill(tmp_path, step)
                known.add(len(OwnedFiles(tmp_path, "files.json").names))
        assert known == {0, 3, 6}


def test_a_pipe_is_no_earlier_result(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BitseekError, match="pipe exists and is not a result"):
        free_target(tmp_path / "pipe", "a result", lambda file: bool(file.read_bytes()))
