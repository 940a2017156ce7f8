"""An index on disk: what is opened is what was saved, damage is found, and a kill at any moment loses nothing."""

import json
import mmap
import os
import shutil

import numpy as np
import pytest
from tests.kills import Program

from bitseek.codes import Codes
from bitseek.errors import BitseekError, RunError
from bitseek.index import HammingIndex, _arrays


def some_codes(n=3000, bits=64, seed=0):
    rng = np.random.default_rng(seed)
    around = rng.random((20, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, 20, n)] ^ (rng.random((n, bits)) < 0.1))


def is_mapped(array):
    """Whether an array lies in a file, and not in memory of its own."""
    while array is not None and not isinstance(array, np.memmap | mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


def same_answers(one, other, queries):
    for plan in ("scan", "pruned"):
        a, b = one.nearest(queries, 12, plan=plan), other.nearest(queries, 12, plan=plan)
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.distances, b.distances)


@pytest.mark.parametrize("bits", [12, 64, 200])
@pytest.mark.parametrize("verify", [False, True])
def test_there_and_back(bits, verify, tmp_path):
    codes = some_codes(bits=bits)
    index = HammingIndex(codes)
    index.build()
    index.remove([0, 17, 2999])
    index.add(codes[:100])
    index.save(tmp_path / "index")
    opened = HammingIndex.open(tmp_path / "index", verify=verify)
    assert (len(opened), opened.size, opened.bits) == (3097, 3100, bits)
    assert opened.explain().covered == 3000
    assert is_mapped(opened.codes().words) and not is_mapped(index.codes().words)
    same_answers(index, opened, codes[:40])
    opened.add(codes[:5])
    assert not is_mapped(opened.codes().words), "what was added is in memory, so the whole is a copy"
    opened.remove([5])
    opened.save(tmp_path / "index")
    same_answers(opened, HammingIndex.open(tmp_path / "index"), codes[:40])


def names(folder):
    return {path.name for path in folder.iterdir()}


def listed(folder):
    """Names of the arrays that an index.json needs."""
    return {entry["name"] for entry in json.loads((folder / "index.json").read_text())["files"].values()}


@pytest.mark.parametrize("n", [0, 1])
def test_small_and_empty(n, tmp_path):
    codes = some_codes(n)
    index = HammingIndex(codes)
    index.build()
    index.save(tmp_path)
    opened = HammingIndex.open(tmp_path)
    assert len(opened) == n
    assert opened.nearest(some_codes(2), 3).ids.shape == (2, n)


def test_what_has_not_changed_is_not_written_again(tmp_path):
    index = HammingIndex(some_codes())
    index.save(tmp_path)
    (codes_file,) = tmp_path.glob("codes-*")
    before = codes_file.stat()
    index.build()
    index.remove([1])
    index.save(tmp_path)
    assert codes_file.stat().st_mtime_ns == before.st_mtime_ns and codes_file.stat().st_ino == before.st_ino
    assert len(list(tmp_path.glob("gone-*"))) == 1, "files that are no longer named are removed"
    assert names(tmp_path) == {"index.json", "index.files.json", *listed(tmp_path)}


