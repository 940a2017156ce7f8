import hashlib
import pickle
import shutil
import warnings

import numpy as np
import pytest

from bitseek.data import cifar, load_protocol
from bitseek.errors import DataError


def test_checksums_are_those_of_torchvision():
    datasets = pytest.importorskip("torchvision.datasets")
    for ours, theirs in ((cifar.CIFAR10_FILES, datasets.CIFAR10), (cifar.CIFAR100_FILES, datasets.CIFAR100)):
        listed = {name: md5 for name, md5 in theirs.train_list + theirs.test_list}
        assert ours == listed | {theirs.meta["filename"]: theirs.meta["md5"]}


def test_cifar10_is_what_pickle_reads(real_data_root):
    pool = load_protocol("cifar10-2", real_data_root, download=False).pool
    assert pool.images.array.shape == (60_000, 32, 32, 3) and pool.classes[3] == "cat"
    for name, start in (("data_batch_2", 10_000), ("test_batch", 50_000)):
        with (real_data_root / "cifar-10-batches-py" / name).open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy about such old pickles
            batch = pickle.load(file, encoding="latin1")  # the file's MD5 has been checked above
        planes = batch["data"].reshape(10_000, 3, 32, 32)
        for colour in range(3):
            np.testing.assert_array_equal(pool.images.array[start : start + 10_000, ..., colour], planes[:, colour])
        assert pool.labels.numbers[start : start + 10_000].tolist() == batch["labels"]


def test_cifar100_is_what_torchvision_reads(real_data_root):
    if not (real_data_root / "cifar-100-python").is_dir():
        pytest.skip(f"no CIFAR-100 in {real_data_root}")
    datasets = pytest.importorskip("torchvision.datasets")
    pool = load_protocol("cifar100", real_data_root, download=False).pool
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy about such old pickles
        train, test = (datasets.CIFAR100(str(real_data_root), train=part) for part in (True, False))
    array = pool.images.array
    assert array.shape == (60_000, 32, 32, 3)
    for ours, theirs in ((array[:50_000:7], train.data[::7]), (array[50_000:], test.data)):  # a part: comparing is slow
        np.testing.assert_array_equal(ours, theirs)
    assert pool.labels.numbers.tolist() == train.targets + test.targets
    assert list(pool.classes) == train.classes and pool.name == "cifar100"


def test_cifar100_layout(tmp_path, monkeypatch):
    """Files of its layout, with the MD5 that they happen to have."""
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
        load_protocol("cifar100", tmp_path)
    monkeypatch.setattr(cifar, "CIFAR100_FILES", md5)
    split = load_protocol("cifar100", tmp_path)
    assert len(split.pool.classes) == 100 and split.pool.images.array.shape == (60_000, 32, 32, 3)
    planes = contents["test"]["data"][7].reshape(3, 32, 32)
    np.testing.assert_array_equal(split.pool.images.array[50_007], planes.transpose(1, 2, 0))
    assert np.bincount(split.pool.labels.numbers[split.query]).tolist() == [100] * 100
    shutil.rmtree(folder)
