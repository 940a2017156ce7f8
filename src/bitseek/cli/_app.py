"""All commands, and what happens when one fails.

Nothing that takes time is imported before a command runs, so `bitseek --help` answers at once.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError

from bitseek import __version__
from bitseek.cli._arguments import converted
from bitseek.cli._care import dedup, remove, verify
from bitseek.cli._codes import convert, score
from bitseek.cli._collection import index, search
from bitseek.cli._doctor import doctor
from bitseek.cli._encode import encode, export
from bitseek.cli._evaluate import evaluate, report
from bitseek.cli._lists import backbones, codebooks, methods, protocols
from bitseek.cli._open import open_folder
from bitseek.cli._quickstart import quickstart
from bitseek.cli._reproduce import reproduce
from bitseek.cli._serve import serve
from bitseek.cli._train import features, train
from bitseek.errors import BitseekError, MissingExtra

app = App(
    name="bitseek",
    help="Images to compact binary codes, and similar images by Hamming distance.\n\nBegin with: bitseek open FOLDER, "
    "or bitseek quickstart",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(converter=converted),
)
app.command(open_folder, name="open")
for command in (
    index, search, serve, dedup, verify, remove, quickstart, train, evaluate, report, score, features, reproduce,
    encode, export, convert, methods, protocols, backbones, codebooks, doctor,
):  # fmt: skip
    app.command(command)
app.register_install_completion_command(help="Complete the commands of bitseek by the tab key, in this user's shell.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit with status 0, 1 (it failed), 2 (it was called wrongly) or 130 (Ctrl-C)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show ends no command
    if "" in (sys.argv[1:] if arguments is None else arguments):  # as a path it would be the folder where one is
        _fail("an argument is empty; perhaps a variable of the shell is not set. See: bitseek --help", 2)
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        _fail(f"{error} See: bitseek --help", 2)
    except BitseekError as error:
        _fail(str(error), 1)
    except ImportError as error:
        if (missing := MissingExtra.for_import(error)) is None:
            raise
        _fail(str(missing), 1)
    except KeyboardInterrupt as stop:
        _fail(str(stop) or "stopped", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> None:
    """Print one sentence, whatever the names in it, and exit."""
    from bitseek.images import printable

    sys.stderr.write(f"bitseek: {printable(' '.join(message.split()))}\n")
    sys.exit(status)
