"""An update does what changed and no more, says what it did, and leaves alone what it was not asked about."""

import os
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, ImageFile
from tests.collection.harness import codes_of, encoded, files, network_is_not_needed, png
from tests.collection.projection import BITS, Projection

from bitseek.codes import Codes
from bitseek.collection import Collection, _prepare, _update
from bitseek.errors import BitseekError, DataError, ImageError, RunError, ShapeError


def test_it_touches_only_what_changed(made, photos, hasher):
    (photos / "c.png").write_bytes(png(30))
    (photos / "a" / "00.png").write_bytes(png(31))
    (photos / "b" / "01.png").unlink()
    with Collection.open(made) as collection:
        assert collection.update(photos, hasher=hasher) == (2, 0, 18, 1, {}, {}, {})
        assert hasher.encoded == 2 and codes_of(collection) == encoded(Projection(), files(photos))
        assert collection.update(photos, hasher=network_is_not_needed) == (0, 0, 20, 0, {}, {}, {})
        assert collection.generation == 2  # nothing was published


def test_what_is_known_by_its_content_is_not_encoded_again(made, photos):
    (photos / "a").rename(photos / "renamed")
    shutil.copy(photos / "b" / "01.png", photos / "copy.png")
    os.utime(photos / "b" / "03.png", ns=(5, 5))
    with Collection.open(made) as collection:
        ids = {item.path: item.id for item in collection.items()}
        assert collection.update(photos, hasher=network_is_not_needed) == (1, 10, 10, 0, {}, {}, {})
        assert codes_of(collection) == encoded(Projection(), files(photos))
        assert collection.labels() == {"b": 10, "renamed": 10}
        touched = collection.find(photos / "b" / "03.png")
        assert touched.id == ids[touched.path] and touched.mtime_ns == 5


def test_equal_contents_are_encoded_once(tmp_path, photos, hasher):
    for i in range(200):
        (photos / f"same{i:03d}.png").write_bytes(png(40 + i % 2))
    (photos / "bad1.png").write_bytes(b"no image")
    (photos / "bad2.png").write_bytes(b"no image")
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        done = collection.update(photos, hasher=hasher, threads=8)
        assert done.added == 220 and hasher.encoded == 22
        assert codes_of(collection) == encoded(hasher, [path for path in files(photos) if "bad" not in path])
        for path, reason in done.unreadable.items():
            assert reason == f"{path} is not an image that can be read, or its beginning is damaged"


def test_unreadable_files_are_remembered_until_they_change(made, photos, hasher, monkeypatch):
    broken, empty, large = photos / "a" / "00.png", photos / "new.jpg", photos / "large.png"
    broken.write_bytes(broken.read_bytes()[:30])
    empty.touch()
    large.write_bytes(png(1, side=60))
    monkeypatch.setattr(_prepare, "LARGEST", 8000)
    os.mkfifo(photos / "pipe.png")
    with Collection.open(made) as collection:
        done = collection.update(photos, hasher=hasher)
        assert done[:4] == (0, 0, 19, 1)
        assert done.unreadable.keys() == {str(broken), str(empty), str(large), str(photos / "pipe.png")}
        assert done.unreadable[str(empty)].endswith("new.jpg is empty (0 bytes)")
        assert done.unreadable[str(photos / "pipe.png")].endswith("pipe.png is not a file")
        assert "is larger than" in done.unreadable[str(large)]
        assert collection.ignored() == done.unreadable and collection.find(broken) is None
        read = []
        monkeypatch.setattr(_prepare, "_read", lambda *given: read.append(given))
        assert (
            collection.update(photos, hasher=network_is_not_needed)[:5] == (0, 0, 19, 0, done.unreadable) and not read
        )
        monkeypatch.undo()
        empty.write_bytes(png(2))
        large.unlink()
        done = collection.update(photos, hasher=network_is_not_needed)
        assert done[:4] == (1, 0, 19, 0)
        assert done.unreadable.keys() == collection.ignored().keys() == {str(broken), str(photos / "pipe.png")}


