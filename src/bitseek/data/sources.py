"""Where data lie on disk, whether they are the right ones, and what to say when they are not."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bitseek.errors import DataError


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder below which data sets lie.

    It is `root` if given, else the environment variable BITSEEK_DATA, else `bitseek` in the user's data folder
    (XDG_DATA_HOME, or ~/.local/share).
    """
    if root is not None:
        return Path(root).expanduser()
    if os.environ.get("BITSEEK_DATA"):
        return Path(os.environ["BITSEEK_DATA"]).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "bitseek"


def require(files: Sequence[Path], advice: str) -> None:
    """Check that files are there.

    Raises:
        DataError: the first that is not, and how to get it.
    """
    absent = [file for file in files if not file.is_file()]
    if absent:
        more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
        raise DataError(f"there is no file {absent[0]}{more}. {advice}")


def require_md5(folder: Path, md5: Mapping[str, str], advice: str, fetch: Callable[[], None] | None = None) -> None:
    """Check that files are there and are, byte for byte, the ones their authors published.

    Args:
        folder: where they lie.
        md5: MD5 of each file name.
        advice: what to download and where to put it.
        fetch: called once if files are absent; it may raise OSError or RuntimeError (torchvision does).

    Raises:
        DataError: a file is absent, or another one than expected (truncated, say).
    """
    if fetch is not None and not all((folder / name).is_file() for name in md5):
        _refuse_damaged([file for file in md5 if (folder / file).is_file()], folder, md5)
        try:
            fetch()
        except (OSError, RuntimeError) as error:
            reason = re.sub(r"\s+", " ", str(error))
            raise DataError(f"cannot download into {folder}: {reason}. {advice}") from error
    require([folder / name for name in md5], advice)
    _refuse_damaged(md5, folder, md5)


def _refuse_damaged(names: Sequence[str] | Mapping[str, str], folder: Path, md5: Mapping[str, str]) -> None:
    for name in names:
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != md5[name]:
            raise DataError(
                f"{folder / name} is damaged or another file: MD5 {found}, expected {md5[name]}; delete it and get "
                "it again"
            )
