"""How files are cut into shards, and what the folder of them is when it is opened."""

import mmap
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.harness import check, check_growth, codes, write_shards

from bitseek.engines import Slice, connect, is_address, listed, open_collection
from bitseek.engines._sharded import Local
from bitseek.engines._shards import Origin, ShardFolder
from bitseek.engines._slice import digest
from bitseek.errors import BitseekError, CodeWidthError, RunError
from bitseek.index import HammingIndex


@given(items=st.integers(0, 200), total=st.integers(1, 60))
def test_slices_make_up_the_list(items, total):
    parts = [list(each.of(range(items))) for each in Slice.all(total)]
    assert [each for part in parts for each in part] == list(range(items))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "1/10000", "-1/3", "1/2/3", "", "½/2"])
def test_what_is_no_slice(text):
    with pytest.raises(BitseekError, match="shard"):
        Slice.parse(text)
    assert str(Slice.parse("3/16")) == "3/16"


def test_the_list_does_not_depend_on_how_folders_are_given(tmp_path):
    for name in ["b/1.png", "a/2.png", "B/1.png", "a/10.png", "é.png", os.fsdecode(b"caf\xe9.png")]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = listed([tmp_path])
    assert files == sorted(map(str, tmp_path.rglob("*.png")), key=os.fsencode) and len(files) == 6
    assert files == listed([tmp_path / "b", tmp_path / "a", tmp_path])
    assert digest(files) == digest(list(files)) != digest(files[:-1])
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    (tmp_path / "none").mkdir()
    with pytest.raises(BitseekError, match="no images in"):
        listed([tmp_path / "none"])


def test_a_folder_is_one_index_that_copies_nothing(tmp_path):
    database, queries = codes(900, 70), codes(5, 70, seed=1)
    engine = connect(write_shards(tmp_path / "s", database, [300, 0, 1, 599]))
    assert repr(engine) == "Shards(900 × 70 bits in 4 parts)" and engine.fingerprint == "0123456789abcdef"
    whole = HammingIndex(database)
    for k in (1, 40, 2000):
        np.testing.assert_array_equal(engine.nearest(queries, k).ids, whole.nearest(queries, k).ids)
        np.testing.assert_array_equal(engine.nearest(queries, k).distances, whole.nearest(queries, k).distances)
    check(engine, database, queries, np.ones(900, bool), 25, 30)
    for shard in ShardFolder(tmp_path / "s").open():
        assert not len(shard.codes) or _is_mapped(shard.codes.words)
    for id in (0, 299, 300, 301, 899):
        assert engine.path(id) == f"pictures/{id}.png"
    before = {file: file.read_bytes() for file in (tmp_path / "s").iterdir()}
    engine.add(database[:3])
    engine.remove([5])
    with pytest.raises(BitseekError, match="ids of these shards are"):
        engine.path(900)
    engine.close()
    with pytest.raises(BitseekError, match="closed"):
        engine.nearest(queries)
    assert {file: file.read_bytes() for file in (tmp_path / "s").iterdir()} == before
    assert connect(str(tmp_path / "s")).size == 900


def _is_mapped(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


def test_every_file_is_owned(tmp_path):
    """A manifest lists each file; what is the user's stays, also under a name of ours."""
    folder = write_shards(tmp_path / "s", codes(10, 16), [4, 6])
    shards = ShardFolder(folder)
    owned = set()
    for number in (1, 2):
        names = shards._arrays(Slice(number, 2))._owned
        owned |= names.names | {names.manifest.name}
    assert owned == {file.name for file in folder.iterdir()}
    mine = tmp_path / "t" / "shard-0001-of-0001.json"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(BitseekError, match="not written by bitseek"):
        write_shards(mine.parent, codes(3, 16), [3])
    assert mine.read_text() == "mine" and [file.name for file in mine.parent.iterdir()] == [mine.name]


def test_what_is_no_whole_folder(tmp_path):
    database = codes(10, 16)
    for sub in ("none", "missing", "mixed"):
        (tmp_path / sub).mkdir()
    with pytest.raises(RunError, match="no shards in"):
        connect(tmp_path / "none")
    with pytest.raises(RunError, match="no shards in"):
        connect(tmp_path / "absent")
    write_shards(tmp_path / "missing", database, [4, 3, 3])
    (tmp_path / "missing" / "shard-0002-of-0003.json").unlink()
    with pytest.raises(RunError, match=r"1 of 3 shards in .* are missing: 2/3"):
        connect(tmp_path / "missing")
    write_shards(tmp_path / "mixed", database, [10])
    write_shards(tmp_path / "mixed", database, [4, 6])
    with pytest.raises(BitseekError, match="shards of"):
        connect(tmp_path / "mixed")


@pytest.mark.parametrize("name", ["codes", "paths", "ends"])
def test_a_damaged_shard_is_not_complete(tmp_path, name):
    folder = write_shards(tmp_path / "s", codes(40, 16), [20, 20])
    shards = ShardFolder(folder)
    assert all(map(shards.is_complete, Slice.all(2)))
    [file] = folder.glob(f"{name}-0002-of-0002-*.npy")
    whole = file.read_bytes()
    for damaged in (whole[:-3], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        file.write_bytes(damaged)
        assert shards.is_complete(Slice(1, 2)) and not shards.is_complete(Slice(2, 2))
        with pytest.raises(RunError, match=r"shard 2/2 .* is damaged"):
            connect(folder)
    file.unlink()
    assert not shards.is_complete(Slice(2, 2))
    write_shards(folder, codes(40, 16), [20, 20])
    assert connect(folder).codes() == codes(40, 16)


def test_what_does_not_belong_together(tmp_path):
    shards = ShardFolder(write_shards(tmp_path / "s", codes(10, 16), [10]))
    origin = Origin("0123456789abcdef", 16, "inputs", 10)
    shards.check(origin, 1)
    shards.check(Origin("0123456789abcdef+onnx", 16, "inputs", 10), 1)  # gives the same codes
    for other, total, error, message in [
        (Origin("fedcba9876543210", 16, "inputs", 10), 1, CodeWidthError, "made by model 0123456789abcdef"),
        (Origin("0123456789abcdef", 24, "inputs", 10), 1, CodeWidthError, "16 bits"),
        (Origin("0123456789abcdef", 16, "others", 10), 1, BitseekError, "another list of 10 files"),
        (Origin("0123456789abcdef", 16, "inputs", 11), 1, BitseekError, "another list"),
        (origin, 2, BitseekError, "shards of 1, got shards of 2"),
    ]:
        with pytest.raises(error, match=message):
            shards.check(other, total)
    (tmp_path / "s" / "shard-0001-of-0001.json").write_text("{")  # as if the disk had lost it: it is written again
    shards.check(Origin("fedcba9876543210", 16, "inputs", 10), 1)
    assert not shards.is_complete(Slice(1, 1))


def test_shards_are_added_while_others_search(tmp_path):
    first, more = codes(300, 40), codes(200, 40, seed=5)
    engine = connect(write_shards(tmp_path / "a", first, [100, 200]))
    check_growth(engine, first, more, lambda: engine.extend([Local(HammingIndex(more))]))


def test_addresses():
    assert is_address("ray:///x") and is_address("postgresql://localhost/x") and is_address("RAY://h:1/x")
    assert not any(map(is_address, ["photos", "C:/photos", "/a//b", Path("ray:///x"), "", "1://x", 3]))
    for call in (connect, open_collection):
        with pytest.raises(BitseekError, match=r"no engine milvus://.*there are ray://, postgresql://"):
            call("milvus://localhost/x")