def test_the_reason_of_a_file_that_cannot_be_read_moves_with_it(tmp_path, hasher):
    """Folder and collection may move together: what is remembered of a file names the place where it is now."""
    place = tmp_path / "it's\n here"
    photos = place / "photos"
    photos.mkdir(parents=True)
    for name, content in (("bad.png", b"no image"), ("again.png", b"no image"), ("a.png", png(1)), ("no.png", b"")):
        (photos / name).write_bytes(content)
    with Collection.create(place / "c", hasher=hasher) as collection:
        before = collection.update(photos, hasher=hasher).unreadable
        assert collection.ignored() == before and len(before) == 3
    place.rename(tmp_path / "there")
    photos = tmp_path / "there" / "photos"
    with Collection.open(tmp_path / "there" / "c") as collection:
        done = collection.update(hasher=network_is_not_needed)
        damaged = "is not an image that can be read, or its beginning is damaged"
        said = {"again.png": damaged, "bad.png": damaged, "no.png": "is empty (0 bytes)"}
        assert done.unreadable == {f"{photos}/{name}": f"{photos}/{name} {words}" for name, words in said.items()}
        assert collection.ignored() == done.unreadable


def test_the_command_in_a_sentence_is_quoted_for_a_shell(tmp_path, photos, hasher):
    place = tmp_path / "it's mine"
    with Collection.create(place, hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
        photos.rename(tmp_path / "unplugged")
        with pytest.raises(RunError, match="say so: bitseek remove ") as refused:
            collection.update(hasher=hasher)
    command = str(refused.value).split("say so: ")[1].split(", or in Python")[0]
    assert shlex.split(command) == ["bitseek", "remove", str(place), str(photos)]


def test_what_the_system_refuses_is_tried_again_and_not_lost(made, photos, hasher, monkeypatch):
    def refuses(path, name):
        raise PermissionError(13, "Permission denied")

    kept, new = photos / "a" / "00.png", photos / "new.png"
    os.utime(kept, ns=(7, 7))
    new.write_bytes(png(60))
    with Collection.open(made) as collection:
        monkeypatch.setattr(_prepare, "_read", refuses)
        done = collection.update(hasher=hasher)
        assert done[:2] == (0, 0) and done.removed == 0 and len(collection) == 20
        assert done.unreadable == {str(path): f"cannot read {path}: Permission denied" for path in (kept, new)}
        monkeypatch.undo()
        assert collection.update(hasher=hasher) == (1, 0, 20, 0, {}, {}, {})


def test_a_file_that_vanishes_meanwhile_is_reported(made, photos, hasher, monkeypatch):
    new, changed = photos / "new.png", photos / "a" / "02.png"
    new.write_bytes(png(60))
    changed.write_bytes(png(61))
    read = _prepare._read

    def vanishing(path, name):
        Path(os.fsdecode(path)).unlink()
        return read(path, name)

    monkeypatch.setattr(_prepare, "_read", vanishing)
    with Collection.open(made) as collection:
        done = collection.update(photos, hasher=hasher)
        assert done[:4] == (0, 0, 19, 1) and done.unreadable.keys() == {str(new), str(changed)}
        assert "any more" in done.unreadable[str(new)] and not collection.ignored()


def test_what_was_removed_by_hand_stays_out_until_it_changes(made, photos, hasher):
    path = photos / "a" / "04.png"
    with Collection.open(made) as collection:
        item = collection.find(path)
        assert collection.remove([item.id]) == 1 and len(collection) == 19
        assert [hit.item.path for hit in collection.search(collection.codes[item.id], k=30)[0]].count(str(path)) == 0
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 19, 0, {}, {}, {})
        assert collection.ignored() == {str(path): "it was removed from the collection by hand"}
        for bad in ([20], [-1], 99):
            with pytest.raises(BitseekError, match="ids of this collection are 0 to 19"):
                collection.remove(bad)
        os.utime(path)
        assert collection.update(hasher=hasher).added == 1 and not collection.ignored() and path.exists()


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"two\nlines.png", b"\"quotes'; --.png", "日本 🙂.png".encode()])
def test_names_are_bytes(name, made, photos, hasher):
    file, folder = photos / os.fsdecode(name), photos / os.fsdecode(name[:-4])
    folder.mkdir()
    for path in (file, folder / "x.png"):
        path.write_bytes(png(1000 + len(name)))
    with Collection.open(made) as collection:
        assert collection.update(photos, hasher=hasher) == (2, 0, 20, 0, {}, {}, {})
    with Collection.open(made) as collection:
        assert os.fsencode(collection.search(file, k=1)[0].item.path) == os.fsencode(file)
        label = collection.find(folder / "x.png").label
        assert label.isprintable() and [item.path for item in collection.items(label=label)] == [str(folder / "x.png")]
        file.unlink()
        assert collection.update(photos).removed == 1


