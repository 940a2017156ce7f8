"""MNIST: 60,000 and 10,000 grey digits of 28 × 28 pixels."""

from pathlib import Path

import numpy as np

from bitseek.data.pool import Pixels, Pool
from bitseek.data.protocol import Protocol
from bitseek.data.sources import require_md5
from bitseek.data.spec import ProtocolSpec
from bitseek.errors import MissingExtra

FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of the official files, unpacked."""

NEEDS = (
    "Put the four unpacked files of MNIST (train-images-idx3-ubyte, …) into ROOT/MNIST/raw; they are downloaded there "
    "by themselves when torchvision is installed and there is a network"
)


def load(root: Path, seed: int, download: bool = True) -> Protocol:
    """Queries are the test set; database and training items are the training set. Nothing is drawn."""
    folder = root / "MNIST" / "raw"
    require_md5(folder, FILES, NEEDS.replace("ROOT", str(root)), (lambda: _download(root)) if download else None)
    images = np.concatenate([_read_idx(folder / f"{part}-images-idx3-ubyte") for part in ("train", "t10k")])
    labels = np.concatenate([_read_idx(folder / f"{part}-labels-idx1-ubyte") for part in ("train", "t10k")])
    pool = Pool(Pixels(images), labels.astype(np.int64), tuple(str(digit) for digit in range(10)), mirror=False)
    train, query = np.arange(60_000), np.arange(60_000, 70_000)
    return Protocol("mnist", pool, train, query, train)


def _read_idx(path: Path) -> np.ndarray:
    """An array of bytes in the IDX format: two zeros, type 8, number of axes, their lengths (big endian), values."""
    raw = np.fromfile(path, np.uint8)
    axes = int(raw[3])
    shape = raw[4 : 4 + 4 * axes].view(">u4")
    return raw[4 + 4 * axes :].reshape(tuple(shape.tolist()))


def _download(root: Path) -> None:
    try:
        from torchvision.datasets import MNIST
    except ImportError as error:
        raise MissingExtra("torchvision", "train") from error
    MNIST(str(root), download=True)


SPECS = (
    ProtocolSpec(
        name="mnist",
        summary="28 × 28 handwritten digits; queries = test set, database = training items = training set",
        citation="LeCun, Cortes and Burges 1998; the split is the official one",
        sizes=(60_000, 10_000, 60_000),
        at=None,
        needs=NEEDS,
        load=load,
    ),
)