def test_absent_and_newer(tmp_path):
    with pytest.raises(RunError, match="there is no index"):
        HammingIndex.open(tmp_path)
    HammingIndex(some_codes(10)).save(tmp_path)
    manifest = json.loads((tmp_path / "index.json").read_text())
    manifest["version"] = 99
    del manifest["sum"]
    manifest["sum"] = _arrays._sum(json.dumps(manifest, sort_keys=True).encode())
    (tmp_path / "index.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="format 99"):
        HammingIndex.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BitseekError, match="cannot make the folder"):
        HammingIndex(some_codes(10)).save(tmp_path / "file" / "inside")


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "cut off":
        content = content[: len(content) // 2]
    elif how == "one bit":
        content[-len(content) // 3] ^= 16
    elif how == "zeros":
        content[-4096:] = bytes(4096)
    elif how == "header":
        content[:16] = bytes(16)
    elif how == "empty":
        content = b""
    path.write_bytes(content)
    if how == "gone":
        path.unlink()


@pytest.mark.parametrize("how", ["cut off", "one bit", "zeros", "header", "empty", "gone"])
@pytest.mark.parametrize("what", ["codes", "planes", "ids", "starts", "centres", "index.json"])
def test_damage_is_found(what, how, tmp_path, caplog):
    codes = some_codes()
    index = HammingIndex(codes)
    index.build()
    index.save(tmp_path)
    (path,) = tmp_path.glob(f"{what}*")
    damage(path, how)
    if what in ("codes", "index.json"):
        with pytest.raises(RunError):
            HammingIndex.open(tmp_path)
        return
    opened = HammingIndex.open(tmp_path)
    assert "damaged" in caplog.text
    assert opened.explain().centres == 0
    same_answers(index, opened, codes[:20])  # which builds the clusters again
    assert opened.explain().centres > 0
    opened.save(tmp_path)
    assert HammingIndex.open(tmp_path, verify=True).explain().centres > 0


def test_large_files_are_checked_in_part_or_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(_arrays, "_BLOCK", 1 << 10)
    monkeypatch.setattr(_arrays, "_READ_WHOLE", 1 << 12)
    monkeypatch.setattr(_arrays, "_BLOCKS_BETWEEN", 2)
    HammingIndex(some_codes()).save(tmp_path)
    (path,) = tmp_path.glob("codes-*")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in the last block, which is always read
    path.write_bytes(content)
    with pytest.raises(RunError, match="not what was written"):
        HammingIndex.open(tmp_path)
    content[-1] ^= 1
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="not what was written"):
        HammingIndex.open(tmp_path, verify=True)


@pytest.mark.parametrize("moment", range(0, 12))
def test_a_failure_while_saving_leaves_the_old_index(moment, tmp_path, monkeypatch):
    old, new = some_codes(seed=1), some_codes(seed=2)
    HammingIndex(old).save(tmp_path)
    index = HammingIndex(new)
    index.build()
    calls = iter(range(100))

    def failing(*args):
        if next(calls) == moment:
            raise OSError(28, "No space left on device")
        return real(*args)

    real = os.fsync
    monkeypatch.setattr(os, "fsync", failing)
    try:
        index.save(tmp_path)
        saved = new
    except BitseekError as error:
        assert "No space left" in str(error)
        saved = old
    monkeypatch.undo()
    assert HammingIndex.open(tmp_path, verify=True).codes() == saved
    index.save(tmp_path)
    assert HammingIndex.open(tmp_path, verify=True).codes() == new
    assert names(tmp_path) == {"index.json", "index.files.json", *listed(tmp_path)}


USERS = {
    "codes-train.npy": b"the user's",
    "ids-train.npy": b"the user's",
    "first-page.npy": b"the user's",
    "gone-with-the-wind.npy": b"the user's",
    "planes-0123456789abcdef.npy": b"the user's",
    ".codes-0123456789abcdef.npy.1-01234567.part": b"the user's",
    "codes-train.part": b"the user's",
    "notes.json": b"the user's",
}
"""Files that are called much as those of an index, and are not."""


class TestFilesOfTheUser:
    @pytest.fixture
    def folder(self, tmp_path):
        for name, content in USERS.items():
            (tmp_path / name).write_bytes(content)
        (tmp_path / "codes-folder.npy").mkdir()
        return tmp_path

    def unharmed(self, folder):
        found = {path.name: path.read_bytes() for path in folder.iterdir() if path.name in USERS}
        return found == USERS and (folder / "codes-folder.npy").is_dir()

    def test_they_survive_saving_again_and_again(self, folder):
        """As in the issue: np.save("mydata/codes-train.npy", x); HammingIndex(c).save("mydata")."""
        for seed in range(3):
            index = HammingIndex(some_codes(seed=seed))
            if seed:
                index.build()
            index.save(folder)
            assert self.unharmed(folder)
            assert HammingIndex.open(folder, verify=True).codes() == index.codes()
        ours = {"index.json", "index.files.json", *listed(folder)}
        assert names(folder) == {*USERS, "codes-folder.npy", *ours}, "nothing is left of the first two"

    def test_a_file_by_a_name_of_ours_is_not_replaced(self, tmp_path):
        index = HammingIndex(some_codes())
        index.save(tmp_path / "elsewhere")
        for name in (*listed(tmp_path / "elsewhere"), "index.json", "index.files.json"):
            folder = tmp_path / f"folder-{name}"
            folder.mkdir()
            (folder / name).write_bytes(b"the user's")
            with pytest.raises(BitseekError, match="move it away, or use another folder"):
                index.save(folder)
            assert names(folder) == {name} and (folder / name).read_bytes() == b"the user's"

    def test_an_index_whose_record_was_lost_is_not_replaced(self, tmp_path):
        old = HammingIndex(some_codes(seed=1))
        old.save(tmp_path)
        (tmp_path / "index.files.json").unlink()
        with pytest.raises(BitseekError, match="exists and was not written by bitseek"):
            HammingIndex(some_codes(seed=2)).save(tmp_path)
        assert HammingIndex.open(tmp_path, verify=True).codes() == old.codes()

    @pytest.mark.parametrize("name", ["../victim", "{outside}/victim", "link/victim", "..", "sub/../../victim"])
    def test_a_changed_record_never_leads_out_of_the_folder(self, name, tmp_path):
        folder, outside = tmp_path / "index", tmp_path / "outside"
        outside.mkdir()
        for victim in (tmp_path / "victim", outside / "victim"):
            victim.write_text("the user's")
        HammingIndex(some_codes(50)).save(folder)
        (folder / "link").symlink_to(outside)
        record = json.loads((folder / "index.files.json").read_text())
        record["files"].append(name.format(outside=outside))
        (folder / "index.files.json").write_text(json.dumps(record))
        HammingIndex(some_codes(60)).save(folder)
        assert (tmp_path / "victim").exists() and (outside / "victim").exists() and (folder / "link").is_symlink()
        assert len(HammingIndex.open(folder)) == 60

    @pytest.mark.parametrize("record", ["", "{", "[]", '{"files": ["notes.json"]}', '{"format": 1, "files": []}'])
    def test_a_damaged_record_deletes_nothing_and_says_so(self, record, folder):
        HammingIndex(some_codes(50)).save(folder)
        before = names(folder)
        (folder / "index.files.json").write_text(record)
        with pytest.raises(BitseekError, match=r"index\.files\.json is not a list of bitseek's files"):
            HammingIndex(some_codes(60)).save(folder)
        assert names(folder) == before and self.unharmed(folder)
        assert len(HammingIndex.open(folder, verify=True)) == 50

    def test_names_in_an_index_json_are_looked_up_in_its_folder_only(self, tmp_path):
        HammingIndex(some_codes(50)).save(tmp_path / "other")
        HammingIndex(some_codes(60)).save(tmp_path / "index")
        manifest = json.loads((tmp_path / "index" / "index.json").read_text())
        manifest["files"] = json.loads((tmp_path / "other" / "index.json").read_text())["files"]
        manifest["size"] = 50
        for entry in manifest["files"].values():
            entry["name"] = f"../other/{entry['name']}"
        del manifest["sum"]
        manifest["sum"] = _arrays._sum(json.dumps(manifest, sort_keys=True).encode())
        (tmp_path / "index" / "index.json").write_text(json.dumps(manifest))
        with pytest.raises(RunError, match="damaged"):
            HammingIndex.open(tmp_path / "index")


def test_an_index_can_be_moved_and_copied(tmp_path):
    index = HammingIndex(some_codes())
    index.save(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b").rename(tmp_path / "c")
    assert HammingIndex.open(tmp_path / "c", verify=True).codes() == index.codes()
    index.add(some_codes(10))
    index.save(tmp_path / "c")
    assert len(HammingIndex.open(tmp_path / "c")) == 3010 and len(HammingIndex.open(tmp_path / "a")) == 3000


def test_an_open_index_can_be_saved_over_itself(tmp_path):
    """Its files are mapped while they are replaced and removed."""
    HammingIndex(some_codes()).save(tmp_path)
    index = HammingIndex.open(tmp_path)
    for step in range(3):
        index.add(some_codes(100, seed=step))
        index.remove([step])
        index.build()
        index.save(tmp_path)
        again = HammingIndex.open(tmp_path, verify=True)
        assert again.codes() == index.codes() and len(again) == len(index) == 3000 + 99 * (step + 1)
        assert names(tmp_path) == {"index.json", "index.files.json", *listed(tmp_path)}


NEW = """
import numpy as np
from bitseek.codes import Codes
from bitseek.index import HammingIndex
new = HammingIndex(Codes(np.arange(3000, dtype=np.uint64)[:, None] * np.uint64(2654435761), 64))
new.build()
"""


@pytest.mark.parametrize("room", [None, 700])
def test_a_killed_save_leaves_an_index_and_the_next_one_cleans_up_after_it(room, tmp_path):
    """Killed before each of its steps, or amid the write that follows; and once more in the folder that this left."""
    for name, content in USERS.items():
        (tmp_path / name).write_bytes(content)
    old = HammingIndex(some_codes(300))
    old.save(tmp_path)
    new = Codes(np.arange(3000, dtype=np.uint64)[:, None] * np.uint64(2654435761), 64)
    sizes, littered = [], 0
    with Program(NEW, "new.save(folder)") as program:
        for step in range(program.steps(tmp_path)):
            old.save(tmp_path)
            assert names(tmp_path) == {*USERS, "index.json", "index.files.json", *listed(tmp_path)}
            for moment in (step, step // 2):
                program.run(tmp_path, moment, room)
                opened = HammingIndex.open(tmp_path, verify=True)
                assert opened.codes() in (old.codes(), new)
                littered += names(tmp_path) != {*USERS, "index.json", "index.files.json", *listed(tmp_path)}
                sizes.append(len(opened))
            assert {name: (tmp_path / name).read_bytes() for name in USERS} == USERS
    assert set(sizes) == {300, 3000} and littered, "some were killed before the manifest was replaced, some after it"
