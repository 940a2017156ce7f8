"""Training end to end on the embedded digits: the same from the same seed, killed or not, and always usable."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import bitseek
from bitseek.data import protocol
from bitseek.errors import BitseekError, RunError
from bitseek.trainer import codeword_accuracy, hold_out, validation_epochs
from bitseek.training import train

FAST = {"bits": 16, "epochs": 3, "batch_size": 64, "lr": 1e-3, "precision": "fp32"}


@pytest.fixture(scope="module")
def digits():
    return protocol("digits")


def weights(run):
    return load_file(Path(run) / "model.safetensors")


def same_weights(a, b):
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def unbroken(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    train("orthohash", digits, out=folder, **FAST)
    return folder


def test_a_run_folder_has_all_that_it_promises(unbroken, digits):
    assert sorted(path.name for path in unbroken.iterdir()) == [
        "README.md", "config.json", "metrics.jsonl", "model.safetensors"
    ]  # fmt: skip
    config = json.loads((unbroken / "config.json").read_text())
    assert config["complete"] and config["checksum"] == digits.checksum and config["recipe"]["epochs"] == 3
    lines = [json.loads(line) for line in (unbroken / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert {"loss", "cosine", "codeword_accuracy", "images_per_second", "lr"} <= set(lines[0])
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[1]["lr"] == 1e-3 and lines[2]["lr"] == pytest.approx(1e-4)
    assert "16-bit codes by orthohash on digits" in (unbroken / "README.md").read_text()


def test_same_seed_same_weights(unbroken, digits, tmp_path):
    train("orthohash", digits, out=tmp_path / "again", **FAST)
    assert same_weights(unbroken, tmp_path / "again")
    train("orthohash", digits, out=tmp_path / "other", seed=1, **FAST)
    assert not same_weights(unbroken, tmp_path / "other")


def test_loaded_is_what_was_trained(unbroken, digits):
    hasher = bitseek.load(unbroken)
    images = digits.pool.images.rows(digits.query[:20])
    assert hasher.fingerprint == json.loads((unbroken / "config.json").read_text())["fingerprint"]
    assert hasher.encode(list(images)) == bitseek.load(unbroken).encode(list(images))
    assert hasher.codewords.shape == (10, 16)


SCRIPT = """
import sys
from bitseek.training import train
train("orthohash", "digits", out=sys.argv[1], resume=True, checkpoint_seconds=0.0, **{fast!r})
"""


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(fast=FAST), str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def state_step(folder):
    path = folder / "checkpoint" / "state.pt"
    try:
        return torch.load(path, weights_only=True)["step"] if path.is_file() else 0
    except Exception:  # between two writes there is always a whole file; before the first there is none
        return 0


@pytest.mark.parametrize("kills", [(5, 23, 41)])
def test_killed_at_any_step_it_goes_on_to_the_same_weights(unbroken, tmp_path, kills):
    run = tmp_path / "run"
    for step in kills:
        process = start(run)
        deadline = time.monotonic() + 120
        while state_step(run) < step and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait()
        process.stderr.close()
        assert state_step(run) >= step and not (run / "model.safetensors").exists()
    train("orthohash", "digits", out=run, resume=True, **FAST)
    assert same_weights(unbroken, run)
    kept = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    before = [json.loads(line) for line in (unbroken / "metrics.jsonl").read_text().splitlines()]
    timing = ("seconds", "images_per_second")
    assert [{k: v for k, v in line.items() if k not in timing} for line in kept] == [
        {k: v for k, v in line.items() if k not in timing} for line in before
    ]


def test_ctrl_c_leaves_a_usable_run_that_resumes(unbroken, tmp_path):
    run = tmp_path / "run"
    process = start(run)
    deadline = time.monotonic() + 120
    while state_step(run) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) != 0
    assert b"KeyboardInterrupt" in process.stderr.read()
    process.stderr.close()
    assert bitseek.load(run).encode([np.zeros((8, 8), np.uint8)]).bits == 16
    assert "stopped before its end" in (run / "README.md").read_text()
    train("orthohash", "digits", out=run, resume=True, **FAST)
    assert same_weights(unbroken, run) and not (run / "checkpoint").exists()


def test_resuming_a_finished_run_changes_nothing(unbroken):
    before = (unbroken / "model.safetensors").stat().st_mtime_ns
    train("orthohash", "digits", out=unbroken, resume=True, **FAST)
    assert (unbroken / "model.safetensors").stat().st_mtime_ns == before


def test_nothing_is_overwritten(unbroken, tmp_path):
    with pytest.raises(RunError, match="holds a run already"):
        train("orthohash", "digits", out=unbroken, **FAST)
    with pytest.raises(RunError, match=r"is another run: its bits is 16, not 8"):
        train("orthohash", "digits", out=unbroken, resume=True, **{**FAST, "bits": 8})
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunError, match="is not a run"):
        train("orthohash", "digits", out=tmp_path, **FAST)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_damaged_checkpoint_or_model_says_so(tmp_path, digits):
    run = tmp_path / "run"
    train("orthohash", digits, out=run, **FAST)
    whole = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="damaged"):
        bitseek.load(run)
    (run / "model.safetensors").unlink()
    with pytest.raises(RunError, match="was not finished"):
        bitseek.load(run)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"complete": False}))
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "state.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(RunError, match=r"checkpoint .* is damaged"):
        train("orthohash", digits, out=run, resume=True, **FAST)
    (run / "config.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        bitseek.load(run)


def test_best_weights_are_chosen_on_held_out_training_items(digits, tmp_path):
    run = tmp_path / "run"
    hasher = train("orthohash", digits, out=run, validation=0.2, **FAST)
    scores = [json.loads(line)["validation_mAP"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(scores) == 3 and all(0 < score <= 1 for score in scores)
    assert bitseek.load(run).fingerprint == hasher.fingerprint
    kept, held = hold_out(digits.train, 0.2, 0)
    assert len(held) == round(0.2 * len(digits.train))
    assert sorted([*kept, *held]) == sorted(digits.train) and not set(held) & set(digits.query)


def test_validation_epochs():
    assert validation_epochs(3) == {1, 2, 3} and validation_epochs(1) == {1}
    assert validation_epochs(100) == {10, 20, 30, 40, 50, 60, 70, 80, 90, 100} and 95 in validation_epochs(95)


def test_frozen_leaves_the_backbone_alone(digits):
    torch.manual_seed(0)
    hasher = train("orthohash", digits, frozen=True, **FAST)
    torch.manual_seed(0)
    from bitseek.training import pick_backbone

    fresh = pick_backbone(digits.pool, "small-cnn")
    for name, tensor in fresh.state_dict().items():
        assert torch.equal(tensor, hasher.backbone.state_dict()[name])


def test_frozen_equals_training_on_features(digits, tmp_path):
    from bitseek.data import save_features
    from bitseek.encode import encode_features
    from bitseek.training import pick_backbone

    torch.manual_seed(0)
    backbone = pick_backbone(digits.pool, "small-cnn")
    save_features(tmp_path / "f.npz", digits, encode_features(backbone, digits.pool.images).logits)
    frozen = train("orthohash", digits, frozen=True, **FAST)
    on_features = train("orthohash", f"features:{tmp_path / 'f.npz'}", **FAST)
    assert on_features.backbone.name == "features"
    report, other = bitseek.evaluate(frozen, digits), bitseek.evaluate(on_features, f"features:{tmp_path / 'f.npz'}")
    assert report.mAP > 0.2 and other.mAP > 0.2
    with pytest.raises(BitseekError, match="gives features, not images"):
        train("orthohash", f"features:{tmp_path / 'f.npz'}", backbone="resnet18", **FAST)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes of coloured noise, with a damaged and an odd file among them."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for c, colour in enumerate(("red", "green", "blue")):
        (root / colour).mkdir()
        for i in range(14):
            pixels = rng.integers(0, 90, (40, 50, 3), np.uint8)
            pixels[..., c] += 150
            Image.fromarray(pixels).save(root / colour / f"{i:02d}.jpg")
    (root / "red" / "00.jpg").write_bytes((root / "red" / "01.jpg").read_bytes()[:300])
    (root / "blue" / "00.jpg").write_bytes(b"")
    Image.fromarray(rng.integers(0, 255, (30, 30), np.uint8)).save(root / "green" / "grey.png")
    return root


def test_damaged_images_do_not_end_an_epoch(photos, tmp_path):
    data = protocol(f"folder:{photos}", query=2, train=9)
    run = tmp_path / "run"
    recipe = {"epochs": 2, "batch_size": 8, "lr": 1e-3, "precision": "fp32"}
    hasher = train("orthohash", data, bits=8, backbone="small-cnn", size=32, out=run, **recipe)
    report = bitseek.evaluate(hasher, data)
    everything = set(data.train) | set(data.query) | set(data.database)
    assert len(everything) == len(data.pool) == 43
    assert len(report.unreadable) == 2 and all("00.jpg" in text for text in report.unreadable)
    config = json.loads((run / "config.json").read_text())
    in_train = [i for i in data.train if data.pool.key(int(i)) in ("red/00.jpg", "blue/00.jpg")]
    assert len(config["unreadable"]) == len(in_train)
    assert report.retrieval.queries + report.retrieval.database == 41


def test_an_image_in_memory_and_in_a_file_has_one_code(unbroken, digits, tmp_path):
    hasher = bitseek.load(unbroken)
    pixels = digits.pool.images.rows(digits.query[:12])
    files = []
    for i, image in enumerate(pixels):
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(image).save(files[-1])
    assert hasher.encode(files) == hasher.encode(list(pixels)) == hasher.encode([Image.fromarray(p) for p in pixels])
    from bitseek.encode import encode

    assert encode(hasher, digits.pool.images, digits.query[:12]).codes == hasher.encode(files)


def test_codeword_accuracy_counts_any_class_of_an_item():
    words = torch.tensor([[1.0, 1, 1], [-1, -1, -1], [1, -1, 1]])
    logits = torch.tensor([[0.2, 0.1, 3], [-1, -2, -0.1], [0.1, 0.1, 0.1]])
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 1]])
    assert float(codeword_accuracy(logits, words, labels)) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"method": "orthohsah"}, "there is no method 'orthohsah'"),
        ({"bits": 0}, "at least 1 bit"),
        ({"device": "cuda:99"}, "no device 'cuda:99'"),
        ({"backbone": "resnet5000"}, "no backbone 'resnet5000'"),
        ({"margn": 3}, "no hyper-parameter 'margn'"),
        ({"validation": 1.0}, "share of the training items"),
        ({"precision": "fp64"}, "precision is auto"),
        ({"backbone": "small-cnn", "weights": "pretrained"}, "no published weights"),
    ],
)
def test_bad_arguments_are_told(arguments, message):
    given = {"method": "orthohash", "protocol": "digits"} | arguments
    untyped = inspect.unwrap(train)  # with the run-time type checks of the tests, some of these would not get in
    with pytest.raises(BitseekError, match=message):
        untyped(given.pop("method"), given.pop("protocol"), **given)


def test_the_curves_go_to_tensorboard(digits, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train("orthohash", digits, out=tmp_path / "run", tensorboard=True, **FAST)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert {"loss", "codeword_accuracy", "lr"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]


def test_bf16_autocast_trains_and_the_code_is_still_float32(digits):
    hasher = train("orthohash", digits, **{**FAST, "precision": "bf16"})
    assert all(tensor.dtype != torch.bfloat16 for tensor in hasher.state_dict().values())
    assert bitseek.evaluate(hasher, digits).mAP > 0.5
