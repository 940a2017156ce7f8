"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 × 32 pixels, and the splits that the literature draws from them.

The pool is the training set (items 0 … 49,999) followed by the test set. Where a split is drawn, it is drawn from the
seed, class by class; no two published implementations have the same draw, so ±1 % of mAP is noise between them.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bitseek.data.plain_pickle import load_plain
from bitseek.data.pool import Pixels, Pool
from bitseek.data.protocol import Protocol
from bitseek.data.sources import require_md5
from bitseek.data.spec import ProtocolSpec
from bitseek.data.splits import draw_per_class
from bitseek.errors import MissingExtra

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

OFFICIAL_TRAIN, OFFICIAL_TEST = np.arange(50_000), np.arange(50_000, 60_000)

NEEDS = (
    "Put cifar-{n}-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html, unpacked, into ROOT (as "
    "ROOT/{folder}); it is downloaded there by itself when torchvision is installed and there is a network"
)


def pool(root: Path, download: bool, classes: int = 10) -> Pool:
    """All 60,000 images: training set, then test set.

    Raises:
        DataError: a file is absent, or its MD5 is not the official one.
        MissingExtra: a download needs torchvision.
    """
    files = CIFAR10_FILES if classes == 10 else CIFAR100_FILES
    folder = root / _folder(classes)
    fetch = functools.partial(_download, root, classes) if download else None
    require_md5(folder, files, _needs(classes).replace("ROOT", str(root)), fetch)
    *batches, meta = (load_plain(folder / name) for name in files)
    data = np.concatenate([batch["data"] for batch in batches])
    label, names = ("labels", "label_names") if classes == 10 else ("fine_labels", "fine_label_names")
    labels = np.concatenate([np.asarray(batch[label], np.int64) for batch in batches])
    images = np.ascontiguousarray(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return Pool(Pixels(images), labels, tuple(meta[names]))


def protocol_1(root: Path, seed: int, download: bool = True) -> Protocol:
    """100 queries and 500 training items a class of the pool; the database is everything but the queries."""
    items = pool(root, download)
    query, train, rest = draw_per_class(items.labels, (100, 500), seed, classes=items.classes)
    return Protocol("cifar10-1", items, train, query, np.union1d(train, rest), seed=seed)


def protocol_54k(root: Path, seed: int, download: bool = True) -> Protocol:
    """Queries and training items of `cifar10-1`; the database is everything but both."""
    items = pool(root, download)
    query, train, rest = draw_per_class(items.labels, (100, 500), seed, classes=items.classes)
    return Protocol("cifar10-54k", items, train, query, rest, seed=seed)


def protocol_2(root: Path, seed: int, download: bool = True) -> Protocol:
    """The official test set asks, the official training set trains and is searched."""
    return Protocol("cifar10-2", pool(root, download), OFFICIAL_TRAIN, OFFICIAL_TEST, OFFICIAL_TRAIN)


def protocol_2_random(root: Path, seed: int, download: bool = True) -> Protocol:
    """1,000 queries a class drawn from all 60,000; the other 50,000 train and are searched."""
    items = pool(root, download)
    query, rest = draw_per_class(items.labels, (1000,), seed, classes=items.classes)
    return Protocol("cifar10-2-random", items, rest, query, rest, seed=seed)


def protocol_ii(root: Path, seed: int, download: bool = True) -> Protocol:
    """1,000 queries and 500 training items a class drawn from all 60,000; all but the queries is searched."""
    items = pool(root, download)
    query, train, rest = draw_per_class(items.labels, (1000, 500), seed, classes=items.classes)
    return Protocol("cifar10-ii", items, train, query, np.union1d(train, rest), seed=seed)


def protocol_cib(root: Path, seed: int, download: bool = True) -> Protocol:
    """500 items a class of the official test set ask (the other half is its authors' validation set, unused here).

    500 items a class of the official training set train; all of it is searched.
    """
    items = pool(root, download)
    train, _ = draw_per_class(items.labels[OFFICIAL_TRAIN], (500,), seed, classes=items.classes)
    query, _ = draw_per_class(items.labels[OFFICIAL_TEST], (500,), seed, classes=items.classes)
    return Protocol("cifar10-cib", items, train, query + 50_000, OFFICIAL_TRAIN, at=1000, seed=seed)


def protocol_dsh(root: Path, seed: int, download: bool = True) -> Protocol:
    """The official test set asks and is searched (each query without itself); the training set trains."""
    return Protocol("cifar10-dsh", pool(root, download), OFFICIAL_TRAIN, OFFICIAL_TEST, OFFICIAL_TEST)


def cifar100(root: Path, seed: int, download: bool = True) -> Protocol:
    """The official test set asks, the official training set trains and is searched.

    The literature has no agreed split of CIFAR-100; this one draws nothing, so that two figures on it can be
    compared.
    """
    return Protocol("cifar100", pool(root, download, classes=100), OFFICIAL_TRAIN, OFFICIAL_TEST, OFFICIAL_TRAIN)


def _folder(classes: int) -> str:
    return "cifar-10-batches-py" if classes == 10 else "cifar-100-python"


def _needs(classes: int) -> str:
    return NEEDS.format(n=classes, folder=_folder(classes))


def _download(root: Path, classes: int) -> None:
    try:
        from torchvision.datasets import CIFAR10, CIFAR100
    except ImportError as error:
        raise MissingExtra("torchvision", "train") from error
    root.mkdir(parents=True, exist_ok=True)
    data_set = CIFAR10 if classes == 10 else CIFAR100
    # What its download does, but without reading the pickles: the archive's MD5 is checked before it is unpacked.
    from torchvision.datasets.utils import download_and_extract_archive

    download_and_extract_archive(data_set.url, str(root), filename=data_set.filename, md5=data_set.tgz_md5)


def _spec(
    name: str,
    summary: str,
    split: str,
    sizes: tuple[int, int, int],
    load: Callable[..., Protocol],
    at: int | None = None,
) -> ProtocolSpec:
    classes = 100 if name == "cifar100" else 10
    return ProtocolSpec(
        name=name,
        summary=summary,
        citation=f"Krizhevsky 2009; {split}",
        sizes=sizes,
        at=at,
        needs=_needs(classes),
        load=load,
    )


SPECS = (
    _spec(
        "cifar10-1",
        "100 queries and 500 training items a class, database all but the queries",
        "the split of most papers: CIFAR-10(I), OrthoHash and RelaHash protocol 1, DeepHash-pytorch cifar10-1",
        (5_000, 1_000, 59_000),
        protocol_1,
    ),
    _spec(
        "cifar10-2",
        "queries = official test set, database = training items = official training set",
        "GreedyHash's CIFAR-II and FIRe's protocol 2 (DeepHash-pytorch's cifar10-2 is cifar10-2-random here)",
        (50_000, 10_000, 50_000),
        protocol_2,
    ),
    _spec(
        "cifar10-2-random",
        "1,000 queries a class of all 60,000, database = training items = the other 50,000",
        "DeepHash-pytorch cifar10-2, OrthoHash protocol 2",
        (50_000, 10_000, 50_000),
        protocol_2_random,
    ),
    _spec(
        "cifar10-54k",
        "as cifar10-1, but the database leaves out the training items too",
        "DeepHash (TensorFlow) and DeepHash-pytorch, where it is called cifar10",
        (5_000, 1_000, 54_000),
        protocol_54k,
    ),
    _spec(
        "cifar10-ii",
        "1,000 queries and 500 training items a class of all 60,000, database all but the queries",
        "FIRe cifar10_II (protocol 3), Bi-half's Cifar10_II",
        (5_000, 10_000, 50_000),
        protocol_ii,
    ),
    _spec(
        "cifar10-cib",
        "500 queries a class of the official test set, database = official training set, 500 training items a class",
        "CIBHash, mAP@1000",
        (5_000, 5_000, 50_000),
        protocol_cib,
        at=1000,
    ),
    _spec(
        "cifar10-dsh",
        "queries = database = official test set (each query without itself), training items = official training set",
        "DSH's released code",
        (50_000, 10_000, 10_000),
        protocol_dsh,
    ),
    _spec(
        "cifar100",
        "queries = official test set, database = training items = official training set; 100 fine classes",
        "no agreed split exists; this one draws nothing",
        (50_000, 10_000, 50_000),
        cifar100,
    ),
)
