"""Making the folder of a collection: whole, or not at all. The items come last, and a collection is what has them."""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bitseek._files import FilePath, user_path
from bitseek.collection._contents import MODEL
from bitseek.collection._encoder import Encoder
from bitseek.collection._items import DATABASE, Meta, create
from bitseek.collection._lock import HOLDER, LOCK, WriterLock
from bitseek.errors import BitseekError, RunError
from bitseek.images import printable

_MAKING = ".making"
"""A folder that is there only while a collection is made; with it, what is left of one that was killed is known."""

_LOCKING = frozenset({LOCK, HOLDER, f".{HOLDER}.part"})
"""Names in a folder that a writer has locked."""

OURS = frozenset({
    DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", "codes.bin", "features.bin", "thumbnails.sqlite", MODEL, _MAKING,
    *_LOCKING,
})  # fmt: skip
"""Names in the folder of a collection that was never updated."""


def make(
    folder: FilePath, encoder: Encoder, *, features: bool, thumbnails: bool, made_with: Mapping[str, Any] | None
) -> Path:
    """Make an empty collection for the codes of an encoder, which is saved in it.

    Returns:
        its folder.

    Raises:
        RunError: the folder holds something already, or cannot be made.
        BitseekError: the encoder cannot be saved, or `made_with` cannot be JSON.
    """
    try:
        recorded = None if made_with is None else json.dumps(dict(made_with))
    except (TypeError, ValueError) as error:
        raise BitseekError(f"what a collection is made with is values that JSON can hold by name: {error}") from error
    target = user_path(folder).absolute()
    try:
        _check_free(target)
        target.mkdir(parents=True, exist_ok=True)
        with WriterLock(target).held(0.0):
            _check_free(target)  # another program may have made one meanwhile
            (target / _MAKING).mkdir(exist_ok=True)
            try:
                _fill(target, encoder, features, thumbnails, recorded)
            except BaseException:
                unmake(target)
                raise
    except OSError as error:
        raise RunError(f"cannot make the collection {printable(target)}: {error.strerror or error}") from error
    return target


def _check_free(target: Path) -> None:
    """Refuse a folder with anything in it but what is left of a collection whose making was killed.

    Raises:
        RunError: it has.
    """
    names = ({path.name for path in target.iterdir()} if os.path.lexists(target) else set()) - _LOCKING
    if names and not (_MAKING in names and DATABASE not in names and names <= OURS):
        raise RunError(f"{printable(target)} exists and is not an empty folder; give another folder")


def _fill(target: Path, encoder: Encoder, features: bool, thumbnails: bool, made_with: str | None) -> None:
    """Write the model and the items, each in full before it gets its place."""
    for part in (target / MODEL, target / _MAKING / MODEL):
        shutil.rmtree(part, ignore_errors=True)
    encoder.save(target / _MAKING / MODEL)
    (target / _MAKING / MODEL).rename(target / MODEL)
    meta = Meta(encoder.bits, encoder.fingerprint, int(features), 0, int(thumbnails))
    for end in ("", "-wal", "-shm"):
        (target / _MAKING / (DATABASE + end)).unlink(missing_ok=True)
    create(target / _MAKING / DATABASE, meta, made_with)
    (target / _MAKING / DATABASE).rename(target / DATABASE)
    (target / _MAKING).rmdir()


def unmake(folder: Path) -> None:
    """Delete a collection that was never updated, and its folder if nothing else is in it."""
    for name in OURS:
        path = folder / name
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    with suppress(OSError):
        folder.rmdir()
