"""`folder:PATH`: the user's own images, one sub-folder a class."""

from pathlib import Path

import numpy as np

from bitseek.data.pool import Paths, Pool
from bitseek.data.protocol import Protocol
from bitseek.data.spec import ProtocolSpec
from bitseek.data.splits import draw_per_class
from bitseek.errors import DataError
from bitseek.images import find_images


def load(
    path: Path, seed: int, query: int | float = 0.1, train: int | float | None = None, at: int | None = None
) -> Protocol:
    """A seeded split of a folder of images.

    The class of an image is its first sub-folder; images that lie directly in the folder have no label (a folder
    without sub-folders is a pool without labels, for methods that need none). Every class is cut by itself.

    Args:
        path: the folder.
        seed: of the split.
        query: how many images of every class ask: a number, or a fraction below 1 of the class.
        train: how many of the others train, likewise; None: all of them. All but the queries are searched.
        at: R of mAP@R; None for all.
    """
    if not path.is_dir():
        raise DataError(f"there is no folder {path}")
    relative = tuple(file.relative_to(path).as_posix() for file in find_images(path))
    if not relative:
        raise DataError(f"there are no images in {path} or below it")
    owners = [name.split("/")[0] if "/" in name else None for name in relative]
    classes = tuple(sorted({owner for owner in owners if owner is not None}))
    numbers = {owner: label for label, owner in enumerate(classes)}
    labels = np.array([-1 if owner is None else numbers[owner] for owner in owners], np.int64)
    sizes = (query,) if train is None else (query, train)
    queries, *training, rest = draw_per_class(labels, sizes, seed, classes=classes)
    database = np.union1d(training[0], rest) if training else rest
    pool = Pool(Paths(path, relative), labels, classes)
    return Protocol(f"folder:{path}", pool, training[0] if training else rest, queries, database, at=at, seed=seed)


SPECS = (
    ProtocolSpec(
        name="folder",
        argument="PATH",
        summary="your own images, one sub-folder a class; seeded split, sizes by the options query and train",
        citation="your own data",
        sizes=None,
        at=None,
        needs="Give the folder that holds one sub-folder of images a class",
        load=load,
    ),
)
