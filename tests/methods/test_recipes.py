"""Recipes: text from a command line, and the published schedules of the learning rate."""

import math

import pytest

from bitseek.errors import BitseekError
from bitseek.methods import METHODS, make_recipe


def recipe(name, **values):
    return make_recipe(METHODS[name], values)


@pytest.mark.parametrize(
    ("name", "field", "text", "value"),
    [
        ("orthohash", "lr", "1e-3", 1e-3),
        ("orthohash", "epochs", "20", 20),
        ("orthohash", "epochs", "20.0", 20),
        ("orthohash", "augment", "none", "none"),
        ("orthohash", "scale", "sqrt", "sqrt"),
        ("orthohash", "scale", "4", 4.0),
        ("orthohash", "drop_at", "0.5", (0.5,)),
        ("orthohash", "drop_at", "0.5,0.8", (0.5, 0.8)),
        ("orthohash", "drop_at", "(0.5, 0.8)", (0.5, 0.8)),
        ("orthohash", "drop_at", "none", ()),
        ("orthohash", "drop_at", 0.5, (0.5,)),
        ("orthohash", "drop_at", 1, (1.0,)),
        ("orthohash", "drop_at", [0.5, 0.8], (0.5, 0.8)),
        ("orthohash", "drop_at", None, ()),
        ("dch", "memory", "true", True),
        ("dch", "memory", "False", False),
        ("dsh", "margin", "none", None),
        ("dsh", "margin", "24", 24.0),
        ("hashnet", "pair_weights", "5", 5.0),
        ("hashnet", "pair_weights", "classes", "classes"),
        ("jmlh", "noise", "none", "none"),
        ("csq", "codebook", "B", "bernoulli"),
        ("csq", "codebook", "spread", "spread"),
    ],
)
def test_text_is_read_as_the_type_of_the_field(name, field, text, value):
    read = getattr(recipe(name, **{field: text}), field)
    assert read == value
    assert type(read) is type(value)


def test_a_codebook_that_does_not_exist_is_found_before_training():
    with pytest.raises(BitseekError, match=r"codebook .*'gold'.*bernoulli.*letter B"):
        recipe("dpn", codebook="gold")


def test_a_shape_that_no_loss_can_use_is_refused():
    with pytest.raises(BitseekError, match=r"batch_size .* greater than or equal to 3"):
        recipe("dnnh", batch_size=2)  # no triplet
    with pytest.raises(BitseekError, match=r"classes .* greater than or equal to 2"):
        recipe("dnnh-resnet", classes=1)  # no negative
    with pytest.raises(BitseekError, match="epsilon"):
        recipe("dnnh", epsilon=0.6)


SCHEDULES = {
    # epochs, those at which the rate falls, the factor; from the papers' code
    "orthohash": (100, [80], 0.1),
    "relahash": (100, [80], 0.1),
    "ce": (100, [80], 0.1),
    "dpn": (200, [100], 0.1),
    "dsh": (280, [240, 260], 0.1),  # 60,000 and 65,000 of 70,000 steps of 200 among 50,000 images
    "dnnh": (100, [60, 70], 0.1),
    "dnnh-resnet": (4000, [1800, 3600], 0.1),
    "hashnet": (10_000, [2000, 4000, 6000, 8000], 0.5),
    "dpsh": (150, [50, 100], 0.1),
    "greedyhash": (50, [30], 0.1),
    "greedyhash-unsupervised": (60, [], 0.1),
    "csq": (90, [10, 20, 30, 40, 50, 60, 70, 80], 0.7),
    "bihalf-unsupervised": (300, [120, 240], 0.1),
    "cibhash": (60, [], 0.1),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rate_falls_when_the_published_one_does(name):
    epochs, falls, factor = SCHEDULES[name]
    chosen = recipe(name)
    assert [math.floor(share * epochs) for share in chosen.drop_at] == falls
    assert chosen.drop_by == factor


def test_a_subclass_keeps_the_description_of_a_field_whose_default_it_changes():
    fields = METHODS["greedyhash-unsupervised"].recipe_class.model_fields
    assert fields["lr"].description == METHODS["itq"].recipe_class.model_fields["lr"].description
    assert fields["alpha"].description.startswith("α, weight of")
    assert METHODS["dnnh"].recipe_class.model_fields["batch_size"].description == "Items of a step, three a triplet."
