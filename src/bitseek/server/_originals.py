"""The file of an item, and nothing else of the disk."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from bitseek.collection import Item
from bitseek.images import stamp
from bitseek.server._refusal import Refusal

_CHUNK = 256 * 1024
_FOLDER = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def opened(item: Item, root: str) -> BinaryIO:
    """The file of an item, open for reading, if it is still the one that was indexed.

    The path may lead through links, as long as it ends below the root; then every step is opened without following
    a link, so that none can be put in its place meanwhile.

    Args:
        item: of the collection.
        root: the folder that was indexed.

    Raises:
        Refusal: 404, the file is gone, has changed, or does not lie in that folder.
    """
    gone = Refusal(404, f"the file of item {item.id} is gone, or has changed since it was indexed")
    try:
        inside = Path(os.path.realpath(root))
        parts = Path(os.path.realpath(item.path, strict=True)).relative_to(inside).parts
        with ExitStack() as folders:
            here = os.open(inside, _FOLDER)
            folders.callback(os.close, here)
            for part in parts[:-1]:
                here = os.open(part, _FOLDER, dir_fd=here)
                folders.callback(os.close, here)
            file = os.fdopen(os.open(parts[-1], _FILE, dir_fd=here), "rb")
    except (OSError, ValueError, IndexError) as error:
        raise gone from error
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode) or stamp(status) != (item.size, item.mtime_ns):
        file.close()
        raise gone
    return file


def pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file, which is closed at the end; no more, should it grow meanwhile."""
    with file:
        while size > 0 and (piece := file.read(min(_CHUNK, size))):
            size -= len(piece)
            yield piece
