"""open, serve: from a folder to a page that answers, in processes of their own."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import warm
from PIL import Image
from tests.server.harness import projections

from bitseek.cli import _open
from bitseek.collection import Collection
from bitseek.methods import METHODS

TOY = ("--backbone", "small-cnn", "--weights", "none", "--bits", "16", "--no-browser", "--port", "0", "--json")
MAIN = "from bitseek.cli import main\nmain({!r})"


class Service:
    """A command that serves until Ctrl-C; `python` and `before` say in which process."""

    def __init__(self, *arguments, python=sys.executable, before="") -> None:
        code = before + MAIN.format([str(word) for word in arguments])
        self.process = subprocess.Popen([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.notes: list[str] = []
        out: queue.Queue[str] = queue.Queue()
        self.threads = [
            threading.Thread(target=lambda: [out.put(line) for line in self.process.stdout]),
            threading.Thread(target=lambda: self.notes.extend(self.process.stderr)),
        ]
        for thread in self.threads:
            thread.start()
        lines, deadline = [""], time.monotonic() + 240
        while lines[-1] != "}\n":
            try:
                lines.append(out.get(timeout=0.2))
            except queue.Empty:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.close()
                    raise AssertionError("".join(self.notes)) from None
        self.value = json.loads("".join(lines))

    def get(self, what: str):
        with urllib.request.urlopen(f"{self.value['address']}{what}", timeout=60) as answer:
            content = answer.read()
        return json.loads(content) if what.startswith("/api") else content

    def wait_for(self, items: int) -> None:
        deadline = time.monotonic() + 240
        while self.get("/api/health")["items"] < items:
            assert time.monotonic() < deadline and self.process.poll() is None, "".join(self.notes)
            time.sleep(0.1)

    def stop(self, kind=signal.SIGINT) -> int:
        self.process.send_signal(kind)
        status = self.process.wait(120)
        self.close()
        return status

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()
        self.process.stdout.close(), self.process.stderr.close()


@pytest.fixture
def served():
    started = []

    def start(*arguments, **options) -> Service:
        started.append(Service(*arguments, **options))
        return started[-1]

    yield start
    for service in started:
        service.close()


@pytest.fixture
def photos(digits, tmp_path):
    shutil.copytree(digits, tmp_path / "photos")
    return tmp_path / "photos"


def test_a_folder_becomes_a_page_and_the_second_time_only_that(photos, served):
    first = served("open", photos, *TOY, python=warm.python())
    assert first.value["collection"] == str(photos / ".bitseek")
    assert first.value["method"] in [each["method"] for each in first.value["candidates"] if each["reason"] is None]
    first.wait_for(30)
    assert b"<html" in first.get("/")
    listed = first.get("/api/items")["items"]
    hits = first.get(f"/api/items/{listed[0]['id']}/similar?k=5")["hits"]
    assert len(hits) == 5 and hits[0]["distance"] == 0
    assert first.stop() == 0
    notes = "".join(first.notes)
    assert "is taken" in notes and "labels" in notes and "--supervised" in notes and "30 images (30 encoded" in notes
    assert "Traceback" not in notes and '"event"' not in notes

    (photos / "0" / "new.png").write_bytes(next(photos.rglob("*.png")).read_bytes())
    before = "import sys\nsys.modules['torch'] = None\n"  # what is known already needs no network
    again = served("open", photos, *TOY, before=before)
    again.wait_for(31)
    assert again.stop(signal.SIGTERM) == 0 and "31 images (1 encoded" in "".join(again.notes)
    with Collection.open(photos / ".bitseek") as opened:
        assert opened.bits == 16 and {item.label for item in opened.items()} == set("0123456789")
    assert sorted(path.name for path in photos.iterdir()) == [".bitseek", *"0123456789"]


def test_a_collection_is_opened_as_it_is(photos, served, trained, bitseek, tmp_path):
    bitseek.answer("index", tmp_path / "c", photos, "--model", trained)
    (photos / "0" / "new.png").write_bytes(next(photos.rglob("*.png")).read_bytes())
    service = served("open", tmp_path / "c", "--no-browser", "--port", "0", "--json", python=warm.python())
    service.wait_for(31)
    assert service.stop() == 0 and not (photos / ".bitseek").exists()


def test_a_model_and_a_place_of_ones_own(photos, served, trained, tmp_path):
    service = served("open", photos, "--model", trained, "--collection", tmp_path / "c", "--no-browser", "--port", "0",
                     "--json")  # fmt: skip
    service.wait_for(30)
    assert service.stop() == 0 and "candidates" not in service.value and not (photos / ".bitseek").exists()
    with Collection.open(tmp_path / "c") as opened:
        assert opened.bits == 24


def test_labels_train_a_head(photos, served):
    names = sorted(file.relative_to(photos).as_posix() for file in photos.rglob("*.png"))
    lines = ["path,label", *(f"{name},{'even' if int(name[0]) % 2 == 0 else 'odd'}" for name in names)]
    (photos / "labels.csv").write_text("\n".join(lines) + "\n")
    fewer = "from bitseek.training import _fit_folder, _search\n_fit_folder.TRIALS, _search.STEPS = 6, 30\n"
    service = served("open", photos, *TOY, "--supervised", python=warm.python(), before=fewer)
    service.wait_for(30)
    assert service.stop() == 0 and service.value["collection"] == str(photos / ".bitseek-auto")
    (trained,) = [each for each in service.value["candidates"] if each["method"] == service.value["method"]]
    assert METHODS[trained["method"]].card.labels in ("single", "multi") and 0 < trained["mAP"] <= 1
    with Collection.open(photos / ".bitseek-auto") as opened:
        assert opened.labels() == {
            "even": sum(int(n[0]) % 2 == 0 for n in names),
            "odd": sum(int(n[0]) % 2 for n in names),
        }


def test_the_page_is_there_while_the_folder_is_indexed_and_ctrl_c_keeps_what_is_done(served, trained, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "many").mkdir()
    for i in range(600):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "many" / f"{i:03d}.png")
    before = (
        "import time\nfrom bitseek.runs import Hasher\nright = Hasher.logits_of\n"
        "Hasher.logits_of = lambda self, squares: (time.sleep(1), right(self, squares))[1]\n"
    )
    service = served("open", tmp_path / "many", "--model", trained, "--no-browser", "--port", "0", "--json",
                     "--threads", "1", python=warm.python(), before=before)  # fmt: skip
    deadline = time.monotonic() + 120
    while not 0 < (now := service.get("/api/progress"))["done"] < 600:
        assert time.monotonic() < deadline
    assert now["running"] and now["total"] == 600 and b"<html" in service.get("/")
    assert service.stop() == 130
    with Collection.open(tmp_path / "many" / ".bitseek") as opened:
        assert 0 < len(opened) < 600
    sentence = service.notes[-1]
    assert sentence.startswith("bitseek: stopped; what was done") and "Traceback" not in "".join(service.notes)


def test_serve(exported, photos, served, bitseek, tmp_path):
    bitseek.answer("index", tmp_path / "c", photos, "--model", exported)
    (tmp_path / "token").write_text("a-token-of-24-characters\n")
    (tmp_path / "added").mkdir()
    options = (
        "--port",
        "0",
        "--timeout",
        "200",
        "--token-file",
        tmp_path / "token",
        "--add-to",
        tmp_path / "added",
        "--json",
    )
    service = served("serve", tmp_path / "c", *options)
    assert service.get("/api/health")["items"] == 30
    image = next(photos.rglob("*.png")).read_bytes() + b"x"
    body = b'--m\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + image + b"\r\n--m--\r\n"
    request = urllib.request.Request(
        f"{service.value['address']}/api/images", body, {"Content-Type": "multipart/form-data; boundary=m"}
    )
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(request, timeout=60)
    refused.value.close()
    request.add_header("Authorization", "Bearer a-token-of-24-characters")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201
    service.wait_for(31)
    assert service.stop(signal.SIGTERM) == 0 and len(list((tmp_path / "added").iterdir())) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["open", "absent"], "there is no folder absent"),
        (["open", "empty", *TOY], "there are no images in empty"),
        (["open", "bad", *TOY], "can be read"),
        (["open", "photos", *TOY, "--supervised", "nohash"], "nohash"),
        (["open", "photos", *TOY, "--supervised", "../../zz"], "../../zz"),
        (["open", "bad", *TOY, "--supervised"], "0 labels"),
        (["open", "photos", *TOY, "--supervised", "--model", "run"], "nothing to train"),
        (["open", "photos", *TOY, "--model", "absent"], "--bits, --backbone, --weights would have no effect"),
        (["open", "photos", "--model", "absent", "--no-browser"], "absent"),
        (["open", "photos", *TOY, "--collection", "bad"], "bad exists and is not"),
        (["open", "photos", "--weights", "absent.safetensors", "--no-browser"], "absent.safetensors"),
        (["open", "photos", "--backbone", "nonet", "--no-browser"], "nonet"),
        (["open", "photos", *TOY, "--set", "a=1"], "--set"),
        (["serve", "absent"], "is not a collection"),
        (["serve", "photos", "--token-file", "absent"], "absent"),
        (["serve", "photos", "--token-file", "photos/0/00.png"], "token"),
        (["serve", "photos", "--port", "70000"], "port"),
        (["serve", "photos", "--workers", "0"], "workers"),
        (["serve", "photos", "--add-to", "absent"], "--add-to: there is no folder absent"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(arguments, message, photos, bitseek, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "bad"):
        (tmp_path / name).mkdir()
    (tmp_path / "bad" / "bad.png").write_bytes(b"no image")
    before = sorted(tmp_path.rglob("*"))
    assert message in bitseek.refusal(*arguments)
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_that_cannot_be_downloaded_are_named(photos, bitseek, monkeypatch):
    """The default backbone where there is no network: which file to get, and how to give it."""
    from huggingface_hub import errors

    import bitseek.models._weights as weights

    def no_network(_: str) -> str:
        return "no route to host"

    monkeypatch.setenv("HF_HUB_CACHE", str(photos / "cache"))
    monkeypatch.setattr(weights, "unreachable", no_network)
    message = bitseek.refusal("open", photos, "--no-browser")
    assert "mobilenetv2_100" in message and "model.safetensors of https://huggingface.co/timm/" in message
    assert "--weights FILE" in message and "--model" in message and not (photos / ".bitseek").exists()
    assert issubclass(errors.LocalEntryNotFoundError, OSError)  # what the cache says, which is caught as such


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="takes an ordinary user beside root")
def test_a_folder_that_cannot_be_written_to_names_the_option(digits):
    """As another user, who may read the pictures, but not write."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(digits, Path(folder, "photos")).chmod(0o755)
        code = MAIN.format(["open", str(Path(folder, "photos")), *TOY])
        drop = "import os\nimport bitseek.cli._app, bitseek.collection\nos.setgid(65534); os.setuid(65534)\n"
        done = subprocess.run([sys.executable, "-c", drop + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "--collection DIR" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_browser_needs_a_display(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not _open.has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert _open.has_display()


def test_no_option_is_ignored(photos, bitseek, monkeypatch, tmp_path):
    """What there is keeps its model: the options that made it open it again, and no others."""
    monkeypatch.setattr(_open, "_serve", lambda *given: None)  # what is said before is looked at
    monkeypatch.chdir(tmp_path)
    own = ("--collection", tmp_path / "own")
    for options, place in ((("--bits", "24"), photos / ".bitseek"), (("--supervised", "dsh", *own), tmp_path / "own")):
        first = ("open", photos, *TOY[:4], "--seed", "3", *options)
        assert "is taken" in bitseek.run(*first)[2]
        assert bitseek.run(*first) == bitseek.run("open", place, *TOY[:4], "--seed", "3", *options[:2]) == (0, "", "")
    assert bitseek.run("open", photos)[2] == bitseek.run("open", photos, *own)[2] == ""
    for options, named in (
        (("--seed", "4", "--features"), "(--seed 3), so --seed, --features would"),
        (("--seed", "0"), "(--seed 3), so --seed would"),
        (("--weights", "nofile", "--size", "32"), "(--weights none), so --weights, --size would"),
        (("--supervised", *own), "(--supervised dsh), so --supervised would"),
    ):
        sentence = bitseek.refusal("open", photos, *options)
        assert named in sentence and "leave that out" in sentence and "--collection DIR" in sentence
    projections(tmp_path / "model.onnx", seed=1)
    assert "so --model would" in bitseek.refusal("open", photos, "--model", "model.onnx")
    assert "there is no file or folder absent" in bitseek.refusal("open", photos, "--model", "absent")
    assert "so --supervised would" in bitseek.refusal("open", photos / ".bitseek", "--supervised")
    assert "no use for --collection" in bitseek.refusal("open", photos / ".bitseek", *own)


def test_what_a_collection_was_made_with_is_known_as_soon_as_it_is_there(photos, bitseek, monkeypatch, tmp_path):
    """A kill right after it was made leaves a collection that refuses other options."""
    monkeypatch.setattr(_open, "_serve", lambda *given: None)
    hasher = projections(tmp_path / "model.onnx")
    close = Collection.close

    def killed(self):
        close(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Collection, "close", killed)
        assert bitseek.run("open", photos, "--model", tmp_path / "model.onnx", "--features").status == 130
    assert "so --bits would" in bitseek.refusal("open", photos, "--bits", "16")
    assert bitseek.run("open", photos, "--model", tmp_path / "model.onnx", "--features") == (0, "", "")
    with Collection.open(photos / ".bitseek") as opened:
        assert opened.made_with == {"--model": str(tmp_path / "model.onnx"), "--features": True}
        assert opened.fingerprint == hasher.fingerprint


def test_a_model_is_known_again_by_its_path(photos, bitseek, monkeypatch, tmp_path):
    monkeypatch.setattr(_open, "_serve", lambda *given: None)
    monkeypatch.chdir(tmp_path)
    projections(tmp_path / "model.onnx")
    assert bitseek.run("open", photos, "--model", "model.onnx", "--features").status == 0
    bitseek.text("open", photos, "--model", tmp_path / "model.onnx", "--features")
    assert "(--features)" not in bitseek.refusal("open", photos, "--bits", "16")
    monkeypatch.chdir(photos)
    assert "there is no file or folder model.onnx" in bitseek.refusal("open", photos, "--model", "model.onnx")


def test_a_model_that_was_trained_anew_is_another(photos, bitseek, monkeypatch, tmp_path):
    monkeypatch.setattr(_open, "_serve", lambda *given: None)
    file = tmp_path / "model.onnx"
    projections(file)
    assert bitseek.run("open", photos, "--model", file).status == 0
    assert bitseek.run("open", photos).err == ""
    projections(file, seed=1)
    sentence = bitseek.refusal("open", photos, "--model", file)
    assert f"{file} was trained anew, and {photos / '.bitseek'} keeps the model" in sentence
    assert "leave out --model" in sentence and "--collection DIR" in sentence
    known = bitseek.run("open", photos)
    assert known.status == 0 and f"{file} was trained anew" in known.err
    file.write_bytes(b"damaged")
    assert bitseek.run("open", photos) == bitseek.run("open", photos, "--model", file) == (0, "", "")


def test_a_model_that_moved_is_known_again_by_its_fingerprint(
    photos, trained, exported, bitseek, monkeypatch, tmp_path
):
    monkeypatch.setattr(_open, "_serve", lambda *given: None)
    shutil.copytree(trained, tmp_path / "run")
    assert bitseek.run("open", photos, "--model", tmp_path / "run").status == 0
    (tmp_path / "run").rename(tmp_path / "moved")
    for same in (tmp_path / "moved", exported, photos / ".bitseek" / "model"):
        assert bitseek.run("open", photos, "--model", same) == (0, "", "")
    projections(tmp_path / "other.onnx")
    assert "so --model would" in bitseek.refusal("open", photos, "--model", tmp_path / "other.onnx")
    bitseek.answer("index", tmp_path / "c", photos, "--model", exported)  # of which no options are recorded
    for same in (trained, exported):
        assert bitseek.run("open", tmp_path / "c", "--model", same) == (0, "", "")
    for other in (("--model", tmp_path / "other.onnx"), ("--bits", "24")):
        assert f"{other[0]} is for a new collection" in bitseek.run("open", tmp_path / "c", *other).err


def test_imported_codes_are_called_so(photos, bitseek, tmp_path):
    hasher = projections(tmp_path / "model.onnx")
    hasher.encode(sorted(photos.rglob("*.png"))[:3]).save(tmp_path / "three.npz")
    Collection.create(tmp_path / "c", hasher=hasher).close()
    assert "3 images (3 imported," in bitseek.text("index", tmp_path / "c", "--codes", tmp_path / "three.npz")
    assert "leave it out" in bitseek.refusal("index", tmp_path / "c", photos, "--codes", tmp_path / "three.npz")
