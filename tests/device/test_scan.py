"""The contract of an index whose codes are compared through torch, with all, some and none of them on the device."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unchecked import unchecked

from bitseek.codes import Codes
from bitseek.device import DeviceScan, _scan
from bitseek.device._find import Plain
from bitseek.errors import BitseekError, ShapeError
from bitseek.index import HammingIndex

SMALL = 1 << 12
"""Bytes of a device on which hardly a chunk has room."""

torch.set_num_threads(1)


def drawn(rng, n, bits, flip=0.1):
    """Codes in clusters, many of them equal."""
    around = rng.random((4, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, 4, n)] ^ (rng.random((n, bits)) < flip))


def check(index, database, queries, alive, k, radius):
    """An index finds what brute force finds, in the same order."""
    ids = np.flatnonzero(alive)
    distances = (queries.to_bits()[:, None] ^ database.to_bits()[None, ids]).sum(axis=2)
    order = np.argsort(distances, axis=1, kind="stable")
    hits = index.nearest(queries, k)
    np.testing.assert_array_equal(hits.ids, ids[order[:, :k]])
    np.testing.assert_array_equal(hits.distances, np.take_along_axis(distances, order[:, :k], axis=1))
    assert hits.ids.dtype == np.int64 and hits.distances.dtype == np.int32
    found = index.within(queries, radius)
    assert len(found) == len(queries)
    for row, nearest, (found_ids, found_distances) in zip(distances, order, found, strict=True):
        expected = nearest[row[nearest] <= radius]
        np.testing.assert_array_equal(found_ids, ids[expected])
        np.testing.assert_array_equal(found_distances, row[expected])


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_contract_of_an_index_through_its_life(data, tmp_path_factory):
    """Any number of bits, memory and queries; before and after adding, removing, saving, opening."""
    bits, memory = data.draw(st.integers(1, 200)), data.draw(st.sampled_from([SMALL, 1 << 16, None]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    size = data.draw(st.integers(0, 500))
    database = drawn(rng, size, bits, data.draw(st.sampled_from([0.0, 0.1, 0.5])))
    queries = drawn(rng, data.draw(st.sampled_from([1, 5, 40])), bits)
    k, radius = data.draw(st.integers(1, 520)), data.draw(st.integers(0, bits + 2))
    where = {"device": "cpu", "memory": memory}
    alive = np.ones(data.draw(st.integers(0, size)), bool)
    index = HammingIndex(database[: len(alive)], **where)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_scan, "_FEWEST", data.draw(st.sampled_from([2, 2048])))
        for step in data.draw(st.lists(st.sampled_from(["search", "add", "remove", "save and open"]), max_size=4)):
            if step == "add":
                more = (len(alive) + size + 1) // 2
                np.testing.assert_array_equal(index.add(database[len(alive) : more]), np.arange(len(alive), more))
                alive = np.concatenate([alive, np.ones(more - len(alive), bool)])
            elif step == "remove" and len(alive):
                gone = data.draw(st.lists(st.integers(0, len(alive) - 1), max_size=30))
                assert index.remove(gone) == alive[np.unique(np.array(gone, int))].sum()
                alive[gone] = False
            elif step == "save and open":
                folder = tmp_path_factory.mktemp("index")
                index.save(folder)
                index = HammingIndex.open(folder, **where)
            else:
                check(index, database[: len(alive)], queries[:2], alive, 3, bits // 8)
        assert (len(index), index.size, index.bits) == (alive.sum(), len(alive), bits)
        check(index, database[: len(alive)], queries, alive, k, radius)


@pytest.mark.parametrize("products_from", [1, 1000])
@pytest.mark.parametrize("memory", [SMALL, 1 << 15, 1 << 22])
def test_codes_that_lie_in_the_worst_order(memory, products_from, monkeypatch):
    """Each code is nearer than all before it, so every step finds more than it has room for, and is halved."""
    monkeypatch.setattr(_scan, "PRODUCTS_FROM", products_from)
    monkeypatch.setattr(_scan, "_FEWEST", 8)
    bits = np.arange(900)[:, None] * 120 // 900 <= np.arange(120)[None]
    database, queries = Codes.from_bits(bits), Codes.from_bits(np.zeros((3, 120), bool))
    index = HammingIndex(database, device="cpu", memory=memory)
    check(index, database, queries, np.ones(900, bool), 5, 60)
    check(index, database, queries, np.ones(900, bool), 70, 119)


def test_what_there_is_no_room_for_passes_by():
    """A little room: some chunks stay, the others come with each search; more room: all stay."""
    rng = np.random.default_rng(1)
    database, queries = drawn(rng, 4500, 64, 0.3), drawn(rng, 5, 64)
    alive = np.ones(4500, bool)
    index = HammingIndex(database, device="cpu", memory=1 << 16)
    scan = index._device
    assert isinstance(scan, DeviceScan) and scan.resident(4500) == 0, "nothing is there before the first search"
    check(index, database, queries, alive, 20, 12)
    assert scan.resident(4500) == 1792 and scan.resident(3584) == 3584
    before = [chunk.planes.data_ptr() for chunk, _ in scan._chunks._kept]
    index.remove(np.arange(0, 4500, 7))
    alive[::7] = False
    check(index, database, queries, alive, 20, 12)
    assert [chunk.planes.data_ptr() for chunk, _ in scan._chunks._kept] == before, "what stays is not brought again"
    whole = HammingIndex(database, device="cpu", memory=1 << 20)
    whole.load_kernels()
    assert whole._device.resident(4500) == 4500


def test_memory_mapped_codes_and_those_that_were_removed_from_the_start(tmp_path):
    rng = np.random.default_rng(2)
    database = drawn(rng, 700, 100)
    np.save(tmp_path / "words.npy", database.words)
    codes = Codes(np.load(tmp_path / "words.npy", mmap_mode="r"), 100)
    gone = np.array([0, 63, 64, 699])
    index = HammingIndex(codes, gone=gone, device="cpu", memory=SMALL)
    alive = np.ones(700, bool)
    alive[gone] = False
    check(index, database, database[[0, 63, 5]], alive, 9, 20)


def test_nothing_to_find_and_nothing_to_search_for():
    database = drawn(np.random.default_rng(3), 9, 24)
    index = HammingIndex(database[:0], device="cpu")
    assert index.nearest(database[:2], 3).ids.shape == (2, 0) and index.within(database[:2], 3).counts.tolist() == [
        0,
        0,
    ]
    index.load_kernels()
    index.add(database)
    assert index.nearest(database[:0], 3).ids.shape == (0, 3) and len(index.within(database[:0], 3)) == 0
    index.remove(range(9))
    assert index.nearest(database[:2], 3).ids.shape == (2, 0) and index.within(database[:2], 24).counts.sum() == 0


def test_searching_while_adding_and_removing_from_several_threads():
    rng = np.random.default_rng(6)
    database, queries = drawn(rng, 900, 64, 0.3), drawn(rng, 6, 64)
    index = HammingIndex(database[:300], device="cpu", memory=1 << 15)
    distances = (queries.to_bits()[:, None] ^ database.to_bits()[None]).sum(axis=2)
    failures = []

    def search():
        try:
            for _ in range(3):
                hits = index.nearest(queries, 10)
                np.testing.assert_array_equal(np.take_along_axis(distances, hits.ids, 1), hits.distances)
                assert (np.diff(hits.distances, axis=1) >= 0).all()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(300, 900, 100):
        index.add(database[start : start + 100])
        index.remove([start])
    for thread in threads:
        thread.join()
    assert not failures
    alive = np.ones(900, bool)
    alive[300::100] = False
    check(index, database, queries, alive, 10, 20)


def test_how_it_answers_is_told():
    codes = drawn(np.random.default_rng(4), 300, 64)
    index = HammingIndex(codes, device="cpu")
    assert index.explain().device == "cpu, products of float32 from 32 queries on, not searched yet"
    index.nearest(codes[:2], 3)
    explained = index.explain()
    assert explained.device == "cpu, products of float32 from 32 queries on, operations of torch"
    assert f"device: {explained.device}" in str(explained) and "kernels" not in str(explained)
    assert HammingIndex(codes).explain().device is None
    assert not index.build_is_due


def test_what_cannot_be_asked():
    codes = drawn(np.random.default_rng(5), 30, 64)
    for options, message in [
        ({"device": "abacus"}, "there is no device 'abacus' here"),
        ({"device": "cpu", "plan": "pruned"}, "a device scans all codes; leave out plan='pruned'"),
        ({"memory": 1 << 20}, "is that of a device; give device='cuda' too"),
    ]:
        with pytest.raises(BitseekError, match=message):
            HammingIndex(codes, **options)
    with pytest.raises(BitseekError, match="a device scans all codes"):
        HammingIndex(codes, device="cpu").nearest(codes, 3, plan="pruned")
    for memory in (0, 4095, 1.5, "1 GB", True):
        with pytest.raises(ShapeError, match="memory is a whole number of 4096 or more"):
            unchecked(object.__new__(DeviceScan).__init__)("cpu", 64, memory)
    assert HammingIndex(codes, device="cpu").nearest(codes, 3, plan="scan").ids[:, 0].tolist() == [
        int(np.flatnonzero((codes.words == word).all(axis=1))[0]) for word in codes.words
    ]


def test_too_little_memory_is_a_sentence(monkeypatch):
    """As a GPU of which others took what was free."""
    index = HammingIndex(drawn(np.random.default_rng(5), 30, 64), device="cpu")
    codes = index.codes()
    index.nearest(codes, 3)

    class Full(Plain):
        def __call__(self, *_):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee the manual.")

    monkeypatch.setattr(index._device, "_find", Full())
    for search, less in ((index.nearest, "a smaller k"), (index.within, "within a smaller radius")):
        said = rf"cpu has too little memory \(CUDA .* 20.00 GiB.\); give memory=.* fewer queries at once or {less}$"
        with pytest.raises(BitseekError, match=said):
            search(codes, 3)


def test_without_torch_a_sentence_says_what_to_install():
    code = """
import sys
sys.modules["torch"] = None
import numpy as np
from bitseek.codes import Codes
from bitseek.index import HammingIndex
codes = Codes.from_bits(np.eye(9, dtype=bool))
try:
    HammingIndex(codes, device="cuda")
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "this needs torch, which is not installed; install it with: pip install 'bitseek[train]'\n"