def test_progress(tmp_path, photos, hasher, monkeypatch):
    monkeypatch.setattr(_update, "MOST_ROWS", 8)
    monkeypatch.setattr(_update, "BATCH", 8)
    seen, noted = [], []
    with Collection.create(tmp_path / "c", hasher=hasher) as collection, Collection.open(tmp_path / "c") as other:

        def progress(one):
            seen.append(one)
            noted.append(other.progress())

        assert other.progress() is None
        collection.update(photos, hasher=hasher, progress=progress)
        assert other.progress() is None
    assert [(one.done, one.total) for one in seen if one.what == "encoding"][-1] == (20, 20)
    done = [one.done for one in seen if one.what == "encoding"]
    assert done == sorted(done) and {8, 16, 20} <= set(done) and seen[0].what == "finding"
    assert seen[-1].seconds_left == 0 and all(one.rate > 0 for one in seen if one.done)
    assert noted[0].what in ("finding", "writing")


def test_ctrl_c_publishes_what_is_done(tmp_path, photos, hasher, monkeypatch):
    monkeypatch.setattr(_update, "MOST_ROWS", 4)
    monkeypatch.setattr(_update, "BATCH", 4)

    def stop(progress):
        if progress.done >= 8:
            raise KeyboardInterrupt

    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        with pytest.raises(KeyboardInterrupt):
            collection.update(photos, hasher=hasher, progress=stop)
        assert 8 <= len(collection) < 20
        kept = codes_of(collection)
        assert kept == encoded(hasher, kept)
        assert collection.update(hasher=hasher).unchanged == len(kept) and len(collection) == 20


# --- roots ------------------------------------------------------------------------------------------------------


def test_other_folders_are_left_alone(made, photos, hasher):
    for file in (photos / "b").iterdir():
        file.unlink()
    beside = photos / "ab.png"  # begins as the folder does
    beside.write_bytes(png(70))
    with Collection.open(made) as collection:
        collection.update(beside, hasher=hasher)
        assert collection.update(photos / "a", hasher=hasher) == (0, 0, 10, 0, {}, {}, {}) and len(collection) == 21
        assert collection.update([photos / "a", photos / "b"], hasher=hasher).removed == 10
        assert len(collection) == 11 and collection.roots() == [str(photos)]


def test_a_folder_may_be_given_in_any_way(made, photos, monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    with Collection.open(made) as collection:
        for folders in ("photos", Path("photos/../photos"), b"photos", ["photos/a", str(photos / "b")], [photos] * 2,
                        tmp_path / "link", [photos, photos / "a", photos / "a" / "00.png"], None):  # fmt: skip
            assert collection.update(folders, hasher=network_is_not_needed) == (0, 0, 20, 0, {}, {}, {}), folders
        assert collection.update([], hasher=network_is_not_needed) == (0, 0, 0, 0, {}, {}, {}) and len(collection) == 20
        assert collection.roots() == [str(photos)]


def test_a_parent_takes_up_its_sub_folders(tmp_path, photos, hasher):
    names = [os.fsdecode(name) for name in (b"caf\xe9", b"x'y\n")]
    for name in names:
        (photos / "a" / name).mkdir()
        (photos / "a" / name / "1.png").write_bytes(png(name.encode(errors="surrogateescape")[0]))
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update([photos / "a" / name for name in names], hasher=hasher)
        collection.update(photos / "a" / "02.png", hasher=hasher)
        assert len(collection.roots()) == 3 and collection.labels() == {}
        hasher.encoded = 0
        assert collection.update(photos, hasher=hasher)[:4] == (19, 3, 0, 0) and hasher.encoded == 19
        assert collection.roots() == [str(photos)] and collection.labels() == {"a": 12, "b": 10}
        assert codes_of(collection) == encoded(hasher, files(photos))


def test_single_files(tmp_path, photos, hasher):
    odd = photos / "no-ending"
    odd.write_bytes(png(80))
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        assert collection.update([odd, photos / "a" / "00.png"], hasher=hasher).added == 2
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 2, 0, {}, {}, {})
        assert collection.update(photos, hasher=hasher) == (19, 1, 1, 0, {}, {}, {})  # its label is the folder now
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 21, 0, {}, {}, {})
        odd.unlink()
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 20, 1, {}, {}, {})
        (photos / "a" / "00.png").unlink()
        assert collection.update(photos / "a" / "00.png") == (0, 0, 0, 1, {}, {}, {})
        with pytest.raises(ImageError, match="there is no file or folder"):
            collection.update(photos / "a" / "absent.png")


