"""One run on handwritten digits and its report, for all tests of the page."""

import pytest
from tests.report.harness import Page

from bitseek.evaluation import evaluate
from bitseek.report import render_page
from bitseek.runs import load, read_history
from bitseek.training import train


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    train("orthohash", "digits", bits=16, out=folder, epochs=2, batch_size=64, lr=1e-3, device="cpu")
    return folder


@pytest.fixture(scope="session")
def hasher(run):
    return load(run)


@pytest.fixture(scope="session")
def report(hasher):
    return evaluate(hasher, threads=1)


@pytest.fixture(scope="session")
def history(run):
    return read_history(run)


@pytest.fixture(scope="session")
def page(report, history):
    return Page(render_page(report, history=history, sample=60))
