"""What commands show: results on standard output, progress on standard error."""

import json
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitseek.collection import Progress

Update = Callable[[int, int, str, str], None]
"""Called with how much is done, of how much, what it is, and its state in words."""
LINE_EVERY = 30
"""Seconds after which long work prints a line at the latest, where there is no terminal for a bar."""


def say(text: str) -> None:
    """One line of a result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """One line that is not part of a result."""
    sys.stderr.write(text + "\n")


def note_unreadable(messages: Sequence[str]) -> None:
    """Say which images were left out, and why; the first ten of them."""
    if messages:
        from bitseek.images import printable

        note(f"{len(messages)} images could not be read and were left out:")
        for message in messages[:10]:
            note(f"  {printable(message)}")


def show_json(value: Any) -> None:
    """A result for machines; a number that does not exist is null."""
    plain = json.loads(json.dumps(value, default=str), parse_constant=lambda _: None)
    say(json.dumps(plain, indent=2))


def show(value: Mapping[str, Any], text: str, as_json: bool) -> None:
    """A result as one line for people, or as JSON."""
    if as_json:
        show_json(value)
    else:
        say(text)


def show_table(rows: Sequence[Mapping[str, Any]], title: str | None = None, prose: bool = False) -> None:
    """Rows with the same keys as a table for people: each on one line, however long its names are.

    Args:
        rows: values by column.
        title: a line above.
        prose: whether the last column is text that a terminal may wrap at words.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    from bitseek.images import printable

    if title is not None:
        say(printable(title))
    if not rows:
        return
    lines = [list(rows[0]), *(["" if v is None else printable(str(v)) for v in row.values()] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    console = Console(highlight=False)
    room = console.width - sum(widths[:-1]) - 2 * len(widths) + 2
    for number, (*cells, last) in enumerate(lines):
        parts = textwrap.wrap(last, room) if prose and console.is_terminal and room >= 20 else [last]
        for i, part in enumerate(parts or [""]):
            row = [*(cells if i == 0 else [""] * len(cells)), part]
            padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
            line = "  ".join(padded).rstrip()
            console.print(Text(line, "" if number else "bold"), soft_wrap=True)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Progress of something that is counted: called with how many are done, and of how many."""
    with _display(what) as update:
        yield _counter(what, update)


@contextmanager
def updating() -> Iterator[Callable[["Progress"], None]]:
    """Progress of an update of a collection."""
    with _display("finding") as update:

        def step(now: "Progress") -> None:
            left = "" if now.seconds_left is None else _left(now.seconds_left)
            update(now.done, now.total, now.what, f"{now.done}/{now.total}  {now.rate:.0f}/s  {left}".rstrip())

        yield step


@contextmanager
def training() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Progress of a training: called with step, steps, epoch, epochs, terms, images_per_second and seconds_left."""
    with _display("training") as update:
        yield _stepper(update)


@contextmanager
def choosing() -> Iterator[tuple[Callable[[int, int], None], Callable[[Mapping[str, Any]], None]]]:
    """Progress of what is counted first, and then of a training, on the same line."""
    with _display("features") as update:
        yield _counter("features", update), _stepper(update)


def _counter(what: str, update: Update) -> Callable[[int, int], None]:
    began = time.monotonic()

    def count(done: int, total: int) -> None:
        rate = done / max(time.monotonic() - began, 1e-3)
        update(done, total, what, f"{done}/{total}  {rate:.0f}/s  {_left((total - done) / max(rate, 1e-3))}")

    return count


def _stepper(update: Update) -> Callable[[Mapping[str, Any]], None]:
    def step(now: Mapping[str, Any]) -> None:
        terms = "  ".join(f"{name} {value:.4f}" for name, value in now["terms"].items())
        state = f"{terms}  {now['images_per_second']:.0f} images/s  {_left(now['seconds_left'])}"
        update(now["step"], now["steps"], f"epoch {now['epoch']}/{now['epochs']}", state)

    return step


@contextmanager
def _display(what: str) -> Iterator[Update]:
    """A bar in a terminal; elsewhere a line at each tenth, and at least every `LINE_EVERY` seconds."""
    if not sys.stderr.isatty():
        yield _line_writer()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[state]}"))
    with Progress(*columns, console=console, refresh_per_second=4) as bar:
        task = bar.add_task(what, total=None, state="")
        yield lambda done, total, text, state: bar.update(
            task, completed=done, total=total, description=text, state=state
        )


def _line_writer() -> Callable[[int, int, str, str], None]:
    tenth, written = 0, time.monotonic()

    def update(done: int, total: int, text: str, state: str) -> None:
        nonlocal tenth, written
        reached = 10 * done // max(total, 1)
        if reached != tenth or time.monotonic() - written >= LINE_EVERY:
            tenth, written = reached, time.monotonic()
            note(f"{text}  {state}")

    return update


def _left(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} left"