def test_a_root_that_is_gone_stays_as_it_was_until_it_is_forgotten(made, photos, hasher, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    (more / "x.png").write_bytes(png(90))
    with Collection.open(made) as collection:
        collection.update(more, hasher=hasher)
        photos.rename(tmp_path / "unplugged")
        (more / "y.png").write_bytes(png(91))
        done = collection.update(hasher=hasher)
        assert done[:5] == (1, 0, 1, 0, {}) and len(collection) == 22 and done.missing.keys() == {str(photos)}
        sentence = f"the folder {photos} is not there; if it is on another disk, put that in. If its images are gone "
        assert done.missing[str(photos)].startswith(sentence)
        assert f"bitseek remove '{made}' '{photos}', or in Python collection.forget(" in done.missing[str(photos)]
        with pytest.raises(RunError, match="photos is not there"):
            collection.update([photos, more], hasher=hasher)
        photos.mkdir()
        (more / "x.png").unlink()
        done = collection.update(hasher=hasher)
        assert done[:5] == (0, 0, 1, 1, {})
        assert "is empty, but 20 images of the collection were in it" in done.missing[str(photos)]
        assert (
            len(collection) == 21 and len(collection.search(files(tmp_path / "unplugged")[0], k=3, hasher=hasher)) == 3
        )
        more.rename(tmp_path / "also unplugged")
        with pytest.raises(RunError, match="is not there"):  # there is nothing to update
            collection.update(hasher=hasher)
        (tmp_path / "also unplugged").rename(more)
        with pytest.raises(BitseekError, match=r"was not indexed; those that were are .*photos, .*more"):
            collection.forget(tmp_path)
        assert collection.forget(photos) == 20 and len(collection) == 1 and collection.roots() == [str(more)]
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 1, 0, {}, {}, {})


def test_links_are_not_followed_out_of_the_folder(made, photos, hasher, tmp_path):
    (tmp_path / "outside.png").write_bytes(png(95))
    (photos / "out.png").symlink_to(tmp_path / "outside.png")
    (photos / "in.png").symlink_to(photos / "a" / "00.png")
    with Collection.open(made) as collection:
        assert collection.update(hasher=network_is_not_needed) == (1, 0, 20, 0, {}, {}, {})
        assert collection.find(photos / "in.png").path == str(photos / "in.png")


# --- labels -----------------------------------------------------------------------------------------------------


def test_labels_of_a_file(made, photos):
    (photos / "labels.csv").write_text("label,path,more\ncat;dog,a/00.png,x\n ,b/01.png,\nbird,./b/../b/03.png,\n")
    with Collection.open(made) as collection:
        assert collection.update(hasher=network_is_not_needed) == (0, 3, 17, 0, {}, {}, {})
        assert collection.labels() == {"a": 9, "b": 8, "bird": 1, "cat;dog": 1}
        assert collection.find(photos / "b" / "01.png").label is None
        assert [item.path for item in collection.items(label="bird")] == [str(photos / "b" / "03.png")]
        (photos / "labels.csv").unlink()
        assert collection.update(hasher=network_is_not_needed) == (0, 3, 17, 0, {}, {}, {})
        assert collection.labels() == {"a": 10, "b": 10}


