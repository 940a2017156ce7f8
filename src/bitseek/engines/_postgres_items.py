"""Items of a collection in PostgreSQL, as users see them."""

import os
from collections.abc import Mapping, Sequence
from typing import LiteralString

from bitseek.collection import Item, Root
from bitseek.engines._postgres_server import Connection
from bitseek.engines._postgres_tables import Tables

_ITEMS: LiteralString = """
SELECT id, root, path, label, width, height, size, mtime_ns, hash, code FROM {schema}.items WHERE NOT gone AND
"""

LABELLED: LiteralString = "label = %(label)s AND left(label, 100) = left(%(label)s::text, 100)"
"""Items with a label, of which there is an index by the first letters: an index has no room for whole texts."""


def roots_of(connection: Connection, tables: Tables) -> list[Root]:
    """The folders that were indexed, and whether they are on this machine."""
    rows = tables.roots(connection)
    return [Root(id, kind, folder, os.path.isdir(folder)) for id, kind, folder in rows]  # noqa: PTH112


def items_of(
    connection: Connection, tables: Tables, bits: int, which: LiteralString, values: Mapping[str, object]
) -> dict[int, Item]:
    """Some items by id, in the order in which they come.

    Args:
        connection: to the server.
        tables: of the collection.
        bits: length of the codes.
        which: a condition, and how they are ordered and cut off.
        values: in it, by name.
    """
    folders = {root.id: root for root in roots_of(connection, tables)}
    digits = -(-bits // 4)
    found: dict[int, Item] = {}
    with connection.cursor(binary=True) as cursor:
        cursor.execute(tables.named(_ITEMS + which), values)
        for id, root, path, label, width, height, size, mtime_ns, hash, code in cursor:
            folder = folders.get(root) if path is not None else None
            found[id] = Item(
                id,
                "" if folder is None else os.fsdecode(folder.file(path)),
                "" if folder is None else os.fsdecode(folder.folder),
                label,
                width,
                height,
                size,
                mtime_ns,
                "" if hash is None else hash.hex(),
                code.hex()[:digits],
            )
    return found


def items_by_id(connection: Connection, tables: Tables, bits: int, ids: Sequence[int]) -> dict[int, Item]:
    """Items by their ids, ascending; those that are gone are left out."""
    return items_of(connection, tables, bits, "id = ANY(%(ids)s) ORDER BY id", {"ids": list(ids)})
