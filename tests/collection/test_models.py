"""A collection with real hashers: its model lies with it, and through ONNX nothing imports torch."""

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tests.collection.harness import codes_of, encoded, files

from bitseek.collection import Collection
from bitseek.data import load_protocol
from bitseek.errors import RunError
from bitseek.portable import OnnxHasher, export_onnx
from bitseek.runs import Hasher
from bitseek.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder of a small network."""
    digits, out = load_protocol("digits"), tmp_path_factory.mktemp("models") / "run"
    train(
        "orthohash", dataclasses.replace(digits, train=digits.train[::4]), bits=16, backbone="small-cnn", size=8,
        epochs=1, batch_size=60, lr=1e-3, precision="fp32", device="cpu", out=out,
    )  # fmt: skip
    return out


@pytest.fixture
def digits(tmp_path):
    """40 pictures of digits, in folders by their class."""
    pool = load_protocol("digits").pool
    for i, (pixels, number) in enumerate(zip(pool.images.array[:40], pool.labels.numbers, strict=False)):
        (tmp_path / "digits" / str(number)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "digits" / str(number) / f"{i}.png")
    return tmp_path / "digits"


def test_deleting_the_run_breaks_nothing(run, digits, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    hasher = Hasher.load(tmp_path / "run")
    with Collection.create(tmp_path / "c", hasher=hasher, features=True) as collection:
        assert collection.update(digits, hasher=hasher).added == 40
    shutil.rmtree(tmp_path / "run")
    expected = encoded(hasher, files(digits))
    with Collection.open(tmp_path / "c") as collection:
        assert codes_of(collection) == expected and collection.encoder().fingerprint == hasher.fingerprint
        picture = np.asarray(Image.open(files(digits)[5]))
        for rerank in (None, "logits", "features"):
            hits = {hit.item.path: hit for hit in collection.search(picture, k=40, rerank=rerank)}
            assert len(hits) == 40 and hits[files(digits)[5]].distance == 0
            if rerank == "features":
                assert abs(hits[files(digits)[5]].score - 1) < 2e-3
        (digits / "new.png").write_bytes((digits / "0" / "0.png").read_bytes() + b"\0")
        assert collection.update().added == 1
        assert collection.verify().findings == ()
    shutil.rmtree(tmp_path / "c" / "model")
    (tmp_path / "c" / "model").mkdir()
    with Collection.open(tmp_path / "c") as collection:
        with pytest.raises(RunError, match=rf"is gone from .*c/model; .* --model .* fingerprint {hasher.fingerprint}"):
            collection.search(picture)
        assert collection.search(picture, k=1, hasher=hasher)[0].distance == 0


WITHOUT_TORCH = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "timm"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
from bitseek.collection import Collection
from bitseek.portable import load
place, model, photos, query = sys.argv[1:]
with Collection.create(place, hasher=load(model)) as collection:
    assert collection.update(photos).added == 40
with Collection.open(place) as collection:
    assert collection.search(open(query, "rb"), k=1)[0].distance == 0
    assert collection.verify().ok
print("done")
"""
NOTHING_NEW = """
import sys
from bitseek.codes import Codes
from bitseek.collection import Collection
with Collection.open(sys.argv[1]) as collection:
    assert collection.update().unchanged == 40
    assert len(collection.search(Codes.from_hex(["00ff"], 16), k=3)[0]) == 3 and collection.search(sys.argv[2])
    collection.items(), collection.labels(), collection.statistics(), collection.thumbnail(0)
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "timm", "onnxruntime", "numba", "scipy"}))
"""


def test_through_onnx_there_is_no_torch_and_without_news_no_network(run, digits, tmp_path):
    hasher = Hasher.load(run)
    model = export_onnx(hasher, tmp_path / "model.onnx")

    def output(code, *arguments):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    place = str(tmp_path / "c")
    assert output(WITHOUT_TORCH, place, str(model), str(digits), files(digits)[3]) == "done"
    assert output(NOTHING_NEW, place, files(digits)[0]) == ""
    with Collection.open(place) as collection:
        assert collection.fingerprint == OnnxHasher(model).fingerprint
        expected, found = encoded(hasher, files(digits)), codes_of(collection)
        assert sum(expected[path] != found[path] for path in expected) <= 1  # a bit whose logit is next to zero
        assert collection.update(hasher=hasher).unchanged == 40  # the run's codes may be mixed with those of its export


@pytest.mark.parametrize("kind", ["run", "onnx"])
def test_features_are_kept_by_one_run_of_the_network(kind, run, digits, tmp_path, monkeypatch):
    hasher = Hasher.load(run)
    if kind == "onnx":
        hasher = OnnxHasher(export_onnx(hasher, tmp_path / "model.onnx"))
    squares = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), np.uint8)
    logits, features = hasher.logits_and_features_of(squares)
    np.testing.assert_array_equal(logits, hasher.logits_of(squares))
    np.testing.assert_array_equal(features, hasher.features_of(squares))
    assert [len(part) for part in hasher.logits_and_features_of(squares[:0])] == [0, 0]
    expected, runs = encoded(hasher, files(digits)), []
    name = "_features" if kind == "run" else "_run"
    inner = getattr(type(hasher), name)

    def counted(self, *given):
        runs.append(len(given[-1]) if given[-1].ndim == 4 else 0)  # features go to the head alone
        return inner(self, *given)

    monkeypatch.setattr(type(hasher), name, counted)
    with Collection.create(tmp_path / "c", hasher=hasher, features=True) as collection:
        assert collection.update(digits, hasher=hasher).added == 40 and sum(runs) == 40
        assert codes_of(collection) == expected
        rows = np.stack([collection._published.features[item.id] for item in collection.items()]).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=2e-3)