def test_lines_of_a_labels_csv_that_name_no_image_are_counted(made, photos, monkeypatch):
    file = photos / "labels.csv"
    file.write_text(f"path,label\na/00.png,x\nz.png,x\n{photos}/a/02.png,x\na/../b/1.png,x\nb/01.PNG,x\n")
    with Collection.open(made) as collection:
        done = collection.update(hasher=network_is_not_needed)
        assert done[:6] == (0, 1, 19, 0, {}, {}) and done.unmatched.keys() == {str(file)}
        assert f"4 of the 5 paths in {file} name no image, the first is '{photos}/a" in done.unmatched[str(file)]
        some = collection.update(photos / "b", hasher=network_is_not_needed)
        assert "2 of the 5 paths" in some.unmatched[str(file)] and "'b/01.PNG'" in some.unmatched[str(file)]
        assert not collection.update(photos / "a", hasher=network_is_not_needed).unmatched
        file.write_text("path,label\na/00.png,x\n")
        assert not collection.update(hasher=network_is_not_needed).unmatched


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no columns 'path' and 'label' in its first line, but nothing"),
        ("a/00.png,cat\n", r"has no columns 'path' and 'label' in its first line, but \['a/00.png', 'cat'\]"),
        ("path,label\na/00.png\n", r"line 2 of .*labels\.csv has no path and label"),
        ("path,label\n" + "x" * 200_000 + ",y\n", "field larger than field limit"),
    ],
)
def test_a_labels_csv_that_cannot_be_used_is_told(text, message, made, photos):
    (photos / "labels.csv").write_text(text)
    with Collection.open(made) as collection:
        with pytest.raises(DataError, match=message):
            collection.update(hasher=network_is_not_needed)
        assert len(collection) == 20


def test_features_are_kept_with_codes(tmp_path, photos, hasher):
    with Collection.create(tmp_path / "f", hasher=hasher, features=True) as collection:
        collection.update(photos / "a", hasher=hasher)
        (photos / "a" / "00.png").rename(photos / "a" / "moved.png")
        collection.update(photos, hasher=hasher)
        collection.update(photos, hasher=network_is_not_needed)
        for item in collection.items():
            with Image.open(item.path) as picture:
                row = hasher.features_of(hasher.preprocess.square(np.asarray(picture))[None])[0]
            kept = collection._published.features[item.id].astype(np.float32)
            assert np.allclose(kept, row / np.linalg.norm(row), atol=1e-3)


def test_a_collection_that_was_moved_alone_is_not_emptied(tmp_path, photos, hasher):
    """By the default layout the pictures are in the folder around it, and there is one around any place."""
    home, other = photos / ".bitseek", tmp_path / "other"
    with Collection.create(home, hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
        collection.update(photos / "a" / "00.png", hasher=hasher)
    other.mkdir()
    (other / "foreign.png").write_bytes(png(99))
    home.rename(other / "col")
    with Collection.open(other / "col") as collection:
        assert collection.roots() == [str(photos)]
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 20, 0, {}, {}, {})
        assert sorted(codes_of(collection)) == files(photos)


