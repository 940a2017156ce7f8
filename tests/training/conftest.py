"""A toy training: 240 digits of 8 × 8 pixels, a second or less."""

import dataclasses

import pytest

from bitseek.data import load_protocol


@pytest.fixture(scope="session")
def digits():
    return load_protocol("digits")


@pytest.fixture(scope="session")
def toy(digits):
    return dataclasses.replace(digits, train=digits.train[::5], query=digits.query[::5], origin=None)
