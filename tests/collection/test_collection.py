"""A collection keeps what was added, finds what a brute-force search finds, and says in a sentence what went wrong."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitseek.codes import Codes
from bitseek.collection import Collection, Hit
from bitseek.errors import BitseekError, CodeWidthError, ImageError, RunError
from bitseek.images import decode

BITS = 70


class Projection:
    """An encoder without torch: signs of random projections of an image's pixels."""

    def __init__(self, seed=0, bits=BITS):
        self.bits, self.fingerprint, self.encoded = bits, f"projection {seed}", []
        self.matrix = np.random.default_rng(seed).standard_normal((6 * 6 * 3, bits))

    def encode(self, images, *, threads=None, progress=None, unreadable=None):
        logits = [np.zeros((0, self.bits))]
        for i, image in enumerate(images):
            try:
                logits.append(decode(image).reshape(1, -1) / 255 @ self.matrix - self.matrix.sum(axis=0) / 2)
                self.encoded.append(image)
            except ImageError as error:
                if unreadable is None:
                    raise
                unreadable[i] = str(error)
        if progress is not None:
            progress(len(images), len(images))
        return Codes.from_logits(np.concatenate(logits))


@pytest.fixture
def hasher():
    return Projection()


@pytest.fixture
def photos(tmp_path):
    """20 images in two folders."""
    rng = np.random.default_rng(0)
    for i in range(20):
        file = tmp_path / "photos" / "ab"[i % 2] / f"{i:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).save(file)
    return tmp_path / "photos"


@pytest.fixture
def made(tmp_path, photos, hasher):
    """A collection of the 20 images."""
    with Collection.create(tmp_path / "c", hasher=hasher, model="runs/m") as collection:
        collection.update(photos, hasher=hasher)
    return tmp_path / "c"


def files(photos):
    return sorted(str(file) for file in photos.rglob("*.png"))


def test_what_was_added_is_there_after_opening(made, photos, hasher, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with Collection.open("c") as again:
        assert (len(again), again.bits, again.fingerprint) == (20, BITS, hasher.fingerprint)
        assert sorted(again.paths) == files(photos) and Path(again.model).is_absolute()
        assert again.codes == hasher.encode(again.paths)


def test_search_is_brute_force(made, photos, hasher):
    queries = Codes.from_bits(np.random.default_rng(1).random((4, BITS)) < 0.5)
    with Collection.open(made) as collection:
        bits = hasher.encode(collection.paths).to_bits()
        distances = (queries.to_bits()[:, None] != bits[None]).sum(axis=2)
        for row, hits in zip(distances, collection.search(queries, k=7), strict=True):
            order = np.lexsort((np.arange(20), row))[:7]
            codes = collection.codes.hex()
            assert hits == [Hit(collection.paths[i], row[i], codes[i]) for i in order]
        assert [len(hits) for hits in collection.search(queries, k=80)] == [20] * 4


def test_a_query_is_an_image_or_a_list_of_them_or_codes(made, photos, hasher):
    path = files(photos)[3]
    with Collection.open(made) as collection:
        hits = collection.search(path, k=3, hasher=hasher)
        assert (hits[0].path, hits[0].distance) == (path, 0) and len(hits) == 3
        with Image.open(path) as picture:
            assert collection.search([path, decode(path), picture], k=3, hasher=hasher) == [hits] * 3
        assert collection.search(decode(path), k=3, hasher=lambda run: hasher) == hits
        assert collection.search(collection.encode([path], hasher=hasher), k=3) == [hits]
        with pytest.raises(BitseekError, match=r"hasher=load\('.*runs/m'\)"):
            collection.search(path)
        with pytest.raises(ImageError, match=r"absent\.png"):
            collection.search("absent.png", hasher=hasher)


def test_an_update_touches_only_what_changed(made, photos, hasher):
    new, changed, gone, kept = (
        photos / "c.png",
        photos / "a" / "00.png",
        photos / "b" / "01.png",
        photos / "a" / "02.png",
    )
    Image.fromarray(np.full((6, 6, 3), 9, np.uint8)).save(new)
    Image.fromarray(np.full((6, 6, 3), 99, np.uint8)).save(changed)
    gone.unlink()
    hasher.encoded.clear()
    with Collection.open(made) as collection:
        assert collection.update([photos], hasher=hasher) == (2, 18, 1, {})
        assert sorted(hasher.encoded) == sorted(map(str, (new, changed)))
        assert sorted(collection.paths) == files(photos) and str(kept) in collection.paths
        assert collection.codes == hasher.encode(collection.paths)
        assert collection.search(changed, k=1, hasher=hasher)[0].path == str(changed)

        def load(run):
            raise AssertionError("nothing has changed, so no hasher is needed")

        assert collection.update(photos, hasher=load) == (0, 20, 0, {})


def test_other_folders_are_left_alone(made, photos, hasher):
    for file in (photos / "b").iterdir():
        file.unlink()
    beside = photos / "ab.png"  # begins as the folder does
    Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(beside)
    with Collection.open(made) as collection:
        collection.update(beside, hasher=hasher)
        assert collection.update(photos / "a", hasher=hasher) == (0, 10, 0, {}) and len(collection) == 21
        assert collection.update([photos / "a", photos / "b"], hasher=hasher).removed == 10
        assert len(collection) == 11


def test_unreadable_images_are_reported_and_taken_out(made, photos, hasher):
    broken, empty = photos / "a" / "00.png", photos / "new.jpg"
    broken.write_bytes(broken.read_bytes()[:30])
    empty.touch()
    with Collection.open(made) as collection:
        done = collection.update(photos, hasher=hasher)
        assert (done.added, done.unchanged, done.removed) == (0, 19, 1)
        assert done.unreadable.keys() == {str(broken), str(empty)} and "empty" in done.unreadable[str(empty)]
        assert str(broken) not in collection.paths and len(collection) == 19


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"two\nlines.png", b"\"quotes'; --.png", "日本 🙂.png".encode()])
def test_names_are_bytes(name, made, photos, hasher):
    file = photos / os.fsdecode(name)
    Image.fromarray(np.full((6, 6, 3), 7, np.uint8)).save(file)
    with Collection.open(made) as collection:
        assert collection.update(photos, hasher=hasher) == (1, 20, 0, {})
    with Collection.open(made) as collection:
        assert os.fsencode(collection.search(file, k=1, hasher=hasher)[0].path) == os.fsencode(file)
        file.unlink()
        assert collection.update(photos, hasher=hasher).removed == 1


