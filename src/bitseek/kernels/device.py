"""Where the loops for other devices are: in `bitseek.device`, which needs torch and so stands above this package."""

from importlib import import_module
from typing import Any

from bitseek.errors import MissingExtra


def device_loops() -> Any:
    """The package `bitseek.device`, found by its name when it is first needed.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        return import_module("bitseek.device")
    except ImportError as error:
        raise MissingExtra.for_import(error) or error from error
