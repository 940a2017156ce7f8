"""What several tests of training need."""

import json
from pathlib import Path

from safetensors.torch import load_file

FAST = {
    "bits": 8, "backbone": "small-cnn", "size": 8, "epochs": 2, "batch_size": 60, "lr": 1e-3, "precision": "fp32",
    "device": "cpu",
}  # fmt: skip
NO_BACKBONE = {name: value for name, value in FAST.items() if name not in ("backbone", "size")}


def weights(run):
    return load_file(Path(run) / "model.safetensors")


def same_weights(a, b):
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def history(run, without=("seconds", "images_per_second")):
    lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in without} for line in lines]


class Killed(Exception):
    """As if the process had ended here."""


def kill_at(step):
    def progress(state):
        if state["step"] >= step:
            raise Killed

    return progress
