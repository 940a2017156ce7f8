"""Splits as text files, the way HashNet and most of the literature after it publish them.

One image a line: its path, then either C integers 0 or 1 (one-hot or multi-hot), or one class index. Fields are
separated by blanks, and the path may itself have blanks. A file may be compressed (`.txt.xz`).
"""

import lzma
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bitseek.data._pool import Pool
from bitseek.data._protocol import ROLES, Protocol
from bitseek.data._sources import require, require_images, require_once
from bitseek.data._spec import CutOff, ProtocolSpec
from bitseek.errors import DataError
from bitseek.images import Paths

_TAIL = re.compile(r"(?:\s+[01])*$")
"""The 0s and 1s that stand alone at the end of a line."""


@dataclass(frozen=True, eq=False)
class ItemList:
    """One list file.

    Args:
        paths: the n paths, as they are written but for a leading `./`.
        labels: (n,) int64 class indices, or (n, C) bool.
    """

    paths: tuple[str, ...]
    labels: np.ndarray


def read_list(path: Path, strip: str = "") -> ItemList:
    """Read a list file.

    Which form it has is seen from most of its lines; a line with fewer labels than they have is an error, one with
    more has a path that ends in numbers.

    Args:
        path: a text file, or one compressed by xz.
        strip: a prefix to take off the paths, after a leading `./`.

    Raises:
        DataError: no such file, damaged, empty, a line with too few labels, or a path listed twice.
    """
    lines = [line for line in _lines(path) if line]
    if not lines:
        raise DataError(f"{path} is empty")
    tails = ["".join(_TAIL.search(line)[0].split()) for line in lines]  # type: ignore[index]  # it matches nothing, too
    columns = Counter(len(tail) for tail in tails).most_common(1)[0][0]
    if columns >= 2:
        paths, labels = _multi_hot(path, lines, tails, columns)
    else:
        paths, labels = _indexed(path, lines)
    names = tuple(name.removeprefix("./").removeprefix(strip) for name in paths)
    require_once(path, names)
    return ItemList(names, labels)


def load(
    spec: ProtocolSpec,
    path: Path,
    seed: int,
    root: Path | None = None,
    train: str = "train.txt",
    query: str = "test.txt",
    database: str = "database.txt",
    strip: str = "",
    k: CutOff = None,
    check_images: bool = True,
) -> Protocol:
    """`lists:PATH`: a split by list files in a folder; nothing is drawn.

    Args:
        spec: of this protocol.
        path: the folder of the lists.
        seed: not used.
        root: the folder that the listed paths start from; by default `path`.
        train: file name of the training list (or the same with `.xz`); likewise `query` and `database`.
        query: see train.
        database: see train.
        strip: a prefix to take off the listed paths, after a leading `./`.
        k: the cut-off of mAP@k; None for all.
        check_images: look whether every image is there.
    """
    lists = _read_lists(spec, path, path, (train, query, database), strip)
    return _from_lists(f"lists:{path}", lists, path if root is None else root, k, check_images)


def published(
    spec: ProtocolSpec,
    root: Path,
    seed: int,
    lists: Path | None = None,
    images: Path | None = None,
    check_images: bool = True,
) -> Protocol:
    """ImageNet100, NUS-WIDE, MS-COCO, MIRFlickr-25k and VOC2012: the split of published lists; nothing is drawn.

    Args:
        spec: which.
        root: the folder of all data sets.
        seed: not used.
        lists: the folder of the list files; by default ROOT/NAME.
        images: the folder that the listed paths start from; by default ROOT/FOLDER.
        check_images: look whether every image is there.
    """
    files = ("train.txt", "test.txt", "database.txt")
    found = _read_lists(spec, root, lists or root / spec.name, files, spec.strip)
    folder = images or root / spec.folder
    loaded = _from_lists(spec.name, found, folder, spec.k, check_images, spec.classes, spec.data_set)
    return _with_wordnet_numbers(loaded) if spec.name == "imagenet100" else loaded


def _read_lists(
    spec: ProtocolSpec, root: Path, folder: Path, names: tuple[str, ...], strip: str
) -> dict[str, ItemList]:
    """The lists of train, query and database in a folder: the named file, or its compressed form `.xz`."""
    plain = [folder / name for name in names]
    packed = [folder / f"{name}.xz" for name in names]
    files = [p if p.is_file() and not file.is_file() else file for file, p in zip(plain, packed, strict=True)]
    require(files, spec.needs, root)
    return {role: read_list(file, strip) for role, file in zip(ROLES, files, strict=True)}


