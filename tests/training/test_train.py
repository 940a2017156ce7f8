"""Training from its arguments to the run folder: valid or nothing is written; from a seed to bits, killed or not."""

import inspect
import json
import signal
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
import warm
from PIL import Image
from safetensors.torch import save_file
from tests.training.helpers import FAST, NO_BACKBONE, Killed, history, kill_at, same_state, same_weights, weights

import bitseek
from bitseek.data import Pool, load_protocol, save_features
from bitseek.errors import BitseekError, RunError
from bitseek.images import Features
from bitseek.methods import METHODS
from bitseek.models import BackboneConfig, build_backbone
from bitseek.runs import RunConfig, encode, encode_features
from bitseek.training import _train, pick_backbone, train


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    train("orthohash", "digits", out=folder, **{**FAST, "epochs": 3})
    return folder


# --- the run folder


def test_a_run_folder_has_all_that_it_promises(unbroken, digits):
    assert sorted(path.name for path in unbroken.iterdir()) == [
        "README.md", "config.json", "metrics.jsonl", "model.safetensors"
    ]  # fmt: skip
    config = RunConfig.read(unbroken)
    assert config.complete and config.checksum == digits.checksum and config.recipe["epochs"] == 3
    assert config.origin.load().checksum == digits.checksum and config.items == len(digits.train)
    lines = history(unbroken)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert {"loss", "cosine", "codeword_accuracy", "step", "lr", "skipped"} <= set(lines[0])
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[1]["lr"] == 1e-3 and lines[2]["lr"] == pytest.approx(1e-4)
    assert "8-bit codes by orthohash on digits" in (unbroken / "README.md").read_text()


def test_loaded_is_what_was_trained(unbroken, digits):
    hasher = bitseek.load(unbroken)
    images = list(digits.pool.images.rows(digits.query[:20]))
    assert hasher.fingerprint == RunConfig.read(unbroken).fingerprint and hasher.codewords.shape == (10, 8)
    assert hasher.encode(images) == bitseek.load(unbroken).encode(images)


def test_a_hasher_knows_its_training_items_and_its_run(unbroken, digits, toy):
    expected = digits.pool.item_hashes(digits.train)
    assert np.array_equal(bitseek.load(unbroken).train_items, expected)
    hasher = train("orthohash", toy, validation=0.25, **FAST)
    assert np.array_equal(hasher.train_items, toy.pool.item_hashes(toy.train)), "those held out were seen too"
    assert hasher.config.complete and hasher.config.fingerprint == hasher.fingerprint and not hasher.training
    assert hasher.config.items == 180 and hasher.config.validation == 0.25


def test_same_seed_same_weights(unbroken, tmp_path):
    options = {**FAST, "epochs": 3}
    torch.manual_seed(77)
    train("orthohash", "digits", out=tmp_path / "again", **options)
    assert same_weights(unbroken, tmp_path / "again")
    train("orthohash", "digits", out=tmp_path / "other", seed=1, **options)
    assert not same_weights(unbroken, tmp_path / "other")


def test_the_seed_is_that_of_the_split_and_the_run_remembers_it():
    hasher = train("orthohash", "digits", seed=1, **FAST)
    split = load_protocol("digits", seed=1)
    assert hasher.config.checksum == split.checksum != load_protocol("digits").checksum
    assert hasher.config.origin.seed == hasher.config.seed == 1
    assert hasher.config.origin.load().checksum == split.checksum
    assert np.array_equal(hasher.train_items, split.pool.item_hashes(split.train))


@pytest.mark.parametrize("method, frozen", [("orthohash", False), ("csq", True), ("lsh", False)])
@pytest.mark.parametrize("fails", [False, True])
def test_the_global_random_states_are_left_as_they_are(toy, method, frozen, fails, monkeypatch):
    options = FAST if method != "lsh" else {"bits": 8, "size": 8}
    if fails:
        options = {**options, "progress": kill_at(3)}
        monkeypatch.setattr(_train, "_keep", lambda *_, **__: kill_at(0)({"step": 1}))
    states = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    try:
        train(method, toy, frozen=frozen, **options)
        assert not fails
    except Killed:
        assert fails
    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_equal(np.random.get_state(), states[1])  # noqa: NPY002


