"""Clusters in a folder of their own: used only with the codes that they are of, and exact whatever came since."""

import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.codes import Codes
from bitseek.errors import BitseekError, ShapeError
from bitseek.index import HammingIndex, _arrays, _clusters, _store
from bitseek.kernels import layout, plain


def some_codes(n=3000, bits=64, seed=0):
    rng = np.random.default_rng(seed)
    around = rng.random((20, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, 20, n)] ^ (rng.random((n, bits)) < 0.1))


def slow_nearest(codes, query, k, gone=()):
    """Ids and distances of the k nearest by sorting pairs."""
    away = (codes.to_bits() ^ query.to_bits()).sum(axis=1).tolist()
    return sorted((distance, i) for i, distance in enumerate(away) if i not in set(gone))[:k]


def found(index, query, k, plan="pruned"):
    hits = index.nearest(query, k, plan=plan)
    return list(zip(hits.distances[0].tolist(), hits.ids[0].tolist(), strict=True))


@pytest.fixture
def clusters(tmp_path):
    index = HammingIndex(some_codes())
    index.build()
    assert index.save_clusters(tmp_path / "clusters")
    return tmp_path / "clusters"


@pytest.mark.parametrize("verify", [False, True])
def test_loaded_clusters_are_those_that_were_saved(clusters, verify):
    index = HammingIndex(some_codes())
    assert index.explain().covered == 0
    assert index.load_clusters(clusters, verify=verify)
    assert index.explain().covered == 3000 and index.explain().centres > 1
    query = some_codes(1, seed=4)
    assert found(index, query, 20) == slow_nearest(some_codes(), query, 20)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 300), min_size=3, max_size=3).map(np.cumsum),
    bits=st.sampled_from([1, 13, 64, 100]),
    data=st.data(),
)
def test_what_comes_and_goes_after_they_were_built_is_searched_right(seed, sizes, bits, data, tmp_path_factory):
    """Built after some were removed, loaded for more codes, of which others are gone, and changed further."""
    folder = tmp_path_factory.mktemp("clusters")
    built, opened, last = (int(size) for size in sizes)
    codes, rng = some_codes(last, bits, seed), np.random.default_rng(seed)
    early = set(rng.integers(0, built, 40).tolist()) if built and data.draw(st.booleans()) else set()
    writer = HammingIndex(codes[:built], gone=sorted(early))
    assert len(writer) == built - len(early)
    writer.build()
    assert writer.save_clusters(folder)
    later = early | (set(rng.integers(0, opened, 40).tolist()) if opened else set())
    index = HammingIndex(codes[:opened], gone=np.array(sorted(later), int))
    assert index.load_clusters(folder)
    late = later | (set(rng.integers(0, opened, 10).tolist()) if opened else set())
    index.add(codes[opened:])
    index.remove(sorted(late))
    assert (index.size, len(index)) == (last, last - len(late))
    query = some_codes(1, bits, seed + 1)
    for plan in ("scan", "pruned", "auto"):
        assert found(index, query, 30, plan) == slow_nearest(codes, query, 30, late)
    hits = index.within(query, bits // 3, plan="pruned")[0]
    expected = [(d, i) for d, i in slow_nearest(codes, query, last, late) if d <= bits // 3]
    assert list(zip(hits.distances.tolist(), hits.ids.tolist(), strict=True)) == expected


def test_clusters_without_an_item_that_the_index_has_are_refused(tmp_path, caplog):
    """A writer has removed item 7 and built clusters; a reader that still has the item would not find it."""
    writer = HammingIndex(some_codes(), gone=[7, 9])
    writer.build()
    writer.save_clusters(tmp_path)
    for gone in (None, [], [9], [2999], [9, 2000]):
        assert not HammingIndex(some_codes(), gone=gone).load_clusters(tmp_path)
        assert "lack items that can be found now" in caplog.text
        caplog.clear()
    for gone in ([7, 9], [5, 7, 9, 2999]):
        assert HammingIndex(some_codes(), gone=gone).load_clusters(tmp_path)


def test_clusters_that_were_built_before_a_removal_may_be_used_by_a_reader_that_knows_nothing_of_it(tmp_path):
    writer = HammingIndex(some_codes())
    writer.build()
    writer.remove([7])
    writer.save_clusters(tmp_path)
    reader = HammingIndex(some_codes())
    assert reader.load_clusters(tmp_path)
    assert found(reader, some_codes()[7], 1)[0][0] == 0


@pytest.mark.parametrize(
    "codes",
    [some_codes(seed=1), some_codes(2999), some_codes(bits=63), some_codes(bits=128), some_codes(0)],
    ids=["others", "fewer", "shorter", "longer", "none"],
)
def test_clusters_of_other_codes_are_refused(codes, clusters, caplog):
    index = HammingIndex(codes)
    assert not index.load_clusters(clusters)
    assert "are not used (they are of" in caplog.text and caplog.records[0].name == "bitseek.index"
    assert index.explain().covered == 0


def test_one_code_that_differs_is_found_in_a_small_index_and_by_verify(clusters, monkeypatch):
    words = np.array(some_codes().words)
    words[1500] ^= np.uint64(1)
    index = HammingIndex(Codes(words, 64))
    assert not index.load_clusters(clusters)
    monkeypatch.setattr(_arrays, "_READ_WHOLE", 0)
    assert not index.load_clusters(clusters, verify=True)


@pytest.mark.parametrize("how", ["cut off", "one bit", "header", "gone", "empty"])
@pytest.mark.parametrize("what", ["planes", "ids", "starts", "centres", "first", "inner", "left_out", "clusters.json"])
def test_damage_is_logged_and_the_index_stays_as_it_was(what, how, clusters, caplog):
    (path,) = clusters.glob(f"{what}*")
    content = bytearray(path.read_bytes())
    if how == "one bit":
        content[-1] ^= 16
    changed = {"cut off": content[: len(content) // 2], "header": bytes(16) + content[16:], "empty": b""}
    path.write_bytes(changed.get(how, content))
    if how == "gone":
        path.unlink()
    caplog.set_level(logging.INFO, "bitseek.index")
    index = HammingIndex(some_codes())
    if what == "left_out" and how in ("one bit", "cut off"):  # an empty array: its last byte is the end of the header
        assert not index.load_clusters(clusters) or how == "one bit"
        return
    assert not index.load_clusters(clusters)
    assert ("are not used" in caplog.text) != (what == "clusters.json" and how == "gone")
    index.build()
    assert index.save_clusters(clusters) and HammingIndex(some_codes()).load_clusters(clusters, verify=True)


def test_absent(tmp_path, caplog):
    caplog.set_level(logging.INFO, "bitseek.index")
    index = HammingIndex(some_codes(10))
    assert not index.load_clusters(tmp_path) and not index.load_clusters(tmp_path / "nowhere")
    assert f"there are no clusters in {tmp_path}" in caplog.text
    assert not index.save_clusters(tmp_path / "folder") and not (tmp_path / "folder").exists(), "none are built"


def test_clusters_that_are_replaced_while_they_are_read(clusters, monkeypatch):
    """The manifest is read, then another process replaces the files that it names."""
    other = HammingIndex(some_codes())
    other.add(some_codes(50, seed=3))
    other.build()
    index = HammingIndex(other.codes())
    real = _arrays.ArrayFolder.facts
    calls = []

    def replaced_after_reading(folder):
        facts = real(folder)
        calls.append(facts["covered"])
        if len(calls) == 1:
            other.save_clusters(clusters)
        return facts

    monkeypatch.setattr(_arrays.ArrayFolder, "facts", replaced_after_reading)
    assert index.load_clusters(clusters)
    assert (calls[0], calls[-1]) == (3000, 3050) and index.explain().covered == 3050


def test_they_are_saved_again_beside_files_of_the_user_and_leave_nothing_behind(tmp_path):
    (tmp_path / "planes-train.npy").write_bytes(b"the user's")
    index = HammingIndex(some_codes())
    index.build()
    index.save_clusters(tmp_path)
    index.add(some_codes(100, seed=2))
    index.build()
    index.save_clusters(tmp_path)
    assert HammingIndex(index.codes()).load_clusters(tmp_path, verify=True)
    assert (tmp_path / "planes-train.npy").read_bytes() == b"the user's"
    assert len(list(tmp_path.glob("planes-*"))) == 2
    facts = json.loads((tmp_path / "clusters.json").read_text())
    assert facts["covered"] == 3100 and facts["bits"] == 64


def test_a_file_of_the_user_by_the_name_of_ours_is_not_replaced(tmp_path):
    (tmp_path / "clusters.json").write_text("the user's")
    index = HammingIndex(some_codes())
    index.build()
    with pytest.raises(BitseekError, match="exists and was not written by bitseek"):
        index.save_clusters(tmp_path)
    assert not index.load_clusters(tmp_path)
    assert (tmp_path / "clusters.json").read_text() == "the user's"


def test_when_building_is_due(monkeypatch):
    monkeypatch.setattr(_clusters, "WORTH_IT", 1000)
    index = HammingIndex(some_codes(999))
    assert not index.build_is_due
    index.add(some_codes(1))
    assert index.build_is_due
    index.build()
    assert not index.build_is_due
    index.add(some_codes(100))
    assert not index.build_is_due
    index.add(some_codes(100))
    assert index.build_is_due


@pytest.mark.parametrize(("gone", "error"), [([4], BitseekError), ([-1], BitseekError), ([0.5], ShapeError)])
def test_ids_that_are_gone_are_ids(gone, error):
    with pytest.raises(error, match="ids"):
        HammingIndex(some_codes(4), gone=gone)


PROGRAM = """
import sys
import numpy as np
from bitseek.codes import Codes
from bitseek.index import HammingIndex
from bitseek.kernels import loading
rng = np.random.default_rng(0)
bits = int(sys.argv[1])
around = rng.random((9, bits)) < 0.5
codes = Codes.from_bits(around[rng.integers(0, 9, 4000)] ^ (rng.random((4000, bits)) < 0.1))
index = HammingIndex(codes[:3000], gone=range(0, 3000, 7))
index.add(codes[3000:])
index.remove([3001])
queries = codes[[5, 17, 3500]]
first = [(index.nearest(queries, k), index.within(queries, k)) for k in (1, 9, 4000)]
assert "numba" not in sys.modules, "six searches of 4000 codes"
index.load_kernels()
assert "numba" in sys.modules
for (near, within), k in zip(first, (1, 9, 4000)):
    for plan in ("scan", "auto", "pruned"):
        again, also = index.nearest(queries, k, plan=plan), index.within(queries, k, plan=plan)
        np.testing.assert_array_equal(near.ids, again.ids)
        np.testing.assert_array_equal(near.distances, again.distances)
        np.testing.assert_array_equal(within.offsets, also.offsets)
        np.testing.assert_array_equal(within.ids, also.ids)
        np.testing.assert_array_equal(within.distances, also.distances)
"""

PATIENCE = """
import sys
from bitseek.codes import Codes
from bitseek.index import HammingIndex
from bitseek.kernels import loading
import numpy as np
loading.WORTH_LOADING = 3 * (1000 + loading._PER_QUERY)
codes = Codes(np.arange(1000, dtype=np.uint64)[:, None], 64)
index = HammingIndex(codes)
for search in range(5):
    index.nearest(codes[:1], 3)
    print("numba" in sys.modules)
"""


@pytest.mark.parametrize("bits", ["7", "64", "200"])
def test_the_first_searches_are_answered_without_numba_and_alike(bits):
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM, bits], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("in_order", [True, False])
def test_numpy_searches_in_portions(in_order, monkeypatch):
    """With ids in any order too, as in clusters, where a later code may have a lower id at an equal distance."""
    monkeypatch.setattr(plain, "_AT_ONCE", 50)
    codes, queries = some_codes(400, 7), some_codes(5, 7, seed=8)
    ids = np.arange(400) if in_order else np.random.default_rng(0).permutation(400)
    gone = layout.NOTHING_GONE.copy()
    keys = plain.nearest(codes.words[ids], queries.words, 30, gone, 0 if in_order else ids)
    offsets, near = plain.within(codes.words[ids], queries.words, 2, gone, 0 if in_order else ids)
    for i in range(5):
        expected = slow_nearest(codes, queries[i], 400)
        assert [(key >> layout.ID_BITS, key & 0xFFFF) for key in keys[i].tolist()] == expected[:30]
        found = near[offsets[i] : offsets[i + 1]].tolist()
        assert [(key >> layout.ID_BITS, key & 0xFFFF) for key in found] == [hit for hit in expected if hit[0] <= 2]


def test_the_kernels_are_loaded_when_it_pays():
    done = subprocess.run([sys.executable, "-c", PATIENCE], capture_output=True, text=True)
    assert done.stdout.split() == ["False"] * 3 + ["True"] * 2, done.stderr


def test_a_store_of_clusters_names_what_it_holds(clusters):
    facts = _arrays.ArrayFolder(clusters, "clusters").facts()
    assert set(facts["files"]) == {"left_out", *_store._SHELLS}