def test_a_folder_around_a_moved_collection_is_not_that_of_its_pictures(tmp_path, photos, hasher):
    with Collection.create(photos / ".bitseek", hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
    other = tmp_path / "other"
    other.mkdir()
    (other / "foreign.png").write_bytes(png(99))
    (photos / ".bitseek").rename(other / "col")
    photos.rename(tmp_path / "unplugged")
    with Collection.open(other / "col") as collection:
        for paths in (None, other, other / "foreign.png"):
            with pytest.raises(RunError, match=r"none of the 20 images that were in .*photos is in .*other, .*remove"):
                collection.update(paths, hasher=network_is_not_needed)
        assert len(collection) == 20
        assert collection.forget(other) == 20 and collection.update(other, hasher=hasher).added == 1


def test_readers_know_a_folder_until_its_items_are_gone(made, photos, tmp_path, hasher):
    """The folder was forgotten at once, and another one got its number, while readers still found its items."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "new.png").write_bytes(png(99))
    with Collection.open(made) as reader, Collection.open(made) as collection:
        before, seen = reader.items(), []

        def progress(_):
            seen.append((reader.items(), len(list(reader._batches()))))
            with Collection.open(made) as fresh:
                assert len(fresh) == 0 and not fresh.items()

        assert collection.forget(photos) == 20 and collection.roots() == []
        assert reader.items() == before and reader.find(before[0].path) == before[0]
        with pytest.raises(BitseekError, match="those that were are none"):
            collection.forget(photos)
        with pytest.raises(RunError, match="no folder was ever indexed"):
            collection.update(hasher=hasher)
        assert collection.update(tmp_path / "other", hasher=hasher, progress=progress).added == 1
        assert seen and all(items == before for items, _ in seen)
        assert [item.path for item in reader.items()] == [str(tmp_path / "other" / "new.png")]
        assert reader.roots() == [str(tmp_path / "other")]
    with closing(sqlite3.connect(made / "items.sqlite")) as connection:
        assert connection.execute("SELECT kind FROM roots").fetchall() == [("folder",)]


def test_a_folder_that_is_there_as_two_roots_is_forgotten_whole(tmp_path, photos, hasher):
    name = photos / "a" / "00.png"
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.add_codes(hasher.encode([name]), paths=[name], root=photos / "a")
        collection.update(photos / "a" / "02.png", hasher=hasher)
        assert len(collection) == 2 and collection.roots() == [str(photos / "a")]
        assert collection.forget(photos / "a") == 2 and len(collection) == 0 and collection.roots() == []


def test_a_folder_with_nothing_but_hidden_files_is_empty(tmp_path, photos, hasher):
    with Collection.create(photos / ".bitseek", hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
        for name in "ab":
            (photos / name).rename(tmp_path / name)
        with pytest.raises(RunError, match="is empty, but 20 images"):
            collection.update(hasher=network_is_not_needed)
        assert len(collection) == 20


@pytest.mark.parametrize("first", ["file", "codes"])
def test_a_path_is_one_item_through_whatever_root(first, tmp_path, photos, hasher):
    file = photos / "a" / "00.png"
    codes = Codes.from_bits(np.ones((1, BITS), bool))
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        if first == "file":
            collection.update(file, hasher=hasher)
            collection.add_codes(codes, paths=[str(file)])
        else:
            collection.add_codes(codes, paths=[str(file)])
            collection.update(file, hasher=hasher)
        assert len(collection) == 1 and collection.find(file).id == max(collection.alive)
        collection.update(hasher=hasher)
        assert len(collection) == 1
        collection.add_codes(codes, paths=["00.png"], root=photos / "a")
        assert len(collection) == 1
        collection.update(photos, hasher=hasher)
        assert codes_of(collection) == encoded(hasher, files(photos))
        assert collection.verify(hasher=hasher).ok


@pytest.mark.parametrize("folder", ["photos", "photos/a"])
def test_doubles_of_an_older_version_become_one(folder, tmp_path, photos, hasher):
    file = photos / "a" / "00.png"
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update(file, hasher=hasher)
        with closing(sqlite3.connect(tmp_path / "c" / "items.sqlite")) as connection, connection:
            connection.execute("INSERT INTO roots VALUES (9, 'import', NULL, ?)", (os.fsencode(tmp_path),))
        collection.add_codes(Codes.from_bits(np.ones((1, BITS), bool)), paths=["/nowhere/x.png"])
        with closing(sqlite3.connect(tmp_path / "c" / "items.sqlite")) as connection, connection:
            path = os.fsencode(file.relative_to(tmp_path))
            connection.execute("UPDATE items SET root = 9, path = ? WHERE id = 1", (path,))
        assert len(collection) == 2
        collection.update(tmp_path / folder, hasher=hasher)
        assert codes_of(collection) == encoded(hasher, files(tmp_path / folder))
        assert len(collection) == len(files(tmp_path / folder)) and collection.verify(hasher=hasher).ok


@pytest.mark.usefixtures("unchecked")
def test_only_ids_are_removed(made):
    """A mask took out the items 0 and 1."""
    with Collection.open(made) as collection:
        for ids in (np.arange(20) == 7, [True, False], [1.5], np.zeros(3)):
            with pytest.raises(ShapeError, match="ids are whole numbers in one row"):
                collection.remove(ids)
        for ids in (np.array([2**64 - 1], np.uint64), [2**63], [-1], 20):
            with pytest.raises(BitseekError, match="ids of this collection are 0 to 19"):
                collection.remove(ids)
        assert collection.remove([]) == 0 and len(collection) == 20
        assert collection.remove(np.array([3, 3], np.uint64)) == 1 and collection.remove(4) == 1
        assert len(collection) == 18


def test_a_file_from_the_far_future_is_indexed_and_left_alone_after(tmp_path, hasher):
    """Beyond 2262 a time in nanoseconds does not fit into 64 bits; ext4 holds dates up to 2446."""
    picture = tmp_path / "pictures" / "a.png"
    picture.parent.mkdir()
    Image.new("RGB", (8, 8), "red").save(picture)
    os.utime(picture, ns=(0, 2**63 + 10**9))
    if picture.stat().st_mtime_ns < 2**63:
        pytest.skip("this file system does not keep such a time")
    with Collection.create(tmp_path / "collection", hasher=hasher) as photos:
        assert photos.update(picture.parent, hasher=hasher).added == 1
        assert photos.update(hasher=hasher).unchanged == 1


def test_a_folder_that_cannot_be_read_stays_as_it_was(made, photos, hasher, monkeypatch):
    """`lost+found`, or another's folder: what was below it is neither looked at nor taken out; the rest is updated."""
    broken = photos / "a" / "broken.png"
    broken.write_bytes(png(1)[:30])
    scandir = os.scandir

    def closed(folder):
        if folder == os.fsencode(photos / "a"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    with Collection.open(made) as collection:
        ignored = collection.update(hasher=hasher).unreadable
        (photos / "b" / "01.png").unlink()
        (photos / "b" / "new.png").write_bytes(png(60))
        monkeypatch.setattr(os, "scandir", closed)
        done = collection.update(hasher=hasher)
        assert (done.added, done.moved, done.removed) == (1, 0, 1) and len(collection) == 20
        assert done.unreadable == {str(photos / "a"): f"cannot read the folder {photos / 'a'}: Permission denied"}
        assert collection.ignored() == ignored and collection.find(photos / "a" / "00.png")
        with pytest.raises(ImageError, match="cannot read the folder"):
            collection.update(photos / "a", hasher=hasher)
        monkeypatch.undo()
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 20, 0, ignored, {}, {})


def test_what_is_too_large_for_this_process_is_tried_again(made, photos, hasher, monkeypatch):
    """More pixels than Pillow's limit, or no memory, is not the file's fault; its copy neither."""
    large, copy = photos / "large.png", photos / "large-copy.png"
    large.write_bytes(png(70, side=60))
    shutil.copy(large, copy)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with Collection.open(made) as collection:
        done = collection.update(hasher=hasher)
        assert done[:4] == (0, 0, 20, 0) and done.unreadable.keys() == {str(large), str(copy)}
        assert all(f"{path} is too large" in reason for path, reason in done.unreadable.items())
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
        with monkeypatch.context() as context:
            context.setattr(ImageFile.ImageFile, "load", lambda image: bytearray(1 << 62))  # a real MemoryError
            done = collection.update(hasher=hasher)
            assert all("there is no memory" in reason for reason in done.unreadable.values()), done
        assert collection.update(hasher=hasher) == (2, 0, 20, 0, {}, {}, {}) and not collection.ignored()


def test_where_nothing_was_indexed_but_codes_were_imported_there_is_nothing_to_do(tmp_path, hasher):
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.add_codes(Codes.from_bits(np.zeros((2, BITS), bool)))
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 0, 0, {}, {}, {}) and len(collection) == 2
        collection.add_codes(Codes.from_bits(np.ones((1, BITS), bool)), paths=["a.png"], root=tmp_path)
        assert collection.update(hasher=network_is_not_needed) == (0, 0, 0, 0, {}, {}, {}) and len(collection) == 3


def test_another_release_of_pillow_tries_again_what_this_one_could_not_read(made, photos, hasher, monkeypatch):
    broken, removed = photos / "broken.png", photos / "a" / "00.png"
    broken.write_bytes(png(1)[:30])
    read = []
    with Collection.open(made) as collection:
        collection.remove([collection.find(removed).id])
        for version, tried in ((PIL.__version__, 1), (PIL.__version__, 0), ("99.0.0", 1), ("99.0.0", 0)):
            monkeypatch.setattr(PIL, "__version__", version)
            monkeypatch.setattr(
                _prepare, "_read", lambda path, name, _=_prepare._read: (read.append(path), _(path, name))[1]
            )
            done = collection.update(hasher=hasher)
            assert done.unreadable.keys() == {str(broken)} and len(read) == tried and len(collection) == 19
            monkeypatch.undo()
            read.clear()
