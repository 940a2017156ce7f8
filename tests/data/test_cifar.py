import hashlib
import pickle
import shutil
import sys
import warnings

import numpy as np
import pytest

from bitseek.data import cifar, mnist, protocol
from bitseek.errors import DataError, MissingExtra


@pytest.fixture
def offline(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing answers there
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")


def linked(source, target):
    """A data folder that shares its files with another, so that one of them can be replaced."""
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).symlink_to(file)
    return target


def test_checksums_are_those_of_torchvision():
    datasets = pytest.importorskip("torchvision.datasets")
    for ours, theirs in ((cifar.CIFAR10_FILES, datasets.CIFAR10), (cifar.CIFAR100_FILES, datasets.CIFAR100)):
        listed = {name: md5 for name, md5 in theirs.train_list + theirs.test_list}
        assert ours == listed | {theirs.meta["filename"]: theirs.meta["md5"]}


def test_cifar10_is_what_pickle_reads(real_data_root):
    pool = protocol("cifar10-2", real_data_root, download=False).pool
    assert pool.images.array.shape == (60_000, 32, 32, 3) and pool.classes[3] == "cat"
    for name, start in (("data_batch_2", 10_000), ("test_batch", 50_000)):
        with (real_data_root / "cifar-10-batches-py" / name).open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy about such old pickles
            batch = pickle.load(file, encoding="latin1")  # the file's MD5 has been checked above
        planes = batch["data"].reshape(10_000, 3, 32, 32)
        for colour in range(3):
            np.testing.assert_array_equal(pool.images.array[start : start + 10_000, ..., colour], planes[:, colour])
        assert pool.labels[start : start + 10_000].tolist() == batch["labels"]


def test_mnist_is_what_torchvision_reads(real_data_root):
    datasets = pytest.importorskip("torchvision.datasets")
    pool = protocol("mnist", real_data_root, download=False).pool
    train, test = (datasets.MNIST(str(real_data_root), train=part) for part in (True, False))
    np.testing.assert_array_equal(pool.images.array, np.concatenate([train.data.numpy(), test.data.numpy()]))
    np.testing.assert_array_equal(pool.labels, np.concatenate([train.targets.numpy(), test.targets.numpy()]))


@pytest.mark.parametrize(
    ("name", "folder", "file"),
    [("cifar10-1", "cifar-10-batches-py", "data_batch_3"), ("mnist", "MNIST/raw", "t10k-labels-idx1-ubyte")],
)
@pytest.mark.parametrize("download", [True, False])
def test_a_truncated_file_is_named_and_not_read(real_data_root, tmp_path, name, folder, file, download):
    damaged = linked(real_data_root / folder, tmp_path / folder) / file
    raw = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=rf"{file} is damaged .* delete it and get it again"):
        protocol(name, tmp_path, download=download)


def test_a_truncated_file_among_absent_ones_is_named_before_anything_is_downloaded(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"half")
    with pytest.raises(DataError, match="test_batch is damaged"):
        protocol("cifar10-1", tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [("cifar10-1", "cifar-10-python.tar.gz"), ("cifar100", "cifar-100-python.tar.gz"), ("mnist", "MNIST/raw")],
)
def test_offline_it_says_what_to_put_where(tmp_path, offline, name, file):
    pytest.importorskip("torchvision")
    with pytest.raises(DataError, match=rf"cannot download into .* Put .*{file}"):
        protocol(name, tmp_path)
    with pytest.raises(DataError, match=rf"there is no file .* Put .*{file}"):
        protocol(name, tmp_path, download=False)
    with pytest.raises(DataError, match=rf"{tmp_path}.* Put .*{tmp_path}"):
        protocol(name, tmp_path, download=False)


@pytest.mark.parametrize("name", ["cifar10-1", "mnist"])
def test_a_download_needs_torchvision_and_reading_does_not(tmp_path, real_data_root, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(MissingExtra, match=r"torchvision.*bitseek\[train\]"):
        protocol(name, tmp_path)
    if name == "mnist":
        assert len(protocol(name, real_data_root).query) == 10_000


def test_digits_need_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"scikit-learn.*bitseek\[train\]"):
        protocol("digits")


def test_cifar100_layout(tmp_path, monkeypatch):
    """CIFAR-100 is not among the shared data: files of its layout, with the MD5 that they happen to have."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    contents = {
        name: {"data": np.zeros((n, 3072), np.uint8), "fine_labels": (np.arange(n) % 100).tolist()}
        for name, n in (("train", 50_000), ("test", 10_000))
    }
    contents["meta"] = {"fine_label_names": [f"class {i}" for i in range(100)]}
    contents["test"]["data"][7] = np.random.default_rng(0).integers(0, 255, 3072)
    md5 = {}
    for name, content in contents.items():
        raw = pickle.dumps(content, 4)
        (folder / name).write_bytes(raw)
        md5[name] = hashlib.md5(raw).hexdigest()
    with pytest.raises(DataError, match="train is damaged or another file"):
        protocol("cifar100", tmp_path)
    monkeypatch.setattr(cifar, "CIFAR100_FILES", md5)
    split = protocol("cifar100", tmp_path)
    assert len(split.pool.classes) == 100 and split.pool.images.array.shape == (60_000, 32, 32, 3)
    planes = contents["test"]["data"][7].reshape(3, 32, 32)
    np.testing.assert_array_equal(split.pool.images.array[50_007], planes.transpose(1, 2, 0))
    assert np.bincount(split.pool.labels[split.query]).tolist() == [100] * 100
    shutil.rmtree(folder)


def test_idx_file_by_hand(tmp_path):
    path = tmp_path / "idx"
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(mnist._read_idx(path), [[1, 2, 3], [4, 5, 6]])
