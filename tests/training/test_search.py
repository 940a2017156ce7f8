"""The search: successive halving against a slow one, the budget, a search that was killed."""

import json
import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from threading import Lock, Semaphore

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.training.helpers import Killed

from bitseek.errors import BitseekError, RunError
from bitseek.methods import METHODS, make_recipe
from bitseek.training._attempts import attempt, made
from bitseek.training._journal import Journal, Trial
from bitseek.training._search import (
    CONTENDERS,
    FOLDS,
    FRONT,
    LEADERS,
    OF_A_METHOD,
    STAGES,
    SURVIVORS,
    Budget,
    Search,
    other_front,
    short,
    variants,
)

NAMES = ["dpn", "hashnet", "orthohash", "csq", "ce", "dsh", "itq"]


class Scores:
    """Random but fixed scores; counts how often each setting was measured."""

    def __init__(self, seed, failing=()):
        self.seed, self.failing, self.calls = seed, failing, []

    def __call__(self, method, recipe, fold):
        self.calls.append((method, json.dumps(recipe), fold))
        if method in self.failing:
            raise BitseekError(f"{method} cannot be trained")
        words = np.frombuffer(repr((method, sorted(recipe.items()), fold)).encode(), np.uint8)
        return float(np.random.default_rng([self.seed, *words]).random())


def here(measure):
    return partial(made, measure)


def search(scores, budget, journal=None, tried=None, jobs=1):
    with ThreadPoolExecutor(jobs) as pool:
        attempts = here(scores) if jobs == 1 else partial(pool.submit, attempt, scores)
        found = Search(attempts, journal or Journal(None, {}), budget, tried, jobs=jobs)
        return found.run(NAMES), found.trials


def timeless(trials):
    return [trial._replace(seconds=0) for trial in trials]


class Slow(Scores):
    """Each takes its time, some ten times as long as others; and says how many ran at most."""

    def __init__(self, *given):
        super().__init__(*given)
        self.lock, self.running, self.most = Lock(), 0, 0

    def __call__(self, *setting):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        score = super().__call__(*setting)
        time.sleep(0.01 if score < 0.1 else 0.001 * score)
        with self.lock:
            self.running -= 1
        return score


@pytest.mark.parametrize("trials", [1, 2, 7, 20, 33, 60, 200])
@pytest.mark.parametrize("jobs", [2, 5, 8])
def test_how_many_are_tried_at_a_time_changes_nothing(trials, jobs):
    """Nor does who is done first."""
    measure, journal = Slow(6), Journal(None, {})
    one = search(Scores(6), Budget(trials=trials))
    several = search(measure, Budget(trials=trials), journal, jobs=jobs)
    assert one[0] == several[0] and timeless(one[1]) == timeless(several[1])
    assert measure.most <= jobs and len(measure.calls) == len(journal.trials) == len(one[1])


def test_no_process_waits_for_a_slow_one():
    """The first training goes on until four others are done."""
    done = Semaphore(0)

    def score(method, recipe, fold):
        if (method, recipe) == ("dpn", {"epochs": 6}):
            return float(all(done.acquire(timeout=20) for _ in range(4)))
        done.release()
        return 0.5

    journal = Journal(None, {})
    _, trials = search(score, Budget(trials=20), journal, jobs=2)
    assert trials[0].score == 1 and journal.trials.index(trials[0]) >= 3


@pytest.mark.parametrize("after", [1, 3, 8, 20, 40, 80])
def test_a_search_by_minutes_goes_on_with_what_its_journal_has(after):
    """What had begun when it was stopped begins again; nothing that was done is left out."""
    journal = Journal(None, {})
    winner, trials = search(Slow(5), Budget(minutes=0.005), journal, jobs=3)
    assert 20 < len(trials) == len(journal.trials)
    scores, again = Scores(5), Journal(None, {})
    again.trials = list(journal.trials)
    assert search(scores, Budget(minutes=0.005), again, jobs=3) == (winner, trials) and not scores.calls
    again.trials = journal.trials[:after]
    _, tried = search(Slow(5), Budget(minutes=0.005), again, jobs=3)
    assert all(trial in tried for trial in journal.trials[:after])


