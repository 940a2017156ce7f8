"""With which options `open` has made a collection: the same command opens it again, and others are not ignored."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitseek.cli._collection import made_by
from bitseek.cli._console import note
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.collection import Encoder


def check(collection: Path, options: Mapping[str, Any], model: "Callable[[], Encoder] | None") -> None:
    """Refuse options that would have no effect, because the collection was not made with them.

    A model with another path may be the same one, moved or exported again: that its fingerprint says.

    Args:
        collection: its folder.
        options: what is given now, by name.
        model: loads the model that is among them.

    Raises:
        BitseekError: which options, and what to do; or the model cannot be loaded.
    """
    from bitseek.collection import Collection

    if not options:
        return
    with Collection.open(collection) as opened:
        made = opened.made_with
        others = [name for name, value in options.items() if made is None or made.get(name) != value]
        if model is not None and "--model" in others and made_by(opened, model()):
            others.remove("--model")
    if not others:
        return
    if made is None:
        note(f"{collection} keeps the model that it was made with; {', '.join(others)} is for a new collection")
        return
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
