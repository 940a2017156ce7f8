"""An index that is written to a folder as its codes come: exact, in bounded memory, and a kill loses nothing."""

import json
import os
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kills import Program, some_of

from bitseek.codes import Codes
from bitseek.errors import BitseekError, CodeWidthError, RunError
from bitseek.index import HammingIndex, IndexWriter, _arrays, _build, _clusters, _segments, _store, _writer
from bitseek.kernels.merge import Merger

WORK = ("build.json", "build.files.json", "merge.json", "merge.files.json")


def some_codes(n=3000, bits=64, seed=0):
    rng = np.random.default_rng(seed)
    around = np.random.default_rng(99).random((20, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, 20, n)] ^ (rng.random((n, bits)) < 0.1))


def slow_nearest(codes, query, k, gone=()):
    """Distances and ids of the k nearest by sorting pairs."""
    away = (codes.to_bits() ^ query.to_bits()).sum(axis=1).tolist()
    return sorted((distance, i) for i, distance in enumerate(away) if i not in gone)[:k]


def check(index, codes, gone, queries, k=12):
    """Every plan gives the answers of brute force."""
    assert (index.size, len(index)) == (len(codes), len(codes) - len(gone))
    for plan in ("scan", "pruned", "auto"):
        hits, ragged = index.nearest(queries, k, plan=plan), index.within(queries, index.bits // 4, plan=plan)
        for i in range(len(queries)):
            pairs = slow_nearest(codes, queries[i], len(codes), gone)
            assert list(zip(*(row.tolist() for row in reversed(hits[i])), strict=True)) == pairs[:k]
            near = [pair for pair in pairs if pair[0] <= index.bits // 4]
            assert list(zip(*(row.tolist() for row in reversed(ragged[i])), strict=True)) == near


def names(folder):
    return {path.name for path in folder.iterdir()}


def listed(folder):
    """Names of the arrays that an index.json needs, and of what is always there."""
    files = json.loads((folder / "index.json").read_text())["files"].values()
    return {"index.json", "index.files.json", "index.lock", *(entry["name"] for entry in files)}


@pytest.fixture
def tiny(monkeypatch):
    """Blocks, parts and segments of a few codes."""
    monkeypatch.setattr(_store, "_SMALL", 400)
    monkeypatch.setattr(_writer, "_BLOCK_BYTES", 2000)
    monkeypatch.setattr(_build, "PART_BYTES", 6000)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a kill needs none


OPERATIONS = ["append", "append", "remove", "commit", "build", "reopen", "in memory"]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bits=st.sampled_from([1, 13, 64, 130]),
    operations=st.lists(st.sampled_from(OPERATIONS), max_size=7),
    most=st.sampled_from([250, 1 << 32]),
)
def test_whatever_happens_the_answers_are_those_of_brute_force(seed, bits, operations, most, tmp_path_factory):
    """Appended in portions of any size, removed, built, opened anew; also where a segment holds only a few ids."""
    folder, rng = tmp_path_factory.mktemp("index"), np.random.default_rng(seed)
    codes, gone = some_codes(0, bits), set()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(_store, "_SMALL", 400)
        monkeypatch.setattr(_writer, "_BLOCK_BYTES", 2000)
        monkeypatch.setattr(_build, "PART_BYTES", 8000)
        monkeypatch.setattr(os, "fsync", lambda _: None)
        for module in (_build, _segments, _clusters):
            monkeypatch.setattr(module, "MOST_CLUSTERED", most)
        writer = IndexWriter(folder, bits)
        for step, operation in enumerate(operations):
            more = some_codes(int(rng.integers(0, 400)), bits, step)
            if operation == "append":
                assert writer.append(more).tolist() == list(range(len(codes), len(codes) + len(more)))
                codes = Codes.concat([codes, more])
            elif operation == "remove" and len(codes):
                ids = rng.integers(0, len(codes), 30).tolist()
                assert writer.remove(ids) == len(set(ids) - gone)
                gone |= set(ids)
            elif operation == "commit":
                writer.commit()
            elif operation == "build":
                writer.build()
                explanation = HammingIndex.open(folder).explain()
                assert explanation.covered == len(codes) and not set(WORK) & names(folder)
            elif operation == "reopen":
                writer.close()
                writer = IndexWriter(folder)
            elif operation == "in memory":  # an index that was opened is changed, built and saved over itself
                writer.close()
                index = HammingIndex.open(folder)
                index.add(more)
                codes = Codes.concat([codes, more])
                if rng.random() < 0.5:
                    index.build()
                index.save(folder)
                writer = IndexWriter(folder)
            assert (writer.size, len(writer), writer.bits) == (len(codes), len(codes) - len(gone), bits)
        writer.close()
        assert names(folder) == listed(folder)
        index = HammingIndex.open(folder, verify=True)
        assert index.codes() == codes
        check(index, codes, gone, some_codes(2, bits, 1000))


def test_codes_in_several_blocks_and_segments_are_mapped_and_built_in_parts(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(_build, "MOST_CLUSTERED", 1100)
    with IndexWriter(tmp_path, 64) as writer:
        for seed in range(10):
            writer.append(some_codes(300, seed=seed))
        writer.build()
    index, codes = HammingIndex.open(tmp_path), Codes.concat([some_codes(300, seed=seed) for seed in range(10)])
    facts = json.loads((tmp_path / "index.json").read_text())
    assert facts["blocks"] > 3 and len(facts["segments"]) == 3 and "in 3 segments" in index.explain().clusters
    assert [stop - start <= 1100 for start, stop in facts["segments"]] == [True] * 3
    check(index, codes, set(), some_codes(3, seed=50))
    assert index.codes([0, 2999, 1500]) == codes[[0, 2999, 1500]]
    for words in index._database.blocks:
        assert isinstance(words.base, np.memmap)


def test_what_is_there_already_is_not_written_again(tiny, tmp_path):
    with IndexWriter(tmp_path, 64) as writer:
        writer.append(some_codes())
        writer.build()
    before = {name: (tmp_path / name).stat().st_ino for name in names(tmp_path)}
    index = HammingIndex.open(tmp_path)
    index.add(some_codes(100, seed=1))
    index.remove([1, 2, 3020])
    index.save(tmp_path)
    after = {name: (tmp_path / name).stat().st_ino for name in names(tmp_path)}
    same = {name for name in before if before[name] == after.get(name)}
    assert {name.split("-")[0] for name in set(before) - same} == {"index.json", "index.files.json", "gone"}
    assert {name.split("-")[0] for name in set(after) - same} >= {"codes.1"}
    codes = Codes.concat([some_codes(), some_codes(100, seed=1)])
    check(HammingIndex.open(tmp_path, verify=True), codes, {1, 2, 3020}, some_codes(2, seed=7))


def test_memory_is_bounded(tmp_path, monkeypatch):
    """Of 12 megabytes of codes, planes and ids, no more lie in arrays of our own than some parts of a megabyte."""
    monkeypatch.setattr(_build, "PART_BYTES", 2 << 20)
    monkeypatch.setattr(_writer, "_BLOCK_BYTES", 1 << 20)
    monkeypatch.setattr(_store, "_SMALL", 1 << 20)
    monkeypatch.setattr(_arrays, "_READ_WHOLE", 1 << 20)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setenv("BITSEEK_THREADS", "1")  # each thread has buffers, and how many overlap is chance
    for thread in threading.enumerate():
        if thread.name == "clusters":  # of an index of another test
            thread.join()
    words = np.random.default_rng(0).integers(0, 1 << 20, (600_000, 1), dtype=np.uint64)
    lengths = []
    real = _segments.sort

    def sort(database, start, stop, *others):
        lengths.append(stop - start)
        return real(database, start, stop, *others)

    monkeypatch.setattr(_segments, "sort", sort)
    with IndexWriter(tmp_path / "warm", 64) as writer:  # imports and compiles
        writer.append(Codes(words[:70_000], 64))
        writer.build()
    lengths.clear()
    with IndexWriter(tmp_path / "index", 64) as writer:
        tracemalloc.start()
        try:
            for start in range(0, len(words), 20_000):
                writer.append(Codes(words[start : start + 20_000], 64))
            _, appending = tracemalloc.get_traced_memory()
            writer.build()
            _, building = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert sum(lengths) == len(words) and max(lengths) * (8 + 24) <= 2 << 20
    assert appending < 1 << 20
    assert building < 7 << 20
    assert HammingIndex.open(tmp_path / "index").explain().covered == 600_000


def stop_a_build(folder, monkeypatch, owner, name, *, after):
    """Append 1,500 codes, and stop the build of their clusters when a function has been called so often."""
    real, calls = getattr(owner, name), []

    def failing(*arguments):
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments)

    with IndexWriter(folder, 64) as writer:
        writer.append(some_codes(1500))
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, failing)
            with pytest.raises(KeyboardInterrupt):
                writer.build()


