"""Rows of the fine-tuning ledger, benchmarks/finetuned_ledger.py: what decides one, and that it is run once."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitseek.methods import METHODS

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEDULE = {"epochs": 2, "batch_size": 16, "lr": 1e-3, "backbone_lr": 1.0, "augment": "flip"}


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))
    import finetuned_ledger

    monkeypatch.setattr(finetuned_ledger, "BITS", 8)
    monkeypatch.setattr(finetuned_ledger, "TRIALS", 2)
    return finetuned_ledger


@pytest.fixture
def ledger(module, four_classes, tmp_path):
    network = module.Network("small-cnn", None, 8)
    return module.Ledger(four_classes, network, {"dpn": {"margin": 0.5}}, "x", tmp_path / "rows")


def test_a_row_is_a_training_and_its_evaluation_and_is_run_once(module, ledger):
    row = ledger.trial("orthohash", SCHEDULE, 0, choosing=False)
    assert ledger.precisions(row).mean() == pytest.approx(row["mAP"], abs=1e-5)
    assert len(ledger.precisions(row)) == 20
    assert list((ledger.folder / "runs").iterdir()) == []
    again = module.Ledger(ledger.data, ledger.network, ledger.heads, "x", ledger.folder, runs=False)
    assert again.trial("orthohash", SCHEDULE, 0, choosing=False) == row
    with pytest.raises(module.NotRunError):
        again.trial("orthohash", SCHEDULE, 1, choosing=False)


def test_a_row_whose_measuring_was_stopped_goes_on_with_what_was_trained(module, ledger, monkeypatch, tmp_path):
    other = module.Ledger(ledger.data, ledger.network, ledger.heads, "x", tmp_path / "others")
    unbroken = other.trial("dpn", SCHEDULE, 0, choosing=False)

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", stopped)
        with pytest.raises(KeyboardInterrupt):
            ledger.trial("dpn", SCHEDULE, 0, choosing=False)
    (kept,) = (ledger.folder / "runs").iterdir()
    weights = (kept / "model.safetensors").stat().st_mtime_ns
    seen = []
    evaluate = module.evaluate
    monkeypatch.setattr(
        module,
        "evaluate",
        lambda *given: seen.append((kept / "model.safetensors").stat().st_mtime_ns) or evaluate(*given),
    )
    row = ledger.trial("dpn", SCHEDULE, 0, choosing=False)
    assert seen == [weights]
    assert (row["mAP"], row["in_one_go"], unbroken["in_one_go"]) == (unbroken["mAP"], False, True)


def test_auto_chooses_within_its_trials_and_trains_by_the_schedule(ledger):
    row = ledger.trial("auto", SCHEDULE, 0, choosing=False)
    assert row["chosen"] in METHODS
    assert ledger.precisions(row).mean() == pytest.approx(row["mAP"], abs=1e-5)


def test_a_row_belongs_to_its_recipe_split_network_and_seed(module, ledger):
    def key(ledger=ledger, method="dpn", schedule=SCHEDULE, seed=0, choosing=False):
        return ledger.key(method, schedule, seed, choosing)

    heads = module.Ledger(ledger.data, ledger.network, {}, "x", ledger.folder)
    smaller = module.Ledger(ledger.data, replace(ledger.network, size=16), ledger.heads, "x", ledger.folder)
    keys = [key(), key(heads), key(smaller), key(method="csq"), key(method="auto"), key(seed=1), key(choosing=True)]
    keys += [key(schedule=SCHEDULE | {"epochs": 3}), key(method="auto", schedule=SCHEDULE | {"epochs": 3})]
    assert len(set(keys)) == len(keys)
    assert ledger.recipe("dpn", SCHEDULE)["margin"] == 0.5


def test_a_network_has_what_was_chosen_for_heads_but_no_hidden_layer(module, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    assert module.chosen_heads("x") == {}
    chosen = {
        "orthohash": {"change": {"standardise": True, "hidden": 512, "dropout": 0.5, "codebook": "spread"}},
        "dpn": {"change": {"margin": 0.5}},
        "shc": {"change": {"quantisation": 0.0}},
    }
    (tmp_path / "frozen_ledger_x.json").write_text(json.dumps({"results": {"chosen": chosen}}))
    assert module.chosen_heads("x") == {"orthohash": {"codebook": "spread"}, "dpn": {"margin": 0.5}}


def test_the_schedule_is_chosen_without_the_queries(module, ledger, monkeypatch):
    seen = []

    def run(method, schedule, seed, choosing, folder):
        seen.append((method, seed, choosing))
        mAP = 0.5 + 0.1 * (schedule["augment"] == "crop") + 0.002 * (schedule["backbone_lr"] == 0.3)
        return {"mAP": mAP + 0.1 * (schedule["epochs"] == 20), "seconds": 1.0}, None

    monkeypatch.setattr(ledger, "run", run)
    choice = ledger.choose()
    assert choice["schedule"] == module.SCHEDULE | {"augment": "crop"}
    longer = choice["tried"][-1]
    assert longer["change"] == {"augment": "crop", "epochs": 20} and longer["mAP"] == pytest.approx(0.7)
    assert set(seen) == {("orthohash", 0, True)}
    assert not set(ledger.inner.query) & set(ledger.data.query)


def test_places_are_of_methods_with_all_seeds_and_the_page_names_the_others(module, ledger, monkeypatch):
    levels = {"orthohash": 0.8, "csq": 0.5, "dhd": 0.9}

    def run(method, schedule, seed, choosing, folder):
        found = {"mAP": levels[method], "seconds": 60.0 * (seed + 1), "diagnostics": {}, "in_one_go": seed > 0}
        return found, np.full(20, levels[method]) + np.linspace(-0.1, 0.1, 20) + 0.001 * seed

    monkeypatch.setattr(ledger, "run", run)
    for method, seeds in {"orthohash": 3, "csq": 3, "dhd": 1}.items():
        for seed in range(seeds):
            ledger.trial(method, SCHEDULE, seed, choosing=False)
    rows = module.rows_of(ledger, SCHEDULE)
    assert [(row["method"], row["seeds"], row.get("rank")) for row in rows] == [
        ("dhd", [0], None),
        ("orthohash", [0, 1, 2], [1, 1]),
        ("csq", [0, 1, 2], [2, 2]),
    ]
    protocol = ledger.data.describe()
    choice = {"schedule": SCHEDULE, "tried": [{"change": {}, "mAP": 0.5}]}
    results = {"protocol": protocol, "network": ledger.network.describe(), "bits": 8, "rows": rows, "choice": choice}
    results["validation"] = {"items": 8, "method": "orthohash"}
    whole = {"results": results, "hardware": {"processor": "x"}, "commit": "c", "date": "2026-01-01"}
    page = "\n".join(module.page(whole))
    assert "| 1 | `orthohash` | 0.800 ± 0.000 | 0.800, 0.800, 0.800 | 2 |" in page
    assert "`dhd` (seed 1, 2)" in page
    assert "`dpn` (seed 0, 1, 2)" in page
