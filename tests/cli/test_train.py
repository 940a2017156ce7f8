"""train and features."""

import json
import os
import subprocess

import numpy as np
import warm


def test_train_keeps_what_it_was_told(bitseek, pictures, tmp_path):
    arguments = (
        "train", "ce", f"folder:{pictures}", "--backbone", "small-cnn", "--size", "20", "--epochs", "1", "--bits", "8",
        "--batch-size", "8", "--lr", "1e-2", "--augment", "none", "--seed", "3", "--protocol-set", "query=0.25", "k=5",
        "--set", "weight_decay=0.1", "--backbone-set", "crop=0.9", "mean=[0.1, 0.2, 0.3]", "--device", "cpu",
    )  # fmt: skip
    value = bitseek.answer(*arguments)
    run = tmp_path / "runs" / "folder-pictures-ce-8-s3"
    assert value["run"] == str(run.relative_to(tmp_path)) and (value["k"], value["bits"]) == (5, 8)
    config = json.loads((run / "config.json").read_text())
    recipe, preprocess = config["recipe"], config["backbone"]["preprocess"]
    assert (recipe["epochs"], recipe["batch_size"], recipe["lr"]) == (1, 8, 0.01)
    assert (recipe["augment"], recipe["weight_decay"], config["seed"]) == ("none", 0.1, 3)
    assert (preprocess["size"], preprocess["crop"], preprocess["mean"]) == (20, 0.9, [0.1, 0.2, 0.3])
    assert config["origin"]["options"] == {"query": 0.25, "k": 5} and config["complete"]
    assert "holds a run already" in bitseek.refusal(*arguments)
    assert bitseek.text(*arguments, "--resume", "--no-evaluate") == f"{run.relative_to(tmp_path)}\n"


def test_progress_without_a_terminal(bitseek, pictures):
    arguments = ("train", "dsh", f"folder:{pictures}", "--backbone", "small-cnn", "--epochs", "10", "--bits", "8")
    status, _, err = bitseek.run(*arguments, "--out", "run")
    lines = err.splitlines()
    parts = "33 to train on, 3 queries, 33 in the database"
    assert lines[0] == f"folder:{pictures.resolve()}: {parts}; 3 classes: blue 12, green 12, red 12"
    assert status == 0 and sum("images/s" in line and line.startswith("epoch ") for line in lines) == 10
    assert any(line.startswith("encoding  36/36") for line in lines)


def test_features_say_what_is_wrong(bitseek, pictures, tmp_path):
    (pictures / "red" / "bad.png").write_bytes(b"no image")
    arguments = ("features", f"folder:{pictures}", "--backbone", "small-cnn", "--out", "f.npz")
    message = bitseek.refusal(*arguments)
    assert "1 images cannot be read" in message and "bad.png" in message and not (tmp_path / "f.npz").exists()
    (pictures / "red" / "bad.png").unlink()
    assert "36 × 256 features; next: bitseek train METHOD features:f.npz" in bitseek.text(*arguments)
    with np.load("f.npz") as file:
        assert file["features"].shape == (36, 256)
    again = ("features", "features:f.npz", "--backbone", "small-cnn", "--weights", "none", "--out", "g.npz")
    assert "features already" in bitseek.refusal(*again)
    assert "resnet999" in bitseek.refusal("features", "digits", "--backbone", "resnet999", "--out", "g.npz")


def test_offline_the_sentence_about_weights_is_whole(tmp_path):
    """Bug 24: it came after a minute of attempts, and was cut."""
    code = f"{warm.ANEW}from bitseek.cli import main\nmain(['train', 'orthohash', 'digits', '--backbone', 'resnet50'])"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [warm.python(), "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1 and done.stdout == ""
    found, sentence = done.stderr.splitlines()
    assert found.startswith("digits: 1200 to train on")
    assert "the weights of resnet50 cannot be downloaded" in sentence
    assert sentence.endswith(
        "give --weights FILE (safetensors or a state dict), or start from scratch with --weights none"
    )
    assert not (tmp_path / "runs").exists()


def test_without_a_method_the_best_one_is_searched(bitseek, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bitseek.training._search.STEPS", 30)
    how = ("--bits", "8", "--backbone", "small-cnn", "--size", "8", "--frozen", "--trials", "3", "--device", "cpu")
    status, out, err = bitseek.run("train", "digits", *how, "--json")
    value = json.loads(out)
    run = tmp_path / "runs" / "digits-auto-8-s0"
    assert status == 0 and value["run"] == str(run.relative_to(tmp_path)) and 0 < value["mAP"] <= 1
    lines = err.splitlines()
    assert sum(line.startswith(("short: ", "methods: ", "recipes: ", "again: ")) for line in lines) == 3
    assert any(line.startswith(value["method"]) and line.endswith("is chosen, of 3 trials") for line in lines)
    tried = json.loads((run / "auto.json").read_text())
    assert tried["chosen"]["method"] == value["method"] == json.loads((run / "config.json").read_text())["method"]
    assert "--resume" in bitseek.refusal("train", "auto", "digits", *how)
    assert bitseek.answer("train", "auto", "digits", *how, "--resume")["fingerprint"] == value["fingerprint"]
    page = bitseek.answer("report", run, "--sample", "50")["page"]
    text = (tmp_path / page).read_text()
    assert "What auto tried before this training: 3 heads" in text and f"{value['method']}, chosen" in text


def test_a_search_says_what_is_wrong(bitseek, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "dpn is a method; say on what it is trained" in bitseek.refusal("train", "dpn")
    assert "--minutes, --trials and --jobs are for a search" in bitseek.refusal(
        "train", "dpn", "digits", "--minutes", "3"
    )
    assert "jobs is a whole number" in bitseek.refusal("train", "digits", "--backbone", "small-cnn", "--jobs", "0")
    assert "there is no protocol 'digitz'" in bitseek.refusal("train", "digitz")
    assert "leave out epochs, margin" in bitseek.refusal(
        "train", "digits", "--frozen", "--epochs", "3", "--size", "8", "--set", "margin=2"
    )
    assert list(tmp_path.iterdir()) == []


def test_no_method_has_the_name_of_a_protocol():
    """`bitseek train NAME` is a search on the protocol of that name."""
    from bitseek.data import OWN_PROTOCOLS, PROTOCOLS
    from bitseek.methods import METHODS

    assert not {"auto", *METHODS} & {*PROTOCOLS, *OWN_PROTOCOLS}