GROW = """
import os, tempfile
import numpy as np
from bitseek.codes import Codes
from bitseek.index import IndexWriter, _build, _store, _writer
_store._SMALL, _build.PART_BYTES, _writer._BLOCK_BYTES = 2_000, 9_000, 5_000
os.fsync = lambda _: None

def grow(folder):
    with IndexWriter(folder, 64) as writer:
        for step in range(3):
            start = writer.size
            writer.append(Codes((np.arange(start, start + 300, dtype=np.uint64) * np.uint64(2654435761))[:, None], 64))
            if step == 1:
                writer.build()
            else:
                writer.commit()
            yield writer.size

with tempfile.TemporaryDirectory() as folder:
    list(grow(folder))
"""


class TestKilled:
    def test_a_build_goes_on_where_it_was(self, tiny, tmp_path, monkeypatch):
        """It fails at each moment at which a part is sorted, or some clusters are merged; no work is done twice."""
        codes, done, limit = some_codes(1000), [], [0]
        with IndexWriter(tmp_path, 64) as writer:
            writer.append(codes)

        def step(name, real):
            def counted(*arguments):
                if len(done) == limit[0]:
                    raise KeyboardInterrupt
                result = real(*arguments)
                done.append((name, *arguments[1:3]))
                return result

            return counted

        monkeypatch.setattr(_segments, "sort", step("sort", _segments.sort))
        monkeypatch.setattr(Merger, "copy", step("copy", Merger.copy))
        while True:
            with IndexWriter(tmp_path) as writer:
                try:
                    writer.build()
                    break
                except KeyboardInterrupt:
                    assert HammingIndex.open(tmp_path, verify=True).codes() == codes
            limit[0] += 1
        assert len(done) == len(set(done)) > 10, "each part is sorted once, and each cluster merged once"
        assert {name for name, *_ in done} == {"sort", "copy"}
        assert names(tmp_path) == listed(tmp_path)
        monkeypatch.undo()
        check(HammingIndex.open(tmp_path, verify=True), codes, set(), some_codes(3, seed=8))

    def test_codes_that_come_after_a_kill_are_sorted_in(self, tiny, tmp_path, monkeypatch):
        with IndexWriter(tmp_path, 64) as writer:
            writer.append(some_codes(2000))
        real, calls = _segments.sort, []

        def failing(database, start, stop, *others):
            if len(calls) == 6:
                raise KeyboardInterrupt
            calls.append((start, stop))
            return real(database, start, stop, *others)

        monkeypatch.setattr(_segments, "sort", failing)
        with IndexWriter(tmp_path) as writer, pytest.raises(KeyboardInterrupt):
            writer.build()
        first = list(calls)
        calls.clear()
        calls.append(None)
        monkeypatch.setattr(_segments, "sort", lambda *given: calls.append(given[1:3]) or real(*given))
        with IndexWriter(tmp_path) as writer:
            writer.append(some_codes(700, seed=1))
            writer.remove([3, 2100])
            writer.build()
        assert not set(first) & set(calls), "what had been sorted is kept"
        codes = Codes.concat([some_codes(2000), some_codes(700, seed=1)])
        check(HammingIndex.open(tmp_path), codes, {3, 2100}, some_codes(3, seed=8))

    def test_work_of_other_codes_is_not_taken_over(self, tiny, tmp_path, monkeypatch):
        """Killed while it merges; then another index is saved in the folder, with as many codes."""
        stop_a_build(tmp_path, monkeypatch, Merger, "copy", after=2)
        assert set(WORK) <= names(tmp_path)
        others = some_codes(1500, seed=1)
        HammingIndex(others).save(tmp_path)
        with IndexWriter(tmp_path) as writer:
            writer.build()
        check(HammingIndex.open(tmp_path, verify=True), others, set(), some_codes(3, seed=8))

    def test_damaged_work_is_done_again(self, tiny, tmp_path, monkeypatch):
        stop_a_build(tmp_path, monkeypatch, _segments, "sort", after=5)
        (path,) = tmp_path.glob("sorted-planes.2-*")
        path.write_bytes(path.read_bytes()[:-100])
        with IndexWriter(tmp_path) as writer:
            writer.build()
        check(HammingIndex.open(tmp_path, verify=True), some_codes(1500), set(), some_codes(3, seed=8))

    def test_at_any_moment(self, tmp_path):
        """A process appends, commits and builds, and is killed, again and again; what it had told of is there."""
        folder, unfinished, sizes = tmp_path / "index", 0, []
        with Program(GROW, "for size in grow(folder): print(size, flush=True)") as program:
            for number, step in enumerate(some_of(program.steps(folder), 16)):
                ended = program.run(folder, step, room=5_000 if number % 4 == 3 else None)
                index = HammingIndex.open(folder, verify=True)
                words = index.codes().words[:, 0]
                np.testing.assert_array_equal(words, np.arange(len(words), dtype=np.uint64) * np.uint64(2654435761))
                assert len(words) >= max(map(int, ended.said), default=0)
                unfinished += names(folder) != listed(folder)
                sizes.append(len(words))
                ends = index.codes([0, len(words) - 1])
                hits = {plan: index.nearest(ends, 9, plan=plan) for plan in ("scan", "pruned")}
                np.testing.assert_array_equal(hits["scan"].ids, hits["pruned"].ids)
        assert sizes == sorted(sizes) and sizes[-1] > sizes[0], "nothing was lost, and it went on"
        assert unfinished, "it was killed in the middle of work"
        with IndexWriter(folder) as writer:
            writer.build()
        assert names(folder) == listed(folder), "nothing is left of what was killed"


