"""RunConfig: typed, validated, the same after a way through a file."""

import json

import pytest

from bitseek.data import load_protocol
from bitseek.errors import BitseekError, RunError
from bitseek.methods import METHODS
from bitseek.models import build_backbone
from bitseek.runs import RunConfig


def config(**changes):
    digits = load_protocol("digits", seed=3)
    backbone = build_backbone("small-cnn", size=28)
    return RunConfig(
        **{
            "method": "orthohash",
            "recipe": METHODS["orthohash"].recipe_class(epochs=3, margin=0.3).model_dump(mode="json"),
            "bits": 24,
            "seed": 3,
            "protocol": digits.name,
            "origin": digits.origin,
            "checksum": digits.checksum,
            "classes": digits.pool.classes,
            "items": len(digits.train),
            "backbone": backbone.config,
            "features": backbone.features,
            **changes,
        }
    )


def test_a_file_gives_the_same_configuration_again(tmp_path):
    before = config(environment={"torch": "2"}, validation=0.1, k=100, unreadable=("a is not an image",))
    before.write(tmp_path)
    after = RunConfig.read(tmp_path)
    assert after == before and after.backbone == before.backbone
    assert after.full_recipe.margin == 0.3 and after.full_recipe.epochs == 3
    assert after.origin.load().checksum == before.checksum
    assert (after.task.features, after.task.bits, after.task.classes, after.task.items) == (256, 24, 10, 1200)
    assert before.title == "24-bit codes by orthohash on digits"


def test_what_differs_is_named_and_the_outcome_is_not_part_of_it():
    before = config()
    assert before.differing(config(complete=True, fingerprint="ab", environment={"torch": "3"})) == []
    assert before.differing(config(bits=32)) == ["bits"]
    assert before.differing(before.changed(seed=4, checksum="x")) == ["seed", "checksum"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"bits": 0}, "bits"),
        ({"seed": -1}, "seed"),
        ({"validation": 1.0}, "validation"),
        ({"method": "ortohash"}, "there is no method 'ortohash'"),
        ({"recipe": {"lr": -1}}, "lr"),
        ({"recipe": {"no_such": 1}}, "no_such"),
        ({"denominator": "all"}, "denominator"),
        ({"colour": 1}, "there is no 'colour' in RunConfig"),
        ({"backbone": {"name": "x"}}, "backbone"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(BitseekError, match=message):
        config(**changes)


def test_a_folder_that_is_no_run_or_is_damaged_says_so(tmp_path):
    with pytest.raises(RunError, match="is not a run folder"):
        RunConfig.read(tmp_path)
    for text, message in (
        ("{", "cannot be read"),
        ("[]", "does not look like"),
        ('{"method": "orthohash"}', "format 1"),
        ('{"method": "orthohash", "format": 2}', "needs"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(RunError, match=message):
            RunConfig.read(tmp_path)
    config().write(tmp_path)
    value = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(value | {"bits": "many"}))
    with pytest.raises(RunError, match="bits"):
        RunConfig.read(tmp_path)