def _from_lists(
    name: str,
    lists: Mapping[str, ItemList],
    images: Path,
    k: int | None,
    check_images: bool,
    classes: tuple[str, ...] | None = None,
    data_set: str | None = None,
) -> Protocol:
    """The protocol that three lists say. Its pool is every image that is listed, in the order of the paths.

    Raises:
        DataError: lists that disagree about a label or about the number of classes, queries among the training items,
            or images that are absent (with their number).
    """
    keys, table, where = _merged(name, lists)
    if table.ndim == 2 and (table.sum(axis=1) == 1).all():  # one-hot: each image has its one class
        width, table = table.shape[1], table.argmax(axis=1)
    else:
        width = table.shape[1] if table.ndim == 2 else int(table.max()) + 1
    paths = Paths(images, keys)
    require_images(name, paths, check_images)
    train, query, database = (np.sort(where[role]) for role in ROLES)
    pool = Pool(paths, table, classes or tuple(map(str, range(width))), name=data_set)
    return Protocol(name, pool, train, query, database, k=k)


def _with_wordnet_numbers(loaded: Protocol) -> Protocol:
    """ImageNet with the WordNet number of each class as its name, which the training images have in their names."""
    pool = loaded.pool
    assert isinstance(pool.images, Paths)
    names: dict[int, str] = {}
    for i, label in zip(loaded.train.tolist(), pool.labels.numbers[loaded.train].tolist(), strict=True):
        match = re.search(r"n\d{8}", pool.images.relative[i])
        if match is None or names.setdefault(label, match[0]) != match[0]:
            raise DataError(f"imagenet100: {pool.key(i)!r} is not named after its class, as ImageNet's files are")
    classes = tuple(names.get(label, str(label)) for label in range(len(pool.classes)))
    return replace(loaded, pool=replace(pool, classes=classes))


def _lines(path: Path) -> list[str]:
    try:
        raw = path.read_bytes()
        if path.suffix == ".xz":
            raw = lzma.decompress(raw)
    except FileNotFoundError as error:
        raise DataError(f"there is no list {path}") from error
    except (OSError, lzma.LZMAError) as error:
        raise DataError(f"cannot read the list {path}: {error}") from error
    return [line.strip() for line in raw.decode("utf-8-sig", "surrogateescape").split("\n")]


def _multi_hot(path: Path, lines: list[str], tails: list[str], columns: int) -> tuple[list[str], np.ndarray]:
    for i, (line, tail) in enumerate(zip(lines, tails, strict=True)):
        if len(tail) < columns:
            raise DataError(
                f"{path}: line {i + 1} has {len(tail)} labels of 0 or 1, most lines have {columns}: {line[:80]!r}"
            )
    paths = [line.rsplit(None, columns)[0] for line in lines]
    digits = np.frombuffer("".join(tail[-columns:] for tail in tails).encode(), np.uint8)
    return paths, (digits == ord("1")).reshape(len(lines), columns)


def _indexed(path: Path, lines: list[str]) -> tuple[list[str], np.ndarray]:
    paths, labels = [], []
    for i, line in enumerate(lines):
        fields = line.rsplit(None, 1)
        if len(fields) < 2 or not re.fullmatch(r"[0-9]{1,7}", fields[1]):
            raise DataError(
                f"{path}: line {i + 1} is not a path followed by a class index (7 digits at most) or labels of 0 or 1: "
                f"{line[:80]!r}"
            )
        paths.append(fields[0])
        labels.append(int(fields[1]))
    return paths, np.array(labels, np.int64)


def _merged(name: str, lists: Mapping[str, ItemList]) -> tuple[tuple[str, ...], np.ndarray, dict[str, np.ndarray]]:
    """The items of all lists, each once and in order; their labels; and for each list where its items are."""
    widths = {
        role: f"{items.labels.shape[1]} columns" if items.labels.ndim == 2 else "class indices"
        for role, items in lists.items()
    }
    if len(set(widths.values())) > 1:
        raise DataError(f"{name}: the lists have labels of different forms: {widths}")
    paths = [path for items in lists.values() for path in items.paths]
    labels = np.concatenate([items.labels for items in lists.values()])
    keys = tuple(sorted(set(paths)))
    position = {key: index for index, key in enumerate(keys)}
    places = np.array([position[path] for path in paths], np.int64)
    table = np.zeros((len(keys), *labels.shape[1:]), labels.dtype)
    table[places] = labels
    differ = places[(table[places] != labels).reshape(len(paths), -1).any(axis=1)]
    if len(differ):
        count = len(np.unique(differ))
        raise DataError(f"{name}: the lists disagree about the labels of {count} images, {keys[differ[0]]!r} for one")
    ends = np.cumsum([len(items.paths) for items in lists.values()])
    where = dict(zip(lists, np.split(places, ends[:-1]), strict=True))
    return keys, table, where
