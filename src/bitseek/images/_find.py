"""Image files below folders, and file names as text that can be printed."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bitseek._files import FilePath, user_path
from bitseek.errors import ImageError

IMAGE_EXTENSIONS = frozenset({
    ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png",
    ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""The file name endings (lower case) that `find_images` takes for images inside a folder."""


def find_images(paths: Iterable[FilePath] | FilePath) -> list[Path]:
    """The image files among files and below folders, always in the same order.

    A file is taken whatever its name; of a folder, all files below it whose extension is in `IMAGE_EXTENSIONS`, in
    the order of their paths. Left out are hidden files and folders (a leading dot), links to folders, and links to
    files outside of the folder. A file that is met twice is listed once, however its path is written. Bytes of a name
    that are not UTF-8 are surrogates in the path, by which Python finds the file again.

    Args:
        paths: one path or several.

    Raises:
        ImageError: a path does not exist, or a folder cannot be read.
        BitseekError: what is no path; the empty text is none.
    """
    several = isinstance(paths, Iterable) and not isinstance(paths, str | bytes | os.PathLike)
    listed: Any = paths if several else [paths]
    found: dict[str, Path] = {}
    for path in map(user_path, listed):
        files = [path]
        if path.is_dir():
            files = sorted(_walk(path), key=lambda file: file.relative_to(path).parts)
        elif not path.exists():
            end = ", only a link that leads nowhere" if path.is_symlink() else ""
            raise ImageError(f"there is no file or folder {printable(path)}{end}")
        for file in files:
            found.setdefault(os.path.abspath(file), file)  # noqa: PTH100  # links are kept
    return list(found.values())


def printable(path: FilePath) -> str:
    r"""A path on one line of valid text: bytes that are not UTF-8 and characters that are not printable as escapes.

    >>> print(printable(b"caf\xe9\n.png"))
    caf\xe9\n.png
    """
    escaped = (letter if letter.isprintable() else repr(letter)[1:-1] for letter in os.fsdecode(path))
    return "".join(letter.replace(r"\udc", r"\x") for letter in escaped)


def _walk(folder: Path) -> Iterator[Path]:
    inside = folder.resolve()

    def unreadable(error: OSError) -> None:
        raise ImageError(f"cannot read the folder {printable(error.filename)}: {error.strerror or error}") from error

    for parent, below, names in os.walk(folder, onerror=unreadable, followlinks=False):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            file = Path(parent, name)
            if name.startswith(".") or file.suffix.lower() not in IMAGE_EXTENSIONS:
                continue
            if file.is_symlink() and not (file.is_file() and file.resolve().is_relative_to(inside)):
                continue
            yield file