def test_what_was_done_when_a_process_ended_is_kept():
    broken, whole = Future(), Future()
    broken.set_exception(BrokenProcessPool())
    whole.set_result(0.5)
    begun, journal = [broken, whole], Journal(None, {})

    def begin(*_):
        if begun:
            return begun.pop(0)
        raise BrokenProcessPool  # as a pool does from then on

    with pytest.raises(BrokenProcessPool):
        Search(begin, journal, Budget(trials=9), jobs=2).run(NAMES)
    assert [trial.score for trial in journal.trials] == [0.5]


def test_the_seconds_of_trials_are_the_time_that_has_passed():
    started = time.perf_counter()
    _, trials = search(lambda *_: time.sleep(0.03) or 0.5, Budget(trials=40), jobs=4)
    passed = time.perf_counter() - started
    assert 0.3 - 1e-3 * len(trials) <= sum(trial.seconds for trial in trials) <= passed + 1e-3 * len(trials)


def slow(scores, contenders=CONTENDERS):
    """The winner, by sorting lists of everything."""
    table = []

    def add(method, recipe):
        if all((method, recipe) != row[1:] for row in table):
            table.append((scores(method, recipe, 0), method, recipe))

    def best_of_each():
        order = sorted(table, key=lambda row: (-row[0], table.index(row)))
        return [row for place, row in enumerate(order) if row[1] not in [above[1] for above in order[:place]]]

    for name in NAMES:
        begun = {} if name == "itq" else {"epochs": 6}
        add(name, begun)
        for setting in other_front(name, begun):
            add(*setting)
    chosen = best_of_each()[:contenders]
    table = [row for row in table if not row[2]]  # a short training decides nothing more
    for _, name, recipe in chosen:
        add(name, {key: value for key, value in recipe.items() if key != "epochs"})
    for _ in range(1000):
        known = [list(row[1:]) for row in table]
        for _, name, recipe in best_of_each()[:LEADERS]:
            for setting in [each for each in variants(name, recipe) if list(each) not in known][:1]:
                add(*setting)
    return again(table, scores)


def again(table, scores):
    """The best of some (score, method, recipe) of the first fold, on all folds."""
    sums = [(score, i) for i, (score, _, _) in enumerate(table)]
    for fold, survivors in enumerate(SURVIVORS, start=1):
        order, own = sorted(sums, key=lambda pair: (-pair[0], pair[1])), []
        for pair in order:
            if [table[i][1] for _, i in own].count(table[pair[1]][1]) < OF_A_METHOD:
                own.append(pair)
        sums = own[:survivors]
        sums = [(total + scores(*table[i][1:], fold), i) for total, i in sums]
    return table[max(sums, key=lambda pair: (pair[0], -pair[1]))[1]][1:]


@pytest.mark.parametrize("seed", range(5))
def test_the_winner_is_that_of_a_slow_search(seed, monkeypatch):
    monkeypatch.setattr("bitseek.training._search.CONTENDERS", 4)  # fewer than there are names
    winner, trials = search(Scores(seed), Budget(trials=10_000))
    assert winner == slow(Scores(seed), 4)
    assert {trial.fold for trial in trials} == set(range(FOLDS)) and {trial.stage for trial in trials} == set(STAGES)
    assert len({(t.method, str(t.recipe), t.fold) for t in trials}) == len(trials)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 9), trials=st.integers(1, 60))
