"""A collection is made whole or not at all, found again wherever it is moved, and says in a sentence what is wrong."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.collection.harness import codes_of, encoded, files, network_is_not_needed, png
from tests.collection.projection import BITS, Projection
from unchecked import unchecked

from bitseek.codes import Codes
from bitseek.collection import Collection, _items
from bitseek.errors import BitseekError, CodeWidthError, ImageError, RunError


def test_what_was_added_is_there_after_opening(made, photos, hasher, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with Collection.open("c") as again:
        assert (len(again), again.bits, again.fingerprint) == (20, BITS, hasher.fingerprint)
        assert codes_of(again) == encoded(hasher, files(photos))
        assert again.codes[again.alive].hex() == [item.code for item in again.items()]
        assert Projection.load(again.model).fingerprint == hasher.fingerprint
        assert repr(again) == f"Collection({str(made)!r}, 20 items of 70 bits)"


def test_items_are_described(made, photos):
    path = photos / "b" / "03.png"
    with Collection.open(made) as collection:
        item = collection.find(path)
        status = path.stat()
        assert item == collection.item(item.id) and collection.items(start=item.id, limit=1) == [item]
        assert (item.path, item.root, item.label) == (str(path), str(photos), "b")
        assert (item.width, item.height, item.size, item.mtime_ns) == (6, 6, status.st_size, status.st_mtime_ns)
        assert collection.labels() == {"a": 10, "b": 10}
        assert [item.label for item in collection.items(label="b")] == ["b"] * 10
        assert collection.items(label="b", start=4, limit=3) == collection.items(label="b")[4:7]
        assert collection.items(start=18, limit=9) == collection.items()[18:] and collection.items(start=99) == []
        with pytest.raises(BitseekError, match=r"no item has the label 'c'; labels are a, b$"):
            collection.items(label="c")
        with pytest.raises(BitseekError, match="there is no item 20 in "):
            collection.item(20)
        assert collection.find(photos / "c.png") is None and collection.find("/") is None


def test_numbers_about_it(made, photos, hasher):
    (photos / "bad.png").write_bytes(b"nothing")
    with Collection.open(made) as collection:
        collection.update(hasher=hasher)
        found = collection.statistics()
        bits = Codes.from_hex([item.code for item in collection.items()], BITS).to_bits()
        assert np.allclose(found["bit_balance"], bits.mean(axis=0))
        assert (found["items"], found["ignored"], found["labels"]) == (20, 1, {"a": 10, "b": 10})
        assert found["bytes"]["codes"] == 20 * 16 and {"items", "model", "thumbnails"} <= found["bytes"].keys()


def test_a_file_or_a_folder_that_is_something_else_is_refused(tmp_path, hasher):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(RunError, match="is not a collection; make one with: bitseek index"):
        Collection.open(tmp_path / "mine")
    Collection.create(tmp_path / "my photos" / ".bitseek", hasher=hasher).close()
    with pytest.raises(RunError, match=r"holds one; name that: '.*my photos/\.bitseek'$"):
        Collection.open(tmp_path / "my photos")
    with pytest.raises(RunError, match=r"bitseek index '.*no photos' FOLDER"):
        Collection.open(tmp_path / "no photos")
    for wrong in (None, "model.onnx", lambda: hasher):
        with pytest.raises(BitseekError, match="a hasher is what"):
            unchecked(Collection.create)(tmp_path / "new", hasher=wrong)
    assert not (tmp_path / "new").exists()
    for taken in (tmp_path / "mine", tmp_path / "mine" / "letter.txt", tmp_path / "mine" / "letter.txt" / "c"):
        with pytest.raises(RunError, match=r"exists and is not an empty folder|cannot make the collection"):
            Collection.create(taken, hasher=hasher)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_an_older_format_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "items.sqlite") as connection:
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
        connection.execute("INSERT INTO meta VALUES ('format', x'32')")
    connection.close()
    with pytest.raises(
        RunError, match=r"has format 2, this bitseek reads format 3; index the images into a new folder"
    ):
        Collection.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"\xff" * 5000, b"something else " * 400])
def test_a_damaged_file_is_told(made, content):
    (made / "items.sqlite").write_bytes(content)
    with pytest.raises(RunError, match=r"is damaged|is empty, or not of a collection"):
        Collection.open(made)


def test_making_one_that_is_stopped_leaves_nothing(tmp_path, photos, hasher):
    class Unsaved(Projection):
        def save(self, folder):
            super().save(folder)
            raise BitseekError("it cannot be saved")

    with pytest.raises(BitseekError, match="cannot be saved"):
        Collection.create(tmp_path / "c", hasher=Unsaved())
    assert not (tmp_path / "c").exists()
    with pytest.raises(ImageError), Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update(tmp_path / "absent", hasher=hasher)
    assert not (tmp_path / "c").exists()
    with pytest.raises(KeyboardInterrupt), Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
        raise KeyboardInterrupt
    with Collection.open(tmp_path / "c") as collection:
        assert len(collection) == 20


def test_making_one_that_was_killed_is_begun_anew(tmp_path, hasher):
    (tmp_path / "c" / ".making" / "model").mkdir(parents=True)
    (tmp_path / "c" / ".making" / "items.sqlite").write_bytes(b"half")
    (tmp_path / "c" / "model").mkdir()
    (tmp_path / "c" / "writer.lock").touch()
    assert not Collection.exists(tmp_path / "c")
    Collection.create(tmp_path / "c", hasher=hasher).close()
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["items.sqlite", "model", "writer.lock"]
    (tmp_path / "d" / ".making").mkdir(parents=True)
    (tmp_path / "d" / "letter.txt").touch()
    with pytest.raises(RunError, match="exists and is not an empty folder"):
        Collection.create(tmp_path / "d", hasher=hasher)
    assert (tmp_path / "d" / "letter.txt").exists()


def test_what_it_was_made_with_is_given_back(tmp_path, hasher):
    given = {"--seed": 3, "--backbone-set": ["a=1"], "--model": os.fsdecode(b"caf\xe9"), "--features": True}
    with Collection.create(tmp_path / "c", hasher=hasher, made_with=given):
        pass
    with Collection.open(tmp_path / "c") as collection:
        assert collection.made_with == given and collection.refresh() is False
        with closing(sqlite3.connect(tmp_path / "c" / "items.sqlite")) as connection, connection:
            connection.execute("UPDATE meta SET value = '{' WHERE key = 'made_with'")
        with pytest.raises(RunError, match=r"what .*c was made with is damaged"):
            print(collection.made_with)
    with Collection.create(tmp_path / "none", hasher=hasher) as collection:
        assert collection.made_with is None
    with pytest.raises(BitseekError, match="values that JSON can hold by name"):
        Collection.create(tmp_path / "odd", hasher=hasher, made_with={"--model": object()})
    assert not (tmp_path / "odd").exists()


def test_an_empty_collection_finds_nothing(tmp_path, hasher):
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        assert collection.search(Codes.from_bits(np.zeros((2, BITS), bool)), k=3) == [[], []]
        assert (len(collection), collection.items(), collection.labels()) == (0, [], {})
        assert collection.statistics()["bit_balance"] == [] and collection.verify(hasher=hasher).ok
        with pytest.raises(RunError, match="no folder was ever indexed"):
            collection.update(hasher=hasher)


def test_it_and_its_pictures_may_move(made, photos, hasher, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name in ("c", "photos"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    with Collection.open(tmp_path / "elsewhere" / "c") as collection:
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 20, 0, {}, {}, {})
        assert sorted(codes_of(collection)) == files(tmp_path / "elsewhere" / "photos")
    shutil.move(tmp_path / "elsewhere" / "c", tmp_path / "deep")
    with Collection.open(tmp_path / "deep") as collection:
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 20, 0, {}, {}, {})
        assert collection.roots() == [str(tmp_path / "elsewhere" / "photos")]


def test_thumbnails(made, photos, hasher, tmp_path):
    from PIL import Image

    large = np.zeros((300, 600, 3), np.uint8)
    large[:, 300:] = 200
    Image.fromarray(large).save(photos / "large.jpg", quality=95)
    with Collection.open(made) as collection:
        collection.update(hasher=hasher)
        (tmp_path / "t.jpg").write_bytes(collection.thumbnail(collection.find(photos / "large.jpg").id))
        with Image.open(tmp_path / "t.jpg") as picture:
            assert picture.size == (256, 128) and picture.format == "JPEG"
            assert abs(np.asarray(picture).astype(int)[:, [30, 220]] - [[0] * 3, [200] * 3]).max() < 8
        (tmp_path / "t.jpg").write_bytes(collection.thumbnail(0))
        with Image.open(tmp_path / "t.jpg") as picture:
            assert picture.size == (6, 6)
    (made / "thumbnails.sqlite").unlink()
    with Collection.open(made) as collection:
        assert collection.thumbnail(0)[:2] == b"\xff\xd8"  # made again
        Path(collection.item(0).path).write_bytes(png(99))
        with pytest.raises(ImageError, match="its image is gone or was changed"):
            collection.thumbnail(0)


@pytest.fixture
def open_to_all(made, photos):
    """Folder of a copy of the collection and its photos, below folders that every user may enter but not write to."""
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(made.parent, name, dirs_exist_ok=True)
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_folder_that_may_not_be_written_can_be_searched(open_to_all):
    """As another user, since root may write anywhere."""
    folder, photos = open_to_all / "c", open_to_all / "photos"
    shutil.copytree(folder, open_to_all / "copy")
    code = f"""
