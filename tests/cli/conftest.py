"""Commands as a user meets them, and runs and images that several tests need."""

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import warm
from PIL import Image

from bitseek.cli import main
from bitseek.runs import load


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


class Commands:
    """Runs commands in this process."""

    def __init__(self, capsys):
        self.capsys = capsys

    def run(self, *arguments) -> Outcome:
        self.capsys.readouterr()
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code or 0
        return Outcome(status, *self.capsys.readouterr())

    def answer(self, *arguments):
        """What a command prints with --json."""
        status, out, err = self.run(*arguments, "--json")
        assert status == 0, err
        return json.loads(out, parse_constant=pytest.fail)

    def text(self, *arguments) -> str:
        """What a command prints for people."""
        status, out, err = self.run(*arguments)
        assert status == 0, err
        return out

    def refusal(self, *arguments) -> str:
        """The one sentence that a command says about bad input."""
        status, out, err = self.run(*arguments)
        assert status in (1, 2) and out == "" and "Traceback" not in err
        last = err.strip().splitlines()[-1]
        assert last.startswith("bitseek: ")
        return last.removeprefix("bitseek: ")


@pytest.fixture
def bitseek(capsys):
    return Commands(capsys)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A short run on digits."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    main([
        "train", "orthohash", "digits", "--bits", "24", "--epochs", "2", "--lr", "1e-3", "--batch-size", "64",
        "--size", "8", "--out", str(folder), "--set", "margin=0.3", "codebook=spread", "--precision", "fp32", "--json",
    ])  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    """The run as an ONNX file, made by a process of its own."""
    file = tmp_path_factory.mktemp("exported") / "model.onnx"
    code = f"from bitseek.cli import main\nmain(['export', {str(trained)!r}, {str(file)!r}, '--json'])"
    done = subprocess.run([warm.python(), "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["bits"] == 24 and value["bytes"] == file.stat().st_size
    assert value["fingerprint"] == load(trained).fingerprint + "+onnx"
    return file


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """30 images of digits, in a folder for each class."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("digits")
    found = load_digits()
    for i, (image, label) in enumerate(zip(found.images[:30], found.target[:30], strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray((image * 15.9).astype(np.uint8)).save(folder / str(label) / f"{i:02d}.png")
    return folder


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> Path:
    """36 small pictures of three colours, in a folder for each, seen from the folder above: `pictures`."""
    rng = np.random.default_rng(0)
    for colour, name in enumerate(("red", "green", "blue")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 120, (20, 24, 3), np.uint8)
            pixels[..., colour] += 120
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    return Path("pictures")
