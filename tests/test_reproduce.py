"""The ledger of published figures, and the choice of recipes in the frozen one."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import bitseek
from bitseek.cli import main
from bitseek.data import PROTOCOLS, GroundTruth, Protocol, protocol
from bitseek.data.pool import Features, Paths, Pool
from bitseek.errors import BitseekError
from bitseek.methods import method_class
from bitseek.reproduce import Changes, Row, find, published, read_results, reproduce, running, write_result

CHECKOUT = Path(__file__).resolve().parents[1]
SHORT = {"epochs": 2, "batch_size": 64, "lr": 1e-2, "augment": "none"}


def row(**changed):
    values = {
        "table": "t",
        "source": "a paper",
        "read_in": "readme",
        "method": "ce",
        "protocol": "digits",
        "bits": 16,
        "backbone": "small-cnn",
        "figure": 0.5,
        "recipe": SHORT,
    }
    return Row(**(values | changed))


@pytest.fixture
def tiny(monkeypatch):
    """In place of the digits: 200 features of 4 classes, so that a training takes a moment."""

    def load(name, root=None, seed=0):
        assert name == "digits"
        generator = np.random.default_rng(seed)
        labels = np.repeat(np.arange(4), 50)
        features = generator.standard_normal((200, 8), dtype=np.float32) + np.eye(8, dtype=np.float32)[labels]
        order = generator.permutation(200)
        pool = Pool(Features((features,)), labels, tuple("abcd"))
        return Protocol("digits", pool, order[:100], order[100:140], order[140:], seed=seed)

    monkeypatch.setattr(running, "load_protocol", load)
    return load


# --- what is published ----------------------------------------------------------------------------------------------


def test_every_row_can_be_run_as_far_as_names_go():
    rows = list(published().values())
    assert max(Counter(each.name for each in rows).values()) == 1
    for each in rows:
        recipe = method_class(each.method).recipe_class().changed(**each.recipe)
        assert all(getattr(recipe, name) == value for name, value in each.recipe.items()), each.name
        assert each.protocol in PROTOCOLS and (each.tested_on or each.protocol).partition(":")[0] in PROTOCOLS
        assert each.backbone in ("alexnet", "vgg11", "resnet18", "resnet50", "small-cnn", "features")
        assert 0 < each.figure < (1 if each.measure == "mAP" else each.bits / 2)


def test_figures_stand_where_they_are_printed():
    rows = published()
    printed = {
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
        "deephash-readme/nuswide-81-m-hashnet-48": 0.764,
        "deephash-readme/coco-tl-csq-64": 0.883,
    }
    assert {name: rows[name].figure for name in printed} == printed


def test_what_is_only_recalled_is_said_to_be_so():
    unread = {each.name for each in published().values() if not each.verified}
    tables = Counter(name.partition("/")[0] for name in unread)
    assert tables == {"orthohash-table1": 23, "dsh-paper": 6, "hashnet-paper": 9, "dnnh-paper": 8}
    assert not any(name.endswith("-48") for name in unread if not name.startswith("dnnh"))  # quoted by a README
    assert all(each.to_json()["verified"] is each.verified for each in published().values())


def test_found_by_name_or_table():
    assert [each.bits for each in find("relahash-readme/cifar10-1-relahash-32")] == [32]
    assert {each.protocol for each in find("relahash-readme")} == {"cifar10-1", "imagenet100"}
    assert len(find("all")) == len(published())
    with pytest.raises(BitseekError, match="did you mean relahash-readme"):
        find("relahash-readm")


# --- running --------------------------------------------------------------------------------------------------------


def test_a_measured_row_is_what_train_and_evaluate_give(tiny):
    result = reproduce(row(), seed=3, device="cpu")
    data = tiny("digits", seed=3)
    hasher = bitseek.train("ce", data, bits=16, seed=3, device="cpu", **SHORT)
    expected = bitseek.evaluate(hasher, data).mAP
    assert result["status"] == "measured" and result["published_recipe"] and not result["changes"]
    assert result["measured"] == round(expected, 4) and result["difference"] == round(expected - 0.5, 4)
    assert result["seed"] == 3 and result["seconds"] > 0 and result["hardware"]["cores"] >= 1
    assert result["report"]["protocol"]["checksum"] == data.checksum
    json.dumps(result)


def test_separability_is_measured_where_that_is_the_figure(tiny):
    result = reproduce(row(measure="separability", figure=3.0), device="cpu")
    assert result["measured"] == round(result["report"]["diagnostics"]["separability"], 4) > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (Changes(quick=True), {"quick": {"epochs": 2, "train": 500, "query": 100, "database": 2000}}),
        (Changes(recipe={"epochs": 1}), {"recipe": {"epochs": 1}}),
        (Changes(frozen=True, size=32), {"frozen": True, "size": 32}),
    ],
)
def test_a_departure_from_the_recipe_is_said(changes, said, tiny):
    result = reproduce(row(), changes=changes, device="cpu")
    assert result["status"] == "measured" and not result["published_recipe"] and result["changes"] == said


def test_the_small_part_of_a_protocol():
    data = protocol("digits")
    part = running.small(data)
    assert (len(part.train), len(part.query), len(part.database)) == (500, 100, len(data.database))
    assert np.isin(part.train, data.train).all() and np.isin(part.query, data.query).all()
    assert len(np.unique(data.pool.labels[part.query])) == 10


def test_absent_data_say_what_to_do(tmp_path):
    result = reproduce(find("relahash-readme/imagenet100-relahash-64")[0], root=tmp_path, device="cpu")
    assert result["status"] == "absent" and str(tmp_path) in result["reason"] and "ILSVRC-2012" in result["reason"]
    assert "measured" not in result


def test_nothing_is_downloaded_for_a_ledger(tmp_path):
    result = reproduce(find("relahash-readme/cifar10-1-relahash-64")[0], root=tmp_path, device="cpu")
    assert result["status"] == "absent" and "cifar-10" in result["reason"] and not list(tmp_path.iterdir())


def test_absent_weights_say_what_to_do(tmp_path):
    result = reproduce(row(backbone="resnet18"), weights=tmp_path / "w.safetensors", device="cpu")
    assert result["status"] == "absent" and "w.safetensors" in result["reason"]


def test_random_weights_are_no_published_recipe(monkeypatch):
    monkeypatch.setattr(running, "QUICK", {"train": 80, "query": 20, "database": 100})
    result = reproduce(row(backbone="resnet18"), weights="none", device="cpu", changes=Changes(size=16, quick=True))
    assert result["status"] == "measured" and result["changes"]["weights"] == "none"


def test_lists_without_their_images_are_absent(tmp_path, monkeypatch):
    (tmp_path / "0.jpg").touch()
    pool = Pool(Paths(tmp_path, tuple(f"{i}.jpg" for i in range(6))), np.zeros(6, np.int64), ("a", "b"))
    data = Protocol("digits", pool, np.arange(2), np.arange(2, 4), np.arange(4, 6))
    monkeypatch.setattr(running, "load_protocol", lambda *_, **__: data)
    result = reproduce(row(), device="cpu")
    assert result["status"] == "absent" and result["reason"].startswith("5 of 6 images of digits are absent")


def test_a_training_that_goes_astray_has_failed(tiny):
    result = reproduce(row(recipe=SHORT | {"lr": 1e30, "epochs": 6}), device="cpu")
    assert result["status"] == "failed" and "astray" in result["reason"]


def test_a_row_that_is_measured_on_another_set(monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 15)
    features = rng.standard_normal((60, 8), dtype=np.float32) + 4 * np.eye(8, dtype=np.float32)[labels]
    pool = Pool(Features((features,)), labels, tuple("abcd"))
    landmarks = Protocol("gldv2", pool, np.arange(0, 60, 2), np.array([1]), np.arange(0, 60, 2))
    positives = tuple(np.flatnonzero(labels == labels[i])[2:] for i in (0, 15, 30))
    none = tuple(np.zeros(0, np.int64) for _ in positives)
    truth = GroundTruth({"hard": positives}, {"hard": none}, ap="revisited")
    query = np.array([0, 15, 30])
    oxford = Protocol("roxford5k", pool, none[0], query, np.setdiff1d(np.arange(60), query), ground_truth=truth)
    monkeypatch.setattr(running, "load_protocol", lambda name, **_: {"gldv2": landmarks, "roxford5k": oxford}[name])
    taught = row(method="orthohash", protocol="gldv2", tested_on="roxford5k:hard", backbone="features", adapt=True)
    result = reproduce(taught, device="cpu")
    assert result["status"] == "measured" and result["tested_on"] == "roxford5k:hard"
    assert result["measured"] == round(result["report"]["levels"]["hard"]["mAP"], 4) > 0.5


# --- keeping --------------------------------------------------------------------------------------------------------


def test_results_are_kept_and_a_short_run_never_replaces_a_full_one(tmp_path):
    full = {"row": row().name, "seed": 0, "published_recipe": True, "status": "measured", "measured": 0.4}
    path = write_result(tmp_path, row(), full)
    assert read_results(tmp_path) == {row().name: [full]}
    with pytest.raises(BitseekError, match="--out"):
        write_result(tmp_path, row(), full | {"published_recipe": False})
    write_result(tmp_path, row(), full | {"seed": 1})
    assert len(read_results(tmp_path)[row().name]) == 2
    path.write_text("{")
    with pytest.raises(BitseekError, match="not a result"):
        read_results(tmp_path)


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_list(tmp_path, capsys):
    name = "relahash-readme/cifar10-1-relahash-64"
    done = {"row": name, "seed": 0, "published_recipe": True, "status": "measured", "measured": 0.8431}
    write_result(tmp_path, find(name)[0], done)
    main(["reproduce", "--out", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith(name)]
    assert "0.852" in line and "0.843" in line and "not verified" not in line
    (line,) = [line for line in lines if line.startswith("dnnh-paper/cifar10-1-dnnh-48")]
    assert "not verified" in line
    main(["reproduce", "--out", str(tmp_path), "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(published()) and {"row", "source", "published", "verified", "recipe"} <= rows[0].keys()


def test_absent_rows_are_passed_over(tmp_path, capsys):
    main(["reproduce", "csq-readme", "--root", str(tmp_path / "no"), "--out", str(tmp_path), "--json"])
    shown = capsys.readouterr()
    results = json.loads(shown.out)
    assert len(results) == 15 and {result["status"] for result in results} == {"absent"}
    assert "as above" in shown.err and not list(tmp_path.iterdir())


def test_a_short_run_says_that_it_is_one(tmp_path, capsys, monkeypatch, tiny):
    monkeypatch.setattr("bitseek.reproduce.find", lambda _: [row()])
    main(["reproduce", "t", "--quick", "--set", "batch_size=32", "--out", str(tmp_path), "--device", "cpu"])
    assert "not the published recipe" in capsys.readouterr().out
    ((result,),) = read_results(tmp_path).values()
    assert result["changes"]["recipe"] == {"batch_size": "32"} and not result["published_recipe"]


def test_an_unknown_row_is_an_error(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "nonsense"])
    assert stop.value.code == 1 and "the tables are orthohash-readme" in capsys.readouterr().err


# --- the frozen ledger ----------------------------------------------------------------------------------------------


@pytest.fixture
def frozen(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))
    import frozen_ledger

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    features = rng.standard_normal((200, 6), dtype=np.float32)
    order = rng.permutation(200)
    pool = Pool(Features((features,)), labels, tuple("abcd"))
    data = Protocol("features:x", pool, np.sort(order[:100]), np.sort(order[100:120]), np.sort(order[100:]))
    return frozen_ledger, frozen_ledger.Ledger(data, tmp_path / "cache.jsonl")


def test_recipes_are_chosen_without_the_queries(frozen):
    _, ledger = frozen
    data, inner = ledger.data, ledger.inner
    assert (inner.query == inner.database).all() and len(inner.query) == 20 and len(inner.train) == 80
    assert sorted([*inner.query, *inner.train]) == data.train.tolist()


def test_the_choice_takes_the_best_rate_and_nothing_for_noise(frozen, monkeypatch):
    module, ledger = frozen
    seen = []

    def run(method, recipe, data, bits, seed):
        seen.append(data)
        score = {1e-3: 0.5, 3e-3: 0.6, 1e-2: 0.7, 3e-2: 0.4}[recipe["lr"]]
        gain = 0.002 * (recipe["epochs"] == 60) + 0.05 * (recipe.get("margin") == 0.4)
        return {"mAP": score + gain, "seconds": 0.0}

    monkeypatch.setattr(module, "run", run)
    choice = ledger.choose("orthohash")
    assert (choice["recipe"]["lr"], choice["recipe"]["epochs"], choice["recipe"]["margin"]) == (1e-2, 30, 0.4)
    assert len(choice["tried"]) == 8 and all(data is ledger.inner for data in seen)
    again = module.Ledger(ledger.data, ledger.cache)
    assert again.choose("orthohash") == choice and len(seen) == 8  # all from the cache


def test_a_best_rate_at_the_edge_is_looked_beyond(frozen, monkeypatch):
    module, ledger = frozen
    monkeypatch.setattr(module, "run", lambda method, recipe, *_: {"mAP": 1 - recipe["lr"], "seconds": 0.0})
    assert ledger.choose("ce")["recipe"]["lr"] == 3e-4


def test_every_method_has_the_same_budget(frozen):
    module, _ = frozen
    gradient = {name for name in bitseek.methods.METHODS if method_class(name).by_gradient}
    assert set(module.KNOBS) == gradient and all(len(knobs) == 2 for knobs in module.KNOBS.values())
    for name in gradient:
        for option in ({}, *module.KNOBS[name]):
            method_class(name).recipe_class().changed(**module.COMMON | module.BASE.get(name, {}) | option)


def test_a_line_that_was_cut_by_a_kill_is_dropped(frozen, tmp_path):
    module, _ = frozen
    cache = tmp_path / "cut.jsonl"
    cache.write_text('{"key": "a"}\n{"key": "b')
    assert module.read_lines(cache) == [{"key": "a"}] and cache.read_text() == '{"key": "a"}\n'
