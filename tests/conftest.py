"""What several tests need: the real data, where they are."""

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: the environment variable BITSEEK_DATA, or shared/data beside or in the checkout."""
    places = [CHECKOUT.parent / "shared" / "data", CHECKOUT / "shared" / "data"]
    if os.environ.get("BITSEEK_DATA"):
        places.insert(0, Path(os.environ["BITSEEK_DATA"]))
    for place in places:
        if (place / "unpack.py").is_file():
            return place
    pytest.skip("the real data are absent: no unpack.py in " + ", ".join(map(str, places)))


@pytest.fixture(scope="session")
def real_data_root(request: pytest.FixtureRequest) -> Path:
    """CIFAR-10 and MNIST as torchvision lays them out: BITSEEK_DATA if it holds them, else unpacked from shared_data.

    They are unpacked once a machine and user, and kept for the next time.
    """
    given = os.environ.get("BITSEEK_DATA")
    if given and (Path(given) / "cifar-10-batches-py").is_dir() and (Path(given) / "MNIST").is_dir():
        return Path(given)
    shared_data = request.getfixturevalue("shared_data")
    target = Path(tempfile.gettempdir()) / f"bitseek-test-data-{getpass.getuser()}"
    if (target / "complete").is_file():
        return target
    lock = target.with_suffix(".lock")  # only one process unpacks, the others wait for it
    deadline = time.monotonic() + 300
    while True:
        try:
            lock.mkdir()
            break
        except FileExistsError:
            if (target / "complete").is_file():
                return target
            if time.monotonic() > deadline:
                shutil.rmtree(lock, ignore_errors=True)  # its owner was killed
            time.sleep(0.2)
    try:
        if not (target / "complete").is_file():
            subprocess.run(
                [sys.executable, str(shared_data / "unpack.py"), str(target)], check=True, stdout=subprocess.DEVNULL
            )
            (target / "complete").touch()
    finally:
        shutil.rmtree(lock, ignore_errors=True)
    return target


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No run-time type checks, which would stop odd input before the function that must refuse it."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
