"""Whatever is damaged is found, said, and repaired if anything has what was lost."""

import os
import sqlite3
import subprocess
import sys
import zlib

import numpy as np
import pytest
from tests.collection.harness import codes_of, encoded, files, network_is_not_needed, png
from tests.collection.projection import BITS, Projection

from bitseek.codes import Codes
from bitseek.collection import Collection
from bitseek.collection._by_id import ById
from bitseek.errors import RunError
from bitseek.index import HammingIndex


def change(folder, statement, *values, file="items.sqlite"):
    connection = sqlite3.connect(folder / file)
    with connection:
        connection.execute(statement, values)
    connection.close()


def verified(folder, hasher=None, *, repair=True):
    """Findings of a verification as (part, mended), and the first words of all problems."""
    with Collection.open(folder) as collection:
        found = collection.verify(repair, hasher=hasher or Projection())
        assert found.ok == all(finding.mended for finding in found.findings)
        return [(finding.part, finding.mended) for finding in found.findings], " ".join(
            f.problem for f in found.findings
        )


def is_whole(folder, photos, removed=0):
    with Collection.open(folder) as collection:
        found = collection.verify(hasher=Projection())
        assert found == (type(found))(20 - removed, (), 0, 0), found
        assert codes_of(collection).items() <= encoded(Projection(), files(photos)).items()
        assert len(collection) == 20 - removed


