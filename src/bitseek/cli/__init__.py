"""The command line: each command reads its arguments, calls one function of the library, and shows the result."""

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit with status 0, 1 (it failed), 2 (it was called wrongly) or 130 (Ctrl-C)."""
    try:
        from bitseek.cli import _app
    except KeyboardInterrupt:  # before there is anything that could be stopped
        sys.stderr.write("bitseek: stopped\n")
        sys.exit(130)
    _app.main(arguments)
