"""What can be done with a collection: create, open, update, search."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, overload, runtime_checkable

import numpy as np

from bitseek._files import user_path
from bitseek.codes import Codes, words_per_code
from bitseek.collection._items import Items, Stamp
from bitseek.errors import BitseekError, CodeWidthError, RunError
from bitseek.images import find_images
from bitseek.index import HammingIndex

DATABASE = "items.sqlite"
BATCH = 512
"""Images that are added in one transaction; a kill loses at most the work on so many."""

Path_ = str | os.PathLike[str]
Progress = Callable[[int, int], None]
"""Called with the number of images done and of all."""


@runtime_checkable
class Encoder(Protocol):
    """What a collection needs of a hasher.

    Attributes:
        bits: length of its codes.
        fingerprint: names the model; codes of different fingerprints cannot be compared.
    """

    @property
    def bits(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    def encode(
        self, images: Any, *, threads: int | None, progress: Progress | None, unreadable: dict[int, str] | None
    ) -> Codes:
        """One code an image; one that cannot be decoded has none but a message in `unreadable`, or is an ImageError."""


Hasher = Encoder | Callable[[str], Encoder]
"""An encoder, or what loads one from the folder of its run (`bitseek.load`), if there is something to encode."""


class Update(NamedTuple):
    """What an update did.

    Attributes:
        added: number of images that were encoded, because they are new or were changed.
        unchanged: number of images that were in the collection as they are.
        removed: number of items that were taken out, because their file is gone or cannot be read any more.
        unreadable: message of each image that could not be decoded, by its path.
    """

    added: int
    unchanged: int
    removed: int
    unreadable: dict[str, str]


class Hit(NamedTuple):
    """One item that a search found: its path, its Hamming distance in bits, and its code in hexadecimal digits."""

    path: str
    distance: int
    code: str


class Collection:
    """Items and their codes. `open` one that is there, or `create` one; both work in a `with`.

    Paths are absolute; bytes of a name that are not UTF-8 are surrogates in it, as `os.fsdecode` makes them.

    Attributes:
        folder: where it is.
        bits: length of its codes.
        model: run folder of the hasher that made the codes.
        fingerprint: of that hasher.
    """

    def __init__(self, folder: Path_) -> None:
        self.folder = user_path(folder)
        self._items = Items(self.folder / DATABASE)
        self._is_new = False
        meta = self._items.meta
        self.bits, self.model, self.fingerprint = int(meta["bits"]), meta["model"], meta["fingerprint"]

    @classmethod
    def create(cls, folder: Path_, *, hasher: Encoder, model: Path_) -> "Collection":
        """Make an empty collection for the codes of a hasher whose run folder is `model`.

        In a `with` that fails before anything was added, it is removed again.

        Raises:
            BitseekError: the folder holds something already, or cannot be made.
        """
        target = user_path(folder)
        try:
            if target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise RunError(f"{folder} exists and is not a collection; give another folder")
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the collection {folder}: {error.strerror or error}") from error
        meta = {"bits": str(hasher.bits), "model": str(user_path(model).absolute()), "fingerprint": hasher.fingerprint}
        Items.create(target / DATABASE, meta)
        made = cls(target)
        made._is_new = True
        return made

    @classmethod
    def open(cls, folder: Path_) -> "Collection":
        """Open a collection.

        Raises:
            RunError: there is none, or it is damaged.
        """
        if not cls.exists(folder):
            raise RunError(f"{folder} is not a collection; make one with: bitseek index {folder} FOLDER --model RUN")
        return cls(folder)

    @staticmethod
    def exists(folder: Path_) -> bool:
        """Whether there is a collection."""
        return (user_path(folder) / DATABASE).is_file()

    def __enter__(self) -> "Collection":
        return self

    def __exit__(self, error: object, *_: object) -> None:
        useless = self._is_new and error is not None and not self._items.stamps()
        self.close()
        if useless:
            self._items.file.unlink()
            with suppress(OSError):  # something else is in it
                self.folder.rmdir()

    def __len__(self) -> int:
        return len(self._content[0])

    def close(self) -> None:
        """Close the files."""
        self._items.close()

    def move_model(self, model: Path_, hasher: Encoder) -> None:
        """Remember another run folder of the same hasher.

        Raises:
            CodeWidthError: it is another hasher.
        """
        self._encoder(hasher)
        self.model = str(user_path(model).absolute())
        self._items.put_meta(model=self.model)

    def update(
        self,
        folders: Path_ | Iterable[Path_],
        *,
        hasher: Hasher,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Update:
        """Encode the images of some folders that are new or were changed, and take out those that are gone.

        Items elsewhere stay as they are, and no image file is touched. Stopped or killed, an update keeps what it has
        added, and the next one goes on from there.

        Args:
            folders: images, and folders of images; see `bitseek.images.find_images`.
            hasher: that of the collection, or what loads it.
            threads: how many decode.
            progress: called after each batch.

        Raises:
            BitseekError: a folder is not there, the hasher is another one, or the collection cannot be written.
        """
        paths = [folders] if isinstance(folders, str | os.PathLike) else list(folders)
        files, failed = _stamps(find_images(paths))
        stored = self._items.stamps()
        wanted = [path for path, stamp in files.items() if stored.get(path) != stamp]
        encoder = self._encoder(hasher) if wanted else None
        roots = [os.fsencode(os.path.realpath(path)) for path in paths]
        removed = self._items.delete(path for path in stored if path not in files and _is_in(path, roots))
        added = 0
        for start in range(0, len(wanted), BATCH):
            assert encoder is not None
            batch, unreadable = wanted[start : start + BATCH], dict[int, str]()
            codes = encoder.encode(
                [os.fsdecode(path) for path in batch],
                threads=threads,
                progress=progress and partial(_shifted, progress, start, len(wanted)),
                unreadable=unreadable,
            )
            kept = [path for i, path in enumerate(batch) if i not in unreadable]
            words = codes.words.astype("<u8")
            self._items.put((path, *files[path], row.tobytes()) for path, row in zip(kept, words, strict=True))
            added += len(kept)
            removed += self._items.delete(batch[i] for i in unreadable)
            failed |= {os.fsdecode(batch[i]): message for i, message in unreadable.items()}
        self.__dict__.pop("_content", None)
        return Update(added, len(files) - len(wanted), removed, failed)

    @property
    def paths(self) -> list[str]:
        """Path of each item, in the order of the codes."""
        return self._content[0]

    @property
    def codes(self) -> Codes:
        """Code of each item."""
        return self._content[1]

    def encode(self, images: Any, *, hasher: Hasher, threads: int | None = None) -> Codes:
        """Codes of images by the hasher of the collection, to search with.

        Raises:
            BitseekError: an image cannot be read, or the hasher is another one.
        """
        return self._encoder(hasher).encode(images, threads=threads, progress=None, unreadable=None)

    @overload
    def search(
        self, query: Codes | list[Any] | tuple[Any, ...], *, k: int = 10, hasher: Hasher | None = None
    ) -> list[list[Hit]]: ...
    @overload
    def search(self, query: Any, *, k: int = 10, hasher: Hasher | None = None) -> list[Hit]: ...
    def search(self, query: Any, *, k: int = 10, hasher: Hasher | None = None) -> list[Hit] | list[list[Hit]]:
        """The k nearest items by (distance, place in the collection); fewer if there are fewer.

        Args:
            query: one image: a path, or what else the hasher takes for one. Or several: a list of images, or codes.
            k: how many items, 1 or more.
            hasher: that of the collection, or what loads it; codes need none.

        Returns:
            hits of the image; or a list of the hits of each query.

        Raises:
            BitseekError: an image cannot be read, or the hasher or the codes are of another model.
        """
        single = not isinstance(query, Codes | list | tuple)
        if not isinstance(query, Codes):
            if hasher is None:
                raise BitseekError(f"images are searched with the collection's hasher: hasher=load({self.model!r})")
            query = self.encode([query] if single else query, hasher=hasher)
        if query.bits != self.bits:
            raise CodeWidthError(
                f"this collection holds codes of {self.bits} bits (model {self.fingerprint}), the query has "
                f"{query.bits}; encode it with the same model"
            )
        paths, codes, index = self._content
        hits = index.nearest(query, k)
        found = [
            [Hit(paths[i], int(d), code) for i, d, code in zip(ids, distances, codes[ids].hex(), strict=True)]
            for ids, distances in zip(hits.ids, hits.distances, strict=True)
        ]
        return found[0] if single else found

    @cached_property
    def _content(self) -> tuple[list[str], Codes, HammingIndex]:
        """Paths, codes and the index over them, as of one moment."""
        paths, blob = self._items.codes()
        width = words_per_code(self.bits)
        if len(blob) != 8 * width * len(paths):
            raise RunError(f"{self.folder} is damaged: not all codes have {self.bits} bits; index the images again")
        codes = Codes(np.frombuffer(blob, "<u8").astype(np.uint64, copy=False).reshape(-1, width), self.bits)
        return list(map(os.fsdecode, paths)), codes, HammingIndex(codes)

    def _encoder(self, hasher: Hasher) -> Encoder:
        encoder = hasher if isinstance(hasher, Encoder) else hasher(self.model)
        if encoder.fingerprint != self.fingerprint:
            raise CodeWidthError(
                f"the codes in {self.folder} were made by model {self.fingerprint} ({self.model}), not by "
                f"{encoder.fingerprint}; use that model, or make a new collection"
            )
        return encoder


def _stamps(files: Iterable[Path]) -> tuple[dict[bytes, Stamp], dict[str, str]]:
    """Size and time of change of files by their real paths, and messages about those that vanished meanwhile."""
    stamps, failed = {}, {}
    for file in files:
        path = os.path.realpath(file)
        try:
            status = file.stat()
            stamps[os.fsencode(path)] = status.st_size, status.st_mtime_ns
        except OSError as error:
            failed[path] = f"{path} cannot be read: {error.strerror}"
    return stamps, failed


def _is_in(path: bytes, roots: Iterable[bytes]) -> bool:
    """Whether a file is one of some files, or below one of some folders."""
    return any(path == root or path.startswith(root.rstrip(b"/") + b"/") for root in roots)


def _shifted(progress: Progress, start: int, total: int, done: int, _: int) -> None:
    """Progress of a batch as that of the whole."""
    progress(start + done, total)
