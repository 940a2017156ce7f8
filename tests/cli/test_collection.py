"""encode, index, search: images of one's own."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from bitseek.codes import Codes
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


def test_encode_is_what_python_does(trained, photos, bitseek, tmp_path):
    images = sorted(photos.rglob("*.png"))
    (photos / "broken.png").write_bytes(images[0].read_bytes()[:40])
    status, out, err = bitseek.run("encode", trained, photos, "--out", tmp_path / "c.npz")
    assert status == 0 and out == f"{tmp_path / 'c.npz'}: 30 codes of 24 bits\n"
    assert "1 images could not be read" in err and "broken.png" in err
    hasher = load(trained)
    codes = Codes.load(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as file:
        assert sorted(file["paths"].tolist()) == [str(image) for image in images]
        assert str(file["fingerprint"]) == hasher.fingerprint
        assert codes == hasher.encode(file["paths"].tolist())
    value = bitseek.answer("encode", trained, *images[:2], "--out", tmp_path / "two.npz")
    assert (value["items"], value["bits"], value["unreadable"]) == (2, 24, [])


def test_encode_says_what_is_wrong(trained, bitseek, tmp_path):
    out = tmp_path / "c.npz"
    (tmp_path / "empty").mkdir()
    assert "there are no images in" in bitseek.refusal("encode", trained, tmp_path / "empty", "--out", out)
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert "nothing was written" in bitseek.refusal("encode", trained, tmp_path / "bad.png", "--out", out)
    assert not out.exists()


def test_index_and_search(indexed, photos, trained, bitseek):
    query = sorted(photos.rglob("*.png"))[4]
    (found,) = bitseek.answer("search", indexed, query, "-k", "3")
    assert [hit["distance"] for hit in found["hits"]] == sorted(hit["distance"] for hit in found["hits"])
    assert len(found["hits"]) == 3 and found["hits"][0]["distance"] == 0
    assert found["code"] == load(trained).encode([query]).hex()[0]
    lines = bitseek.text("search", indexed, query).splitlines()
    assert lines[0] == str(query) and lines[1].split() == ["distance", "image"] and len(lines) == 12
    assert any(line.endswith(str(query)) for line in lines[2:])

    sorted(photos.rglob("*.png"))[0].unlink()
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(sorted(photos.rglob("*.png"))[1])
    (photos / "bad.jpg").write_bytes(b"no image")
    again = bitseek.answer("index", indexed, photos)
    assert (again["items"], again["added"], again["unchanged"], again["removed"]) == (29, 1, 28, 1)
    assert list(again["unreadable"]) == [str(photos / "bad.jpg")]
    assert bitseek.text("index", indexed, photos).endswith(
        "29 images (0 encoded, 29 unchanged, 0 removed, 1 unreadable)\n"
    )


def test_index_and_search_say_what_is_wrong(indexed, photos, bitseek, tmp_path):
    good = next(photos.rglob("*.png"))
    assert "absent.png" in bitseek.refusal("search", indexed, tmp_path / "absent.png")
    (tmp_path / "bad.png").write_bytes(b"no")
    assert "bad.png" in bitseek.refusal("search", indexed, tmp_path / "bad.png")
    assert "k" in bitseek.refusal("search", indexed, good, "-k", "0")
    other = tmp_path / "other"
    bitseek.answer("train", "lsh", "digits", "--bits", "24", "--out", other, "--no-evaluate")
    for command in ("search", "index"):
        message = bitseek.refusal(command, indexed, good, "--model", other)
        assert "were made by model" in message and "make a new collection" in message


def test_a_moved_model_is_remembered(indexed, trained, photos, bitseek, tmp_path):
    """Bug 19."""
    other = tmp_path / "c"
    shutil.copytree(trained, tmp_path / "first")
    bitseek.answer("index", other, photos, "--model", tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "second")
    query = next(photos.rglob("*.png"))
    assert f"the hasher is not in {tmp_path / 'first'} any more" in bitseek.refusal("search", other, query)
    assert bitseek.answer("search", other, query, "--model", tmp_path / "second")
    bitseek.answer("index", other, photos, "--model", tmp_path / "second")
    assert bitseek.answer("search", other, query)[0]["hits"]
    shutil.rmtree(tmp_path / "second")  # with nothing to encode, the hasher is not even looked for
    assert bitseek.answer("index", other, photos)["unchanged"] == 30


def test_names_that_are_not_utf_8(trained, photos, bitseek, tmp_path):
    """Bug 17: one aborted the command, and the images encoded with it were lost."""
    image = next(photos.rglob("*.png")).read_bytes()
    names = [b"caf\xe9.png", b"two\nlines.png", "日本.png".encode()]
    for name in names:
        (photos / os.fsdecode(name)).write_bytes(image)
    (photos / os.fsdecode(b"b\xe4d.png")).write_bytes(b"no image")
    status, out, err = bitseek.run("index", tmp_path / "c", photos, "--model", trained)
    assert status == 0 and "33 images (33 encoded, 0 unchanged, 0 removed, 1 unreadable)" in out
    assert r"b\xe4d.png" in err
    status, out, _ = bitseek.run("search", tmp_path / "c", photos / os.fsdecode(names[0]), "-k", "33", "--json")
    paths = {os.fsencode(hit["path"]) for hit in json.loads(out)[0]["hits"]}
    assert {os.fsencode(photos) + b"/" + name for name in names} <= paths
    lines = bitseek.text("search", tmp_path / "c", photos / os.fsdecode(names[1]), "-k", "33").splitlines()
    assert len(lines) == 35 and r"two\nlines.png" in lines[0]
    assert sum(r"caf\xe9.png" in line for line in lines[2:]) == 1
    value = bitseek.answer("encode", trained, photos, "--out", tmp_path / "codes.npz")
    assert value["items"] == 33
    with np.load(tmp_path / "codes.npz") as file:
        assert os.fsencode(photos) + b"/" + names[0] in {os.fsencode(path) for path in file["paths"].tolist()}


def test_a_first_index_that_fails_leaves_nothing(trained, photos, bitseek, tmp_path):
    """Bug 18: it left a collection that no command could use."""
    new = tmp_path / "new"
    assert "absent" in bitseek.refusal("index", new, tmp_path / "absent", "--model", trained)
    assert "is not a run folder" in bitseek.refusal("index", new, photos, "--model", tmp_path)
    assert not new.exists()
    assert bitseek.answer("index", new, photos, "--model", trained)["items"] == 30


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


def test_a_run_on_bare_features_says_why_it_cannot_index_images(bitseek, photos, tmp_path):
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
