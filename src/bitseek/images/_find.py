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

_LATEST = 2**63 - 1
_EXTENSIONS = frozenset(map(os.fsencode, IMAGE_EXTENSIONS))


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
        whole = os.path.abspath(path)  # noqa: PTH100  # links are kept
        if path.is_dir():
            for name, _ in walk(path):
                below = os.fsdecode(name)
                found.setdefault(os.path.join(whole, below), Path(path, below))  # noqa: PTH118  # many times faster
        elif path.exists():
            found.setdefault(whole, path)
        else:
            end = ", only a link that leads nowhere" if path.is_symlink() else ""
            raise ImageError(f"there is no file or folder {printable(path)}{end}")
    return list(found.values())


def walk(folder: FilePath, unreadable: dict[bytes, str] | None = None) -> Iterator[tuple[bytes, os.stat_result]]:
    """The image files below a folder by the rules of `find_images`, in its order, with what the system knows of them.

    What is deleted meanwhile is left out. One pass, without a path object for each file.

    Args:
        folder: where to look.
        unreadable: gets what is in it and cannot be looked at, by its path, with the reason; None to raise that.

    Yields:
        the path relative to the folder, with slashes; and the `os.stat` of the file, of a link that of its file.

    Raises:
        ImageError: there is no such folder, or something in it cannot be read.
    """
    root = os.fsencode(user_path(folder))
    if not os.path.isdir(root):  # noqa: PTH112
        raise ImageError(f"there is no folder {printable(root)}")
    inside = os.path.join(os.path.realpath(root), b"")  # noqa: PTH118  # bytes, as all paths here
    waiting = [(b"", entry) for entry in _listed(root)]
    while waiting:
        parent, entry = waiting.pop()
        name = parent + entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                try:
                    waiting.extend((name + b"/", below) for below in _listed(entry.path))
                except ImageError as error:
                    if unreadable is None:
                        raise
                    unreadable[name] = str(error)
                continue
            if not _is_image(entry.name) or (entry.is_symlink() and not _leads_inside(entry.path, inside)):
                continue
            status = entry.stat()
        except FileNotFoundError:
            continue
        except OSError as error:  # a folder may be listed whose files may not be looked at
            reason = f"cannot look at {printable(entry.path)}: {error.strerror or error}"
            if unreadable is None:
                raise ImageError(reason) from error
            unreadable[name] = reason
            continue
        yield name, status


def stamp(status: os.stat_result) -> tuple[int, int]:
    """Size in bytes and time of change in ns, by which a file is known as unchanged.

    The time is the nearest one of int64, which ends in 2262: some file systems keep later ones, SQLite cannot.
    """
    return status.st_size, min(max(status.st_mtime_ns, -_LATEST - 1), _LATEST)


def printable(path: FilePath) -> str:
    r"""A path on one line of valid text: bytes that are not UTF-8 and characters that are not printable as escapes.

    >>> print(printable(b"caf\xe9\n.png"))
    caf\xe9\n.png
    """
    text = os.fsdecode(path)
    if text.isprintable():
        return text
    escaped = (letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return "".join(letter.replace(r"\udc", r"\x") for letter in escaped)


def _listed(folder: bytes) -> list[os.DirEntry[bytes]]:
    """What is in a folder and not hidden, the last name first."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(b".")]
    except FileNotFoundError:  # deleted since it was seen
        return []
    except OSError as error:
        raise ImageError(f"cannot read the folder {printable(folder)}: {error.strerror or error}") from error
    return sorted(visible, key=lambda entry: entry.name, reverse=True)


def _is_image(name: bytes) -> bool:
    return os.path.splitext(name)[1].lower() in _EXTENSIONS  # noqa: PTH122


def _leads_inside(link: bytes, folder: bytes) -> bool:
    return os.path.isfile(link) and os.path.realpath(link).startswith(folder)  # noqa: PTH113
