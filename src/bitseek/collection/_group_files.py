"""Groups of duplicates as a table (.csv) or as JSON, for other programs; nothing is deleted, here or elsewhere.

Both keep every name of a file exactly. JSON escapes what is not UTF-8 as lone surrogates, as `os.fsdecode` makes them
(Python's json reads them back). CSV is written by `csv` in UTF-8 with `surrogateescape`: a name has the bytes that it
has on disk; cells with a newline, a comma or a quote are quoted. A spreadsheet takes a cell that begins with = + - @
for a formula, so a text that begins with one of these, with a tab, a carriage return or an apostrophe gets an
apostrophe in front; a program that reads the table takes away one leading apostrophe.
"""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bitseek._files import FilePath, atomic, free_target, user_path
from bitseek.collection._duplicates import Duplicates
from bitseek.collection._groups import Groups
from bitseek.collection._item import Item
from bitseek.errors import BitseekError

COLUMNS = ("group", "distance", "exact", "id", "path", "label", "width", "height", "size", "hash")

_FORMAT = "bitseek duplicates"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def write_groups(
    file: FilePath, groups: Groups, found: Duplicates, items: Callable[[list[int]], Iterable[Item]]
) -> Path:
    """Write groups to a file whose name ends in .csv or .json.

    Args:
        file: where nothing is, or an earlier such list.
        groups: the groups, numbered from 1.
        found: of which they are; JSON says the histogram.
        items: gives items by their ids, in their order; called once a group.

    Returns:
        The file.

    Raises:
        BitseekError: another name, something else is there, or it cannot be written.
    """
    writers = {".csv": _write_csv, ".json": _write_json}
    path = user_path(file)
    suffix = path.suffix.lower()
    if suffix not in writers:
        raise BitseekError(f"{path} should end in .csv or .json, which say how the groups are written")
    target = free_target(path, f"a list of duplicates of bitseek ({suffix})", lambda there: _is_ours(there, suffix))
    with atomic(target) as part:
        writers[suffix](part, groups, found, items)
    return target


def _write_csv(path: Path, groups: Groups, found: Duplicates, items: Callable[[list[int]], Iterable[Item]]) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_MINIMAL)
        table.writerow(COLUMNS)
        for number, group in enumerate(groups, 1):
            for item in items(group.ids.tolist()):
                row = (number, group.distance, str(group.exact).lower(), *_described(item).values())
                table.writerow([_cell(value) for value in row])


def _write_json(path: Path, groups: Groups, found: Duplicates, items: Callable[[list[int]], Iterable[Item]]) -> None:
    head = {
        "format": _FORMAT,
        "radius": groups.radius,
        "linkage": groups.linkage,
        "radius_max": found.radius,
        "histogram": found.histogram.tolist(),
    }
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "groups": [')
        for number, group in enumerate(groups):
            described = [_described(item) for item in items(group.ids.tolist())]
            one = {"distance": group.distance, "exact": group.exact, "items": described}
            file.write(("," if number else "") + "\n" + json.dumps(one, ensure_ascii=False))
        file.write("\n]}\n")


def _described(item: Item) -> dict[str, Any]:
    """What is said of an item, by the names of the columns."""
    return {name: getattr(item, name) for name in COLUMNS[3:]}


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _is_ours(path: Path, suffix: str) -> bool:
    """Whether a file begins as these lists do."""
    begin = ",".join(COLUMNS) + "\r\n" if suffix == ".csv" else json.dumps({"format": _FORMAT})[:-1] + ","
    with path.open("rb") as file:
        return file.read(len(begin)) == begin.encode()
