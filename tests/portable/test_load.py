"""`bitseek.load`: whatever form a model has; and the hub, by what its own client has for it: folders and caches."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import warm
from huggingface_hub import ModelCard

import bitseek
from bitseek.errors import BitseekError
from bitseek.portable import MODEL, OnnxHasher, fingerprint_of, load
from bitseek.runs import Hasher, RunConfig, keep_report

REPORT = {"levels": {}, "fingerprint": None}


def test_a_run_a_file_and_a_folder(run, exported, onnx_hasher, hasher, tmp_path):
    assert bitseek.load is load
    loaded = load(run)
    assert isinstance(loaded, Hasher) and loaded.fingerprint == hasher.fingerprint
    onnx_hasher.save(tmp_path)
    for given in (exported, str(exported), tmp_path, exported.parent):
        loaded = load(given, threads=1)
        assert isinstance(loaded, OnnxHasher) and loaded.fingerprint == f"{hasher.fingerprint}+onnx"


def test_a_run_with_an_export_in_it_stays_a_run(hasher, onnx_hasher, tmp_path):
    hasher.save(tmp_path / "run")
    onnx_hasher.save(tmp_path / "run")
    assert isinstance(load(tmp_path / "run"), Hasher)
    assert isinstance(load(tmp_path / "run" / MODEL), OnnxHasher)


def test_the_fingerprint_is_known_without_loading(run, exported, onnx_hasher, tmp_path):
    onnx_hasher.save(tmp_path / "folder")
    for model in (run, exported, tmp_path / "folder"):
        assert fingerprint_of(model) == load(model).fingerprint
    (tmp_path / "text").write_text("no model")
    assert fingerprint_of(tmp_path) is fingerprint_of("org/name") is None
    with pytest.raises(BitseekError, match="is not an ONNX file of bitseek"):
        fingerprint_of(tmp_path / "text")
    (tmp_path / "config.json").write_text('{"fingerprint": 5}')
    assert fingerprint_of(tmp_path) is None


def test_what_is_no_model_is_a_sentence(exported, tmp_path):
    (tmp_path / "text").write_text("no model")
    for given, sentence in (
        (tmp_path / "text", "is not an ONNX file of bitseek"),
        (tmp_path, "is not a run folder"),
        (tmp_path / "absent", "there is no file or folder .*absent; a model is a run folder"),
        ("", "a path is text"),
    ):
        with pytest.raises(BitseekError, match=sentence):
            load(given)
    with pytest.raises(BitseekError, match="on the CPU, not on 'cuda'"):
        load(exported, device="cuda")


# --- the hub ----------------------------------------------------------------------------------------------------


def with_paths(hasher):
    """A hasher whose configuration knows folders of this machine."""
    origin = None if hasher.config.origin is None else type(hasher.config.origin)("digits", root="/home/me/data")
    backbone = hasher.config.backbone.model_copy(update={"weights": "/home/me/secret/weights.pt"})
    config = hasher.config.changed(origin=origin, backbone=backbone, unreadable=("/home/me/a.png is empty",))
    made = Hasher(hasher.backbone, hasher.head, hasher.bits, config=config)
    made.codewords = hasher.codewords
    made.report = {**REPORT, "fingerprint": made.fingerprint}
    return made


def test_what_is_pushed_is_a_run_without_paths(hasher, squares, tmp_path):
    folder = tmp_path / "model"
    with_paths(hasher).save_pretrained(folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "model.safetensors", "README.md", "report.json"}
    for path in folder.iterdir():
        assert b"/home/me" not in path.read_bytes()
    config = RunConfig.read(folder)
    assert config.origin.name == "digits" and config.origin.root is None
    assert config.backbone.weights == "weights.pt" and config.unreadable == ()
    for loaded in (Hasher.from_pretrained(folder), Hasher.from_pretrained(str(folder)), load(folder)):
        np.testing.assert_array_equal(loaded.logits_of(squares), hasher.logits_of(squares))
        assert loaded.report["fingerprint"] == hasher.fingerprint
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "bitseek" and "image-retrieval" in card.data.tags
    assert f"fingerprint: {hasher.fingerprint}" in card.text and "orthohash on digits" in card.text


def test_what_was_saved_is_saved_again_and_nothing_else_is_touched(hasher, run, tmp_path):
    folder = tmp_path / "model"
    hasher.save_pretrained(folder)
    hasher.save_pretrained(folder, model_card_kwargs={"name": "org/name"})
    assert "bitseek.load('org/name')" in (folder / "README.md").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    before = (run / "config.json").read_bytes()
    other = Hasher(hasher.backbone, hasher.head, hasher.bits, config=hasher.config.changed(seed=9))
    for taken in (tmp_path / "mine", run):
        with pytest.raises(BitseekError):
            other.save_pretrained(taken)
    assert (tmp_path / "mine" / "config.json").read_text() == "{}" and (run / "config.json").read_bytes() == before
    with pytest.raises(BitseekError, match="no RunConfig"):
        Hasher(hasher.backbone, hasher.head, hasher.bits).save_pretrained(tmp_path / "none")


def test_a_protocol_of_ones_own_is_left_out(hasher):
    origin = type(hasher.config.origin)
    for own in (origin("folder:/home/me/photos"), origin("digits", options={"file": "/home/me/list.txt"})):
        assert hasher.config.changed(origin=own).without_paths().origin is None
    assert hasher.config.changed(origin=None).without_paths().origin is None
    assert hasher.config.without_paths().differing(hasher.config) in ([], ["origin"])


@pytest.fixture
def cache(hasher, tmp_path):
    """A cache of the hub's client in which the model org/digits lies, as a download leaves it."""
    model = tmp_path / "hub" / "models--org--digits"
    commit = "1234567890" * 4
    hasher.save_pretrained(model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    return tmp_path / "hub"


def started(command, cache, **environment):
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_cache_serves_where_there_is_no_network(cache, hasher):
    program = """
import json, bitseek
from bitseek.errors import BitseekError
found = [bitseek.load("org/digits").fingerprint, bitseek.Hasher.from_pretrained("org/digits").fingerprint]
for attempt in (
    lambda: bitseek.load("org/absent"),
    lambda: bitseek.Hasher.from_pretrained("org/absent"),
    lambda: bitseek.load("org/digits").push_to_hub("org/digits"),
    lambda: bitseek.Hasher.from_pretrained("not a name"),
):
    try:
        attempt()
    except BitseekError as error:
        found.append(str(error))
print(json.dumps(found))
"""
    done = started([sys.executable, "-c", program], cache, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    first, second, absent, pretrained, pushed, name = json.loads(done.stdout)
    assert first == second == hasher.fingerprint
    for sentence in (absent, pretrained, pushed, name):
        assert "\n" not in sentence and "hf auth login" in sentence
    assert absent.startswith("org/absent cannot be had from") and pushed.startswith("org/digits cannot be")


def test_a_hub_that_is_not_there_is_a_sentence_at_once(cache, hasher):
    """Nothing listens at this address: the client alone would try again for a minute."""
    program = """
import time, bitseek
from bitseek.errors import BitseekError
hasher = bitseek.load("org/digits")
print(hasher.fingerprint)
for attempt in (lambda: bitseek.load("org/absent"), lambda: hasher.push_to_hub("org/digits", token="x")):
    started = time.monotonic()
    try:
        attempt()
    except BitseekError as error:
        print(time.monotonic() - started < 30, str(error))
"""
    command = [warm.python(), "-c", warm.ANEW + program]
    done = started(command, cache, HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0")
    assert done.returncode == 0, done.stderr
    name, absent, pushed = done.stdout.splitlines()
    assert name == hasher.fingerprint
    assert absent.startswith("True org/absent cannot be had") and "cannot be reached" in absent
    assert pushed.startswith("True org/digits cannot be")


def test_the_report_of_other_weights_is_not_pushed(hasher, tmp_path):
    made = with_paths(hasher)
    made.report = {**REPORT, "fingerprint": "0" * 16}
    made.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model" / "report.json").exists()
    made.save(tmp_path / "run")
    keep_report(tmp_path / "run", {**REPORT, "fingerprint": made.fingerprint})
    assert load(tmp_path / "run").report == {**REPORT, "fingerprint": made.fingerprint}


def test_a_name_that_is_mistyped_is_said_without_torch(tmp_path):
    program = (
        "import sys; sys.modules['torch'] = None; import bitseek\n"
        f"try: bitseek.load({str(tmp_path / 'nothere')!r})\n"
        "except bitseek.BitseekError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"there is no file or folder {tmp_path / 'nothere'};")