import os
from bitseek.collection import Collection
from bitseek.errors import RunError

def stop():
    raise RunError("it was going to write")

def read(place):
    with Collection.open(place) as collection:
        assert len(collection.search({files(photos)[0]!r}, k=3)) == 3
        assert collection.thumbnail(0) and len(collection.items()) == 20 and not collection.refresh()
        try:
            collection.update({str(photos)!r}, hasher=stop)
        except RunError as error:
            print(error)

read({str(open_to_all / "copy")!r})  # imports all that it needs while the user may read it
if os.getuid() == 0:
    os.setuid(65534)
read({str(folder)!r})
"""
    (photos / "new.png").write_bytes(png(50))
    for left_by_a_killed_writer in (False, True):
        if left_by_a_killed_writer:
            leave_a_log(folder)
        folder.chmod(0o555)
        try:
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
        finally:
            folder.chmod(0o755)
        assert done.returncode == 0, done.stderr
        first, second = done.stdout.splitlines()
        assert first == "it was going to write" and "Permission denied; see to its permissions" in second


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="takes an ordinary user beside root")
@pytest.mark.parametrize("killed", [False, True])
def test_a_reader_that_may_not_write_takes_over_updates(killed, made, open_to_all, hasher):
    """Also one that began with a copy, since a killed writer had left its log."""
    folder, photos = open_to_all / "c", open_to_all / "photos"
    code = f"""