DAMAGES = {
    "missing": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "shorter": lambda file: file.write_bytes(file.read_bytes()[:77]),
    "torn": lambda file: file.write_bytes(file.read_bytes()[:200] + bytes(120)),
    "flipped": lambda file: file.write_bytes(file.read_bytes()[:5] + b"\x99" + file.read_bytes()[6:]),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"left by a killed writer"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_file_of_codes_is_derived(damage, made, photos):
    DAMAGES[damage](made / "codes.bin")
    with Collection.open(made) as collection:  # at once, without a repair
        assert collection.codes[collection.alive].hex() == [item.code for item in collection.items()]
        assert collection.search(collection.codes[:1], k=1)[0][0].item.id == 0
    found, problems = verified(made)
    assert found == [("codes", True)] and "codes.bin" in problems
    is_whole(made, photos)


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_update_mends_the_file_of_codes(damage, made, photos):
    DAMAGES[damage](made / "codes.bin")
    (photos / "new.png").write_bytes(png(77))
    with Collection.open(made) as collection:
        collection.update(hasher=Projection())
        raw = np.fromfile(made / "codes.bin", "<u8").reshape(21, 2)
        assert np.array_equal(raw, collection.codes.words)
        assert codes_of(collection) == encoded(Projection(), files(photos))


def test_a_large_file_of_codes_is_checked_at_its_end_on_opening(tmp_path):
    codes = Codes(np.arange(1, 200_001, dtype=np.uint64)[:, None], 64)
    with Collection.create(tmp_path / "c", hasher=Projection(bits=64)) as collection:
        collection.add_codes(codes)
    with (tmp_path / "c" / "codes.bin").open("r+b") as file:
        file.seek(-3000, os.SEEK_END)
        file.write(bytes(3000))
    with Collection.open(tmp_path / "c") as collection:
        assert collection.codes == codes
        found = collection.verify(hasher=Projection(bits=64))
        assert [finding.part for finding in found.findings] == ["codes"] and "of 375 items" in found.findings[0].problem
    assert np.array_equal(np.fromfile(tmp_path / "c" / "codes.bin", "<u8")[:, None], codes.words)


def test_a_code_in_a_row_is_mended_from_the_file(made, photos):
    change(made, "UPDATE items SET code = x'00112233445566778899aabbccddee0f' WHERE id = 3")
    change(made, "UPDATE items SET crc = 5 WHERE id = 4")
    change(made, "UPDATE items SET code = x'00' WHERE id = 5")
    assert verified(made, repair=False) == (
        [("items", False)],
        "the codes of 3 items did not fit their checksums; codes.bin has them",
    )
    assert verified(made)[0] == [("items", True)]
    is_whole(made, photos)


def test_a_code_that_is_lost_is_encoded_again(made, photos):
    (made / "codes.bin").unlink()
    change(made, "UPDATE items SET code = x'00112233445566778899aabbccddee0f' WHERE id IN (3, 7)")
    found, problems = verified(made)
    assert found[0] == ("items", True) and "2 items are lost; the next update encodes them again" in problems
    is_whole(made, photos, removed=2)
    with Collection.open(made) as collection:
        hasher = Projection()
        assert collection.update(hasher=hasher)[:2] == (2, 0) and hasher.encoded == 2
    is_whole(made, photos)


def test_counts_are_made_again(made, photos):
    change(made, "UPDATE meta SET value = 17 WHERE key = 'items'")
    change(made, "UPDATE labels SET items = 99")
    change(made, "INSERT INTO gone VALUES (0, ?)", bytes([255] * 8192))
    assert verified(made)[0] == [("items", True)]
    is_whole(made, photos)


def test_damaged_indexes_of_the_database_are_made_again(made, photos):
    connection = sqlite3.connect(made / "items.sqlite")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'by_hash'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with (made / "items.sqlite").open("r+b") as file:
        file.seek((page - 1) * size + 200)
        file.write(b"\x55" * (size - 200))
    found, problems = verified(made)
    assert ("items", True) in found and "its indexes were made again" in problems
    is_whole(made, photos)


def test_damaged_rows_are_told(made):
    connection = sqlite3.connect(made / "items.sqlite")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'items'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with (made / "items.sqlite").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x55" * size)
    with pytest.raises(RunError, match=r"items\.sqlite is damaged"):
        verified(made)


def test_features_that_are_lost_are_computed_again(tmp_path, photos):
    hasher = Projection()
    with Collection.create(tmp_path / "f", hasher=hasher, features=True) as collection:
        collection.update(photos, hasher=hasher)
        places = {item.path: item.id for item in collection.items()}
        before = np.array(collection._published.features)[[places[path] for path in sorted(places)]]
    for damage in (lambda file: file.unlink(), lambda file: os.truncate(file, 500)):
        damage(tmp_path / "f" / "features.bin")
        found, problems = verified(tmp_path / "f")
        assert found == [("features", True)] and "items are lost; the next update computes them again" in problems
        with Collection.open(tmp_path / "f") as collection:
            assert collection.verify(hasher=hasher).changed == 0  # their files are as they were
            assert len(collection.search(files(photos)[0], hasher=hasher)) == 10
            assert collection.update(hasher=hasher).added > 0 and len(collection) == 20
            rows = {item.path: collection._published.features[item.id] for item in collection.items()}
            assert np.array_equal(np.array([rows[path] for path in sorted(rows)]), before)
        assert verified(tmp_path / "f")[0] == []


def test_thumbnails_are_made_again(made, photos):
    with Collection.open(made) as collection:
        wanted = [collection.thumbnail(item.id) for item in collection.items()]
    change(made, "DELETE FROM thumbnails WHERE hash = (SELECT min(hash) FROM thumbnails)", file="thumbnails.sqlite")
    change(made, "INSERT INTO thumbnails VALUES (x'0000', x'ffd8ffd9')", file="thumbnails.sqlite")
    found, problems = verified(made)
    assert (
        found == [("thumbnails", True)] * 2
        and "of 1 images are lost" in problems
        and "1 thumbnails are of no" in problems
    )
    (made / "thumbnails.sqlite").write_bytes(b"SQLite format 3\0" + b"\x11" * 9000)
    assert verified(made)[0] == [("thumbnails", True)]
    is_whole(made, photos)
    with Collection.open(made) as collection:
        assert [collection.thumbnail(item.id) for item in collection.items()] == wanted


KILLED_AMID_THUMBNAILS = """
import os, signal, sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("PRAGMA cache_size = 2")
store.execute("BEGIN")
store.execute("DELETE FROM thumbnails")
for i in range(200):
    store.execute("INSERT INTO thumbnails VALUES (?, ?)", (i.to_bytes(16, "big"), os.urandom(2000)))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("first", ["thumbnail", "verify", "look"])
def test_thumbnails_outlive_a_writer_that_was_killed(first, made, photos):
    """What it left beside the store must be rolled back; the images are on a disk that is out."""
    with Collection.open(made) as collection:
        wanted = [collection.thumbnail(item.id) for item in collection.items()]
    subprocess.run([sys.executable, "-c", KILLED_AMID_THUMBNAILS, made / "thumbnails.sqlite"], check=False)
    assert (made / "thumbnails.sqlite-journal").stat().st_size
    photos.rename(photos.with_name("out"))
    with Collection.open(made) as collection:
        if first != "thumbnail":
            assert not collection.verify(first == "verify", hasher=Projection()).findings
        assert [collection.thumbnail(item.id) for item in collection.items()] == wanted


def test_thumbnails_that_cannot_be_read_are_told_and_left_alone(made):
    store = made / "thumbnails.sqlite"
    store.rename(made / "kept")
    store.mkdir()  # as root, who may read all files, nothing else is refused
    assert verified(made)[0] == [("thumbnails", False)] and store.is_dir()
    store.rmdir()
    (made / "kept").rename(store)
    assert verified(made)[0] == []


def test_features_of_an_item_with_a_twin_are_restored(tmp_path, photos, hasher):
    twin = photos / "z.png"
    twin.write_bytes((photos / "a" / "00.png").read_bytes())
    with Collection.create(tmp_path / "f", hasher=hasher, features=True) as collection:
        collection.update(photos, hasher=hasher)
        id, before = collection.find(twin).id, np.array(collection._published.features)
    with (tmp_path / "f" / "features.bin").open("r+b") as file:
        file.seek(id * before[0].nbytes)
        file.write(bytes([0x55]) * before[0].nbytes)
    assert verified(tmp_path / "f")[0] == [("features", True)]
    with Collection.open(tmp_path / "f") as collection:
        assert collection.update(hasher=network_is_not_needed) == (1, 0, 20, 0, {}, {}, {})  # its twin has them
        assert np.array_equal(collection._published.features[collection.find(twin).id], before[id])
        hits = collection.search(photos / "a" / "00.png", k=2, rerank="features", hasher=hasher)
        assert {hit.item.path for hit in hits} == {str(twin), str(photos / "a" / "00.png")}
    assert verified(tmp_path / "f")[0] == []


def test_a_model_that_is_another_is_told(made):
    assert verified(made, Projection(1))[0] == [("model", False)]
    with Collection.open(made) as collection:
        found = collection.verify()  # a Projection is nothing that portable.load knows
        assert not found.ok and "the model cannot be loaded" in found.findings[0].problem


def test_files_that_changed_are_counted(made, photos):
    (photos / "a" / "00.png").unlink()
    os.utime(photos / "a" / "02.png")
    with Collection.open(made) as collection:
        found = collection.verify(hasher=Projection())
        assert (found.ok, found.gone, found.changed, found.items) == (True, 1, 1, 20)


def test_checksums_are_those_of_zlib(made):
    connection = sqlite3.connect(made / "items.sqlite")
    for code, crc in connection.execute("SELECT code, crc FROM items"):
        assert zlib.crc32(code) == crc
    connection.close()


def test_what_is_damaged_beside_what_a_killed_writer_left_is_told(made):
    """Opening publishes what was left; it must not mend before it is counted."""
    change(made, "UPDATE items SET removed_in = 2 WHERE id = 9")
    with Collection.open(made) as collection:
        assert len(collection) == 19
        change(made, "UPDATE items SET removed_in = 3 WHERE id = 10")
        DAMAGES["flipped"](made / "codes.bin")
        for repair in (False, True):
            found = collection.verify(repair, hasher=Projection()).findings
            assert [(finding.part, finding.mended) for finding in found] == [("codes", repair)]
        assert len(collection) == 18
    change(made, "UPDATE items SET removed_in = 5 WHERE id = 11")
    DAMAGES["flipped"](made / "codes.bin")
    assert verified(made) == (
        [("codes", True)],
        "codes.bin lacked or garbled the codes of 1 items; items.sqlite has them",
    )
    assert verified(made) == ([], "")


def nearest(words, query):
    """Distances of the nearest ten, by counting bits: the oracle."""
    return sorted(sum(int(a ^ b).bit_count() for a, b in zip(row, query, strict=True)) for row in words.tolist())[:10]


@pytest.mark.parametrize("mend", ["verify", "update"])
def test_clusters_of_damaged_codes_do_not_outlive_them(mend, tmp_path, photos):
    """Clusters that were built while codes.bin was damaged lie in wait until it is mended."""
    rng = np.random.default_rng(4)
    codes = Codes.from_bits(rng.random((3000, 70)) < 0.5)
    hasher, folder = Projection(), tmp_path / "c"
    with Collection.create(folder, hasher=hasher) as collection:
        collection.add_codes(codes)
    sound = (folder / "codes.bin").read_bytes()
    garbled = bytearray(sound)
    at = 2900 if mend == "update" else 1000  # an update looks at the last page, a verification at all
    garbled[at * 16 : (at + 1) * 16] = codes.words[0].astype("<u8").tobytes()
    index = HammingIndex(Codes(np.frombuffer(bytes(garbled), "<u8").reshape(-1, 2).astype(np.uint64), 70))
    index.build()
    index.save_clusters(folder / "clusters")
    (folder / "codes.bin").write_bytes(garbled)
    with Collection.open(folder) as reader, Collection.open(folder) as collection:
        collection.search(codes[at : at + 1])
        if mend == "verify":
            found = collection.verify(hasher=hasher).findings
            assert [(finding.part, finding.mended) for finding in found] == [("codes", True), ("clusters", True)]
        else:
            collection.update(photos, hasher=hasher)
        assert (folder / "codes.bin").read_bytes()[: len(sound)] == sound
        assert reader.refresh()
        for one in (collection, reader):
            assert HammingIndex(one.codes).load_clusters(folder / "clusters", verify=True)
            (hits,) = one.search(codes[at : at + 1])
            assert hits[0].item.id == at and [hit.distance for hit in hits] == nearest(
                one.codes.words, codes.words[at].tolist()
            )


def test_no_more_than_a_row_is_copied_for_an_item(tmp_path, photos, hasher, monkeypatch):
    """It copied the rest of the block for each item, so that a block took time by the square of its items."""
    copied = []

    class Watched(bytes):
        def __getitem__(self, place):
            found = super().__getitem__(place)
            copied.append(len(found))
            return found

    with Collection.create(tmp_path / "w", hasher=hasher, features=True) as collection:
        collection.update(photos, hasher=hasher)
    read = ById.read
    monkeypatch.setattr(ById, "read", lambda self, start, stop: Watched(read(self, start, stop)))
    with Collection.open(tmp_path / "w") as collection:
        opened = len(copied)
        assert collection.verify(hasher=hasher).ok
        dimensions = hasher.features_of(np.zeros((1, 8, 8, 3), np.uint8)).shape[1]
    assert opened >= 20 and len(copied) >= opened + 40 and max(copied) <= max(8 * -(-BITS // 64), 2 * dimensions)