# --- valid, or nothing is written


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"method": "orthohsah"}, "there is no method 'orthohsah'"),
        ({"protocol": "digitz"}, "there is no protocol 'digitz'"),
        ({"bits": 0}, "bits is a whole number of 1 or more"),
        ({"device": "cuda:99"}, "no device 'cuda:99'"),
        ({"backbone": "resnet5000"}, "no backbone 'resnet5000'"),
        ({"margn": 3}, "'margn'"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": -3}, "epochs"),
        ({"batch_size": 1}, "batch_size"),
        ({"drop_at": 5}, "drop_at"),
        ({"lr": -1}, "lr"),
        ({"seed": -1}, "seed"),
        ({"validation": 1.0}, "share of the training items"),
        ({"precision": "fp64"}, "precision is auto"),
        ({"backbone": "small-cnn", "weights": "pretrained"}, "no published weights"),
        ({"weights": "absent.safetensors"}, "no weights file"),
        ({"backbone_options": {"pad": 3}}, "no option 'pad'"),
        ({"bits": 3000, "method": "pcah"}, "as many bits as there are features"),
        ({"protocol_options": {"query": 7}}, "query"),
        ({"method": "csq", "codebook": "hadamardd"}, "codebook"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(arguments, message, tmp_path):
    given = {"method": "orthohash", "protocol": "digits", "out": tmp_path / "run", "size": 8} | arguments
    untyped = inspect.unwrap(train)  # with the run-time type checks of the tests, some of these would not get in
    with pytest.raises(BitseekError, match=message):
        untyped(given.pop("method"), given.pop("protocol"), **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", METHODS)
def test_no_hyper_parameter_has_the_name_of_another_argument(name):
    """It could never be set: `train` would take it for its own."""
    assert not set(inspect.signature(train).parameters) & set(METHODS[name].recipe_class.model_fields)


def test_data_on_which_a_method_cannot_be_trained_are_refused(toy, tmp_path):
    without = replace(toy, pool=Pool(toy.pool.images, np.full(len(toy.pool), -1), ()))
    with pytest.raises(BitseekError, match="labels of at least 2 classes"):
        train("ce", without, out=tmp_path / "run", **FAST)
    none = replace(toy, train=toy.train[:0])
    with pytest.raises(BitseekError, match="only measures"):
        train("orthohash", none, out=tmp_path / "run", **FAST)
    with pytest.raises(BitseekError, match="1 items to train on"):
        train("orthohash", replace(toy, train=toy.train[:1]), out=tmp_path / "run", **FAST)
    assert not (tmp_path / "run").exists()


def test_a_diverged_training_leaves_the_folder_to_another_recipe(toy, tmp_path):
    run = tmp_path / "run"
    options = {**FAST, "optimiser": "sgd"}
    with pytest.raises(RunError, match=r"the loss is (nan|inf) in epoch \d: .*smaller lr"):
        train("dsh", toy, out=run, **{**options, "lr": 1e30}, checkpoint_seconds=0.0)
    with pytest.raises(RunError, match="the loss is"):
        train("dsh", toy, out=run, resume=True, **{**options, "lr": 1e30})
    train("dsh", toy, out=run, **{**options, "lr": 1e-4})
    train("dsh", toy, out=tmp_path / "fresh", **{**options, "lr": 1e-4})
    assert same_weights(run, tmp_path / "fresh") and history(run) == history(tmp_path / "fresh")


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_stops_before_the_first_checkpoint_does_not_block_the_folder(toy, tmp_path, monkeypatch, error, resume):
    def stop(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(_train, "encode_features", stop)
        with pytest.raises(error):
            train("orthohash", toy, out=tmp_path / "run", frozen=True, **FAST)
    with pytest.raises(Killed):
        train("orthohash", toy, out=tmp_path / "run", progress=kill_at(1), **FAST)
    hasher = train("orthohash", toy, out=tmp_path / "run", resume=resume, **{**FAST, "bits": 6})
    assert bitseek.load(tmp_path / "run").fingerprint == hasher.fingerprint and hasher.bits == 6


def test_nothing_is_overwritten(unbroken, tmp_path):
    options = {**FAST, "epochs": 3}
    before = {path.name: path.stat().st_mtime_ns for path in unbroken.iterdir()}
    with pytest.raises(RunError, match="holds a run already"):
        train("orthohash", "digits", out=unbroken, **options)
    with pytest.raises(RunError, match=r"is another run: its bits is 8, not 16"):
        train("orthohash", "digits", out=unbroken, resume=True, **{**options, "bits": 16})
    assert train("orthohash", "digits", out=unbroken, resume=True, **options).fingerprint
    assert {path.name: path.stat().st_mtime_ns for path in unbroken.iterdir()} == before
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunError, match="is not a run"):
        train("orthohash", "digits", out=tmp_path, **options)
    assert (tmp_path / "mine.txt").read_text() == "precious"


# --- killed, and stopped

SCRIPT = """
import os, sys
from bitseek.training import _loop, train

_loop.SECONDS_BETWEEN_CALLS = 0.0

def stop(so_far):
    if so_far["step"] > int(sys.argv[2]):  # so that the checkpoint of this one is there
        os.kill(os.getpid(), int(sys.argv[3]))

train("orthohash", "digits", out=sys.argv[1], resume=True, checkpoint_seconds=0.0, progress=stop, **{options!r})
"""


def stopped_by(kind, folder, step):
    """A process that trains and sends itself a signal after a step."""
    script = SCRIPT.format(options={**FAST, "epochs": 3})
    command = [warm.python(), "-c", script, str(folder), str(step), str(int(kind))]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)


def step_of(folder):
    try:
        return torch.load(folder / "checkpoint" / "state.pt", weights_only=True).get("step", 0)
    except OSError:  # there is none yet; a file that is there is always whole
        return 0


def test_killed_at_any_step_it_goes_on_to_the_same_bits(unbroken, tmp_path):
    run = tmp_path / "run"
    for step in (7, 33):  # of 3 × 20
        ended = stopped_by(signal.SIGKILL, run, step)
        assert ended.returncode and step_of(run) == step, ended.stderr.decode()
        assert not (run / "model.safetensors").exists()
    train("orthohash", "digits", out=run, resume=True, **{**FAST, "epochs": 3})
    assert same_weights(unbroken, run) and history(run) == history(unbroken)


def test_ctrl_c_leaves_a_usable_run_that_resumes(unbroken, tmp_path):
    run = tmp_path / "run"
    ended = stopped_by(signal.SIGINT, run, 3)
    assert ended.returncode and b"KeyboardInterrupt" in ended.stderr
    stopped = bitseek.load(run)
    assert stopped.encode([np.zeros((8, 8), np.uint8)]).bits == 8 and stopped.codewords is not None
    assert not stopped.config.complete and "stopped before its end" in (run / "README.md").read_text()
    train("orthohash", "digits", out=run, resume=True, **{**FAST, "epochs": 3})
    assert same_weights(unbroken, run) and not (run / "checkpoint").exists()


# --- backbones, frozen and of features


@pytest.fixture(scope="module")
def made(toy, tmp_path_factory):
    """Weights of a backbone in a file, and the features that it gives, which name that file."""
    folder = tmp_path_factory.mktemp("made")
    save_file(build_backbone("small-cnn", seed=9).network.state_dict(), folder / "w.safetensors")
    backbone = build_backbone("small-cnn", weights=folder / "w.safetensors", size=8, crop=1.0)
    found = encode_features(backbone, toy.pool.images)
    save_features(folder / "f.npz", toy, found.features, backbone.config.model_dump(mode="json"))
    save_features(folder / "nameless.npz", toy, found.features)
    return folder


def test_frozen_equals_training_on_features_and_both_are_whole_hashers(toy, made, tmp_path):
    frozen = train("orthohash", toy, weights=made / "w.safetensors", frozen=True, **FAST)
    on_features = train("orthohash", f"features:{made / 'f.npz'}", out=tmp_path / "run", **NO_BACKBONE)
    assert same_state(frozen, on_features) and frozen.fingerprint == on_features.fingerprint
    assert frozen.config.backbone == on_features.config.backbone and on_features.config.frozen
    images = toy.pool.images.rows(toy.query)
    assert bitseek.load(tmp_path / "run").encode(images) == frozen.encode(images)
    fresh = build_backbone("small-cnn", weights=made / "w.safetensors", size=8, crop=1.0)
    assert same_state(fresh, frozen.backbone), "frozen leaves the backbone alone"


def test_without_the_weights_of_its_backbone_a_head_is_trained_alone(toy, made, tmp_path):
    whole = train("orthohash", f"features:{made / 'f.npz'}", **NO_BACKBONE)
    moved = (made / "w.safetensors").rename(tmp_path / "moved.safetensors")
    try:
        alone = train("orthohash", f"features:{made / 'f.npz'}", out=tmp_path / "run", **NO_BACKBONE)
        assert alone.backbone is None and RunConfig.read(tmp_path / "run").backbone is None
        assert same_state(alone.head, whole.head)
        found = train("orthohash", f"features:{made / 'f.npz'}", weights=moved, **NO_BACKBONE)
        assert found.config.backbone.weights == str(moved) and found.fingerprint == whole.fingerprint
    finally:
        moved.rename(made / "w.safetensors")
    chosen = train("orthohash", f"features:{made / 'f.npz'}", weights=None, **NO_BACKBONE)
    nameless = train("orthohash", f"features:{made / 'nameless.npz'}", **NO_BACKBONE)
    assert chosen.backbone is None and nameless.backbone is None and same_state(nameless, chosen)


def test_features_take_no_other_backbone(toy, made, tmp_path):
    def refused(match, file="f.npz", **options):
        with pytest.raises(BitseekError, match=match):
            train("orthohash", f"features:{made / file}", out=tmp_path / "run", **{**NO_BACKBONE, **options})
        assert not (tmp_path / "run").exists()

    refused("gives features, not images", "nameless.npz", backbone="resnet18")
    refused("made by small-cnn, which cannot be changed", backbone="resnet18")
    refused("leave out 'size'", size=16)
    refused("leave out 'crop'", backbone_options={"crop": 0.5})
    other = tmp_path / "other.safetensors"
    save_file(build_backbone("small-cnn", seed=8).network.state_dict(), other)
    refused("digest", weights=other)
    original = (made / "w.safetensors").read_bytes()
    try:
        (made / "w.safetensors").write_bytes(other.read_bytes())
        refused("digest")
    finally:
        (made / "w.safetensors").write_bytes(original)
    wrong = load_protocol(f"features:{made / 'f.npz'}")
    save_features(made / "short.npz", toy, wrong.pool.images.array[:, :9].copy(), wrong.pool.images.backbone)
    refused("length 256, these have 9", "short.npz")


def test_published_weights_that_cannot_be_downloaded_are_absent(toy, made, monkeypatch):
    described = build_backbone("small-cnn", size=8).config.model_dump(mode="json") | {"weights": "pretrained"}
    images = Features((np.zeros((2, 256), np.float32),), described)

    def offline(config, weights=None):
        try:
            raise OSError("no network")
        except OSError as error:
            raise RunError("the weights cannot be downloaded") from error

    pool = type("Pool", (), {"images": images})
    unchecked = inspect.unwrap(pick_backbone)
    monkeypatch.setattr(_train, "rebuild_backbone", offline)
    assert unchecked(pool) is None
    monkeypatch.setattr(_train, "rebuild_backbone", lambda *_: (_ for _ in ()).throw(RunError("another digest")))
    with pytest.raises(RunError, match="another digest"):
        unchecked(pool)
    assert BackboneConfig(**described).weights == "pretrained"


def test_the_backbone_of_small_images_sees_them_whole(digits):
    chosen = pick_backbone(digits.pool)
    assert chosen.config.name == "small-cnn" and chosen.preprocess.size == 28 and chosen.preprocess.crop == 1.0
    assert pick_backbone(digits.pool, size=12).preprocess.size == 12
    timm = pick_backbone(digits.pool, "mobilenetv2_050", "none", 32)
    assert timm.preprocess.size == 32 and timm.preprocess.crop == 1.0 and timm.config.weights is None


# --- images and options


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


@pytest.mark.parametrize("frozen", [False, True])
def test_damaged_images_do_not_end_an_epoch_and_are_recorded(photos, tmp_path, frozen):
    data = load_protocol(f"folder:{photos}", query=2, train=11)
    run = tmp_path / "run"
    options = {**FAST, "batch_size": 8, "size": 32, "frozen": frozen}
    hasher = train("orthohash", data, out=run, **options)
    damaged = [i for i in data.train if data.pool.key(int(i)) in ("red/00.jpg", "blue/00.jpg")]
    assert len(RunConfig.read(run).unreadable) == len(damaged) == history(run)[-1]["skipped"] > 0
    assert all("00.jpg" in message for message in hasher.config.unreadable)
    assert len(encode(hasher, data.pool.images).ids) == 41
    with pytest.raises(Killed):
        train("orthohash", data, out=tmp_path / "killed", checkpoint_seconds=0.0, progress=kill_at(5), **options)
    train("orthohash", data, out=tmp_path / "killed", resume=True, **options)
    assert RunConfig.read(tmp_path / "killed").unreadable == hasher.config.unreadable
    assert same_weights(run, tmp_path / "killed")


def test_the_curves_go_to_tensorboard(toy, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train("orthohash", toy, out=tmp_path / "run", tensorboard=True, **FAST)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert {"loss", "codeword_accuracy", "lr"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [1, 2]


def test_bf16_autocast_trains_and_the_weights_are_still_float32(toy):
    hasher = train("orthohash", toy, **{**FAST, "precision": "bf16"})
    assert hasher.config.bf16 and all(tensor.dtype != torch.bfloat16 for tensor in hasher.state_dict().values())
    assert not train("orthohash", toy, frozen=True, **{**FAST, "precision": "bf16"}).config.bf16, "nothing runs in it"


def test_the_backbone_is_compiled_if_that_is_wanted(toy, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda network: compiled.append(network) or network)
    hasher = train("orthohash", toy, compiled=True, **FAST)
    assert compiled == [hasher.backbone]


def test_the_configuration_says_all_that_the_method_was_built_from(unbroken):
    config = RunConfig.read(unbroken)
    stored = json.loads((unbroken / "config.json").read_text())
    assert stored["recipe"] == config.recipe and config.full_recipe.batch_size == FAST["batch_size"]
    assert config.task.classes == 10 and config.task.features == 256 and config.task.items == 1200
    assert any(name.startswith("hasher.head") for name in weights(unbroken))