def test_progress_counts_all_batches(tmp_path, photos, hasher, monkeypatch):
    monkeypatch.setattr("bitseek.collection._collection.BATCH", 8)
    seen = []
    with Collection.create(tmp_path / "c", hasher=hasher, model="m") as collection:
        collection.update(photos, hasher=hasher, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 20), (16, 20), (20, 20)]


def test_codes_of_another_model_are_refused(made, photos):
    other = Projection(1)
    Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(photos / "new.png")
    with Collection.open(made) as collection:
        for act in (
            lambda: collection.update(photos, hasher=other),
            lambda: collection.search(photos / "new.png", hasher=other),
            lambda: collection.move_model("elsewhere", other),
        ):
            with pytest.raises(CodeWidthError, match=r"made by model projection 0 .*, not by projection 1; use that"):
                act()
        with pytest.raises(CodeWidthError, match=r"70 bits .* the query has 64"):
            collection.search(Codes.from_bits(np.zeros((1, 64), bool)))
        assert len(collection) == 20 and collection.model.endswith("runs/m")


def test_a_moved_model_is_remembered(made, hasher, tmp_path):
    with Collection.open(made) as collection:
        collection.move_model(tmp_path / "moved", hasher)
    with Collection.open(made) as collection:
        assert collection.model == str(tmp_path / "moved")


def test_a_first_update_that_fails_leaves_nothing(tmp_path, photos, hasher):
    """Bug 18: it left a collection that knew no model."""
    with pytest.raises(ImageError), Collection.create(tmp_path / "c", hasher=hasher, model="m") as collection:
        collection.update(tmp_path / "absent", hasher=hasher)
    assert not (tmp_path / "c").exists()
    with pytest.raises(KeyboardInterrupt), Collection.create(tmp_path / "c", hasher=hasher, model="m") as collection:
        collection.update(photos, hasher=hasher)
        raise KeyboardInterrupt
    with Collection.open(tmp_path / "c") as collection:
        assert len(collection) == 20


def test_an_empty_collection_finds_nothing(tmp_path, hasher):
    with Collection.create(tmp_path / "c", hasher=hasher, model="m") as collection:
        assert collection.search(Codes.from_bits(np.zeros((2, BITS), bool)), k=3) == [[], []]


def test_other_folders_are_refused(tmp_path, made, hasher):
    with pytest.raises(RunError, match="is not a collection; make one with: bitseek index"):
        Collection.open(tmp_path)
    with pytest.raises(RunError, match="exists and is not a collection"):
        Collection.create(tmp_path, hasher=hasher, model="m")
    with pytest.raises(BitseekError, match="cannot make the collection"):
        Collection.create(made / "items.sqlite" / "c", hasher=hasher, model="m")


def statement(folder, text):
    connection = sqlite3.connect(folder / "items.sqlite")
    with connection:
        connection.execute(text)
    connection.close()