def test_a_tail_is_sorted_in_by_itself_and_what_was_sorted_is_not_sorted_again(monkeypatch):
    """In the background, a segment for each tail; segments of about the same size become one."""
    monkeypatch.setattr(_clusters, "WORTH_IT", 500)
    sorted_ranges = []
    real = _segments.sort
    monkeypatch.setattr(_segments, "sort", lambda *given: sorted_ranges.append(given[1:3]) or real(*given))
    codes = some_codes(2000)
    index = HammingIndex(codes)
    index.build()
    segments = []
    for step in range(1, 5):
        more = some_codes(400, seed=step)
        index.add(more)
        codes = Codes.concat([codes, more])
        assert index.build_is_due
        index.nearest(codes[:1], 3)
        for thread in threading.enumerate():
            if thread.name == "clusters":
                thread.join()
        assert index.explain().covered == len(codes)
        segments.append([segment.stop - segment.start for segment in index._clusters.built.segments])
        check(index, codes, set(), some_codes(2, seed=70))
    assert sorted_ranges == [(0, 2000), (2000, 2400), (2400, 2800), (2800, 3200), (3200, 3600)], "only the tails"
    assert segments == [[2000, 400], [2000, 800], [3200], [3200, 400]]
    index.build()
    assert len(index._clusters.built.segments) == 1


