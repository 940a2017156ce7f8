"""A collection keeps what was added, and finds what a brute-force search finds."""

import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from bitseek import Codes
from bitseek.collection import DATABASE, Collection
from bitseek.errors import CodeWidthError, RunError


def codes(n, bits=70, seed=0):
    return Codes.from_bits(np.random.default_rng(seed).random((n, bits)) < 0.5)


def make(folder, n=0, bits=70):
    collection = Collection.create(folder, bits=bits, model="runs/m", fingerprint="f00d")
    collection.add([f"/p/{i}.jpg" for i in range(n)], [(i, i) for i in range(n)], codes(n, bits))
    return collection


def test_what_was_added_is_there_after_opening(tmp_path):
    with make(tmp_path / "c", 20):
        pass
    with Collection.open(tmp_path / "c") as again:
        assert len(again) == 20 and again.bits == 70 and again.model == "runs/m" and again.fingerprint == "f00d"
        assert again.codes == codes(20) and again.paths[3] == "/p/3.jpg"


def test_search_is_brute_force(tmp_path):
    with make(tmp_path / "c", 50) as collection:
        queries = codes(4, seed=1)
        distances = (queries.to_bits()[:, None] != codes(50).to_bits()[None]).sum(axis=2)
        for row, hits in zip(distances, collection.search(queries, k=7), strict=True):
            order = np.lexsort((np.arange(50), row))[:7]
            assert [(hit.path, hit.distance) for hit in hits] == [(f"/p/{i}.jpg", row[i]) for i in order]
            assert [hit.code for hit in hits] == [codes(50).hex()[i] for i in order]
        assert [len(hits) for hits in collection.search(queries, k=80)] == [50] * 4


def test_adding_again_replaces_and_removing_removes(tmp_path):
    with make(tmp_path / "c", 3) as collection:
        assert collection.unchanged({"/p/0.jpg": (0, 0), "/p/1.jpg": (1, 9), "/p/new.jpg": (1, 1)}) == {"/p/0.jpg"}
        collection.add(["/p/1.jpg"], [(1, 9)], codes(1, seed=5))
        assert len(collection) == 3 and collection.codes[1] == codes(1, seed=5)
        assert collection.remove(["/p/1.jpg", "/p/absent.jpg"]) == 1
        assert collection.paths == ["/p/0.jpg", "/p/2.jpg"] and len(collection.codes) == 2


def test_an_empty_collection_finds_nothing(tmp_path):
    with make(tmp_path / "c") as collection:
        assert collection.search(codes(2), k=3) == [[], []]


def test_wrong_codes_are_refused(tmp_path):
    with make(tmp_path / "c", 2) as collection:
        with pytest.raises(CodeWidthError, match="70 bits"):
            collection.add(["/x"], [(1, 1)], codes(1, bits=64))
        with pytest.raises(CodeWidthError, match="the query has 64"):
            collection.search(codes(1, bits=64))
        with pytest.raises(CodeWidthError, match=r"made by model f00d \(runs/m\)"):
            collection.check_model("beef")
        assert len(collection) == 2


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(RunError, match="is not a collection"):
        Collection.open(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="exists and is not a collection"):
        make(tmp_path)
    folder = tmp_path / "damaged"
    make(folder, 1).close()
    (folder / DATABASE).write_bytes(b"SQLite format 3\0" + b"\xff" * 3000)
    with pytest.raises(RunError, match="damaged"):
        Collection.open(folder)
    make(tmp_path / "later").close()
    with sqlite3.connect(tmp_path / "later" / DATABASE) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    connection.close()
    with pytest.raises(RunError, match="format 99"):
        Collection.open(tmp_path / "later")


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from tests.test_collection import codes, make
collection = make({folder!r})
for batch in range(10_000):
    paths = [f"/p/{{batch}}-{{i}}.jpg" for i in range(50)]
    collection.add(paths, [(batch, i) for i in range(50)], codes(50, seed=batch))
    print(batch, flush=True)
"""


def test_a_kill_loses_nothing_that_was_reported(tmp_path, request):
    folder = tmp_path / "c"
    script = WRITER.format(tests=str(request.config.rootpath), folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    reported = [int(process.stdout.readline()) for _ in range(5)]
    time.sleep(0.01)
    process.kill()
    reported += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    process.wait()
    process.stdout.close()
    with Collection.open(folder) as collection:
        batches = len(collection) // 50
        assert len(collection) == 50 * batches and batches >= len(reported)
        for batch in reported:
            assert collection.codes[50 * batch : 50 * batch + 50] == codes(50, seed=batch)
