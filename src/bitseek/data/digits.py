"""Handwritten digits: MNIST, and the small ones that are installed with scikit-learn, so that they work offline."""

from pathlib import Path

import numpy as np

from bitseek.data._pool import Pool
from bitseek.data._protocol import Protocol
from bitseek.data._sources import require_md5, torchvision_datasets
from bitseek.data._spec import ProtocolSpec
from bitseek.data._splits import draw_per_class
from bitseek.errors import MissingExtra
from bitseek.images import Pixels

CLASSES = tuple(str(digit) for digit in range(10))

MNIST_FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of the official files, unpacked."""


def small(spec: ProtocolSpec, root: Path, seed: int) -> Protocol:
    """1,797 images of 8 × 8 pixels: 30 queries and 120 training items a class; the database is all but the queries."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra("scikit-learn", "train") from error
    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    query, train, rest = draw_per_class(labels.astype(np.int64), (30, 120), seed, classes=CLASSES)
    pool = Pool(Pixels(pixels), labels, CLASSES, mirror=False, name=spec.data_set)
    return Protocol(spec.name, pool, train, query, np.union1d(train, rest), seed=seed)


def mnist(spec: ProtocolSpec, root: Path, seed: int, download: bool = True) -> Protocol:
    """70,000 images of 28 × 28 pixels: queries are the test set; what trains and is searched is the training set."""

    def fetch() -> None:
        torchvision_datasets().MNIST(str(root), download=True)

    folder = root / "MNIST" / "raw"
    require_md5(folder, MNIST_FILES, spec.needs, root, fetch if download else None)
    images = np.concatenate([_read_idx(folder / f"{part}-images-idx3-ubyte") for part in ("train", "t10k")])
    labels = np.concatenate([_read_idx(folder / f"{part}-labels-idx1-ubyte") for part in ("train", "t10k")])
    pool = Pool(Pixels(images), labels, CLASSES, mirror=False, name=spec.data_set)
    train, query = np.arange(60_000), np.arange(60_000, 70_000)
    return Protocol(spec.name, pool, train, query, train)


def _read_idx(path: Path) -> np.ndarray:
    """An array of bytes in the IDX format: two zeros, type 8, number of axes, their lengths (big endian), values."""
    raw = np.fromfile(path, np.uint8)
    axes = int(raw[3])
    shape = raw[4 : 4 + 4 * axes].view(">u4")
    return raw[4 + 4 * axes :].reshape(tuple(shape.tolist()))