def test_centres_are_chosen_anew_when_the_index_has_outgrown_them(tiny, tmp_path):
    with IndexWriter(tmp_path, 64) as writer:
        writer.append(some_codes(300))
        writer.build()
        before = HammingIndex.open(tmp_path).explain().centres
        writer.append(some_codes(200, seed=1))
        writer.build()
        assert json.loads((tmp_path / "index.json").read_text())["items"] == 300
        writer.append(some_codes(3000, seed=2))
        writer.build()
    assert json.loads((tmp_path / "index.json").read_text())["items"] == 3500
    assert HammingIndex.open(tmp_path).explain().centres > 1.5 * before


class TestErrors:
    def test_what_cannot_be_used(self, tmp_path):
        with pytest.raises(BitseekError, match="give bits="):
            IndexWriter(tmp_path / "new")
        assert not (tmp_path / "new").exists()
        with IndexWriter(tmp_path, 64) as writer:
            with pytest.raises(CodeWidthError, match="64 bits, got codes of 32"):
                writer.append(some_codes(3, 32))
            with pytest.raises(BitseekError, match="ids of this index are"):
                writer.remove([0])
            with pytest.raises(RunError, match="another process is writing"):
                IndexWriter(tmp_path, 64)
        with pytest.raises(CodeWidthError, match="64 bits, not of 32"):
            IndexWriter(tmp_path, 32)
        assert len(HammingIndex.open(tmp_path)) == 0
        (tmp_path / "file").write_text("")
        with pytest.raises(BitseekError, match="cannot write"):
            IndexWriter(tmp_path / "file" / "inside", 64)

    @pytest.mark.parametrize("name", ["index.lock", "codes-appended.npy", "index.files.json"])
    def test_files_of_the_user_are_left_alone(self, name, tmp_path):
        (tmp_path / name).write_bytes(b"the user's")
        with pytest.raises(BitseekError, match="move it away"), IndexWriter(tmp_path, 64) as writer:
            writer.append(some_codes(10))
        assert (tmp_path / name).read_bytes() == b"the user's"

    def test_after_an_error_nothing_that_came_since_the_last_commit_is_kept(self, tmp_path):
        with pytest.raises(ZeroDivisionError), IndexWriter(tmp_path, 64) as writer:
            writer.append(some_codes(10))
            writer.commit()
            writer.append(some_codes(20))
            raise ZeroDivisionError
        assert HammingIndex.open(tmp_path).codes() == some_codes(10)
        with IndexWriter(tmp_path) as writer:
            writer.append(some_codes(5, seed=1))
        assert HammingIndex.open(tmp_path).codes() == Codes.concat([some_codes(10), some_codes(5, seed=1)])
        assert names(tmp_path) == listed(tmp_path)

    def test_a_full_disk_while_codes_are_appended(self, tmp_path, monkeypatch):
        with IndexWriter(tmp_path, 64) as writer:
            writer.append(some_codes(10))
            with monkeypatch.context() as patched:
                patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
                with pytest.raises(BitseekError, match="No space left"):
                    writer.commit()
            writer.append(some_codes(20, seed=1))
        assert HammingIndex.open(tmp_path).codes() == Codes.concat([some_codes(10), some_codes(20, seed=1)])


def test_an_index_that_an_earlier_bitseek_wrote_is_read(tmp_path):
    index = HammingIndex(some_codes())
    index.build()
    index.remove([5])
    index.save(tmp_path)
    manifest = json.loads((tmp_path / "index.json").read_text())
    for newer in ("sum", "blocks", "segments", "items"):
        del manifest[newer]
    manifest["version"] = 1
    manifest["sum"] = _arrays._sum(json.dumps(manifest, sort_keys=True).encode())
    (tmp_path / "index.json").write_text(json.dumps(manifest))
    opened = HammingIndex.open(tmp_path, verify=True)
    assert opened.explain().covered == 3000
    check(opened, some_codes(), {5}, some_codes(2, seed=7))
    with IndexWriter(tmp_path) as writer:
        writer.append(some_codes(50, seed=3))
        writer.build()
    check(HammingIndex.open(tmp_path), Codes.concat([some_codes(), some_codes(50, seed=3)]), {5}, some_codes(2, seed=7))
