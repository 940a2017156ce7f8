"""What commands show: results on standard output, progress on standard error."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.encode import Progress
    from bitseek.trainer import Progress as TrainingProgress


def say(text: str) -> None:
    """One line of a result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """One line that is not part of a result."""
    sys.stderr.write(text + "\n")


def show_json(value: Any) -> None:
    """A result for machines."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(rows: Sequence[Mapping[str, Any]], title: str | None = None) -> None:
    """Rows with the same keys, as a table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold", box=None, padding=(0, 2, 0, 0))
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def settings(pairs: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE pairs as a dictionary."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BitseekError(f"a setting is NAME=VALUE, got {pair!r}")
        found[name.replace("-", "_")] = value
    return found


def literal(value: str) -> Any:
    """A number, true or false where a setting looks like one, else the text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


@contextmanager
def training_bar() -> Iterator["TrainingProgress"]:
    """A bar with epoch, loss terms, images a second and time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=console, refresh_per_second=4, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=None, state="")
        told = 0

        def update(now: Mapping[str, Any]) -> None:
            nonlocal told
            terms = "  ".join(f"{name} {value:.4f}" for name, value in now["terms"].items())
            left = round(now["seconds_left"])
            state = f"{terms}  {now['images_per_second']:.0f} images/s  {left // 60}:{left % 60:02d} left"
            epoch = f"epoch {now['epoch']}/{now['epochs']}"
            bar.update(task, description=epoch, total=now["steps"], completed=now["step"], state=state)
            tenth = 10 * now["step"] // now["steps"]
            if not console.is_terminal and tenth > told:
                told = tenth
                note(f"{epoch}  {state}")

        yield update


@contextmanager
def counting_bar(what: str) -> Iterator["Progress"]:
    """A bar for something that is counted."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
