"""Values of options as the library takes them."""

from pathlib import Path

import pytest

from bitseek.cli._arguments import Compute, Data, Network, given, literals, settings
from bitseek.cli._evaluate import Measuring
from bitseek.cli._train import Training
from bitseek.errors import BitseekError


def test_settings_are_pairs():
    assert settings(["margin=0.3", "weight-decay=1e-4", "name=a=b", "empty="]) == {
        "margin": "0.3", "weight_decay": "1e-4", "name": "a=b", "empty": "",
    }  # fmt: skip
    for wrong in ("margin", "=3", ""):
        with pytest.raises(BitseekError, match="NAME=VALUE"):
            settings([wrong])


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3), ("0.5", 0.5), ("1e-3", 1e-3), ("true", True), ("null", None), ("[0.1, 2]", [0.1, 2]),
        ("same", "same"), ("pad=x", "pad=x"), ("01", "01"), ("", ""), ("/a/b", "/a/b"),
    ],
)  # fmt: skip
def test_values_that_look_like_json_are_read_as_json(text, value):
    found = literals([f"name={text}"])
    assert found == {"name": value} and type(found["name"]) is type(value)


def test_only_what_was_given_is_passed_on():
    options = given(
        Training(bits=12, lr=0.0, recipe=("margin=1",)), Compute(threads=0), Network(), Data(root=Path("d"))
    )
    assert options["bits"] == 12 and options["lr"] == 0.0 and options["threads"] == 0 and options["root"] == Path("d")
    assert options.keys().isdisjoint({"epochs", "augment", "recipe", "backbone_set", "protocol_set", "size"})


def test_options_are_those_of_the_library():
    """A command passes its options on by name, so each must be a parameter of the function that it calls."""
    import inspect

    from bitseek import evaluate, train

    for options, function in ((Measuring(), evaluate), (Training(), train)):
        parameters = inspect.signature(function).parameters
        assert set(given(options)) <= set(parameters), function
        for name, value in given(options).items():
            assert parameters[name].default in (value, inspect.Parameter.empty), f"{name} has another default"
