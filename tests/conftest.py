"""What several tests need: the same examples on every machine, and the real data, where they are."""

import getpass
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import typecheck
import warm
from filelock import FileLock
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

CHECKOUT = Path(__file__).resolve().parents[1]

typecheck.install()

# The same examples each time, however slow the machine is; `--hypothesis-profile=default` draws others.
settings.register_profile("certain", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("certain")
# Numbers that stand in the modules that happen to be imported are no examples: they depend on the tests before.
providers._get_local_constants = lambda: providers._local_constants


def pytest_configure(config: pytest.Config) -> None:
    """The workers of this run share one server of warm processes, which imports while they collect."""
    if getattr(config.option, "numprocesses", None) and hasattr(os, "fork"):
        os.environ[warm.SHARED] = warm.commands()


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
    with FileLock(f"{target}.one"):  # only one process unpacks, the others wait for it
        if not (target / "complete").is_file():
            subprocess.run(
                [sys.executable, str(shared_data / "unpack.py"), str(target)], check=True, stdout=subprocess.DEVNULL
            )
            (target / "complete").touch()
    return target


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No run-time type checks, which would stop odd input before the function that must refuse it."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
