"""What several workers of one test run need, made by one of them."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` has filled, once in a run of the tests; who comes later waits until it is done."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    done = folder / "done"
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 900
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert done.read_text() == "made", f"another worker could not make {name}"
        return folder
    outcome = "failed"
    try:
        make(folder)
        outcome = "made"
    finally:
        partial = folder / "done.partial"
        partial.write_text(outcome)
        partial.rename(done)
    return folder
