"""The published tables: what the files say, and that every row can be run as far as names and recipes go."""

import hashlib
import json
import math
import tomllib
from importlib import resources

import pytest

from bitseek import BitseekError
from bitseek.data import PROTOCOLS
from bitseek.methods import make_recipe, method_class
from bitseek.reproduce import Row, find, published
from bitseek.reproduce._rows import _rows

ROWS = published()
FILES = sorted((resources.files("bitseek.reproduce") / "published").iterdir(), key=lambda file: file.name)

# Rows in each table and a digest of them (without epochs and schedule): a figure that changes is seen.
TABLES = {
    "csq-readme": (15, "d4b92fe57854e0e1"),
    "deephash-readme": (47, "c316da17a103aaf2"),
    "dnnh-resnet-readme": (4, "31e4822b1491e407"),
    "dpsh-readme": (8, "e54eaef4550fb8bc"),
    "dsh-paper": (3, "419a96162d419f75"),
    "fire-readme": (24, "634b3cacdeb4c6cc"),
    "hashnet-paper": (3, "211bedfdc35b00ba"),
    "orthohash-codebooks": (36, "8300402d06196aeb"),
    "orthohash-instances": (18, "ed29290b9bc7b855"),
    "orthohash-margins": (40, "58603b7af2176c43"),
    "orthohash-multi-label": (6, "6af470ae62298b9b"),
    "orthohash-readme": (2, "8805f5c6326ad670"),
    "orthohash-scales": (26, "d57ab134bd224be6"),
    "orthohash-separability": (8, "582c298a9d73d726"),
    "relahash-readme": (8, "ed6458c9a40e74c4"),
}


def digest(table):
    keys = ("row", "source", "read_in", "method", "protocol", "tested_on", "bits", "backbone", "backbone_options")
    keys += ("measure", "published", "adapt_batch_norm")
    kept = []
    for row in sorted(find(table), key=lambda row: row.name):
        recipe = {key: value for key, value in row.recipe.items() if key not in ("epochs", "drop_at", "drop_by")}
        kept.append({key: row.to_json()[key] for key in keys} | {"recipe": recipe})
    return len(kept), hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_what_they_were(table):
    assert digest(table) == TABLES[table]


def test_no_two_rows_share_a_name():
    figures = 0
    for file in FILES:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        for table in document["tables"]:
            for line in table["lines"]:
                figures += sum(not math.isnan(figure) for part in line["figures"].values() for figure in part)
    assert figures == len(ROWS) == 248
    assert set(TABLES) == {row.table for row in ROWS.values()}
    assert all(name == row.name for name, row in ROWS.items())


@pytest.mark.parametrize("table", TABLES)
def test_every_row_can_be_run_as_far_as_names_and_recipes_go(table):
    for row in find(table):
        recipe = make_recipe(method_class(row.method), row.recipe)
        for name, value in row.recipe.items():
            expected = tuple(value) if isinstance(value, list) else value
            assert getattr(recipe, name) in (expected, (expected,)), row.name
        assert row.protocol in PROTOCOLS
        assert row.measured_on[0] in PROTOCOLS
        assert row.backbone in ("alexnet", "vgg11", "resnet18", "resnet50", "small-cnn", "features")
        assert 0 < row.figure < (1 if row.measure == "mAP" else row.bits / 2)
        assert len(set(row.differs)) == len(row.differs)
        json.dumps(row.to_json())


