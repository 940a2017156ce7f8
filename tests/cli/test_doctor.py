"""doctor: what it says is so, and it says so where nothing but the base install is."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import numba
import numpy as np
import torch

from bitseek.errors import EXTRAS


def test_what_it_says_is_so(bitseek, tmp_path, monkeypatch):
    (tmp_path / "data" / "cifar").mkdir(parents=True)
    monkeypatch.setenv("BITSEEK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BITSEEK_THREADS", "3")
    value = bitseek.answer("doctor")
    assert value["packages"]["numpy"] == np.__version__ and value["packages"]["PIL"] == version("pillow")
    assert value["system"]["threads of a search"] == 3 and value["system"]["processors"] == os.cpu_count()
    assert value["data"] == {
        "root": str(tmp_path / "data"),
        "from": "BITSEEK_DATA",
        "folders": ["cifar"],
        "text": f"{tmp_path / 'data'}: cifar",
    }
    assert set(value["extras"]) == set(EXTRAS) and value["extras"]["train"]["packages"]["torch"] == version("torch")
    assert all(each["complete"] == (None not in each["packages"].values()) for each in value["extras"].values())
    assert value["kernels"]["compiled"] == (not numba.config.DISABLE_JIT)
    assert (value["gpu"]["device"] == "cuda") == torch.cuda.is_available()
    text = bitseek.text("doctor")
    assert all(f"extra {name}" in text for name in EXTRAS) and "GPU" in text and version("scipy") in text


def test_what_is_missing_and_how_to_get_it():
    code = f"""
import sys
from importlib import util
right = util.find_spec
util.find_spec = lambda name, *rest: None if name in {EXTRAS["train"] + EXTRAS["onnx"]!r} else right(name, *rest)
from bitseek.cli import main
main(["doctor", "--json"])
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    extras = json.loads(done.stdout)["extras"]
    assert extras["train"]["install"] == "pip install 'bitseek[train]'" and not extras["train"]["complete"]
    assert extras["onnx"]["packages"] == {"onnxruntime": None} and extras["serve"]["install"] is None
