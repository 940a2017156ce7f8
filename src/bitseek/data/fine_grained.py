"""Data sets that say their own split in their own files: CUB-200-2011, Stanford Dogs, Stanford Online Products."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bitseek._files import parse
from bitseek.data._pool import Pool
from bitseek.data._protocol import Protocol
from bitseek.data._sources import require, require_images
from bitseek.data._spec import ProtocolSpec
from bitseek.errors import DataError
from bitseek.images import Paths


def cub200(spec: ProtocolSpec, root: Path, seed: int, check_images: bool = True) -> Protocol:
    """The official test set has the queries; the official training set trains and is searched."""
    folder = root / "CUB_200_2011"
    names = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
    require([folder / name for name in names], spec.needs, root)
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
    return _official(spec, images, labels, tuple(classes.values()), training, check_images)


def dogs(spec: ProtocolSpec, root: Path, seed: int, check_images: bool = True) -> Protocol:
    """The official test set has the queries; the official training set trains and is searched."""
    folder = root / "StanfordDogs"
    lists = [folder / "train_list.mat", folder / "test_list.mat"]
    require(lists, spec.needs, root)
    (train, test), labels_of = zip(
        *(parse(path, "a list of Stanford Dogs", _matlab_list) for path in lists), strict=True
    )
    images, labels = Paths(folder / "Images", (*train, *test)), np.concatenate(labels_of)
    training = np.arange(len(images)) < len(train)
    return _official(spec, images, labels, _folders(images, labels), training, check_images)


def sop(spec: ProtocolSpec, root: Path, seed: int, check_images: bool = True) -> Protocol:
    """Products: the official test set has the queries and is searched, each query without itself.

    The official training set trains, on other products than are tested (Song et al. 2016).
    """
    images, products, _, training = _sop_files(spec, root)
    names = tuple(f"product {number}" for number in range(1, int(products.max()) + 2))
    official = _official(spec, images, products, names, training, check_images)
    return replace(official, database=official.query)


def sop_12(spec: ProtocolSpec, root: Path, seed: int, check_images: bool = True) -> Protocol:
    """The 12 kinds of product: queries are the official test set, the official training set trains and is searched."""
    images, _, kinds, training = _sop_files(spec, root)
    names = tuple(name.removesuffix("_final") for name in _folders(images, kinds))
    return _official(spec, images, kinds, names, training, check_images)


def _official(
    spec: ProtocolSpec,
    images: Paths,
    labels: np.ndarray,
    classes: tuple[str, ...],
    training: np.ndarray,
    check_images: bool,
) -> Protocol:
    """Queries are what is not for training; what trains is searched."""
    require_images(spec.name, images, check_images)
    train, query = np.flatnonzero(training), np.flatnonzero(~training)
    return Protocol(spec.name, Pool(images, labels, classes, name=spec.data_set), train, query, train, k=spec.k)


def _folders(images: Paths, labels: np.ndarray) -> tuple[str, ...]:
    """Names of the classes: the folder in which their images lie."""
    names = dict(zip(labels.tolist(), (path.split("/")[0] for path in images.relative), strict=True))
    return tuple(names.get(label, str(label)) for label in range(int(labels.max()) + 1))


def _fields(path: Path, count: int) -> list[list[str]]:
    """The fields of each line, the last of which may have blanks."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split(maxsplit=count - 1) for line in lines if line.strip()]
    short = [i for i, row in enumerate(rows) if len(row) < count]
    if short or not rows:
        raise ValueError(f"row {short[0] + 1} has fewer than {count} fields" if short else "it is empty")
    return rows


def _table(path: Path) -> dict[str, str]:
    """Numbers and values, one pair a line."""
    return parse(path, "a table of numbers and values", lambda path: dict(_fields(path, 2)))


def _matlab_list(path: Path) -> tuple[list[str], np.ndarray]:
    """`file_list` and `labels` of a .mat file, which count from 1."""
    from scipy.io import loadmat

    contents: dict[str, Any] = loadmat(path)
    files = [str(cell.item()) for cell in contents["file_list"].ravel()]
    labels = contents["labels"].ravel().astype(np.int64) - 1
    if len(files) != len(labels):
        raise ValueError(f"{len(files)} files, {len(labels)} labels")
    return files, labels


def _sop_list(path: Path) -> tuple[list[str], np.ndarray]:
    """Paths, and (n, 2) product and kind of each, which count from 1."""
    header, *rows = _fields(path, 4)
    if header != ["image_id", "class_id", "super_class_id", "path"]:
        raise ValueError(f"its first line is {' '.join(header)}")
    return [row[3] for row in rows], np.array([row[1:3] for row in rows], np.int64).reshape(-1, 2) - 1


def _sop_files(spec: ProtocolSpec, root: Path) -> tuple[Paths, np.ndarray, np.ndarray, np.ndarray]:
    """Images, product and kind of each (from 0), and whether it is in the training set."""
    folder = root / "Stanford_Online_Products"
    files = [folder / "Ebay_train.txt", folder / "Ebay_test.txt"]
    require(files, spec.needs, root)
    (train, test), numbers = zip(
        *(parse(file, "a list of Stanford Online Products", _sop_list) for file in files), strict=True
    )
    products, kinds = np.concatenate(numbers).T.copy()
    return Paths(folder, (*train, *test)), products, kinds, np.arange(len(products)) < len(train)