PRINTED = {
    "orthohash-readme/cifar10-1-orthohash-64": 0.824,
    "orthohash-codebooks/imagenet100-orthohash-max-distance-16": 0.620,
    "orthohash-codebooks/nuswide-21-orthohash-bernoulli-128": 0.850,
    "orthohash-margins/coco-hashnet-orthohash-arc-m0.4-128": 0.792,
    "orthohash-scales/imagenet100-orthohash-slogC-64": 0.713,
    "orthohash-multi-label/coco-hashnet-orthohash-sigmoid-64": 0.400,
    "orthohash-separability/imagenet100-bihalf-64": 19.13,
    "orthohash-instances/rparis6k-hard-orthohash-re-estimated-512": 0.608,
    "relahash-readme/imagenet100-relahash-128": 0.727,
    "csq-readme/coco-hashnet-csq-resnet50-32": 0.838,
    "dpsh-readme/cifar10-1-dpsh-vgg11-24": 0.8042,
    "dnnh-resnet-readme/dogs-dnnh-resnet-16": 0.7127,
    "fire-readme/imagenet100-orthohash-arc-64": 0.698,
    "fire-readme/imagenet100-spectral-64": 0.350,
    "fire-readme/imagenet100-angular-dsh-64": 0.645,
    "fire-readme/imagenet100-dfh-64": 0.689,
    "fire-readme/imagenet100-imh-64": 0.467,
    "deephash-readme/imagenet100-dsdh-48": 0.300,
    "deephash-readme/coco-tl-dfh-48": 0.717,
    "deephash-readme/nuswide-81-m-hashnet-48": 0.764,
    "deephash-readme/coco-tl-csq-64": 0.883,
}


@pytest.mark.parametrize("name", PRINTED)
def test_figures_stand_where_they_are_printed(name):
    assert ROWS[name].figure == PRINTED[name]


def test_a_dash_in_a_printed_table_is_no_row():
    assert "orthohash-scales/imagenet100-orthohash-ssqrt-128" in ROWS
    assert "orthohash-scales/imagenet100-orthohash-ssqrt-64" not in ROWS
    assert "dsh-paper/nuswide-21-dsh-12" not in ROWS


def test_no_figure_is_from_memory():
    """What was not read anywhere is no row: of the papers' own tables only what others quote is here."""
    quoted = {name: (row.read_in, row.figure) for name, row in ROWS.items() if "-paper/" in name}
    assert quoted == {
        "dsh-paper/cifar10-dsh-dsh-12": ("issue", 0.6157),
        "dsh-paper/cifar10-dsh-dsh-48": ("readme", 0.6755),
        "dsh-paper/nuswide-21-dsh-48": ("readme", 0.5621),
        "hashnet-paper/imagenet100-hashnet-48": ("readme", 0.6633),
        "hashnet-paper/nuswide-81-hashnet-48": ("readme", 0.7114),
        "hashnet-paper/coco-hashnet-hashnet-48": ("readme", 0.7301),
    }
    with pytest.raises(BitseekError, match="read_in of Row cannot be 'memory'"):
        list(_rows(LINE | {"bits": [8], "read_in": "memory", "figures": {"digits": [0.5]}}))


