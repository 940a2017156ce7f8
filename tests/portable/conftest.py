"""A hasher that was trained on digits for a few seconds, and what it is exported to."""

import dataclasses

import numpy as np
import pytest

from bitseek.data import load_protocol
from bitseek.portable import OnnxHasher, export_onnx, quantise
from bitseek.runs import Hasher
from bitseek.training import train


@pytest.fixture(scope="session")
def digits():
    return load_protocol("digits")


@pytest.fixture(scope="session")
def run(digits, tmp_path_factory):
    """A run folder."""
    out = tmp_path_factory.mktemp("portable") / "run"
    train(
        "orthohash", dataclasses.replace(digits, train=digits.train[::2]), bits=16, backbone="small-cnn", size=8,
        epochs=6, batch_size=60, lr=1e-3, precision="fp32", device="cpu", out=out,
    )  # fmt: skip
    return out


@pytest.fixture(scope="session")
def hasher(run):
    return Hasher.load(run)


@pytest.fixture(scope="session")
def pixels(digits):
    """(1797, 8, 8) uint8."""
    return digits.pool.images.array


@pytest.fixture(scope="session")
def exported(hasher, tmp_path_factory):
    """An ONNX file of it."""
    return export_onnx(hasher, tmp_path_factory.mktemp("exported") / "model.onnx")


@pytest.fixture(scope="session")
def int8(exported, pixels, digits, tmp_path_factory):
    """An 8-bit ONNX file of it."""
    return quantise(exported, pixels[digits.train], tmp_path_factory.mktemp("quantised") / "model.onnx")


@pytest.fixture(scope="session")
def onnx_hasher(exported):
    return OnnxHasher(exported)


@pytest.fixture
def squares(hasher):
    """(9, s, s, 3) uint8 of noise."""
    side = hasher.preprocess.size
    return np.random.default_rng(0).integers(0, 256, (9, side, side, 3), np.uint8)
