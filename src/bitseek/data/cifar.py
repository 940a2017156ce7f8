"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 × 32 pixels, and the splits that the literature draws from them.

The pool is the training set (items 0 … 49,999) followed by the test set. Where a split is drawn, it is drawn from the
seed, class by class; no two published implementations have the same draw, so ±1 % of mAP is noise between them.
"""

import functools
from pathlib import Path

import numpy as np

from bitseek.data._plain_pickle import load_plain
from bitseek.data._pool import Pool
from bitseek.data._protocol import Protocol
from bitseek.data._sources import require_md5, torchvision_datasets
from bitseek.data._spec import ProtocolSpec
from bitseek.data._splits import draw_per_class
from bitseek.images import Pixels

CIFAR10_FILES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
CIFAR100_FILES = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
"""MD5 of the official files, as torchvision has them too."""

_OFFICIAL = frozenset({"cifar10-2", "cifar10-dsh", "cifar100"})
"""The splits in which nothing is drawn."""


def load(spec: ProtocolSpec, root: Path, seed: int, download: bool = True) -> Protocol:
    """The split of that name; `protocols.toml` says in words what each is."""
    pool = read_pool(spec, root, download)
    labels = pool.labels.numbers
    everything = np.arange(60_000)
    train, test = everything[:50_000], everything[50_000:]

    def draw(items: np.ndarray, *sizes: int) -> list[np.ndarray]:
        return [items[part] for part in draw_per_class(labels[items], sizes, seed, classes=pool.classes)]

    match spec.name:
        case "cifar10-1":
            query, train, rest = draw(everything, 100, 500)
            database = np.union1d(train, rest)
        case "cifar10-54k":
            query, train, database = draw(everything, 100, 500)
        case "cifar10-ii":
            query, train, rest = draw(everything, 1000, 500)
            database = np.union1d(train, rest)
        case "cifar10-2-random":
            query, database = draw(everything, 1000)
            train = database
        case "cifar10-cib":  # the other half of the test set is its authors' validation set, unused here
            database, query, train = train, draw(test, 500)[0], draw(train, 500)[0]
        case "cifar10-dsh":
            query = database = test
        case _:
            query, database = test, train
    return Protocol(spec.name, pool, train, query, database, k=spec.k, seed=None if spec.name in _OFFICIAL else seed)


def read_pool(spec: ProtocolSpec, root: Path, download: bool) -> Pool:
    """All 60,000 images: training set, then test set.

    Raises:
        DataError: a file is absent, or its MD5 is not the official one.
        MissingExtra: a download needs torchvision.
    """
    ten = spec.data_set == "cifar10"
    files = CIFAR10_FILES if ten else CIFAR100_FILES
    folder = root / ("cifar-10-batches-py" if ten else "cifar-100-python")
    fetch = functools.partial(_download, root, ten) if download else None
    require_md5(folder, files, spec.needs, root, fetch)
    *batches, meta = (load_plain(folder / name) for name in files)
    data = np.concatenate([batch["data"] for batch in batches])
    label, names = ("labels", "label_names") if ten else ("fine_labels", "fine_label_names")
    labels = np.concatenate([np.asarray(batch[label], np.int64) for batch in batches])
    images = np.ascontiguousarray(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return Pool(Pixels(images), labels, tuple(meta[names]), name=spec.data_set)


def _download(root: Path, ten: bool) -> None:
    datasets = torchvision_datasets()
    data_set = datasets.CIFAR10 if ten else datasets.CIFAR100
    root.mkdir(parents=True, exist_ok=True)
    # What its download does, but without reading the pickles: the archive's MD5 is checked before it is unpacked.
    datasets.utils.download_and_extract_archive(
        data_set.url, str(root), filename=data_set.filename, md5=data_set.tgz_md5
    )
