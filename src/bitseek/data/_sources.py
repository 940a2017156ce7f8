"""Where data lie on disk, whether they are the right ones, and what to say when they are not."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bitseek._files import FilePath, user_path
from bitseek.errors import DataError, MissingExtra
from bitseek.images import Paths, printable


def data_root(root: FilePath | None = None) -> Path:
    """The folder below which data sets lie.

    It is `root` if given, else the environment variable BITSEEK_DATA, else `bitseek` in the user's data folder
    (XDG_DATA_HOME, or ~/.local/share).
    """
    if root is None:
        root = os.environ.get("BITSEEK_DATA") or Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share", "bitseek")
    return user_path(root)


def require(files: Sequence[Path], needs: str, root: Path) -> None:
    """Check that files are there.

    Args:
        files: which.
        needs: how to get them; ROOT stands for the folder of the data.
        root: that folder.

    Raises:
        DataError: the first that is not, and how to get it.
    """
    absent = [file for file in files if not file.is_file()]
    if absent:
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        raise DataError(f"there is no file {absent[0]}{more}. {needs.replace('ROOT', str(root))}")


def require_once(file: Path, names: Sequence[str]) -> None:
    """Check that a file lists no image twice.

    Raises:
        DataError: how many are, and one of them.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{printable(file)} lists {len(twice)} images more than once, {twice[0]!r} for one")


def require_images(name: str, images: Paths, check: bool = True) -> None:
    """Check that all images of a protocol are there, unless `check` is False.

    Raises:
        DataError: how many are not, and one of them.
    """
    absent = [path for path in images.rows(slice(None)) if not path.is_file()] if check else []
    if absent:
        raise DataError(
            f"{name}: {len(absent)} of {len(images)} listed images are absent, for one {printable(absent[0])}; put the "
            "images there, or give the folder that the listed paths start from"
        )


def require_md5(
    folder: Path, md5: Mapping[str, str], needs: str, root: Path, fetch: Callable[[], None] | None = None
) -> None:
    """Check that files are there and are, byte for byte, the ones their authors published.

    Args:
        folder: where they lie.
        md5: MD5 of each file name.
        needs: see `require`.
        root: see `require`.
        fetch: called once if files are absent; it may raise OSError or RuntimeError (torchvision does).

    Raises:
        DataError: a file is absent, or another one than expected (truncated, say).
    """
    present = [name for name in md5 if (folder / name).is_file()]
    if fetch is not None and len(present) < len(md5):
        _refuse_damaged(present, folder, md5)
        try:
            fetch()
        except (OSError, RuntimeError) as error:
            reason = re.sub(r"\s+", " ", str(error))
            raise DataError(f"cannot download into {folder}: {reason}. {needs.replace('ROOT', str(root))}") from error
    require([folder / name for name in md5], needs, root)
    _refuse_damaged(md5, folder, md5)


def torchvision_datasets() -> Any:
    """The module `torchvision.datasets`, which knows where to download from.

    Raises:
        MissingExtra: torchvision is not installed.
    """
    try:
        from torchvision import datasets
    except ImportError as error:
        raise MissingExtra("torchvision", "train") from error
    return datasets


def _refuse_damaged(names: Iterable[str], folder: Path, md5: Mapping[str, str]) -> None:
    for name in names:
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != md5[name]:
            raise DataError(
                f"{folder / name} is damaged or another file: MD5 {found}, expected {md5[name]}; delete it and get "
                "it again"
            )
