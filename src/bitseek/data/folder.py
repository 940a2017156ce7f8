"""`folder:PATH`: the user's own images, one sub-folder a class."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bitseek._files import FilePath, user_path
from bitseek.data._pool import Pool, folder_name, named_classes
from bitseek.data._protocol import Protocol
from bitseek.data._spec import CutOff, ProtocolSpec
from bitseek.data._splits import draw_per_class
from bitseek.errors import DataError
from bitseek.images import Paths, find_images, printable

_TRAIN = ("train", "training")
_QUERY = ("query", "queries", "test", "testing", "val", "valid", "validation")
_DATABASE = ("database", "gallery")
SPLIT_NAMES = frozenset((*_TRAIN, *_QUERY, *_DATABASE))
"""Names (in lower case) by which a sub-folder looks like a part of a split, not like a class."""


def load(
    spec: ProtocolSpec,
    path: Path,
    seed: int,
    query: int | float = 0.1,
    train: int | float | None = None,
    k: CutOff = None,
    split: Literal["auto", "draw", "folders"] = "auto",
) -> Protocol:
    """A split of a folder of images.

    The class of an image is its first sub-folder; images that lie directly in the folder have no label (a folder
    without sub-folders is a pool without labels, for methods that need none). Every class is cut by itself.

    Args:
        spec: of this protocol.
        path: the folder.
        seed: of the split.
        query: how many images of every class are queries: a number, or a share of the class below 1.
        train: how many of the others train, likewise; None: all of them. All but the queries are searched.
        k: the cut-off of mAP@k; None for all.
        split: `draw` draws it from the seed, as said above; `folders` takes the sub-folders as the split, with classes
            below each: queries are in the first that exists of query, test and val, the database is in database or
            gallery, else it is what trains; `auto` draws, unless most sub-folders have such names.

    Raises:
        DataError: no folder, no images, sub-folders that look like a split, or too few images in a class.
    """
    relative = _images(path)
    if split == "folders":
        if (query, train) != (0.1, None):
            raise DataError("the options query and train are for a split that is drawn, not for split='folders'")
        return _of_folders(path, relative, k)
    if split == "auto":
        _refuse_split(path, describe_folder(path))
    pool = _pool(path, relative, 0)
    sizes = (query,) if train is None else (query, train)
    queries, *training, rest = draw_per_class(pool.labels.numbers, sizes, seed, classes=pool.classes)
    database = np.union1d(training[0], rest) if training else rest
    return Protocol(f"folder:{path}", pool, training[0] if training else rest, queries, database, k=k, seed=seed)


def describe_folder(path: FilePath) -> dict[str, Any]:
    """What is in a folder, before anything is split; ready for JSON.

    Returns:
        images: how many; classes: how many in each sub-folder; without_class: how many directly in the folder. If most
        sub-folders have the name of a part of a split, split has the same three for each of them; else it is empty.

    Raises:
        DataError: no folder, or no images in it.
    """
    relative = _images(user_path(path, resolve=True))
    found = _counts(relative, 0)
    parts = [name for name in found["classes"] if name.lower() in SPLIT_NAMES]
    looks_like_split = 2 * len(parts) > len(found["classes"])
    below = {part: _counts([name for name in relative if _folder_of(name, 0) == part], 1) for part in parts}
    return found | {"split": below if looks_like_split else {}}


def _images(path: Path) -> tuple[str, ...]:
    if not path.is_dir():
        raise DataError(
            f"there is no folder {printable(path)}; where the images have moved, give folder:PATH with the new one (of "
            "a run: --root PATH)"
        )
    relative = tuple(file.relative_to(path).as_posix() for file in find_images(path))
    if not relative:
        raise DataError(f"there are no images in {printable(path)} or below it")
    return relative


def _folder_of(name: str, depth: int) -> str | None:
    """The sub-folder of a relative path at a depth; None if the file lies above it."""
    folders = name.split("/")[:-1]
    return folders[depth] if depth < len(folders) else None


def _counts(names: Sequence[str], depth: int) -> dict[str, Any]:
    sizes = Counter(_folder_of(name, depth) for name in names)
    without = sizes.pop(None, 0)
    return {"images": len(names), "classes": dict(sizes), "without_class": without}


def _pool(path: Path, relative: tuple[str, ...], depth: int) -> Pool:
    """All images, with the sub-folder at a depth as their class."""
    classes, labels = named_classes([_folder_of(name, depth) for name in relative])
    return Pool(Paths(path, relative), labels, classes, name=folder_name(path))


def _refuse_split(path: Path, found: dict[str, Any]) -> None:
    if found["split"]:
        parts = [
            f"{printable(name)} ({part['images']} images, {len(part['classes'])} sub-folders)"
            for name, part in found["split"].items()
        ]
        first = next(iter(found["split"]))
        raise DataError(
            f"the sub-folders of {printable(path)} look like a split, not like classes: {', '.join(parts)}. If they "
            "are a split with a sub-folder a class in each, give the option split=folders; if they are classes, "
            f"split=draw; or take one of them alone: folder:{printable(path / first)}"
        )


def _of_folders(path: Path, relative: tuple[str, ...], k: int | None) -> Protocol:
    """The split that the sub-folders say, classes below them."""
    pool = _pool(path, relative, 1)
    parts = np.array([(_folder_of(name, 0) or "").lower() for name in relative])

    def first(role: str, names: Sequence[str]) -> np.ndarray:
        for name in names:
            if (parts == name).any():
                return np.flatnonzero(parts == name)
        raise DataError(f"{printable(path)} has no images for {role}: no sub-folder {' or '.join(names)}")

    train = first("train", _TRAIN)
    return Protocol(
        f"folder:{path}", pool, train, first("query", _QUERY), first("database", (*_DATABASE, *_TRAIN)), k=k
    )