import os
from bitseek.collection import Collection
Collection.open({str(made)!r}).search({files(made.parent)[0]!r})  # imports all that it needs
os.setuid(65534)
with Collection.open({str(folder)!r}) as collection:
    print(len(collection.items()), flush=True)
    input()
    print(collection.refresh(), len(collection.items()), flush=True)
"""
    if killed:
        leave_a_log(folder)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as reader:
        first = reader.stdout.readline()
        (photos / "new.png").write_bytes(png(50))
        with Collection.open(folder) as collection:
            assert collection.update(hasher=hasher).added == 1
        rest, error = reader.communicate("\n", timeout=300)
    assert (first, rest) == ("20\n", "True 21\n"), error


def leave_a_log(folder):
    """Write to a collection as a writer that is killed does: what it wrote is in the log only."""
    other = sqlite3.connect(folder / "items.sqlite")
    other.execute("UPDATE items SET width = 7 WHERE id = 3")
    other.commit()
    copies = {name: (folder / name).read_bytes() for name in ("items.sqlite", "items.sqlite-wal")}
    other.close()
    for name, content in copies.items():
        (folder / name).write_bytes(content)


def test_searches_in_threads_while_it_is_updated(made, photos, hasher):
    found, errors = [], []
    stop = threading.Event()

    def search(collection):
        query = collection.codes[:1]
        while not stop.is_set():
            try:
                found.append(len(collection.search(query, k=50)[0]))
                collection.refresh()
            except Exception as error:
                errors.append(error)
                raise

    with Collection.open(made) as collection:
        threads = [threading.Thread(target=search, args=(collection,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for round in range(1, 6):
            for i in range(4):
                (photos / f"round{round}-{i}.png").write_bytes(png(100 + 4 * round + i))
            with Collection.open(made) as other:
                assert other.update(hasher=hasher).added == 4
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors and set(found) <= {20, 24, 28, 32, 36, 40}


def test_a_reader_two_updates_behind_finds_whole_rows(made, photos, hasher):
    with Collection.open(made) as reader, Collection.open(made) as writer:
        for i in range(4):
            (photos / "a" / f"{2 * i:02d}.png").write_bytes(png(200 + i))
            writer.update(hasher=hasher)
            assert {hit.item.path for hit in reader.search(reader.codes[0], k=20)[0]} == set(files(photos))
            assert reader.generation >= writer.generation - 1
        (photos / "new.png").write_bytes(png(300))
        writer.update(hasher=hasher)
        assert len(reader) == 20 and reader.refresh() and not reader.refresh() and len(reader) == 21


def test_codes_of_another_model_are_refused(made, photos):
    (photos / "new.png").write_bytes(png(77))
    with Collection.open(made) as collection:
        for act in (collection.update, lambda hasher: collection.search(photos / "new.png", hasher=hasher)):
            for other in (Projection(1), lambda: Projection(1), Projection(0, bits=64)):
                with pytest.raises(CodeWidthError, match=r"made by model 000000000000000p \(70 bits\), not by"):
                    act(hasher=other)
        with pytest.raises(BitseekError, match=r"a hasher is what bitseek\.load gives"):
            collection.update(hasher=lambda: 3)
        with pytest.raises(CodeWidthError, match=r"collection \(model .*\) holds codes of 70 bits, got codes of 64"):
            collection.search(Codes.from_bits(np.zeros((1, 64), bool)))
        assert len(collection) == 20


def test_a_closed_collection_says_so(made):
    collection = Collection.open(made)
    collection.close()
    for act in (collection.items, collection.update, collection.verify, partial(collection.remove, 0)):
        with pytest.raises(RunError, match="was closed"):
            act()


def test_it_stays_the_same_when_the_program_goes_elsewhere(tmp_path, photos, hasher, monkeypatch):
    """As `.bitseek` is the name of many collections."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with Collection.create(".bitseek", hasher=hasher) as collection:
            monkeypatch.chdir(tmp_path)
            collection.update(photos / "a", hasher=hasher)
    monkeypatch.chdir(tmp_path / "here")
    with Collection.open(".bitseek") as collection:
        monkeypatch.chdir(tmp_path / "there")
        collection.update(photos / "b", hasher=hasher)
        assert len(collection) == 20
    with Collection.open(tmp_path / "there" / ".bitseek") as other:
        assert len(other) == 10


