"""All published rows, and how one is found by its name."""

import difflib

from bitseek.errors import BitseekError
from bitseek.reproduce import frameworks, orthohash, others
from bitseek.reproduce.row import Row


def published() -> dict[str, Row]:
    """Every row by its name, in the order of the tables."""
    return {row.name: row for tables in (orthohash, others, frameworks) for row in tables.rows()}


def find(name: str) -> list[Row]:
    """The row of that name, all rows of a table, or `all`.

    Args:
        name: such as `relahash-readme/cifar10-1-relahash-64`, `relahash-readme`, or `all`.

    Raises:
        BitseekError: there is none.

    >>> len(find("relahash-readme"))
    8
    """
    rows = published()
    if name in rows:
        return [rows[name]]
    found = [row for row in rows.values() if name in ("all", row.table)]
    if not found:
        tables = list(dict.fromkeys(row.table for row in rows.values()))
        near = difflib.get_close_matches(name, [*rows, *tables], n=3)
        advice = f"did you mean {', '.join(near)}?" if near else f"the tables are {', '.join(tables)}"
        raise BitseekError(f"there is no published row or table {name!r}; {advice} See: bitseek reproduce")
    return found
