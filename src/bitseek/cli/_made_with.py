"""With which options `open` has made a collection: the same command opens it again, and others are not ignored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bitseek.cli._console import note
from bitseek.errors import BitseekError

FILE = "made_with.json"


def record(collection: Path, options: Mapping[str, Any]) -> None:
    """Write the options beside the items: their values by name."""
    from bitseek._files import write_json

    write_json(collection / FILE, dict(options))


def check(collection: Path, options: Mapping[str, Any]) -> None:
    """Refuse options that would have no effect, because the collection was not made with them.

    Args:
        collection: its folder.
        options: what is given now, by name.

    Raises:
        BitseekError: which options, and what to do.
    """
    from bitseek._files import read_json

    file = collection / FILE
    if not file.is_file():
        if options:
            note(f"{collection} keeps the model that it was made with; {', '.join(options)} is for a new collection")
        return
    made = read_json(file)
    if not isinstance(made, dict):
        raise BitseekError(f"{file} is damaged, and only notes how the collection was made: delete it")
    others = [name for name, value in options.items() if made.get(name) != value]
    if others:
        before = ", ".join(_said(name, made[name]) for name in others if name in made)
        raise BitseekError(
            f"{collection} keeps the model that it was made with{before and f' ({before})'}, so "
            f"{', '.join(others)} would have no effect: leave that out, or make a second collection of the images with "
            "it: bitseek open FOLDER --collection DIR"
        )


def _said(name: str, value: Any) -> str:
    """An option as it is written in a command."""
    words = value if isinstance(value, list) else [] if value is True else [value]
    return " ".join(map(str, [name, *words]))