def test_the_slower_of_two_makers_takes_nothing_away(tmp_path, photos, hasher):
    """Whether the first one is at it, or was done before the second one came to its turn."""
    others = []

    class Slow(Projection):
        def save(self, folder):
            with pytest.raises(RunError, match="has been writing to"):
                others.append(Collection.create(tmp_path / "new", hasher=hasher))
            super().save(folder)

    with Collection.create(tmp_path / "new", hasher=Slow()) as collection:
        assert not others and collection.update(photos, hasher=hasher).added == 20
    with pytest.raises(RunError, match="not an empty folder"):
        Collection.create(tmp_path / "new", hasher=hasher)
    assert len(Collection.open(tmp_path / "new")) == 20


def test_one_that_was_made_anew_is_not_taken_for_the_old_one(made, photos, hasher):
    with Collection.open(made) as old:
        shutil.rmtree(made)
        with pytest.raises(RunError, match="No such file"):
            old.items()
        with Collection.create(made, hasher=hasher) as new:
            new.update(photos / "b", hasher=hasher)
            for act in (old.items, old.refresh, old.update, partial(old.search, new.codes[:1])):
                with pytest.raises(RunError, match="was deleted, and another one made in its place"):
                    act()
            assert len(new.items()) == 10


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_path_and_no_number_is_told(made):
    with Collection.open(made) as collection:
        for act, sentence in (
            (partial(collection.update, 5), "takes a path, several of them, or None for all folders; got 5"),
            (partial(collection.update, wait="x"), "wait is a number of seconds, got 'x'"),
            (partial(collection.add_codes, collection.codes[:1], labels=5), "one of the labels for each .* got 5"),
            (partial(collection.add_codes, collection.codes[:1], labels=[5]), "a label is text, got 5"),
        ):
            with pytest.raises(BitseekError, match=sentence):
                act()
        assert len(collection) == 20


