"""Labels of the images in a folder: from its labels.csv, else the name of the first sub-folder.

labels.csv has a header with the columns `path` (relative to the folder, with slashes) and `label`; other columns are
ignored. A label is one text, also `a;b`. Letters that cannot be printed are escaped, so that it is text for everybody.
"""

import csv
import os
import posixpath
from collections.abc import Iterable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from bitseek.errors import BitseekError, DataError, LabelError
from bitseek.images import printable

NAME = "labels.csv"


class FolderLabels:
    """Gives the label of each file below a folder, by its path relative to it.

    Args:
        folder: absolute.

    Attributes:
        file: the labels.csv, which need not be there.
        listed: labels by path, as it says.

    Raises:
        DataError: there is a labels.csv that cannot be used.
    """

    def __init__(self, folder: bytes) -> None:
        self.file = Path(os.fsdecode(folder), NAME)
        self.listed = _listed(self.file)
        self._name = cache(printable)

    def __call__(self, path: bytes) -> str | None:
        """The label of a file; None if it has none."""
        given = self.listed.get(path)
        if given is not None:
            return given or None
        first, slash, _ = path.partition(b"/")
        return self._name(first) if slash else None


def _listed(file: Path) -> dict[bytes, str]:
    """Labels by path; none if there is no such file."""
    name = printable(file)
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
            rows = csv.DictReader(opened)
            if not {"path", "label"} <= set(rows.fieldnames or ()):
                raise DataError(
                    f"{name} has no columns 'path' and 'label' in its first line, but {rows.fieldnames or 'nothing'}; "
                    "write such a line, or give the file another name"
                )
            found = {}
            for row in rows:
                if not row["path"] or row["label"] is None:
                    raise DataError(f"line {rows.line_num} of {name} has no path and label; correct it")
                path = posixpath.normpath(row["path"].replace("\\", "/") if os.sep == "\\" else row["path"])
                found[os.fsencode(path)] = printable(row["label"].strip())
            return found
    except FileNotFoundError:
        return {}
    except (OSError, csv.Error) as error:
        raise DataError(f"cannot read {name}: {error}; correct it, or give it another name") from error


def as_label(label: Any) -> str:
    """A label as it is stored, on one line of valid text.

    Raises:
        BitseekError: it is no text.
    """
    if not isinstance(label, str):
        raise BitseekError(f"a label is text, got {label!r:.80}")
    return printable(label)


def no_such_label(label: str, known: Iterable[str]) -> LabelError:
    """The error that no item has a label; it names some of those that items have."""
    some = list(islice(known, _TOLD + 1))
    listed = f"labels are {', '.join(some[:_TOLD])}{' …' if len(some) > _TOLD else ''}" if some else "no item has one"
    return LabelError(f"no item has the label {printable(label)!r}; {listed}")


_TOLD = 20
"""Labels that an error names."""
