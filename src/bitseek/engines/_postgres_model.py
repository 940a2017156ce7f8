"""The model of a collection in PostgreSQL: its files as rows, in parts that the protocol has room for."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from bitseek.errors import RunError

PART = 1 << 24
"""Bytes of a part."""

ModelPart = tuple[str, int, bytes]
"""Name of the file, relative, with slashes; number of the part; content."""


def parts_of(folder: Path) -> Iterator[ModelPart]:
    """The files below a folder as rows, read as they are taken."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        with file.open("rb") as opened:
            number = 0
            while (content := opened.read(PART)) or not number:
                yield name, number, content
                number += 1


def write_parts(folder: Path, parts: Iterable[tuple[str, bytes]]) -> None:
    """Write the files that rows are of.

    Args:
        folder: where; empty.
        parts: names and contents, in the order of the parts.

    Raises:
        RunError: a name leads out of the folder: a database may be somebody else's.
    """
    for name, content in parts:
        path = PurePosixPath(name)
        if path.is_absolute() or not path.parts or ".." in path.parts or set(name) & {"\\", ":", "\0"}:
            raise RunError(f"the model in the database has a file {name!r:.80}, which is no name of a model's file")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab") as file:
            file.write(content)
