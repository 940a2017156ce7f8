"""A toy training: 240 digits of 8 × 8 pixels, a second or less."""

import dataclasses

import pytest
import torch

from bitseek.data import load_protocol


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Bits depend on the number of threads, and the processes that these tests start have one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def digits():
    return load_protocol("digits")


@pytest.fixture(scope="session")
def toy(digits):
    return dataclasses.replace(digits, train=digits.train[::5], query=digits.query[::5], origin=None)
