"""The ground truth of revisited Oxford and Paris, and `revisited:PATH`: image files that have one like it.

Radenović et al., "Revisiting Oxford and Paris: Large-Scale Image Retrieval Benchmarking", CVPR 2018. Each query lists
its easy, hard and junk images; the levels of difficulty say which of them count and which are left out.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bitseek._files import read_json
from bitseek.data._plain_pickle import load_plain
from bitseek.data._pool import Pool, folder_name, named_classes
from bitseek.data._protocol import Protocol, RelevanceLists
from bitseek.data._sources import require_once
from bitseek.data._spec import CutOff, ProtocolSpec
from bitseek.errors import DataError
from bitseek.images import Loose, Paths, decode, find_images, printable

Value = TypeVar("Value")

KINDS = ("easy", "hard", "junk")

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in whole pixels."""


@dataclass(frozen=True)
class GroundTruth:
    """What is known of a set.

    Attributes:
        images: names of the images that are searched.
        queries: names of the query images.
        boxes: for each query what is asked for in its image, as the file has it; None for all of it.
        lists: the items of `images` that count or are left out, by level, for each query.
    """

    images: tuple[str, ...]
    queries: tuple[str, ...]
    boxes: tuple[Any, ...]
    lists: RelevanceLists


def read_truth(path: Path) -> GroundTruth:
    """The ground truth in a file: the published pickle, which is read but not run, or its contents as JSON.

    It is a table of imlist and qimlist, names, and gnd, which has easy, hard and junk for each query, indices into
    imlist, and may have its bbx. Easy: easy images count, hard and junk ones are left out. Medium: easy and hard count,
    junk is left out. Hard: hard images count, easy and junk ones are left out.

    Raises:
        BitseekError: no such file, or another kind of file.
        DataError: parts that are missing or do not fit each other.
    """
    truth: Any = load_plain(path) if path.suffix == ".pkl" else read_json(path)
    try:
        images, queries = (_all_of(str, truth[part]) for part in ("imlist", "qimlist"))
        listed = {kind: [_all_of(int, entry[kind]) for entry in truth["gnd"]] for kind in KINDS}
        boxes = tuple(entry.get("bbx") for entry in truth["gnd"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: the ground truth has no imlist, qimlist and gnd as expected: {error!r}") from error
    if len(boxes) != len(queries):
        raise DataError(f"{path}: the ground truth is for {len(queries)} queries, and lists images for {len(boxes)}")
    for kind, rows in listed.items():
        if any(not 0 <= item < len(images) for row in rows for item in row):
            raise DataError(f"{path}: the ground truth lists {kind} images outside of imlist")
    for one, other in combinations(KINDS, 2):
        for query, row, rest in zip(queries, listed[one], listed[other], strict=True):
            if both := sorted({*row} & {*rest}):
                raise DataError(
                    f"{path}: the ground truth lists {images[both[0]]!r} both as {one} and as {other} for the query "
                    f"{query!r}; an image is one of easy, hard and junk, or none"
                )

    def joined(*kinds: str) -> tuple[np.ndarray, ...]:
        rows = zip(*(listed[kind] for kind in kinds), strict=True)
        return tuple(np.unique(np.array([item for part in parts for item in part], np.int64)) for parts in rows)

    lists = RelevanceLists(
        {"easy": joined("easy"), "medium": joined("easy", "hard"), "hard": joined("hard")},
        {"easy": joined("junk", "hard"), "medium": joined("junk"), "hard": joined("junk", "easy")},
        ap="trapezoid",
    )
    return GroundTruth(tuple(images), tuple(queries), boxes, lists)


def _all_of(kind: type[Value], given: Any) -> list[Value]:
    """The elements of a list, each of exactly this type: 1.7, "1" and True are no index.

    Raises:
        TypeError: it is no list, or another element is in it.
    """
    if not isinstance(given, list | tuple | np.ndarray):
        raise TypeError(f"expected a list of {kind.__name__}, got {given!r:.80}")
    values = given.reshape(-1).tolist() if isinstance(given, np.ndarray) else given
    for value in values:
        if type(value) is not kind:
            raise TypeError(f"expected a list of {kind.__name__}, got one with {value!r:.80}")
    return list(values)


def load(spec: ProtocolSpec, path: Path, seed: int, k: CutOff = None) -> Protocol:
    """Image files with such a ground truth, laid out as the published sets are.

    One `gnd*.json` or `gnd*.pkl`; the images that it names, with or without their extension, below `jpg`; and, to train
    on, a sub-folder of images for each instance below `train`, if there is one. Of a query with a box only that is
    seen, as the benchmark has it.

    Args:
        spec: of this protocol.
        path: the folder.
        seed: nothing is drawn.
        k: the cut-off of mAP@k; None for all.

    Raises:
        DataError: no ground truth or several, or images that are absent.
    """
    place = path / "jpg"
    truths = sorted(file for suffix in ("json", "pkl") for file in path.glob(f"gnd*.{suffix}"))
    if len(truths) != 1 or not place.is_dir():
        found = f"{len(truths)} files gnd*.json or gnd*.pkl and {'a' if place.is_dir() else 'no'} folder jpg"
        raise DataError(f"{printable(path)} must hold one ground truth and its images, got {found}. {spec.needs}")
    truth = read_truth(truths[0])
    searched, queries = _files(place, truth.images), _files(place, truth.queries)
    boxes = [
        None if box is None else _box(box, f"{printable(truths[0])}: the box of the query {name!r}")
        for name, box in zip(truth.queries, truth.boxes, strict=True)
    ]
    training = find_images(path / "train") if (path / "train").is_dir() else []
    files = [file.relative_to(path).as_posix() for file in (*searched, *queries, *training)]
    classes, owned = named_classes([_instance(file.relative_to(path / "train")) for file in training])
    database, query, train = np.split(np.arange(len(files)), np.cumsum([len(searched), len(queries)]))
    labels = np.full(len(files), -1)
    labels[train] = owned
    keys = list(files)
    keys[len(searched) : len(searched) + len(queries)] = map(_key, truth.queries, boxes)
    for role in (database, query):
        require_once(truths[0], [keys[item] for item in role])
    images: Paths | Loose = Paths(path, tuple(files))
    if any(boxes):
        cut = [_cut(file, box) for file, box in zip(queries, boxes, strict=True)]
        images = Loose((*searched, *cut, *training))
    pool = Pool(images, labels, classes, tuple(keys), name=folder_name(path))
    return Protocol(f"revisited:{path}", pool, train, query, database, k=k, denominator="relevant", lists=truth.lists)


def _instance(relative: Path) -> str | None:
    """The first sub-folder of a training image; None for one that lies above it, which has no label."""
    return relative.parts[0] if len(relative.parts) > 1 else None


def _files(place: Path, names: tuple[str, ...]) -> list[Path]:
    """The image files of these names below a folder."""
    known: dict[str, list[Path]] = defaultdict(list)
    for file in find_images(place):
        relative = file.relative_to(place)
        for name in {relative.as_posix(), relative.with_suffix("").as_posix()}:
            known[name].append(file)
    if absent := [name for name in names if len(known[name]) != 1]:
        many = len(known[absent[0]])
        raise DataError(
            f"{len(absent)} of {len(names)} images of the ground truth are not in {printable(place)}, or not alone "
            f"with their name; the first is {absent[0]!r}, of which there are {many}"
        )
    return [known[name][0] for name in names]


def _box(given: Any, what: str) -> Box:
    """A box in whole pixels, as the image is cut.

    Raises:
        DataError: it is none.
    """
    try:
        left, top, right, bottom = map(float, given)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{what} is left, top, right and bottom in pixels, got {given!r:.80}") from error
    if not (0 <= left < right < math.inf and 0 <= top < bottom < math.inf):
        raise DataError(f"{what} is empty or begins outside of the image: {given!r:.80}")
    return round(left), round(top), round(right), round(bottom)


def _key(name: str, box: Box | None) -> str:
    """The key of a query: what it shows belongs to it, as two may show parts of one image."""
    return f"query/{name}" if box is None else f"query/{name}[{','.join(map(str, box))}]"


def _cut(file: Path, box: Box | None) -> Path | np.ndarray:
    """What a box shows of an image, or the file where there is none."""
    if box is None:
        return file
    left, top, right, bottom = box
    shown: np.ndarray = decode(file)[top:bottom, left:right]
    if not shown.size:
        raise DataError(f"the box {box} of {printable(file)} lies outside of the image")
    return shown
