"""Splits as text files, the way HashNet and most of the literature after it publish them.

One image a line: its path, then either C integers 0 or 1 (one-hot or multi-hot), or one class index. Fields are
separated by blanks, and the path may itself have blanks. A file may be compressed (`.txt.xz`).
"""

import lzma
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitseek.data.pool import Paths, Pool
from bitseek.data.protocol import ROLES, Protocol
from bitseek.data.sources import require
from bitseek.data.spec import ProtocolSpec
from bitseek.errors import DataError

NEEDS = "Put train.txt, test.txt (the queries) and database.txt, or the same as .txt.xz, into one folder"


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
    tails = _hot_tails(lines)
    columns = Counter(len(tail) for tail in tails).most_common(1)[0][0]
    if columns >= 2:
        paths, labels = _multi_hot(path, lines, tails, columns)
    else:
        paths, labels = _indexed(path, lines)
    names = tuple(name.removeprefix("./").removeprefix(strip) for name in paths)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{path} lists {len(twice)} images more than once, {twice[0]!r} for one")
    return ItemList(names, labels)


def find_list(folder: Path, name: str) -> Path:
    """The list `name` in a folder, or its compressed form `name.xz`; the plain one if there is neither."""
    packed = folder / f"{name}.xz"
    return packed if packed.is_file() and not (folder / name).is_file() else folder / name


def from_lists(
    name: str,
    files: Mapping[str, Path],
    images: Path,
    *,
    strip: str = "",
    at: int | None = None,
    classes: tuple[str, ...] | None = None,
    check_images: bool = True,
) -> Protocol:
    """The protocol that three list files say. Its pool is every image that is listed, in the order of the paths.

    Args:
        name: of the protocol.
        files: the list of each of train, query, database.
        images: the folder that the paths start from.
        strip: see `read_list`.
        at: R of mAP@R; None for all.
        classes: names of the classes; numbers if not given.
        check_images: look whether every image is there.

    Raises:
        DataError: a damaged list, lists that disagree about a label or about the number of classes, queries among
            the training items, or images that are absent (with their number).
    """
    lists = {role: read_list(files[role], strip) for role in ROLES}
    keys, table, where = _merged(name, lists)
    if table.ndim == 2 and (table.sum(axis=1) == 1).all():  # one-hot: each image has its one class
        width, table = table.shape[1], table.argmax(axis=1)
    else:
        width = table.shape[1] if table.ndim == 2 else int(table.max()) + 1
    if classes is None:
        classes = tuple(str(label) for label in range(width))
    if check_images:
        absent = [key for key in keys if not (images / key).is_file()]
        if absent:
            raise DataError(
                f"{name}: {len(absent)} of {len(keys)} listed images are absent, for one {images / absent[0]}; put the "
                "images there, or give the folder that the listed paths start from"
            )
    train, query, database = (np.sort(where[role]) for role in ROLES)
    pool = Pool(Paths(images, keys), table if table.dtype == np.bool_ else table.astype(np.int64), classes)
    return Protocol(name, pool, train, query, database, at=at)


def load(
    path: Path,
    seed: int,
    root: Path | None = None,
    train: str = "train.txt",
    query: str = "test.txt",
    database: str = "database.txt",
    strip: str = "",
    at: int | None = None,
    check_images: bool = True,
) -> Protocol:
    """A split by list files in a folder; nothing is drawn.

    Args:
        path: the folder of the lists.
        seed: not used.
        root: the folder that the listed paths start from; by default `path`.
        train: file name of the training list (or the same with `.xz`); likewise `query` and `database`.
        query: see train.
        database: see train.
        strip: a prefix to take off the listed paths, after a leading `./`.
        at: R of mAP@R; None for all.
        check_images: look whether every image is there.
    """
    files = {role: find_list(path, file) for role, file in zip(ROLES, (train, query, database), strict=True)}
    require(list(files.values()), NEEDS)
    images = path if root is None else root
    return from_lists(f"lists:{path}", files, images, strip=strip, at=at, check_images=check_images)


def _lines(path: Path) -> list[str]:
    try:
        raw = path.read_bytes()
        if path.suffix == ".xz":
            raw = lzma.decompress(raw)
    except FileNotFoundError as error:
        raise DataError(f"there is no list {path}. {NEEDS}") from error
    except (OSError, lzma.LZMAError) as error:
        raise DataError(f"cannot read the list {path}: {error}") from error
    return [line.strip() for line in raw.decode("utf-8-sig", "surrogateescape").split("\n")]


def _hot_tails(lines: list[str]) -> list[str]:
    """For each line, the 0s and 1s that stand alone at its end, without the blanks."""
    tails = []
    for line in lines:
        start = len(line.rstrip("01 \t"))
        blanks, digits = line[start::2], line[start + 1 :: 2]
        if not (blanks.isspace() and digits.isdigit() and len(blanks) == len(digits)):  # not " 0 1 0"
            fields = line[start:].split()
            if fields and not line[start].isspace():
                del fields[0]  # it is the end of a longer field, or the line has no path before it
            last = max((i for i, field in enumerate(fields) if len(field) > 1), default=-1)
            digits = "".join(fields[last + 1 :])
        tails.append(digits)
    return tails


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
        if len(fields) < 2 or not fields[1].isascii() or not fields[1].isdigit():
            raise DataError(
                f"{path}: line {i + 1} is not a path followed by a class index or by labels of 0 or 1: {line[:80]!r}"
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
    keys = tuple(sorted({key for items in lists.values() for key in items.paths}))
    position = {key: index for index, key in enumerate(keys)}
    where = {role: np.array([position[key] for key in items.paths], np.int64) for role, items in lists.items()}
    table = np.zeros((len(keys), *next(iter(lists.values())).labels.shape[1:]), next(iter(lists.values())).labels.dtype)
    for role, items in lists.items():
        table[where[role]] = items.labels
    differs = np.zeros(len(keys), np.bool_)
    for role, items in lists.items():
        differs[where[role]] |= (table[where[role]] != items.labels).reshape(len(items.paths), -1).any(axis=1)
    if differs.any():
        raise DataError(
            f"{name}: the lists disagree about the labels of {differs.sum()} images, {keys[differs.argmax()]!r} for one"
        )
    return keys, table, where


SPECS = (
    ProtocolSpec(
        name="lists",
        argument="PATH",
        summary="your own train.txt, test.txt and database.txt in HashNet's format; root: the folder of the images",
        citation="the format of Cao et al. 2017, HashNet",
        sizes=None,
        at=None,
        needs=NEEDS,
        load=load,
    ),
)
