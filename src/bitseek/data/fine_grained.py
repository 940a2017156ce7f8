"""Data sets that say their own split in their own files: CUB-200-2011, Stanford Dogs, Stanford Online Products."""

from pathlib import Path
from typing import Any

import numpy as np

from bitseek.data.pool import Paths, Pool
from bitseek.data.protocol import Protocol
from bitseek.data.sources import require
from bitseek.data.spec import ProtocolSpec
from bitseek.errors import DataError, MissingExtra

CUB_NEEDS = "Unpack CUB_200_2011.tgz (data.caltech.edu) into ROOT, as ROOT/CUB_200_2011/images.txt and so on"
DOGS_NEEDS = (
    "Unpack images.tar and lists.tar of Stanford Dogs (vision.stanford.edu/aditya86/ImageNetDogs) into "
    "ROOT/StanfordDogs, as Images/…, train_list.mat and test_list.mat"
)
SOP_NEEDS = (
    "Unpack Stanford_Online_Products.zip (cvgl.stanford.edu/projects/lifted_struct) into ROOT, as "
    "ROOT/Stanford_Online_Products/Ebay_train.txt and so on"
)


def cub200(root: Path, seed: int, check_images: bool = True) -> Protocol:
    """The official test set asks; the official training set trains and is searched."""
    folder = root / "CUB_200_2011"
    names = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
    require([folder / name for name in names], CUB_NEEDS.replace("ROOT", str(root)))
    paths, owners, in_train, classes = (_table(folder / name) for name in names)
    if not paths.keys() == owners.keys() == in_train.keys():
        raise DataError(f"{folder}: images.txt, image_class_labels.txt and train_test_split.txt list different images")
    ids = list(paths)
    numbers = {owner: label for label, owner in enumerate(classes)}
    strangers = {owners[i] for i in ids} - numbers.keys()
    if strangers:
        raise DataError(f"{folder / names[1]} has classes that classes.txt does not: {sorted(strangers)[:5]}")
    labels = np.array([numbers[owners[i]] for i in ids], np.int64)
    training = np.array([in_train[i] == "1" for i in ids])
    images = Paths(folder / "images", tuple(paths[i] for i in ids))
    return _official("cub200", Pool(images, labels, tuple(classes.values())), training, check_images)


def dogs(root: Path, seed: int, check_images: bool = True) -> Protocol:
    """The official test set asks; the official training set trains and is searched."""
    folder = root / "StanfordDogs"
    lists = [folder / "train_list.mat", folder / "test_list.mat"]
    require(lists, DOGS_NEEDS.replace("ROOT", str(root)))
    parts = [_matlab_list(path) for path in lists]
    relative = tuple(path for paths, _ in parts for path in paths)
    labels = np.concatenate([labels for _, labels in parts]) - 1  # 1 … 120 in the file
    training = np.arange(len(relative)) < len(parts[0][0])
    breeds = dict(zip(labels.tolist(), (path.split("/")[0] for path in relative), strict=True))
    classes = tuple(breeds.get(label, str(label)) for label in range(int(labels.max()) + 1))
    return _official("dogs", Pool(Paths(folder / "Images", relative), labels, classes), training, check_images)


def sop(root: Path, seed: int, check_images: bool = True) -> Protocol:
    """Products: the official test set asks and is searched (each query without itself); its products are new.

    The official training set trains, on other products than are tested (Song et al. 2016).
    """
    images, products, _, training = _sop_files(root)
    pool = Pool(images, products, tuple(f"product {number}" for number in range(1, int(products.max()) + 2)))
    _require_images("sop", pool, check_images)
    test = np.flatnonzero(~training)
    return Protocol("sop", pool, np.flatnonzero(training), test, test, at=100)


def sop_12(root: Path, seed: int, check_images: bool = True) -> Protocol:
    """The 12 kinds of product: the official test set asks, the official training set trains and is searched."""
    images, _, kinds, training = _sop_files(root)
    names = dict(
        zip(kinds.tolist(), (path.split("/")[0].removesuffix("_final") for path in images.relative), strict=True)
    )
    classes = tuple(names.get(label, str(label)) for label in range(int(kinds.max()) + 1))
    return _official("sop-12", Pool(images, kinds, classes), training, check_images, at=1000)