def test_damage_is_told(made, hasher):
    statement(made, "UPDATE items SET code = x'00' WHERE id = 3")
    with Collection.open(made) as collection, pytest.raises(RunError, match="is damaged: not all codes have 70 bits"):
        len(collection)
    statement(made, "UPDATE meta SET value = '99' WHERE key = 'format'")
    with pytest.raises(RunError, match="has format 99, this bitseek reads format 2"):
        Collection.open(made)
    (made / "items.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 3000)
    with pytest.raises(RunError, match=r"is damaged .*; move it away and index the images again"):
        Collection.open(made)


def test_a_full_disk_is_told_and_loses_nothing(made, photos, hasher):
    rng = np.random.default_rng(2)
    for i in range(400):
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).save(photos / f"more{i}.png")
    with Collection.open(made) as collection:
        connection = collection._items._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")  # what SQLite meets on a full disk
        with pytest.raises(RunError, match="the disk is full"):
            collection.update(photos, hasher=hasher)
    with Collection.open(made) as collection:
        assert len(collection) == 20
        assert collection.update(photos, hasher=hasher).added == 400


def test_a_second_writer_is_told(made, photos, hasher):
    Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(photos / "new.png")
    other = sqlite3.connect(made / "items.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Collection.open(made) as collection:
        collection._items._connection.execute("PRAGMA busy_timeout = 10")
        assert len(collection) == 20  # readers go on
        with pytest.raises(RunError, match=r"another process is writing to .*; try again when it has finished"):
            collection.update(photos, hasher=hasher)
        other.execute("ROLLBACK")
        other.close()
        assert collection.update(photos, hasher=hasher).added == 1


def test_a_folder_may_be_given_in_any_way(made, photos, hasher, monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    with Collection.open(made) as collection:
        for folders in (
            "photos",
            Path("photos/../photos"),
            ["photos/a", str(photos / "b")],
            tmp_path / "link",
            [photos] * 2,
        ):
            assert collection.update(folders, hasher=hasher) == (0, 20, 0, {}), folders
        assert collection.update([], hasher=hasher) == (0, 0, 0, {}) and len(collection) == 20


def test_a_file_that_vanishes_meanwhile_is_reported(made, photos, hasher, monkeypatch):
    new, gone = photos / "new.png", photos / "gone.png"
    Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(new)
    found = [new, gone, *map(Path, files(photos))]
    monkeypatch.setattr("bitseek.collection._collection.find_images", lambda folders: found)
    with Collection.open(made) as collection:
        done = collection.update(photos, hasher=hasher)
        assert (done.added, done.unchanged, done.removed) == (1, 20, 0)
        assert list(done.unreadable) == [str(gone)] and "No such file" in done.unreadable[str(gone)]


def test_readers_see_whole_batches_while_another_process_writes(made, photos, hasher):
    with Collection.open(made) as reader, Collection.open(made) as writer:
        before = reader.codes
        for file in (photos / "a").iterdir():
            file.unlink()
        assert writer.update(photos, hasher=hasher).removed == 10
        assert reader.codes == before and len(reader.paths) == len(before) == 20  # as of when it first looked
    with Collection.open(made) as reader:
        assert len(reader.paths) == len(reader.codes) == 10


def test_a_collection_that_may_not_be_written_can_be_searched(made, photos, hasher):
    connection = sqlite3.connect(f"file:{made / 'items.sqlite'}?mode=ro", uri=True)
    with Collection.open(made) as collection:
        collection._items._connection.close()
        collection._items._connection = connection
        assert len(collection.search(files(photos)[0], k=2, hasher=hasher)) == 2
        Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(photos / "new.png")
        with pytest.raises(RunError, match=r"cannot write to .*; see to its permissions"):
            collection.update(photos, hasher=hasher)
        assert len(collection) == 20


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from test_collection import Projection
from bitseek.collection import Collection, _collection
_collection.BATCH = 50
hasher = Projection()
with Collection.create({folder!r}, hasher=hasher, model="m") as collection:
    collection.update({photos!r}, hasher=hasher, progress=lambda done, total: print(done, flush=True))
"""


def test_a_kill_loses_nothing_that_was_reported(tmp_path, hasher):
    rng = np.random.default_rng(3)
    photos = tmp_path / "many"
    photos.mkdir()
    for i in range(2000):
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).save(photos / f"{i:04d}.png")
    folder = tmp_path / "c"
    script = WRITER.format(tests=str(Path(__file__).parent), folder=str(folder), photos=str(photos))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    for _ in range(5):
        reported = int(process.stdout.readline())
    time.sleep(0.01)
    process.kill()
    later = [int(line) for line in process.stdout.read().split("\n")[:-1]]
    process.wait()
    process.stdout.close()
    with Collection.open(folder) as collection:
        # A batch is reported when it is encoded, and is in the collection when the next one begins.
        kept = len(collection)
        assert kept % 50 == 0 and kept >= max([reported, *later]) - 50
        assert collection.codes == hasher.encode(collection.paths)
        assert collection.update(photos, hasher=hasher) == (2000 - kept, kept, 0, {}) and len(collection) == 2000
