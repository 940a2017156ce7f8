"""Few squares are run by threads together, many in parts by each alone, with the same outputs."""

import shutil
import threading

import numpy as np
import pytest

from bitseek.errors import BitseekError
from bitseek.portable import OnnxHasher
from bitseek.portable._network import Network
from bitseek.portable._onnx_file import FEATURES, LOGITS, SQUARES, read_onnx


class Told:
    """A session that remembers how many squares it was given, and by which thread."""

    def __init__(self, session):
        self.session, self.runs = session, []

    def run(self, outputs, given):
        self.runs.append((len(given[SQUARES]), threading.get_ident()))
        return self.session.run(outputs, given)


@pytest.fixture
def network(exported):
    """Run by three threads; its two sessions remember."""
    made = Network(exported, read_onnx(exported), 3)
    made.session, made._alone = Told(made.session), Told(made._session_alone())
    return made


@pytest.mark.parametrize(
    "size, together, alone",
    [(1, [1], []), (5, [5], []), (6, [], [2, 2, 2]), (7, [], [1, 3, 3]), (48, [], [16] * 3), (70, [], [6] + [16] * 4)],
)
def test_the_outputs_are_those_of_the_whole(network, size, together, alone):
    side = 8
    squares = np.random.default_rng(size).integers(0, 256, (size, side, side, 3), np.uint8)
    expected = network.session.session.run([FEATURES, LOGITS], {SQUARES: squares})
    for found, whole in zip(network.run([FEATURES, LOGITS], squares), expected, strict=True):
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-5 * np.abs(whole).max())
    assert [n for n, _ in network.session.runs] == together and sorted(n for n, _ in network._alone.runs) == alone


def test_one_thread_takes_parts_by_itself(exported):
    network = Network(exported, read_onnx(exported), 1)
    network.session = network._alone = Told(network.session)
    logits = network.run([LOGITS], np.zeros((40, 8, 8, 3), np.uint8))[0]
    assert network._alone.runs == [(n, threading.get_ident()) for n in (16, 16, 8)] and len(logits) == 40


def test_it_goes_on_without_its_file_and_does_not_take_another(exported, int8, tmp_path):
    squares = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8)
    expected = OnnxHasher(exported).logits_of(squares)
    for replaced in (False, True):
        file = shutil.copy(exported, tmp_path / "model.onnx")
        hasher = OnnxHasher(file, threads=2)
        file.unlink()
        if replaced:
            shutil.copy(int8, file)
        np.testing.assert_allclose(hasher.logits_of(squares), expected, rtol=0, atol=1e-5)
        with pytest.raises(BitseekError):
            hasher.save(tmp_path / "saved")
