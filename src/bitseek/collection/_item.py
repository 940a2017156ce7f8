"""One item of a collection, as users see it."""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bitseek.collection._items import AT_ONCE
from bitseek.collection._roots import Root


class Item(NamedTuple):
    """An image in a collection.

    Attributes:
        id: its number, which no other item ever gets. A file that is changed or moved becomes another item.
        path: of its file, absolute; bytes that are not UTF-8 are surrogates, as `os.fsdecode` makes them. Empty if it
            was imported without a path.
        root: the folder that was indexed, of which the path is a part.
        label: its label, or None.
        width: of the image in pixels, upright; 0 if unknown.
        height: in pixels; 0 if unknown.
        size: of the file in bytes.
        mtime_ns: time of the last change of the file, in ns since 1970.
        hash: BLAKE2b of the bytes of the file, 32 hexadecimal digits; empty if unknown.
        code: in hexadecimal digits, see `Codes.hex`.
    """

    id: int
    path: str
    root: str
    label: str | None
    width: int
    height: int
    size: int
    mtime_ns: int
    hash: str
    code: str


_STORED = "id, root, path, label, width, height, size, mtime_ns, hash, code"

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the other order: bit 0 of a code is the lowest of a word, and the highest of a digit."""


def items_of(connection: sqlite3.Connection, ids: Sequence[int], roots: Iterable[Root], bits: int) -> dict[int, Item]:
    """Items by their ids, in the order of the ids if these ascend; those that are not there any more are left out.

    A search waits for this, so an item is made from its row directly, without `Row` and `Codes`.

    Args:
        connection: to the items.
        ids: which items.
        roots: the folders that they lie in.
        bits: length of the codes.
    """
    folders = {root.id: (os.fsdecode(root.folder), os.fsdecode(root.file(b""))) for root in roots}
    digits = -(-bits // 4)
    found: dict[int, Item] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        marks = ", ".join("?" * len(some))
        for id, root, path, label, width, height, size, mtime_ns, hash, code in connection.execute(
            f"SELECT {_STORED} FROM items WHERE id IN ({marks}) ORDER BY id", some
        ):
            folder, start_of_path = folders.get(root, ("", ""))
            found[id] = Item(
                id,
                start_of_path + os.fsdecode(path) if folder and path is not None else "",
                folder,
                label,
                width,
                height,
                size,
                mtime_ns,
                "" if hash is None else hash.hex(),
                code.translate(_REVERSED).hex()[:digits],
            )
    return found
