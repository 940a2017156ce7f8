"""The command line: each command reads its arguments, calls one function of the library, and shows the result."""

from bitseek.cli._app import main

__all__ = ["main"]