def test_no_more_is_tried_than_may_be(seed, trials):
    scores = Scores(seed)
    winner, tried = search(scores, Budget(trials=trials))
    assert len(tried) == len(scores.calls) <= trials
    per_fold = [{(t.method, str(t.recipe)): t.score for t in tried if t.fold == fold} for fold in range(FOLDS)]
    if trials == 1:
        assert winner == ("dpn", {})
    else:
        assert (winner.method, str(winner.recipe)) in per_fold[0]
    assert winner.recipe != {"epochs": 6}
    rows = {}
    for t in tried:
        if t.recipe != {"epochs": 6}:
            rows.setdefault((t.method, str(t.recipe)), []).append(t.score)
    most = max(map(len, rows.values()), default=0)
    means = {setting: np.mean(row) for setting, row in rows.items() if len(row) == most}
    assert not means or (winner.method, str(winner.recipe)) == max(means, key=means.__getitem__)
    for stage, share in list(STAGES.items())[:2]:
        before = [t.stage for t in tried].count(stage)
        assert before <= max(1, np.ceil(share * trials))


def test_time_is_a_budget_too():
    """By the seconds of the journal: of 60 s, after 18 no other method, after 30 none in full, after 39 no recipe."""
    journal = Journal(None, {})
    (_, deep) = other_front("dpn", {"epochs": 6})[0]
    for name, recipe, score in (("dpn", {"epochs": 6}, 0.5), ("dpn", deep, 0.4), ("hashnet", {"epochs": 6}, 0.4)):
        journal.add(Trial("short", name, recipe, 0, score, 6.0))
    journal.add(Trial("methods", "dpn", {}, 0, 0.3, 12.0))
    first = next(variants("dpn"))
    journal.add(Trial("recipes", *first, 0, 0.2, 12.0))
    winner, trials = search(Scores(0), Budget(minutes=1.0), journal)
    assert [t.stage for t in trials[:5]] == ["short", "short", "short", "methods", "recipes"]
    tried = [("dpn", {}), first]
    assert {t.stage for t in trials[5:]} == {"again"} and winner in tried


def test_what_cannot_be_trained_is_told_and_left_out():
    winner, trials = search(Scores(1, failing=("dpn", "hashnet")), Budget(trials=500))
    assert winner.method not in ("dpn", "hashnet")
    assert {t.reason for t in trials if t.method == "dpn"} == {"dpn cannot be trained"}
    assert {t.stage for t in trials if t.method == "dpn"} == {"short"}
    with pytest.raises(BitseekError, match="no method could be trained: dpn cannot be trained"):
        search(Scores(1, failing=NAMES), Budget(trials=500))


@pytest.mark.parametrize("after", [1, 5, 20, 40])
@pytest.mark.parametrize("jobs", [1, 3])
def test_a_killed_search_ends_as_if_it_had_not_been_killed(tmp_path, after, jobs):
    facts = {"protocol": "x", "bits": 8}
    whole, trials = search(Scores(3), Budget(trials=500))
    first, seen = Scores(3), []

    def kill(trial):
        seen.append(trial)
        if len(seen) == after:
            raise Killed

    with pytest.raises(Killed):
        search(first, Budget(trials=500), Journal(tmp_path / "run", facts), kill, jobs)
    second = Scores(3)
    again = Journal(tmp_path / "run", facts, resume=True)
    winner, resumed = search(second, Budget(trials=500), again, jobs=jobs)
    assert winner == whole and len(second.calls) == len(trials) - after
    assert timeless(resumed) == timeless(trials)
    again.close(*winner)
    assert Journal(tmp_path / "run", facts, resume=True).chosen == {"method": whole.method, "recipe": whole.recipe}


