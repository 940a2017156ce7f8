import sys

import numpy as np
import pytest

from bitseek.data import digits, load_protocol
from bitseek.errors import MissingExtra


def test_images_are_those_of_scikit_learn_on_256_levels():
    images = pytest.importorskip("sklearn.datasets").load_digits().images
    pool = load_protocol("digits").pool
    np.testing.assert_array_equal(pool.images.array, np.round(images * 255 / 16))
    assert not pool.mirror and pool.name == "digits"


def test_digits_need_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"scikit-learn.*bitseek\[train\]"):
        load_protocol("digits")


def test_mnist_is_what_torchvision_reads(real_data_root):
    datasets = pytest.importorskip("torchvision.datasets")
    pool = load_protocol("mnist", real_data_root, download=False).pool
    train, test = (datasets.MNIST(str(real_data_root), train=part) for part in (True, False))
    np.testing.assert_array_equal(pool.images.array, np.concatenate([train.data.numpy(), test.data.numpy()]))
    np.testing.assert_array_equal(pool.labels.numbers, np.concatenate([train.targets.numpy(), test.targets.numpy()]))


def test_idx_file_by_hand(tmp_path):
    path = tmp_path / "idx"
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(digits._read_idx(path), [[1, 2, 3], [4, 5, 6]])
