"""One writer at a time, whoever it is, and codes that come from elsewhere."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import numpy as np
import pytest
from tests.collection.harness import codes_of, encoded, files, network_is_not_needed, png
from tests.collection.projection import BITS, Projection

from bitseek.codes import Codes
from bitseek.collection import Collection, _import, _lock
from bitseek.errors import BitseekError, CodeWidthError, RunError, ShapeError

HOLD = """
import sys
from pathlib import Path
from bitseek.collection._lock import Progress, WriterLock
with WriterLock(Path(sys.argv[1])).held(0) as lock:
    lock._noted = float("-inf")
    lock.tell(Progress(3, 7, 1.5, 2.5, "encoding"))
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(folder):
    """A process that holds the lock until its input is closed."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_is_told_who_holds_it(made, photos, hasher):
    (photos / "new.png").write_bytes(png(30))
    with holding(made) as process, Collection.open(made) as collection:
        try:
            message = (
                rf"-c {made} \(process {process.pid} on {socket.gethostname()}\) has been writing to {made} since "
                r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d; try again when it has finished"
            )
            for act in (collection.update, collection.verify, lambda: collection.remove([1])):
                with pytest.raises(RunError, match=message):
                    act()
            assert collection.progress() == (3, 7, 1.5, 2.5, "encoding")
            assert len(collection.search(files(photos)[0])) == 10 and collection.verify(repair=False, hasher=hasher).ok
        finally:
            process.kill()
        process.wait()
        assert collection.progress() is None  # though its note is still there
        assert collection.update(hasher=hasher).added == 1


def test_a_second_writer_waits_if_it_is_told_to(made, photos, hasher, monkeypatch):
    """The first one ends when the second one sleeps, until it asks for the lock again."""
    (photos / "new.png").write_bytes(png(30))
    slept, sleep = [], time.sleep
    with holding(made) as process, Collection.open(made) as collection:
        monkeypatch.setattr(
            time, "sleep", lambda seconds: (process.stdin.close(), slept.append(seconds), sleep(seconds))
        )
        assert collection.update(hasher=hasher, wait=60).added == 1
        assert process.wait() == 0 and slept


def test_threads_of_one_process_exclude_each_other(made, photos, hasher):
    for i in range(10):
        (photos / f"new{i}.png").write_bytes(png(30 + i))
    done, told = [], []

    def update():
        with Collection.open(made) as collection:
            try:
                done.append(collection.update(hasher=hasher, wait=300).added)
            except BitseekError as error:
                told.append(error)

    threads = [threading.Thread(target=update) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not told and sorted(done) == [0, 0, 0, 10]


def test_the_note_of_a_killed_writer_is_not_that_of_whoever_has_its_number_now(made, photos, hasher):
    """As after a container was restarted, where everything is process 1."""
    change = {"pid": os.getpid()}
    with holding(made) as process:
        note = json.loads((made / "writer.json").read_text())
        process.kill()
    (made / "writer.json").write_text(json.dumps(note | change))
    assert _lock.holder(made) is None and _lock.progress_of(made) is None
    with closing(sqlite3.connect(made / "items.sqlite")) as connection, connection:
        connection.execute("UPDATE items SET removed_in = 2 WHERE id = 9")  # committed, and not published
    with Collection.open(made) as collection:
        assert len(collection) == 19
    with _lock.WriterLock(made).held(0):
        assert _lock.holder(made)["pid"] == os.getpid()


def test_notes_of_writers(tmp_path):
    note = {"pid": os.getpid(), "host": socket.gethostname(), "program": "x", "since": time.time()}
    file = tmp_path / "writer.json"
    for changes, lives in (({}, True), ({"pid": 2**22 + 1}, False), ({"host": "elsewhere", "pid": 2**22 + 1}, True)):
        file.write_text(json.dumps(note | changes))
        assert (_lock.holder(tmp_path) is not None) == lives
    os.utime(file, (1, 1))
    assert _lock.holder(tmp_path) is None  # silent for too long
    for text in ("", "{}", "[1]", json.dumps(note | {"pid": "x"})):
        file.write_text(text)
        assert _lock.holder(tmp_path) is None and _lock.progress_of(tmp_path) is None
    file.write_text(json.dumps(note | {"progress": {"odd": 1}}))
    assert _lock.progress_of(tmp_path).what == "writing"


# --- codes from elsewhere ---------------------------------------------------------------------------------------


def random_codes(n, seed=0):
    return Codes.from_bits(np.random.default_rng(seed).random((n, BITS)) < 0.5)


def test_codes_are_imported(made, hasher, tmp_path):
    codes = random_codes(4)
    with Collection.open(made) as collection:
        done = collection.add_codes(
            codes,
            paths=["x/1.png", b"caf\xe9.png", "/elsewhere/3.png", None],
            labels=["q", None, "", "a"],
            root=tmp_path,
        )
        assert done == (4, 0, 0, 0, {}, {}, {}) and len(collection) == 24
        items = collection.items(start=20)
        paths = [str(tmp_path / "x" / "1.png"), str(tmp_path / os.fsdecode(b"caf\xe9.png")), "/elsewhere/3.png", ""]
        assert [item.path for item in items] == paths and [item.code for item in items] == codes.hex()
        assert [item.label for item in items] == ["q", None, None, "a"] and collection.labels()["a"] == 11
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 20, 0, {}, {}, {})  # leaves them alone
        again = random_codes(1, seed=1)
        collection.add_codes(again, paths=["/elsewhere/3.png"])
        assert len(collection) == 24 and collection.find("/elsewhere/3.png").code == again.hex()[0]
        assert collection.search(again, k=1)[0][0].item.path == "/elsewhere/3.png"
        assert collection.verify(hasher=hasher).findings == ()


def test_an_import_that_fails_leaves_nothing(made, monkeypatch):
    monkeypatch.setattr(_import, "AT_ONCE", 3)
    with Collection.open(made) as collection:
        before = codes_of(collection)
        for options, error, message in (
            ({"codes": random_codes(8), "paths": [*"abcdefg", "b"]}, BitseekError, "a path comes twice"),
            ({"codes": random_codes(8), "paths": [*"abcdef", "", "g"]}, BitseekError, "a path is not empty"),
            ({"codes": random_codes(8), "paths": [*"abcdefg", "\ud800"]}, BitseekError, "a path is text or bytes, got"),
            (
                {"codes": random_codes(8), "labels": ["x"]},
                ShapeError,
                "one of the labels for each of the 8 codes, got 1",
            ),
            ({"codes": Codes.from_bits(np.zeros((2, 64), bool))}, CodeWidthError, "70 bits, got codes of 64 bits"),
        ):
            with pytest.raises(error, match=message):
                collection.add_codes(options.pop("codes"), **options)
            assert codes_of(collection) == before and collection.generation == 1
        assert collection.add_codes(random_codes(8), paths=list("abcdefgh")).added == 8


def test_codes_for_what_was_removed_make_it_an_item_again(made, photos, hasher, monkeypatch):
    monkeypatch.setattr(_import, "AT_ONCE", 1)
    name = str(photos / "a" / "00.png")
    with Collection.open(made) as collection:
        collection.remove([collection.find(name).id])
        assert list(collection.ignored()) == [name]
        with pytest.raises(BitseekError, match="a path is not empty"):
            collection.add_codes(random_codes(2), paths=[name, ""])
        assert list(collection.ignored()) == [name] and len(collection) == 19  # as the import was taken back
        collection.add_codes(hasher.encode([name]), paths=[name])
        assert not collection.ignored() and len(collection) == 20
        done = collection.update(hasher=hasher)
        assert done.added + done.moved == 1 and done.unchanged == 19 and not done.unreadable
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 20, 0, {}, {}, {})


def test_codes_with_stamps_but_no_hashes_get_labels(made, photos, hasher, tmp_path):
    with Collection.open(made) as collection:
        collection.export(tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as stored:
        columns = {name: stored[name] for name in stored.files if name != "hashes"}
    columns["labels"][:] = -1
    np.savez(tmp_path / "few.npz", **columns)
    with Collection.create(tmp_path / "other", hasher=hasher) as other:
        assert other.add_codes(tmp_path / "few.npz").added == 20 and not other.labels()
        assert other.update(photos, hasher=network_is_not_needed) == (0, 20, 0, 0, {}, {}, {})
        assert other.labels() == {"a": 10, "b": 10}
        assert other.update(hasher=network_is_not_needed) == (0, 0, 20, 0, {}, {}, {})
        assert codes_of(other) == encoded(Projection(), files(photos))


def test_there_and_back(made, photos, hasher, tmp_path):
    with Collection.open(made) as collection:
        collection.remove([4])
        for ending in (".npz", ".parquet", ".faiss"):
            collection.export(tmp_path / f"x{ending}")
        items = collection.items()
    for ending in (".npz", ".parquet"):
        with Collection.create(tmp_path / ending, hasher=hasher) as other:
            assert other.add_codes(tmp_path / f"x{ending}").added == 19
            for one, item in zip(other.items(), items, strict=True):
                assert one._replace(id=0, root="", mtime_ns=0) == item._replace(id=0, root="", mtime_ns=0)
            # The folder takes them over: what is known by stamp or hash is not encoded.
            hasher.encoded = 0
            assert other.update(photos, hasher=hasher) == (1, 0, 19, 0, {}, {}, {}) and hasher.encoded == 1
            assert codes_of(other) == encoded(Projection(), files(photos))
            assert other.add_codes(tmp_path / f"x{ending}").added == 19 and len(other) == 20
            assert other.update(hasher=network_is_not_needed) == (0, 0, 20, 0, {}, {}, {})
    with Collection.create(tmp_path / "faiss", hasher=hasher) as other:
        assert other.add_codes(tmp_path / "x.faiss").added == 19
        assert [item.code for item in other.items()] == [item.code for item in items]
    refused = pytest.raises(CodeWidthError, match=r"made by model 000000000000001p .*, not by 000000000000000p")
    with Collection.create(tmp_path / "another", hasher=Projection(1)) as other, refused:
        other.add_codes(tmp_path / "x.npz")


def test_duplicates(made, photos):
    (photos / "copy.png").write_bytes(png(3))
    with Collection.open(made) as collection:
        collection.update(hasher=network_is_not_needed)
        found = collection.duplicates(0)
        ids = sorted(collection.find(photos / name).id for name in ("copy.png", "b/03.png"))
        assert [group.ids.tolist() for group in found.groups()] == [ids]
        assert [group.ids.tolist() for group in found.exact()] == [ids]
