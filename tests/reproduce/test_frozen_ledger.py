"""The choice of recipes in the frozen ledger, benchmarks/frozen_ledger.py."""

import re
from pathlib import Path

import numpy as np
import pytest

from bitseek.data import Pool, Protocol
from bitseek.images import Features
from bitseek.methods import METHODS, make_recipe

CHECKOUT = Path(__file__).resolve().parents[2]


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
    assert (inner.query == inner.database).all()
    assert (len(inner.query), len(inner.train)) == (20, 80)
    assert sorted([*inner.query, *inner.train]) == data.train.tolist()


def test_a_trial_is_a_training_and_its_evaluation_and_is_run_once(frozen):
    module, ledger = frozen
    recipe = module.COMMON | {"lr": 1e-2, "epochs": 1}
    trial = ledger.trial("ce", recipe, 16, 0, choosing=True)
    assert 0 < trial["mAP_worst"] <= trial["mAP"] <= trial["mAP_best"] <= 1
    assert trial["split"] == ledger.inner.checksum[:16]
    assert ledger.trial("ce", recipe, 16, 0, choosing=True) is trial
    assert module.read_lines(ledger.cache) == [trial]


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
    assert len(choice["tried"]) == 8
    assert all(data is ledger.inner for data in seen)
    again = module.Ledger(ledger.data, ledger.cache)
    assert again.choose("orthohash") == choice
    assert len(seen) == 8  # all from the cache


def test_a_best_rate_at_the_edge_is_looked_beyond(frozen, monkeypatch):
    module, ledger = frozen
    monkeypatch.setattr(module, "run", lambda method, recipe, *_: {"mAP": 1 - recipe["lr"], "seconds": 0.0})
    assert ledger.choose("ce")["recipe"]["lr"] == 3e-4


def test_every_method_has_the_same_budget(frozen):
    module, _ = frozen
    gradient = {name for name, method in METHODS.items() if method.by_gradient}
    assert set(module.KNOBS) <= gradient
    assert all(len(knobs) == 2 for knobs in module.KNOBS.values())
    for name in module.KNOBS:
        for option in ({}, *module.KNOBS[name]):
            make_recipe(METHODS[name], module.COMMON | module.BASE.get(name, {}) | option)


def test_the_page_names_the_methods_that_have_no_row_yet(frozen):
    """So that nobody takes a method that was not measured for one that was left behind."""
    module, _ = frozen
    page = (CHECKOUT / "docs" / "ledger.md").read_text()
    (said,) = re.findall(r"Not measured here yet: (.*?)\.", page, re.DOTALL)
    without = {name for name in METHODS if name not in module.MEASURED}
    assert {name.strip(" `\n") for name in said.split(",")} == without and without


def test_a_line_that_was_cut_by_a_kill_is_dropped(frozen, tmp_path):
    module, _ = frozen
    cache = tmp_path / "cut.jsonl"
    cache.write_text('{"key": "a"}\n{"key": "b')
    assert module.read_lines(cache) == [{"key": "a"}]
    assert cache.read_text() == '{"key": "a"}\n'