def test_the_format_is_that_of_the_documentation(made):
    assert _items.FORMAT == 3
    raw = np.fromfile(made / "codes.bin", "<u8").reshape(20, 2)
    with Collection.open(made) as collection:
        assert np.array_equal(raw, collection.codes.words)


def test_items_have_the_digits_of_their_codes(tmp_path):
    """Of any length, from rows, as `Codes.hex` says them."""
    for bits in (1, 7, 8, 12, 63, 64, 65, 130):
        codes = Codes.from_bits(np.random.default_rng(bits).random((1100, bits)) < 0.5)
        with Collection.create(tmp_path / str(bits), hasher=Projection(bits=bits)) as collection:
            collection.add_codes(codes)
            assert [item.code for item in collection.items()] == codes.hex()
            assert [item.id for item in collection.items()] == list(range(1100))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="takes an ordinary user beside root")
def test_a_folder_that_may_not_be_read_is_told(hasher):
    """As another user, in the library and at the command line."""
    code = """
import os, sys
from bitseek.cli._app import main
from bitseek.collection import Collection
from bitseek.errors import BitseekError
os.setgid(65534)
os.setuid(65534)
folder = sys.argv[1]
for act in (Collection.exists, Collection.open):
    try:
        act(folder)
    except BitseekError as error:
        print(error)
try:
    main(["search", folder, "--like", "3"])
except SystemExit as stop:
    print(stop.code)
"""
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent, "c")
        Collection.create(folder, hasher=hasher).close()
        folder.chmod(0o700)
        done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=300)
    said = f"cannot read or write {folder / 'items.sqlite'}: Permission denied"
    assert "Traceback" not in done.stderr and said in done.stderr, done.stderr
    lines = done.stdout.splitlines()
    assert [line.startswith(said) for line in lines] == [True, True, False] and lines[2] == "1"


def test_a_name_that_no_folder_can_have_is_told(made):
    assert not Collection.exists(made / "items.sqlite") and not Collection.exists(made / "absent" / "c")
    with pytest.raises(RunError, match="File name too long"):
        Collection.exists("x" * 5000)
