"""Errors come whole from other processes."""

import copy
import inspect
import pickle

import pytest

from bitseek import errors
from bitseek.errors import BitseekError, MissingExtra

KINDS = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, BitseekError) and kind is not MissingExtra
]  # fmt: skip


@pytest.mark.parametrize("error", [*(kind("what to do") for kind in KINDS), MissingExtra("torch", "train")], ids=repr)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"])
def test_an_error_is_the_same_after_a_journey(error, again):
    arrived = again(error)
    assert type(arrived) is type(error) and str(arrived) == str(error) and vars(arrived) == vars(error)


def test_a_missing_extra_says_which():
    error = pickle.loads(pickle.dumps(MissingExtra("umap-learn", "plots")))
    assert (error.package, error.extra) == ("umap-learn", "plots") and "pip install 'bitseek[plots]'" in str(error)
