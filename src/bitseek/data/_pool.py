"""Every item of a data set: its image, its labels, and the key by which it is known on every machine."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64, UInt64

from bitseek._files import user_path
from bitseek.errors import BitseekError, DataError
from bitseek.images import Images, Loose, Paths, decode
from bitseek.labels import Labels


@dataclass(frozen=True, eq=False, init=False)
class Pool:
    """Every item of a data set, in an order that is the same on every machine.

    Args:
        images: n images or features.
        labels: what `Labels.of` takes: (n,) class numbers, −1 for none; or (n, C) multi-hot (a row of zeros is legal).
        classes: the C names.
        keys: the n different names of the items, for checksums; by default the relative paths, or the numbers
            0 … n − 1.
        mirror: whether a mirrored image still shows its class; not so for digits and letters.
        name: identity of the data set, the same in all its protocols; by default `folder:PATH` for files below one
            folder, and a digest of the labels and of some of the images (or of their paths) for all else.

    Raises:
        DataError: the parts do not fit together.
        ShapeError: the labels are not labels of the C classes.
    """

    images: Images
    labels: Labels
    classes: tuple[str, ...]
    keys: tuple[str, ...] | None
    mirror: bool
    name: str

    def __init__(
        self,
        images: Images,
        labels: Any,
        classes: tuple[str, ...],
        keys: tuple[str, ...] | None = None,
        mirror: bool = True,
        name: str | None = None,
    ) -> None:
        labels = Labels.of(labels, len(classes))
        if len(labels) != len(images):
            raise DataError(f"{len(images)} items need {len(images)} labels, got {len(labels)}")
        if keys is not None and len(keys) != len(images):
            raise DataError(f"{len(images)} items need {len(images)} keys, got {len(keys)}")
        for what, names in (("classes", classes), ("keys", keys or ())):
            if odd := [name for name in names if not isinstance(name, str)]:
                raise DataError(f"the {what} of a pool are text, got {odd[0]!r:.80}")
        if keys and (twice := len(keys) - len(set(keys))):
            raise DataError(f"{twice} items have the key of another one; each needs a key of its own")
        fields = {"images": images, "labels": labels, "classes": classes, "keys": keys, "mirror": mirror}
        for field, value in (fields | {"name": name or _identity(images, labels)}).items():
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def multi_label(self) -> bool:
        """Whether an item may have several labels."""
        return not self.labels.single

    def key(self, index: SupportsIndex) -> str:
        """The name of one item."""
        return self.keys_of([index.__index__()])[0]

    def keys_of(self, indices: Any = slice(None)) -> list[str]:
        """The names of the items at `indices`."""
        numbers = np.arange(len(self))[indices].tolist()
        names = self.keys
        if names is None and isinstance(self.images, Paths):
            names = self.images.relative
        return [str(number) for number in numbers] if names is None else [names[number] for number in numbers]

    def item_hashes(self, indices: Any = slice(None)) -> UInt64[np.ndarray, " m"]:
        """(m,) uint64: BLAKE2b of the pool's name and each item's key, by which items are known in another protocol."""
        start = hashlib.blake2b(encoded(f"{self.name}\0"), digest_size=8)
        digests = bytearray()
        for key in self.keys_of(indices):
            whole = start.copy()
            whole.update(encoded(key))
            digests += whole.digest()
        return np.frombuffer(bytes(digests), "<u8").astype(np.uint64)


def encoded(text: str) -> bytes:
    """Text as bytes, file names that are not UTF-8 as they are on disk."""
    return text.encode("utf-8", "surrogateescape")


def named_classes(owners: Sequence[str | None]) -> tuple[tuple[str, ...], Int64[np.ndarray, " n"]]:
    """The classes of items by the names of theirs, sorted, and the label of each item; −1 for None."""
    classes = tuple(sorted({owner for owner in owners if owner is not None}))
    numbers: dict[str | None, int] = {owner: label for label, owner in enumerate(classes)}
    return classes, np.array([numbers.get(owner, -1) for owner in owners], np.int64)


def folder_name(folder: Path) -> str:
    """The name of a pool of files: wherever it is called from, and in whatever split."""
    return f"folder:{folder.resolve()}"


def _identity(images: Images, labels: Labels) -> str:
    """A name for a pool that was given none."""
    if isinstance(images, Paths):
        return folder_name(images.root)
    digest = hashlib.blake2b(labels.words.tobytes(), digest_size=8)
    some = np.unique(np.linspace(0, max(0, len(images) - 1), num=min(64, len(images)), dtype=np.int64))
    rows: Any = images.rows(some)
    digest.update(b"\0".join(map(_contents, rows)) if isinstance(images, Loose) else rows.tobytes())
    return f"{len(images)} items {digest.hexdigest()}"


def _contents(item: Any) -> bytes:
    """The path of an image, else its pixels; nothing for what cannot be read, or not twice."""
    try:
        if isinstance(item, str | bytes | os.PathLike):
            return os.fsencode(user_path(item).absolute())
        return decode(item).tobytes() if getattr(item, "seekable", lambda: True)() else b""
    except BitseekError:
        return b""
