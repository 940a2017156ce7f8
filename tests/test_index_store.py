"""An index on disk: what is opened is what was saved, damage is found, and a kill at any moment loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bitseek.codes import Codes
from bitseek.errors import BitseekError, RunError
from bitseek.index import HammingIndex, store


def some_codes(n=3000, bits=64, seed=0):
    rng = np.random.default_rng(seed)
    around = rng.random((20, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, 20, n)] ^ (rng.random((n, bits)) < 0.1))


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
    assert isinstance(opened.codes().words.base, np.memmap) or opened.codes().words.base is not None
    same_answers(index, opened, codes[:40])
    opened.add(codes[:5])
    opened.remove([5])
    opened.save(tmp_path / "index")
    same_answers(opened, HammingIndex.open(tmp_path / "index"), codes[:40])


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


def test_absent_and_newer(tmp_path):
    with pytest.raises(RunError, match="there is no index"):
        HammingIndex.open(tmp_path)
    HammingIndex(some_codes(10)).save(tmp_path)
    manifest = json.loads((tmp_path / "index.json").read_text())
    manifest["version"] = 99
    del manifest["sum"]
    manifest["sum"] = store._sum(json.dumps(manifest, sort_keys=True).encode())
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
    path.write_bytes(content)
    if how == "gone":
        path.unlink()


@pytest.mark.parametrize("how", ["cut off", "one bit", "zeros", "header", "gone"])
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
    monkeypatch.setattr(store, "_BLOCK", 1 << 10)
    monkeypatch.setattr(store, "_READ_WHOLE", 1 << 12)
    monkeypatch.setattr(store, "_BLOCKS_BETWEEN", 2)
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
    assert not list(tmp_path.glob(".*"))


def test_a_kill_while_saving_leaves_an_index(tmp_path):
    """A process saves two indexes in turn, for ever, and is killed at some moment; one of the two is there."""
    program = f"""
import numpy as np
from bitseek.codes import Codes
from bitseek.index import HammingIndex
both = [HammingIndex(Codes(np.full((200_000, 1), i, np.uint64), 64)) for i in (1, 2)]
both[0].save({str(tmp_path)!r})
print("begun", flush=True)
while True:
    for index in reversed(both):
        index.save({str(tmp_path)!r})
"""
    for wait in (0.0, 0.013, 0.04):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout.readline().strip() == b"begun"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        words = HammingIndex.open(tmp_path, verify=True).codes().words
        assert words.shape == (200_000, 1) and (words == words[0]).all() and words[0] in (1, 2)
