"""The choice of recipes in the frozen ledger, benchmarks/frozen_ledger.py, and the test behind its ranks."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

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
    data = Protocol("x", pool, np.sort(order[:100]), np.sort(order[100:120]), np.sort(order[100:]))
    return frozen_ledger, frozen_ledger.Ledger(data, tmp_path / "trials")


@pytest.fixture
def paired(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKOUT / "benchmarks"))
    import paired

    return paired


def pretend(module, monkeypatch, score):
    """Trials whose mAP is a function of the recipe, and the list of what was tried."""
    seen = []

    def run(method, change, data, bits, seed):
        seen.append((data, change))
        recipe = make_recipe(METHODS[method], change, frozen=True)
        return {"mAP": score(recipe), "seconds": 1.0, "diagnostics": {}}, np.full(len(data.query), score(recipe))

    monkeypatch.setattr(module, "run", run)
    return seen


def test_recipes_are_chosen_without_the_queries(frozen):
    _, ledger = frozen
    data, inner = ledger.data, ledger.inner
    assert (inner.query == inner.database).all()
    assert (len(inner.query), len(inner.train)) == (20, 80)
    assert sorted([*inner.query, *inner.train]) == data.train.tolist()


def test_the_network_of_mnist_learns_from_no_item_of_the_ledger(frozen, monkeypatch):
    module, ledger = frozen
    import mnist_features

    monkeypatch.setattr(mnist_features, "TRAIN", 40)
    items = mnist_features.left_by_ledger(ledger.data, 5)
    assert np.bincount(ledger.data.pool.labels.numbers[items]).tolist() == [5] * 4
    assert set(items) <= set(ledger.data.train.tolist())
    assert not set(items) & set(module.a_class(ledger.data, 10).tolist())


def test_a_trial_is_a_training_and_its_evaluation_and_is_run_once(frozen):
    module, ledger = frozen
    trial = ledger.trial("ce", {"lr": 1e-2, "epochs": 1}, 16, 0, choosing=True)
    precisions = ledger.precisions(trial)
    assert len(precisions) == len(ledger.inner.query)
    assert precisions.mean() == pytest.approx(trial["mAP"], abs=1e-5)
    assert ledger.trial("ce", {"epochs": 1, "lr": 1e-2}, 16, 0, choosing=True) is trial
    again = module.Ledger(ledger.data, ledger.folder, runs=False)
    assert again.trial("ce", {"lr": 1e-2, "epochs": 1}, 16, 0, choosing=True) == trial
    with pytest.raises(module.NotRunError):
        again.trial("ce", {"lr": 1e-2, "epochs": 1}, 16, 1, choosing=True)


def test_a_trial_belongs_to_the_whole_recipe_the_features_and_the_split(frozen, tmp_path):
    module, ledger = frozen
    default = make_recipe(METHODS["ce"], {}, frozen=True)
    key = ledger.key("ce", {}, 16, 0, choosing=True)
    assert key == ledger.key("ce", {"lr": default.lr}, 16, 0, choosing=True)
    images = Features((ledger.data.pool.images.rows(slice(None)) + np.float32(1),))
    pool = Pool(images, ledger.data.pool.labels.numbers, tuple("abcd"))
    other = Protocol("x", pool, ledger.data.train, ledger.data.query, ledger.data.database)
    keys = {
        key,
        ledger.key("ce", {"lr": 2 * default.lr}, 16, 0, choosing=True),
        ledger.key("ce", {}, 16, 0, choosing=False),
        ledger.key("ce", {}, 32, 0, choosing=True),
        module.Ledger(other, tmp_path).key("ce", {}, 16, 0, choosing=True),
    }
    assert len(keys) == 5


def test_the_choice_climbs_from_the_default_and_takes_nothing_for_noise(frozen, monkeypatch):
    module, ledger = frozen
    seen = pretend(
        module,
        monkeypatch,
        lambda recipe: (
            0.5
            + 0.1 * (recipe.lr < 2e-2)
            + 0.002 * (recipe.epochs == 15)
            + 0.05 * (recipe.scale == 4.0)
            - 0.2 * bool(recipe.hidden)
        ),
    )
    choice = ledger.choose("orthohash")  # its heads have a rate of 0.03
    assert choice["change"] == {"lr": 0.01, "scale": 4.0}
    assert choice["validation_mAP"] == pytest.approx(0.65)
    rates = [change.get("lr") for _, change in seen]
    assert rates == [None, None, 0.001, 0.09, 0.01, 0.00333, 0.01, 0.01, 0.01]
    assert all(data is ledger.inner for data, _ in seen)
    again = module.Ledger(ledger.data, ledger.folder, runs=False)
    assert again.choose("orthohash") == choice


def test_a_rate_that_helps_is_followed_and_too_few_epochs_lead_to_more(frozen, monkeypatch):
    module, ledger = frozen
    pretend(module, monkeypatch, lambda recipe: 0.5 + 10 * min(recipe.lr, 9e-3) + recipe.epochs / 300)
    assert ledger.choose("dsh")["change"] == {"lr": 9e-3, "epochs": 60}


def test_a_hidden_layer_that_helps_is_kept_and_the_rest_is_chosen_with_it(frozen, monkeypatch):
    module, ledger = frozen
    seen = pretend(module, monkeypatch, lambda recipe: 0.5 + 0.1 * (recipe.hidden == 512) - recipe.lr)
    assert ledger.choose("orthohash")["change"] == {**module.FRONT, "lr": 1e-3}
    assert [change.get("hidden", 0) for _, change in seen] == [0, *[512] * (len(seen) - 1)]
    for name in "sdhc", "itq":  # none can be put there, nothing is trained by steps
        seen.clear()
        ledger.choose(name)
        assert all("hidden" not in change for _, change in seen)


def test_a_choice_ends_when_its_time_is_up(frozen, monkeypatch):
    module, ledger = frozen
    seen = pretend(module, monkeypatch, lambda recipe: 10 * recipe.lr)
    monkeypatch.setattr(module, "CHOICE", 2.5)
    assert ledger.choose("ce")["change"] == {"lr": 3e-3}
    assert len(seen) == 3


def test_a_training_that_takes_too_long_is_stopped_and_named(frozen, monkeypatch):
    module, ledger = frozen
    monkeypatch.setattr(module, "LIMIT", 0.05)
    found = ledger.trial("ce", {"epochs": 100_000}, 16, 0, choosing=True)
    assert (found["mAP"], found["failed"]) == (0.0, "took longer than 0 s")
    assert found["seconds"] < 5


def test_every_setting_that_is_tried_is_one(frozen):
    module, _ = frozen
    assert set(module.KNOBS) == {name for name, method in METHODS.items() if method.by_gradient}
    for name, knobs in module.KNOBS.items():
        assert 1 <= len(knobs) <= 2
        default = make_recipe(METHODS[name], {}, frozen=True)
        assert all(make_recipe(METHODS[name], knob, frozen=True) != default for knob in knobs)


def test_a_row_is_made_of_all_seeds_or_not_at_all(frozen, monkeypatch):
    module, ledger = frozen
    pretend(module, monkeypatch, lambda recipe: 0.25)
    for seed in module.SEEDS[:2]:
        ledger.trial("ce", {}, 16, seed, choosing=False)
    assert module.rows_of(ledger, {"ce": {}}, 16) == []
    ledger.trial("ce", {}, 16, module.SEEDS[2], choosing=False)
    (row,) = module.rows_of(ledger, {"ce": {}, "dsh": {}}, 16)
    assert (row["method"], row["mean"], row["spread"], row["rank"]) == ("ce", 0.25, 0.0, [1, 1])


def test_a_method_is_put_into_a_table_without_a_place_and_the_others_stay(frozen):
    module, _ = frozen
    header = {"command": "python it", "date": "2026-01-01", "commit": "abc", "hardware": {}}

    def table(**means):
        rows = [{"method": name, "bits": 64, "mean": mean, "rank": [1, 2]} for name, mean in means.items()]
        return {"protocol": "p", "rows": rows, "defaults": rows[:1], "chosen": dict.fromkeys(means, "c"), "trials": 9}

    whole = header | {"results": table(ce=0.1, dsh=0.2)}
    found = module.merged(whole, table(dsh=0.3, csq=0.4, ce=0.9), ["dsh", "csq"])
    assert [(row["method"], row["mean"], row.get("rank")) for row in found["rows"]] == [
        ("ce", 0.1, [1, 2]), ("dsh", 0.3, None), ("csq", 0.4, None)
    ]  # fmt: skip
    assert (list(found["added"]), found["before"], found["trials"]) == (["dsh", "csq"], [header], 9)
    again = module.merged(header | {"results": found}, table(csq=0.5), ["csq"])
    assert (list(again["added"]), len(again["before"]), len(again["rows"])) == (["dsh", "csq"], 2, 3)
    with pytest.raises(SystemExit, match="another split"):
        module.merged(whole, table(ce=0.1) | {"protocol": "q"}, ["ce"])


@pytest.mark.parametrize("data", ["cifar10-1", "cifar100", "mnist"])
def test_the_page_has_a_row_for_each_method_or_says_that_it_has_none(data):
    """So that nobody takes a method that was not measured for one that was left behind."""
    page = (CHECKOUT / "docs" / "ledger.md").read_text()
    section = page.split(f"\n## `{data}`\n")[1].split("\n## ")[0]
    assert [name for name in METHODS if f"`{name}`" not in section] == []


def test_a_line_that_was_cut_by_a_kill_is_dropped(frozen, tmp_path):
    from trials import read_lines

    cache = tmp_path / "cut.jsonl"
    cache.write_text('{"key": "a"}\n{"key": "b')
    assert read_lines(cache, mend=False) == [{"key": "a"}]
    assert cache.read_text().endswith("b")
    assert read_lines(cache) == [{"key": "a"}]
    assert cache.read_text() == '{"key": "a"}\n'


def test_a_row_is_measured_once_and_belongs_to_what_it_is_of(frozen, tmp_path, capsys):
    from trials import Rows, split_of

    _, ledger = frozen
    seen = []

    def measure(value):
        return lambda: seen.append(value) or {"mAP": value}

    rows = Rows(tmp_path / "rows.jsonl")
    assert rows.find({"bits": 16}, measure(0.5)) == {"key": '{"bits": 16}', "bits": 16, "mAP": 0.5}
    assert "16 0.5" in capsys.readouterr().out
    again = Rows(tmp_path / "rows.jsonl")
    assert again.find({"bits": 16}, measure(0.6))["mAP"] == 0.5 and again.find({"bits": 32}, measure(0.7))["mAP"] == 0.7
    assert seen == [0.5, 0.7]
    images = Features((ledger.data.pool.images.rows(slice(None)) * np.float32(2),))
    other = Pool(images, ledger.data.pool.labels.numbers, tuple("abcd"))
    moved = Protocol("x", other, ledger.data.train, ledger.data.query, ledger.data.database)
    assert split_of(moved)["split"] == split_of(ledger.data)["split"] and split_of(moved) != split_of(ledger.data)
    (tmp_path / "old.jsonl").write_text('{"what": ["a"]}\n')
    with pytest.raises(SystemExit, match=r"old\.jsonl is of another format"):
        Rows(tmp_path / "old.jsonl")


def test_with_one_seed_the_test_is_the_paired_t_test_over_queries(paired):
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 1, 50))
    assert paired.paired_p(a, b) == pytest.approx(stats.ttest_rel(a[0], b[0]).pvalue)


def test_where_queries_do_not_differ_it_is_welchs_test_over_seeds(paired):
    a, b = np.array([0.2, 0.3, 0.25]), np.array([0.4, 0.5, 0.41])
    found = paired.paired_p(np.repeat(a[:, None], 7, axis=1), np.repeat(b[:, None], 7, axis=1))
    assert found == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_equal_methods_are_seldom_called_different(paired):
    """With seeds and queries that both matter, at most about 5 % of the tests are below .05."""
    rng = np.random.default_rng(0)

    def method(hard):
        return 0.5 + hard + rng.normal(0, 0.05, (3, 1)) + rng.normal(0, 0.1, (3, 60)) + rng.normal(0, 0.2, 60)

    low = sum(paired.paired_p(method(hard), method(hard)) < 0.05 for hard in rng.normal(0, 0.2, (300, 60)))
    assert low <= 30


def test_ranks_are_intervals(paired):
    rng = np.random.default_rng(0)
    queries = rng.random(200)
    first, second, last = (0.3 * queries + level + rng.normal(0, 0.05, (3, 200)) for level in (0.5, 0.499, 0.3))
    assert paired.ranks([last, first, second]) == [(3, 3), (1, 2), (1, 2)]