def _official(name: str, pool: Pool, training: np.ndarray, check_images: bool, at: int | None = None) -> Protocol:
    _require_images(name, pool, check_images)
    train, query = np.flatnonzero(training), np.flatnonzero(~training)
    return Protocol(name, pool, train, query, train, at=at)


def _require_images(name: str, pool: Pool, check_images: bool) -> None:
    if check_images and isinstance(pool.images, Paths):
        absent = [path for path in pool.images.rows(slice(None)) if not path.is_file()]
        if absent:
            raise DataError(f"{name}: {len(absent)} of {len(pool)} images are absent, for one {absent[0]}")


def _table(path: Path) -> dict[str, str]:
    """Lines of two fields, the second of which may have blanks."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return dict(line.split(maxsplit=1) for line in lines if line.strip())
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is damaged; its lines have a number and a value: {error}") from error


def _matlab_list(path: Path) -> tuple[list[str], np.ndarray]:
    """`file_list` and `labels` of a .mat file."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingExtra("scipy", "train") from error
    try:
        contents: dict[str, Any] = loadmat(path)
        files = [str(cell.item()) for cell in contents["file_list"].ravel()]
        labels = contents["labels"].ravel().astype(np.int64)
        if len(files) != len(labels):
            raise ValueError(f"{len(files)} files, {len(labels)} labels")
    # loadmat raises nearly anything on a damaged file.
    except Exception as error:
        raise DataError(f"{path} is not a list of Stanford Dogs: {error}") from error
    return files, labels


def _sop_files(root: Path) -> tuple[Paths, np.ndarray, np.ndarray, np.ndarray]:
    """Images, product and kind of each (from 0), and whether it is in the training set."""
    folder = root / "Stanford_Online_Products"
    files = [folder / "Ebay_train.txt", folder / "Ebay_test.txt"]
    require(files, SOP_NEEDS.replace("ROOT", str(root)))
    rows: list[list[str]] = []
    counts = []
    for file in files:
        header, *part = [line.split(maxsplit=3) for line in file.read_text(encoding="utf-8").splitlines()] or [[]]
        if header != ["image_id", "class_id", "super_class_id", "path"] or any(len(row) != 4 for row in part):
            raise DataError(f"{file} is damaged; its lines have image_id, class_id, super_class_id and path")
        rows += part
        counts.append(len(part))
    try:
        numbers = np.array([row[1:3] for row in rows], np.int64).reshape(-1, 2) - 1
    except ValueError as error:
        raise DataError(f"{files[0]} or {files[1]} is damaged: {error}") from error
    images = Paths(folder, tuple(row[3] for row in rows))
    return images, numbers[:, 0].copy(), numbers[:, 1].copy(), np.arange(len(rows)) < counts[0]


SPECS = (
    ProtocolSpec(
        name="cub200",
        summary="200 bird species; queries = official test set, database = training items = official training set",
        citation="Wah et al. 2011, CUB-200-2011; the split is the official one",
        sizes=(5_994, 5_794, 5_994),
        at=None,
        needs=CUB_NEEDS,
        load=cub200,
    ),
    ProtocolSpec(
        name="dogs",
        summary="120 dog breeds; queries = official test set, database = training items = official training set",
        citation="Khosla et al. 2011, Stanford Dogs; the split is the official one",
        sizes=(12_000, 8_580, 12_000),
        at=None,
        needs=DOGS_NEEDS,
        load=dogs,
    ),
    ProtocolSpec(
        name="sop",
        summary="22,634 products; queries = database = official test set, whose products are not trained on, mAP@100",
        citation="Song et al. 2016, Stanford Online Products; the split is the official one",
        sizes=(59_551, 60_502, 60_502),
        at=100,
        needs=SOP_NEEDS,
        load=sop,
    ),
    ProtocolSpec(
        name="sop-12",
        summary="12 kinds of product; queries = official test set, database = training items = training set, mAP@1000",
        citation="Song et al. 2016, Stanford Online Products; the split is the official one, FIRe's lists differ",
        sizes=(59_551, 60_502, 59_551),
        at=1000,
        needs=SOP_NEEDS,
        load=sop_12,
    ),
)