def test_a_journal_is_of_one_search(tmp_path):
    with Journal(tmp_path / "run", {"bits": 8}) as journal:
        journal.add(Trial("methods", "dpn", {}, 0, 0.5, 1.0))
    before = (tmp_path / "run" / "auto.json").read_bytes()
    with pytest.raises(RunError, match="holds a run already; go on with it by --resume"):
        Journal(tmp_path / "run", {"bits": 8})
    with pytest.raises(RunError, match="another search: its bits is 8, not 16"):
        Journal(tmp_path / "run", {"bits": 16}, resume=True)
    assert (tmp_path / "run" / "auto.json").read_bytes() == before
    assert Journal(tmp_path / "run", {"bits": 8}, resume=True).trials == journal.trials
    (tmp_path / "run" / "auto.json").write_text('{"format": "mine"}')
    with pytest.raises(RunError, match="cannot be read: it is of something else"):
        Journal(tmp_path / "run", {"bits": 8}, resume=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("x")
    with pytest.raises(RunError, match="is not a run"):
        Journal(tmp_path / "notes", {}, resume=True)


def test_what_another_version_measured_by_matters_until_it_has_chosen(tmp_path):
    with Journal(tmp_path / "run", {"bits": 8, "measure": "before"}) as journal:
        journal.add(Trial("methods", "dpn", {}, 0, 0.5, 1.0))
    now = {"bits": 8, "measure": "now"}
    with pytest.raises(RunError, match="its measure is 'before', not 'now'; another version of bitseek began it"):
        Journal(tmp_path / "run", now, resume=True)
    journal.close("dpn", {})
    assert Journal(tmp_path / "run", now, resume=True).chosen == {"method": "dpn", "recipe": {}}
    with pytest.raises(RunError, match="its bits is 8, not 16"):
        Journal(tmp_path / "run", now | {"bits": 16}, resume=True)


def test_a_search_that_fails_before_its_first_trial_leaves_nothing(tmp_path):
    with pytest.raises(Killed), Journal(tmp_path / "run", {}):
        raise Killed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("budget", [{}, {"minutes": 0}, {"trials": -1}, {"minutes": float("nan")}])
def test_a_search_needs_a_budget(budget):
    with pytest.raises(BitseekError, match=r"search"):
        Budget(**budget)


@pytest.mark.parametrize("name", METHODS)
def test_variants_change_one_thing_that_the_method_has(name):
    cls = METHODS[name]
    for start in {}, {"epochs": 15}, *([FRONT] if cls.takes_front else []):
        base = make_recipe(cls, start, frozen=True)
        found = list(variants(name, start))
        assert bool(found) == cls.by_gradient and len({each.key for each in found}) == len(found)
        for _, recipe in found:
            changed = make_recipe(cls, recipe, frozen=True).model_dump()
            differ = {key: value for key, value in changed.items() if value != getattr(base, key)}
            one = ["epochs", "lr", "codebook", *(["temperature"] if cls.card.labels == "none" else [])]
            assert [*differ] in [[name] for name in one]


@pytest.mark.parametrize("name", METHODS)
def test_a_hidden_layer_is_tried_with_the_common_rate_and_taken_away_where_it_is(name):
    cls, found = METHODS[name], other_front(name, {})
    assert len(found) == cls.takes_front
    for other in found:
        default, recipe = (make_recipe(cls, change, frozen=True).model_dump() for change in ({}, other.recipe))
        if default["standardise"] and default["hidden"]:
            assert recipe == default | {"hidden": 0}
        else:
            assert recipe == default | dict(FRONT) | {"lr": 1e-3}
            assert other.recipe.get("lr", default["lr"]) == 1e-3
    if name in ("sdhc", "pcdh"):
        assert not found
    if name == "neighbour-contrast":
        assert found == [(name, {"hidden": 0})]


def test_what_has_helped_is_kept_while_something_else_is_tried():
    """A higher rate helps, and so do more epochs: both together, before other codebooks have had their turn."""
    wanted = {"epochs": 60, "lr": 3e-3}
    found = Search(
        here(lambda method, recipe, fold: sum(recipe.get(key) == value for key, value in wanted.items())),
        Journal(None, {}),
        Budget(trials=200),
    )
    assert found.run(["dpn"]) == ("dpn", wanted)
    recipes = [trial.recipe for trial in found.trials if trial.stage == "recipes"]
    assert recipes[:2] == [{"lr": 3e-3}, {"lr": 1e-2}] and recipes[2] == wanted


@pytest.mark.parametrize(("items", "epochs"), [(None, (15, 120)), (96, (75, 1200))])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_number_goes_on_for_ever(items, epochs, sign):
    """Though each step gains: four times what it began with, or a fourth of it, which 7 of 30 would be below."""
    found = Search(
        here(lambda method, recipe, fold: sign * recipe.get("epochs", 30) * recipe.get("lr", 1e-3)),
        Journal(None, {}),
        Budget(trials=400),
        items=items,
    )
    _, recipe = found.run(["dpn"])
    assert recipe["epochs"] == epochs[sign > 0]
    assert recipe["lr"] == pytest.approx(0.1 if sign > 0 else 1e-5)


@pytest.mark.parametrize("trials", [40, 100, 200])
def test_each_fold_may_use_half_of_what_is_left(trials):
    _, tried = search(Scores(2), Budget(trials=trials))
    per_fold = [[trial.fold for trial in tried].count(fold) for fold in range(FOLDS)]
    left = trials - per_fold[0]
    for fold, most in enumerate(SURVIVORS, start=1):
        share = left if fold == len(SURVIVORS) else math.ceil(left / 2)
        assert per_fold[fold] <= min(most, share, per_fold[fold - 1])
        assert per_fold[fold] in (min(most, share), 0) or per_fold[fold] >= 2
        left -= per_fold[fold]


def test_no_fold_measures_one_setting_alone():
    for trials in range(1, 60):
        _, tried = search(Scores(4), Budget(trials=trials))
        per_fold = [[trial.fold for trial in tried].count(fold) for fold in range(FOLDS)]
        last = max(fold for fold in range(FOLDS) if per_fold[fold])
        assert all(per_fold[fold] >= 2 for fold in range(1, last))


def test_a_temperature_goes_up_and_down_where_no_label_says_how_coarse_classes_are():
    tried = {name: [r["temperature"] for _, r in variants(name) if "temperature" in r] for name in METHODS}
    assert {name for name, found in tried.items() if found} == {"cibhash", "neighbour-contrast"}
    assert tried["neighbour-contrast"] == [0.5, 0.18]
    assert ("neighbour-contrast", {}) in list(variants("neighbour-contrast", {"temperature": 0.5}))
    farthest = list(variants("neighbour-contrast", {"temperature": 1.39}))  # of .3; 5 / 3 as much would be too far
    assert [r["temperature"] for _, r in farthest if r["temperature"] != 1.39] == [0.834]


def test_a_codebook_is_changed_where_it_decides_the_codewords():
    """SHC finds its own: with another codebook it would be trained to the same weights once more."""
    changed = {name for name in METHODS if any("codebook" in recipe for _, recipe in variants(name))}
    assert changed == {"orthohash", "relahash", "dpn", "csq", "mds"}


def test_a_change_back_to_the_default_is_no_change():
    """Half of twice the epochs is the setting that was tried first, under the same name."""
    assert ("dpn", {}) in list(variants("dpn", {"epochs": 60}))
    assert ("dpn", {"lr": 3e-3}) in list(variants("dpn", {"epochs": 60, "lr": 3e-3}))
    assert ("dpn", {}) in list(variants("dpn", {"lr": 3e-3})) and ("dpn", {}) in list(variants("dpn", {"lr": 3e-4}))


def test_few_items_get_more_epochs():
    many, few = (
        Search(here(lambda method, recipe, fold: 0.5), Journal(None, {}), Budget(trials=2), items=items)
        for items in (9000, 96)
    )
    for search in (many, few):
        search.run(["orthohash"])
    assert [trial.recipe for trial in many.trials] == [{"epochs": 6}, {}]
    assert [trial.recipe for trial in few.trials] == [{"epochs": 60}, {"epochs": 300}]  # one batch in an epoch


@pytest.mark.parametrize("name", METHODS)
def test_the_first_training_of_a_method_is_short(name):
    cls = METHODS[name]
    full, found = (make_recipe(cls, recipe, frozen=True) for recipe in ({}, short(name)))
    assert found.epochs == (full.epochs // 5 if cls.by_gradient else full.epochs)
    assert found.model_dump() | {"epochs": 0} == full.model_dump() | {"epochs": 0}


@pytest.mark.parametrize("trials", [1, 2, 3, 4, 8, 30])
def test_equal_scores_leave_the_defaults(trials):
    assert search(lambda *_: 1.0, Budget(trials=trials))[0].recipe == {}
