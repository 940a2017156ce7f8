"""index, search, remove: images of one's own."""

import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import warm
from PIL import Image

from bitseek.collection import Collection
from bitseek.runs import load


@pytest.fixture
def photos(digits, tmp_path):
    """A copy of 30 images of digits that a test may change."""
    shutil.copytree(digits, tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def indexed(bitseek, trained, photos, tmp_path):
    value = bitseek.answer("index", tmp_path / "collection", photos, "--model", trained)
    assert (value["items"], value["added"], value["unchanged"], value["removed"]) == (30, 30, 0, 0)
    return tmp_path / "collection"


def paths_of(hits):
    return [hit["item"]["path"] for hit in hits]


def test_index_and_search(indexed, photos, trained, bitseek):
    query = sorted(photos.rglob("*.png"))[4]
    (found,) = bitseek.answer("search", indexed, query, "-k", "3")
    assert [hit["distance"] for hit in found["hits"]] == sorted(hit["distance"] for hit in found["hits"])
    assert len(found["hits"]) == 3 and found["hits"][0]["distance"] == 0 and found["query"] == str(query)
    item = next(hit["item"] for hit in found["hits"] if hit["item"]["path"] == str(query))
    assert item["code"] == load(trained).encode([query]).hex()[0] and item["label"] == query.parent.name
    lines = bitseek.text("search", indexed, query).splitlines()
    assert lines[0] == str(query) and lines[1].split() == ["distance", "label", "image"] and len(lines) == 12
    assert any(line.endswith(str(query)) for line in lines[2:])

    sorted(photos.rglob("*.png"))[0].unlink()
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(sorted(photos.rglob("*.png"))[1])
    (photos / "bad.jpg").write_bytes(b"no image")
    moved = sorted(photos.rglob("*.png"))[5]
    moved.rename(photos / "moved.png")
    status, out, err = bitseek.run("index", indexed, photos, "--json")
    again = json.loads(out)
    assert (again["items"], again["added"], again["moved"], again["unchanged"]) == (29, 1, 1, 27) and status == 0
    assert list(again["unreadable"]) == [str(photos / "bad.jpg")] and "bad.jpg" in err
    assert bitseek.text("index", indexed).endswith(
        "29 images (0 encoded, 0 moved, 29 unchanged, 0 removed, 1 unreadable)\n"
    )


def test_all_ways_to_search(indexed, photos, bitseek):
    """By an item's path or number, by code, within a radius, with a label: each against the codes themselves."""
    with Collection.open(indexed) as opened:
        items, codes = opened.items(), opened.codes
    one = items[7]
    distances = [(bin(int(one.code, 16) ^ int(other.code, 16)).count("1"), other.id) for other in items]
    assert codes.bits == 24
    expected = [id for _, id in sorted(distances)]
    for way in (["--like", one.path], ["--like", one.id], ["--code", one.code], [one.path]):
        (found,) = bitseek.answer("search", indexed, *way, "-k", 30)
        assert [hit["item"]["id"] for hit in found["hits"]] == expected, way
    (near,) = bitseek.answer("search", indexed, one.path, "--radius", 6)
    assert [hit["item"]["id"] for hit in near["hits"]] == [id for d, id in sorted(distances) if d <= 6]
    (alike,) = bitseek.answer("search", indexed, one.path, "--label", one.label)
    assert {hit["item"]["label"] for hit in alike["hits"]} == {one.label}
    assert len(alike["hits"]) == sum(item.label == one.label for item in items)
    two = bitseek.answer("search", indexed, items[0].path, items[1].path, "-k", 1)
    assert [each["query"] for each in two] == [items[0].path, items[1].path]
    (ranked,) = bitseek.answer("search", indexed, one.path, "--rerank", "logits")
    scores = [hit["score"] for hit in ranked["hits"]]
    assert scores == sorted(scores, reverse=True) and "score" in bitseek.text(
        "search", indexed, one.path, "--rerank", "logits"
    )
    far = bitseek.text("search", indexed, "--code", f"{int(one.code, 16) ^ 0xFFFFFF:06x}", "--radius", 0)
    assert far.endswith("nothing is that near\n")


def test_index_and_search_say_what_is_wrong(indexed, photos, bitseek, tmp_path, trained):
    good = next(photos.rglob("*.png"))
    assert "absent.png" in bitseek.refusal("search", indexed, tmp_path / "absent.png")
    (tmp_path / "bad.png").write_bytes(b"no")
    assert "bad.png" in bitseek.refusal("search", indexed, tmp_path / "bad.png")
    assert "k is" in bitseek.refusal("search", indexed, good, "-k", "0")
    assert "radius" in bitseek.refusal("search", indexed, good, "--radius", "-1")
    assert "label" in bitseek.refusal("search", indexed, good, "--label", "nolabel")
    assert "one of three" in bitseek.refusal("search", indexed)
    assert "one of three" in bitseek.refusal("search", indexed, good, "--like", "1")
    assert "no item" in bitseek.refusal("search", indexed, "--like", "absent.png")
    assert "no item 99" in bitseek.refusal("search", indexed, "--like", "99")
    assert "zz" in bitseek.refusal("search", indexed, "--code", "zz")
    assert "index --features" in bitseek.refusal("search", indexed, good, "--rerank", "features")
    message = bitseek.refusal("index", indexed, photos, "--codes", tmp_path / "codes.npz")
    assert "--codes" in message and str(photos) in message
    assert "from the beginning" in bitseek.refusal("index", indexed, "--features")
    assert "which folders" in bitseek.refusal("index", tmp_path / "new", "--model", trained)
    assert "absent" in bitseek.refusal("index", indexed, tmp_path / "absent")
    other = tmp_path / "other"
    bitseek.answer("train", "lsh", "digits", "--bits", "24", "--out", other, "--no-evaluate")
    for command in ("search", "index"):
        message = bitseek.refusal(
            command, indexed, tmp_path / "bad.png" if command == "search" else good, "--model", other
        )
        assert "made by model" in message, message
    assert not (tmp_path / "new").exists()


def test_the_model_lies_with_the_collection(indexed, trained, photos, bitseek, tmp_path):
    """Bug 19: a moved run folder broke every command, and --model had to be given each time."""
    shutil.copytree(trained, tmp_path / "run")
    bitseek.answer("index", tmp_path / "c", photos, "--model", tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "query.png")
    assert bitseek.answer("search", tmp_path / "c", tmp_path / "query.png")[0]["hits"]
    shutil.copy(tmp_path / "query.png", photos / "new.png")
    assert bitseek.answer("index", tmp_path / "c")["added"] == 1


def test_features_are_kept_if_wanted(trained, photos, bitseek, tmp_path):
    bitseek.answer("index", tmp_path / "c", photos, "--model", trained, "--features")
    query = next(photos.rglob("*.png"))
    (found,) = bitseek.answer("search", tmp_path / "c", query, "--rerank", "features", "-k", "5")
    assert found["hits"][0]["score"] == pytest.approx(1, abs=1e-3) and paths_of(found["hits"])[0] == str(query)


def test_names_that_are_not_utf_8(trained, photos, bitseek, tmp_path):
    """Bug 17: one aborted the command, and the images encoded with it were lost."""
    image = next(photos.rglob("*.png")).read_bytes()
    names = [b"caf\xe9.png", b"two\nlines.png", "日本.png".encode(), b"quotes\"'`$(x).png", b" -k.png"]
    for name in names:
        (photos / os.fsdecode(name)).write_bytes(image)
    (photos / os.fsdecode(b"b\xe4d.png")).write_bytes(b"no image")
    status, out, err = bitseek.run("index", tmp_path / "c", photos, "--model", trained)
    assert status == 0 and "35 images (35 encoded, 0 moved, 0 unchanged, 0 removed, 1 unreadable)" in out
    assert r"b\xe4d.png" in err
    status, out, _ = bitseek.run("search", tmp_path / "c", photos / os.fsdecode(names[0]), "-k", "35", "--json")
    paths = {os.fsencode(hit["item"]["path"]) for hit in json.loads(out)[0]["hits"]}
    assert {os.fsencode(photos) + b"/" + name for name in names} <= paths
    lines = bitseek.text("search", tmp_path / "c", photos / os.fsdecode(names[1]), "-k", "35").splitlines()
    assert len(lines) == 37 and r"two\nlines.png" in lines[0]
    assert sum(r"caf\xe9.png" in line for line in lines[2:]) == 1
    for name in names:
        assert bitseek.answer("remove", tmp_path / "c", photos / os.fsdecode(name))["removed"]
    assert bitseek.answer("index", tmp_path / "c")["items"] == 30


def test_a_first_index_that_fails_leaves_nothing(trained, photos, bitseek, tmp_path):
    """Bug 18: it left a collection that no command could use."""
    new = tmp_path / "new"
    assert "absent" in bitseek.refusal("index", new, tmp_path / "absent", "--model", trained)
    assert "is not a run folder" in bitseek.refusal("index", new, photos, "--model", tmp_path)
    assert not new.exists()
    assert bitseek.answer("index", new, photos, "--model", trained)["items"] == 30


def test_removed_items_stay_away_until_their_file_changes(indexed, photos, bitseek):
    first, second = sorted(photos.rglob("*.png"))[:2]
    with Collection.open(indexed) as opened:
        number = opened.find(second).id
    assert bitseek.text("remove", indexed, first, number).endswith("2 removed, 28 images left\n")
    assert bitseek.answer("index", indexed)["items"] == 28
    (found,) = bitseek.answer("search", indexed, first, "-k", "30")
    assert not {str(first), str(second)} & set(paths_of(found["hits"]))
    assert first.exists() and second.exists()
    assert "is no item" in bitseek.refusal("remove", indexed, first)
    said = bitseek.refusal("remove", indexed, first.parent)
    assert f"{first.parent} was not indexed by itself; the folders that were are {photos};" in said
    Image.fromarray(np.full((8, 8), 130, np.uint8)).save(first)
    assert bitseek.answer("index", indexed)["items"] == 29


def test_a_folder_is_forgotten(indexed, photos, bitseek, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(np.full((8, 8), 130, np.uint8)).save(other / "a.png")
    bitseek.answer("index", indexed, other)
    shutil.rmtree(other)
    (photos / "new.png").write_bytes(next(photos.rglob("*.png")).read_bytes())
    (photos / "labels.csv").write_text("path,label\nno.png,none\n")
    status, out, err = bitseek.run("index", indexed)
    assert status == 1 and "32 images (1 encoded, 0 moved, 30 unchanged, 0 removed" in out
    assert "1 of the 1 paths in" in err and f"bitseek: all else is up to date, but the folder {other} is not" in err
    assert f"bitseek remove '{indexed}' '{other}', or in Python" in err
    (photos / "new.png").unlink(), (photos / "labels.csv").unlink()
    assert bitseek.answer("remove", indexed, other)["items"] == 31
    assert bitseek.answer("index", indexed)["items"] == 30


def test_a_number_is_an_item_also_where_a_folder_has_that_name(indexed, bitseek, tmp_path, monkeypatch):
    (tmp_path / "0").mkdir()
    Image.fromarray(np.full((8, 8), 130, np.uint8)).save(tmp_path / "0" / "a.png")
    bitseek.answer("index", indexed, tmp_path / "0")
    monkeypatch.chdir(tmp_path)
    assert bitseek.answer("remove", indexed, "0") == {"removed": 1, "items": 30}
    assert bitseek.answer("remove", indexed, "./0") == {"removed": 1, "items": 29}


def test_an_empty_argument_is_no_folder(indexed, bitseek, monkeypatch, photos):
    """What an unset variable of the shell leaves; as a path it would be the folder where the user is."""
    monkeypatch.chdir(photos)
    for arguments in (("index", indexed, ""), ("open", "", "--no-browser"), ("search", indexed, "")):
        assert "an argument is empty" in bitseek.refusal(*arguments)


def test_a_run_on_features_of_images_indexes_images(bitseek, photos, tmp_path):
    """Bug 16: it could do nothing but be evaluated."""
    features, run = tmp_path / "f.npz", tmp_path / "run"
    arguments = ("digits", "--backbone", "small-cnn", "--weights", "none", "--out", features)
    value = bitseek.answer("features", *arguments)
    assert (value["items"], value["length"]) == (1797, 256)
    bitseek.answer("train", "itq", f"features:{features}", "--bits", "16", "--out", run, "--no-evaluate")
    assert bitseek.answer("index", tmp_path / "c", photos, "--model", run)["items"] == 30
    (found,) = bitseek.answer("search", tmp_path / "c", next(photos.rglob("*.png")))
    assert found["hits"][0]["distance"] == 0


def test_a_run_on_bare_features_says_why_it_cannot_index_images(bitseek, photos, tmp_path, unchecked):
    rng = np.random.default_rng(0)
    roles = {"train": np.arange(60), "query": np.arange(60, 70), "database": np.arange(60)}
    features = rng.standard_normal((70, 8), dtype=np.float32)
    np.savez(tmp_path / "bare.npz", features=features, labels=np.arange(70) % 3, **roles)
    bitseek.answer("train", "lsh", f"features:{tmp_path / 'bare.npz'}", "--bits", "8", "--out", tmp_path / "run")
    message = bitseek.refusal("index", tmp_path / "c", photos, "--model", tmp_path / "run")
    assert "takes features, not images" in message and not (tmp_path / "c").exists()
    assert "takes features, not images" in bitseek.refusal(
        "encode", tmp_path / "run", photos, "--out", tmp_path / "codes.npz"
    )


@pytest.fixture
def program():
    """Starts Python programs beside this one, and ends those that are left."""
    started = []

    def start(code: str, python=sys.executable) -> "subprocess.Popen[str]":
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([python, "-c", code], **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_ctrl_c_keeps_what_is_done(trained, bitseek, tmp_path, program):
    """Stopped in the middle of an update, when its fourth batch is encoded."""
    photos = tmp_path / "many"
    rng = np.random.default_rng(0)
    for i in range(600):
        place = photos / f"{i:03d}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(place)
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so do its children
from bitseek.runs import Hasher
right, batches = Hasher.logits_of, iter(range(99))

def logits_of(self, squares):
    if next(batches) == 3:
        signal.raise_signal(signal.SIGINT)
    return right(self, squares)

Hasher.logits_of = logits_of
from bitseek.cli import main
main(["index", {str(tmp_path / "c")!r}, {str(photos)!r}, "--model", {str(trained)!r}, "--threads", "1"])
"""
    process = program(code, warm.python())
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130 and out == "", err
    sentence = err.strip().splitlines()[-1]
    assert sentence.startswith("bitseek: stopped; ") and sentence.endswith("goes on from there")
    with Collection.open(tmp_path / "c") as opened:
        kept = len(opened)
        hasher = load(trained)
        assert opened.codes == hasher.encode([item.path for item in opened.items()])
    assert 0 < kept < 600 and f" {kept} images" in sentence
    rest = bitseek.answer("index", tmp_path / "c")
    assert (rest["added"], rest["unchanged"], rest["items"]) == (600 - kept, kept, 600)


def test_a_second_writer_is_told_who_holds_it_or_waits(indexed, bitseek, photos, program, tmp_path):
    code = f"""
import os, time
from bitseek.collection import Collection
print(os.getpid(), flush=True)
with Collection.open({str(indexed)!r}) as opened:
    def tell(now):
        print(now.what, flush=True)
        while not os.path.exists({str(tmp_path / "go on")!r}):
            time.sleep(0.1)

    opened.update(progress=tell)
"""
    Image.fromarray(np.full((8, 8), 130, np.uint8)).save(photos / "new.png")
    process = program(code, warm.python())
    pid = process.stdout.readline().strip()
    assert process.stdout.readline()
    message = bitseek.refusal("index", indexed)
    assert f"(process {pid} on " in message and "try again" in message
    assert len(bitseek.answer("search", indexed, next(photos.rglob("*/*.png")))[0]["hits"]) == 10
    timer = threading.Timer(0.5, (tmp_path / "go on").touch)
    timer.start()
    value = bitseek.answer("index", indexed, "--wait", "300")
    timer.join()
    assert (value["items"], value["added"]) == (31, 0)
    assert process.wait(60) == 0


def test_nothing_heavy_is_imported_where_nothing_is_encoded(indexed, program):
    """An index without changes, and a search for an item or by a code."""
    with Collection.open(indexed) as opened:
        code = opened.item(3).code
    heavy = {"torch", "timm", "torchvision", "numba", "scipy", "onnxruntime", "fastapi", "sklearn"}
    for arguments in (["index", str(indexed)], ["search", str(indexed), "--like", "3"],
                      ["search", str(indexed), "--code", code, "--radius", "4", "--json"],
                      ["remove", str(indexed), "3"]):  # fmt: skip
        process = program(
            f"import sys\nfrom bitseek.cli import main\nmain({arguments!r})\n"
            f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
        )
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0 and out and err.strip().splitlines()[-1] == "[]", err