# Epochs after which the published code lowered its rate, and by what.
SCHEDULES = {
    "csq-readme/imagenet100-csq-resnet50-64": (90, [10, 20, 30, 40, 50, 60, 70, 80], 0.7),
    "dpsh-readme/cifar10-1-dpsh-vgg11-24": (150, [50, 100], 0.1),
    "deephash-readme/nuswide-21-greedyhash-48": (200, [30, 60, 90, 120, 150, 180], 0.1),
    "orthohash-instances/gldv2-orthohash-unchanged-128": (10, [4, 7], 0.1),
    "dnnh-resnet-readme/cub200-dnnh-resnet-16": (4000, [1800, 3600], 0.1),
    "hashnet-paper/imagenet100-hashnet-48": (100, [20, 40, 60, 80], 0.5),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_with_several_steps_are_the_published_ones(name):
    row = ROWS[name]
    recipe = make_recipe(method_class(row.method), row.recipe)
    drops = [share * recipe.epochs for share in recipe.drop_at]
    epochs, steps, factor = SCHEDULES[name]
    assert (recipe.epochs, recipe.drop_by) == (epochs, factor)
    assert drops == pytest.approx(steps)
    assert not any("rate" in remark for remark in row.differs)


def test_found_by_name_or_table():
    assert [row.bits for row in find("relahash-readme/cifar10-1-relahash-32")] == [32]
    assert {row.protocol for row in find("relahash-readme")} == {"cifar10-1", "imagenet100"}
    assert len(find("all")) == len(ROWS)
    with pytest.raises(BitseekError, match="did you mean relahash-readme"):
        find("relahash-readm")
    with pytest.raises(BitseekError, match="the tables are csq-readme, deephash-readme"):
        find("0")


# --- how a file is read ---------------------------------------------------------------------------------------------

LINE = {"table": "t", "source": "s", "read_in": "readme", "method": "ce", "backbone": "alexnet", "bits": [16, 32]}


def test_inner_levels_override_outer_ones_and_settings_are_merged():
    file = {"recipe": {"lr": 1.0, "epochs": 3}, "differs": ["a"], "protocols": {"digits": {"recipe": {"lr": 2.0}}}}
    table = {"recipe": {"epochs": 4}, "backbone_options": {"crop": 1.0}, "backbone": "vgg11", "tables": [], "lines": []}
    protocols = {"digits": {"recipe": {"epochs": 5}, "differs": ["c"]}}
    line = {"differs": ["b"], "protocols": protocols, "figures": {"mnist": [0.1, 0.2], "digits": [math.nan, 0.3]}}
    rows = list(_rows(file, LINE | table, line))
    assert [(row.protocol, row.bits, row.figure) for row in rows] == [
        ("mnist", 16, 0.1),
        ("mnist", 32, 0.2),
        ("digits", 32, 0.3),
    ]
    assert rows[0].recipe == {"lr": 1.0, "epochs": 4}
    assert rows[2].recipe == {"lr": 2.0, "epochs": 5}
    assert (rows[0].differs, rows[2].differs) == (("a", "b"), ("a", "b", "c"))
    assert {row.backbone for row in rows} == {"vgg11"}
    assert rows[0].backbone_options == {"crop": 1.0}


def test_a_step_schedule_is_told_in_epochs():
    (row,) = _rows(LINE | {"bits": [8], "recipe": {"epochs": 10, "drop_every": 3}, "figures": {"digits": [0.5]}})
    assert row.recipe == {"epochs": 10, "drop_at": [0.3, 0.6, 0.9]}


def test_what_is_measured_may_be_another_set_and_a_level_of_it():
    line = LINE | {"protocol": "gldv2", "read_in": ["readme", "issue"], "figures": {"roxford5k:hard": [0.1, 0.2]}}
    first, second = _rows(line)
    assert (first.protocol, first.tested_on, first.measured_on) == ("gldv2", "roxford5k:hard", ("roxford5k", "hard"))
    assert first.name == "t/roxford5k-hard-ce-16"
    assert (first.read_in, second.read_in) == ("readme", "issue")
    (plain,) = _rows(LINE | {"bits": [8], "figures": {"digits": [0.5]}})
    assert (plain.tested_on, plain.measured_on) == (None, ("digits", None))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"recipes": {}}, "there is no 'recipes' in Row"),
        ({"read_in": "paper"}, "read_in of Row cannot be 'paper'"),
        ({"bits": [0]}, "bits of Row cannot be 0"),
    ],
)
def test_a_mistake_in_a_file_is_an_error(change, sentence):
    with pytest.raises(BitseekError, match=sentence):
        list(_rows(LINE | {"bits": [8], "figures": {"digits": [0.5]}} | change))
    with pytest.raises(ValueError, match="zip"):
        list(_rows(LINE | {"figures": {"digits": [0.5]}}))  # a figure for each of two lengths


def test_rows_cannot_be_changed():
    row = next(iter(ROWS.values()))
    with pytest.raises(ValueError, match="frozen"):
        row.figure = 1.0
    with pytest.raises(TypeError):
        ROWS["mine"] = row
    assert isinstance(row, Row)
