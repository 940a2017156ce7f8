"""With which options `open` has made a collection: the same command opens it again, and others are not ignored."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitseek.cli._collection import made_by
from bitseek.cli._console import note
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.collection import Encoder


def check(collection: Path, options: Mapping[str, Any], model: "Callable[[], Encoder] | None") -> None:
    """Refuse options that would have no effect, because the collection was not made with them.

    A model with another path may be the same one, moved or exported again, and one with the same path may be another,
    trained anew: that its fingerprint says.

    Args:
        collection: its folder.
        options: what is given now, by name.
        model: loads the model that is among them.

    Raises:
        BitseekError: which options, and what to do; or the model cannot be loaded.
    """
    from bitseek.collection import Collection

    with Collection.open(collection) as opened:
        made = opened.made_with
        others = [name for name, value in options.items() if made is None or made.get(name) != value]
        if model is not None and "--model" in others and made_by(opened, model()):
            others.remove("--model")
    kept = None if made is None else made.get("--model")
    if kept is not None and "--model" not in others and _is_another(kept, opened.fingerprint):
        sentence = f"{kept} was trained anew, and {collection} keeps the model that it was made with"
        if "--model" in options:
            raise BitseekError(
                f"{sentence}: leave out --model, or make a second collection of the images with the new one: bitseek "
                "open FOLDER --model MODEL --collection DIR"
            )
        note(sentence)
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


def _is_another(model: str, fingerprint: str) -> bool:
    """Whether a model has another fingerprint by now; one that is gone or damaged has none."""
    from bitseek.portable import fingerprint_of, same_codes

    with suppress(BitseekError, OSError):
        now = fingerprint_of(model)
        return now is not None and not same_codes(now, fingerprint)
    return False


def _said(name: str, value: Any) -> str:
    """An option as it is written in a command."""
    words = value if isinstance(value, list) else [] if value is True else [value]
    return " ".join(map(str, [name, *words]))
