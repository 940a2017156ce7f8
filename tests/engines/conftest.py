"""Engines, and a model that encodes in other processes."""

import importlib.util

import pytest
from tests.engines.harness import ENGINES
from tests.portable.conftest import digits, exported, hasher, run  # noqa: F401

NEEDED = {"ray": "ray", "postgresql": "psycopg"}
"""The module that an engine needs, and that may not be installed."""


def _need(name):
    """Skip if a module is not installed. It is not imported here: Ray reads the environment when it is."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'bitseek[engines]'")


@pytest.fixture(scope="session")
def cluster():
    """Ray, started once; skips if it is not installed."""
    _need("ray")
    from bitseek.engines._cluster import Cluster

    joined = Cluster()
    yield joined
    joined._ray.shutdown()


@pytest.fixture
def make(request, tmp_path):
    """Makes the engine of the test's parameter; it is closed at the end of the test."""
    name = request.param
    if name in NEEDED:
        _need(NEEDED[name])
    if name == "ray":
        request.getfixturevalue("cluster")
    made = []

    def make_one(codes):
        made.append(ENGINES[name](codes, tmp_path))
        return made[-1]

    yield make_one
    for engine in made:
        engine.close()
