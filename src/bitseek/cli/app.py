"""All commands, and what happens when one fails.

Nothing that takes time is imported before a command runs, so `bitseek --help` answers at once.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from bitseek import __version__
from bitseek.cli.learn import evaluate, features, train
from bitseek.cli.ledger import reproduce
from bitseek.cli.lists import backbones, codebooks, methods, protocols
from bitseek.cli.quickstart import quickstart
from bitseek.cli.report import report
from bitseek.cli.score import score
from bitseek.cli.search import encode, index, search
from bitseek.errors import BitseekError, MissingExtra

app = App(
    name="bitseek",
    help="Images to compact binary codes, and similar images by Hamming distance.\n\nBegin with: bitseek quickstart",
    version=__version__,
    help_format="plaintext",
)
for command in (
    quickstart, train, evaluate, report, score, features, reproduce, encode, index, search, methods, protocols,
    backbones, codebooks
):  # fmt: skip
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; leave with status 0, 1 (it failed), 2 (it was called wrongly) or 130 (Ctrl-C)."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _fail(f"{' '.join(str(error).split())} See: bitseek --help", 2)
    except BitseekError as error:
        _fail(str(error), 1)
    except ImportError as error:
        if (missing := MissingExtra.for_import(error)) is None:
            raise
        _fail(str(missing), 1)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _fail(message: str, status: int) -> None:
    sys.stderr.write(f"bitseek: {message}\n")
    sys.exit(status)
