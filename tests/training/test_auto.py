"""auto: what it measures on, what it never reads, what wins, killed and resumed, with and without labels."""

import dataclasses
import json
import os
import signal
import time
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, current_process

import numpy as np
import pytest
from loky import ProcessPoolExecutor
from tests.training.helpers import Killed, same_state, same_weights

from bitseek.codes import hamming_distances
from bitseek.data import Pool, Protocol
from bitseek.errors import BitseekError, RunError
from bitseek.images import Features, Pixels
from bitseek.methods import METHODS, make_recipe, method_class
from bitseek.models import build_backbone
from bitseek.runs import EncodedFeatures, RunConfig
from bitseek.training import _search, auto, read_search, train
from bitseek.training._attempts import attempts, made
from bitseek.training._auto import FIRST, fitting, of_network
from bitseek.training._bench import Bench

FEW = {"bits": 8, "trials": 4, "device": "cpu"}


@dataclasses.dataclass(frozen=True, eq=False)
class Guarded(Features):
    """Features of which some may not be read."""

    readable: frozenset = frozenset()

    def rows(self, indices):
        chosen = np.arange(len(self))[indices]
        assert set(chosen.tolist()) <= self.readable, "an item was read that is no training item"
        return super().rows(chosen)

    @property
    def array(self):
        raise AssertionError("all items were read")


def of_features(data, images=None, labels=None, **roles):
    """A protocol on the pixels of the toy as features."""
    pixels = data.pool.images.rows(slice(None)).reshape(len(data.pool), -1)[:, ::3].astype(np.float32)
    labels = data.pool.labels if labels is None else labels
    pool = Pool(images or Features((pixels / 16,)), labels, data.pool.classes, name="toy")
    return dataclasses.replace(data, pool=pool, name="toy-features", **roles)


@pytest.fixture(autouse=True, scope="module")
def few_steps():
    """Heads of few items take few steps here, so that many are trained in little time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_search, "STEPS", 1)
        yield


@pytest.fixture(scope="module")
def features(toy):
    return of_features(toy)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "run"


@pytest.fixture(scope="module")
def found(features, run):
    return auto(features, out=run, **FEW)


def bench(data, **roles):
    data = dataclasses.replace(data, **roles)
    computed = EncodedFeatures(data.train, data.pool.images.rows(data.train), {})
    return Bench(data, computed, bits=8, seed=0, device="cpu", labelled=bool(data.pool.labels.any.any()))


# --- what it measures on


def test_each_fold_holds_out_other_items(features):
    here = bench(features)
    folds = [here.fold(number) for number in range(5)]
    assert sorted(i for fold in folds for i in fold.query) == list(range(len(features.train)))
    for fold in folds:
        assert sorted([*fold.query, *fold.train]) == list(range(len(features.train)))
        assert (fold.pool.labels.numbers == features.pool.labels.numbers[features.train]).all()
        assert np.array_equal(fold.pool.images.rows(fold.train), features.pool.images.rows(features.train[fold.train]))


def test_what_is_searched_is_like_the_database(features):
    """Mostly items that were trained on, or mostly others; trained ones too where no two held-out items are alike."""
    assert not set(bench(features, database=np.setdiff1d(features.database, features.train)).fold(0).database) & set(
        bench(features).fold(0).train
    )
    trained = bench(features, database=features.train).fold(0)
    assert np.array_equal(trained.database, trained.train)
    alone = np.full(len(features.pool), -1)
    alone[features.train] = np.arange(len(features.train)) // 3
    pool = Pool(features.pool.images, alone, tuple(map(str, range(alone.max() + 1))))
    rare = bench(features, pool=pool).fold(0)
    assert np.array_equal(rare.database, rare.train)


@pytest.mark.parametrize("trained", [False, True])
def test_the_measure_is_the_mean_average_precision_on_the_fold(features, trained):
    """Against the definition, as the mean over random orders of the items at equal distance."""
    here = bench(features, **({"database": features.train} if trained else {}))
    score, fold = here.measure("dpn", {"epochs": 5}, 1), here.fold(1)
    codes = train("dpn", fold, bits=8, seed=1, device="cpu", epochs=5).encode(here.features)
    distances, numbers = hamming_distances(codes[fold.query], codes[fold.database]), fold.pool.labels.numbers
    rng, drawn = np.random.default_rng(0), []
    for _ in range(60):
        for row, query in enumerate(fold.query):
            others = fold.database != query
            order = np.lexsort((rng.random(others.sum()), distances[row][others]))
            relevant = numbers[fold.database[others]][order] == numbers[query]
            precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
            drawn.append(precision[relevant].mean() if relevant.any() else 0.0)
    assert score == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(len(drawn)) + 1e-3)


def test_without_labels_the_measure_is_what_is_kept_of_the_nearest_eighth_and_quarter_by_walks(features):
    """By a slow loop over the queries."""
    nothing = Pool(features.pool.images, np.full(len(features.pool), -1), ())
    here = bench(features, pool=nothing)
    score, fold = here.measure("itq", {}, 2), here.fold(2)
    codes = train("itq", fold, bits=8, seed=2, device="cpu").encode(here.features)
    distances = hamming_distances(codes[fold.query], codes[fold.database])
    ends = np.linalg.matrix_power(here.walks.step.toarray(), 8)
    shares = []
    for part in (8, 4):
        count = round(len(fold.database) / part)
        for row, query in enumerate(fold.query):
            reached = ends[query, fold.database]
            cosines = here.walks.cosines[query, fold.database]
            near = sorted(range(len(fold.database)), key=lambda i: (-reached[i], -cosines[i], i))[:count]
            for item in near:
                before = (distances[row] < distances[row][item]).sum()
                equal = (distances[row] == distances[row][item]).sum()
                shares.append((part, min(1, max(0, (count - before) / equal))))
    expected = np.mean([np.mean([share for of, share in shares if of == part]) for part in (8, 4)])
    assert score == pytest.approx(expected, abs=1e-6)


# --- what it never reads


def test_queries_are_never_read(toy, features, found):
    """Nor any item of the database that is no training item: reading one is an error, and their labels are wrong."""
    labels = np.zeros(len(toy.pool), np.int64)
    labels[toy.train] = toy.pool.labels.numbers[toy.train]
    guarded = Guarded(features.pool.images.parts, readable=frozenset(toy.train.tolist()))
    data = of_features(toy, guarded, labels)
    again = auto(data, **FEW)
    assert [t._replace(seconds=0) for t in again.trials] == [t._replace(seconds=0) for t in found.trials]
    assert again.hasher.fingerprint == found.hasher.fingerprint


def test_nor_are_pictures_of_queries(toy):
    """The same hasher where all pictures but those of training items are black."""
    pixels = np.zeros_like(toy.pool.images.array)
    pixels[toy.train] = toy.pool.images.array[toy.train]
    blackened = Pool(Pixels(pixels), toy.pool.labels, toy.pool.classes, mirror=False, name=toy.pool.name)
    options = {**FEW, "trials": 1, "backbone": "small-cnn", "size": 8, "recipe": {"epochs": 1, "batch_size": 60}}
    first, second = (auto(data, **options) for data in (toy, dataclasses.replace(toy, pool=blackened)))
    assert same_state(first.hasher, second.hasher)
    assert [t.score for t in first.trials] == [t.score for t in second.trials]


# --- what wins


def test_the_best_of_what_was_tried_is_trained_on_all_items(features, found):
    assert len(found.trials) == 4 and all(0 < trial.score <= 1 for trial in found.trials)
    config = found.hasher.config
    assert config.method == found.method and config.frozen and config.complete and config.items == len(features.train)
    alone = train(found.method, features, bits=8, device="cpu", **found.recipe)
    assert same_state(alone, found.hasher)
    assert all(config.recipe[name] == value for name, value in found.recipe.items())


@pytest.mark.parametrize("labelled", [True, False])
def test_what_the_ledger_has_found_good_is_tried_first_and_nothing_is_left_out(features, labelled):
    kinds = {"single", "multi"} if labelled else {"none"}
    fit = {name for name, cls in METHODS.items() if cls.card.labels in kinds}
    order = fitting(features, labelled)
    first = [name for name in FIRST if name in fit]
    assert set(FIRST) <= set(METHODS) and first
    assert order[: len(first)] == first and len(order) == len(fit) and set(order) == fit


def test_the_seed_decides(features, found):
    other = auto(features, **{**FEW, "trials": 1}, seed=1)
    assert other.trials[0].score != found.trials[0].score and other.hasher.config.seed == 1


def test_with_pictures_the_whole_network_is_trained(toy, tmp_path):
    options = {**FEW, "trials": 3, "backbone": "small-cnn", "size": 8, "out": tmp_path / "run"}
    chosen = auto(toy, recipe={"epochs": "2", "lr": "1e-3", "batch_size": 60}, **options)
    config = RunConfig.read(tmp_path / "run")
    assert not config.frozen and config.backbone.name == "small-cnn" and config.recipe["epochs"] == 2
    won = _search.without_front(chosen.recipe)
    of_head = make_recipe(method_class(chosen.method), won, frozen=True).model_dump(mode="json")
    assert config.recipe == of_head | {
        "epochs": 2, "lr": 1e-3, "batch_size": 60, "augment": "flip", "backbone_lr": 1.0  # it has random weights
    }  # fmt: skip
    assert chosen.hasher.encode(toy.pool.images.rows(toy.query)).bits == 8


def test_a_whole_network_has_no_hidden_layer_that_its_head_won_with():
    backbone = build_backbone("small-cnn", size=8)
    won = {**_search.FRONT, "epochs": 60, "lr": 1e-3}
    recipe = of_network("hashnet", won, {"lr": 1e-2}, backbone)
    assert recipe == {
        **make_recipe(METHODS["hashnet"], {"epochs": 60, "lr": 1e-2}, frozen=True).model_dump(),
        "batch_size": 128, "augment": "flip", "backbone_lr": 0.1,
    }  # fmt: skip


def test_with_pictures_and_frozen_the_head_is_trained_on_the_features_that_were_computed(toy):
    options = {"bits": 8, "backbone": "small-cnn", "size": 8, "device": "cpu", "frozen": True}
    chosen = auto(toy, trials=3, **options)
    assert chosen.hasher.config.frozen
    assert same_state(chosen.hasher, train(chosen.method, toy, **options, **chosen.recipe))


def test_without_labels_the_neighbours_decide(toy):
    data = of_features(toy, labels=np.full(len(toy.pool), -1))
    data = dataclasses.replace(data, pool=Pool(data.pool.images, data.pool.labels.numbers, ()))
    chosen = auto(data, bits=8, trials=12, device="cpu")
    assert method_class(chosen.method).card.labels == "none"
    assert {trial.method for trial in chosen.trials} <= {n for n, c in METHODS.items() if c.card.labels == "none"}
    first = {trial.method: trial.score for trial in chosen.trials if trial.stage == "short" and trial.score}
    assert len(set(first.values())) > 1 and chosen.hasher.config.frozen


def test_items_of_several_classes(features):
    labels = features.pool.labels.multi_hot()
    labels[::4, 0] = True
    data = dataclasses.replace(features, pool=Pool(features.pool.images, labels, features.pool.classes))
    chosen = auto(data, **{**FEW, "trials": 3})
    assert chosen.hasher.config.multi_label and method_class(chosen.method).card.labels == "multi"


# --- killed and resumed


@pytest.mark.parametrize("where", ["search", "training"])
def test_killed_and_resumed_it_gives_the_same_hasher(features, found, run, tmp_path, where):
    def kill(what):
        if where == "training" or len(json.loads((tmp_path / "run" / "auto.json").read_text())["trials"]) == 2:
            raise Killed

    call = {"tried" if where == "search" else "progress": kill}
    with pytest.raises(Killed):
        auto(features, out=tmp_path / "run", checkpoint_seconds=0.0, **call, **FEW)
    with pytest.raises(RunError, match="--resume"):
        auto(features, out=tmp_path / "run", **FEW)
    tried = []
    chosen = auto(features, out=tmp_path / "run", resume=True, tried=tried.append, **FEW)
    assert len(tried) == (2 if where == "search" else 0) and len(chosen.trials) == 4
    assert same_weights(run, tmp_path / "run")
    first, second = (read_search(folder) for folder in (run, tmp_path / "run"))
    assert first["chosen"] == second["chosen"] == {"method": chosen.method, "recipe": chosen.recipe}
    assert [{**t, "seconds": 0} for t in first["trials"]] == [{**t, "seconds": 0} for t in second["trials"]]
    done = auto(features, out=tmp_path / "run", resume=True, tried=tried.append, **FEW)
    assert done.hasher.fingerprint == chosen.hasher.fingerprint and done.trials == chosen.trials


def test_what_was_tried_is_of_the_run(features, found, run, tmp_path):
    assert [trial["score"] for trial in read_search(run)["trials"]] == [trial.score for trial in found.trials]
    train("dsh", features, bits=8, epochs=1, out=tmp_path / "other")
    assert read_search(tmp_path / "other") is None
    with pytest.raises(RunError, match="a run of another kind"):
        auto(features, out=tmp_path / "other", resume=True, **FEW)


# --- refused


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"trials": 0}, "above 0"),
        ({"minutes": -1.0}, "above 0"),
        ({"bits": 0}, "bits"),
        ({"jobs": 0}, "jobs is a whole number of 1 or more, got jobs=0"),
        ({"recipe": {"epochs": 3}}, "chooses the recipe of a head itself.*leave out epochs"),
        ({"recipe": {"epochs": 0}}, "epochs"),
        ({"validation": 0.2}, "leave out validation"),
        ({"backbone": "resnet18"}, "features, not images"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(features, arguments, message, tmp_path, unchecked):
    with pytest.raises(BitseekError, match=message):
        auto(features, **{**FEW, "out": tmp_path / "run", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_too_little_to_compare_by(features, tmp_path):
    with pytest.raises(BitseekError, match="12 training items that can be read, and 20 are the least"):
        auto(dataclasses.replace(features, train=features.train[:12]), out=tmp_path / "run", **FEW)
    labels = np.full(len(features.pool), -1)
    labels[features.train] = np.arange(len(features.train))
    lonely = Pool(features.pool.images, labels, tuple(map(str, range(len(features.train)))))
    with pytest.raises(BitseekError, match="shares a label with another one"):
        auto(dataclasses.replace(features, pool=lonely), out=tmp_path / "run", **FEW)
    assert list(tmp_path.iterdir()) == []


def test_a_hyper_parameter_of_one_method_is_refused(toy, tmp_path):
    with pytest.raises(BitseekError, match="auto chooses margin with the method; what can be given is augment, back"):
        auto(toy, out=tmp_path / "run", backbone="small-cnn", size=8, recipe={"margin": 1, "epochs": 2}, **FEW)
    assert list(tmp_path.iterdir()) == []


def test_a_protocol_that_only_measures_is_refused(features):
    with pytest.raises(BitseekError, match="0 training items"):
        auto(Protocol("mine", features.pool, features.train[:0], features.query, features.database), **FEW)


# --- several at a time


def test_processes_measure_what_one_does_and_say_what_cannot_be_trained(features):
    here = bench(features)
    with attempts(here.measure, 2) as tried:
        settings = [("dpn", {"epochs": 2}, 0), ("dpn", {"nonsense": 2}, 0), ("hashnet", {"epochs": 1}, 1)]
        found = [each.result() for each in [tried(*setting) for setting in settings]]
        again = tried("dpn", {"epochs": 2}, 0).result()
    assert "nonsense" in found[1]
    assert [found[0], found[2]] == pytest.approx(
        [here.measure("dpn", {"epochs": 2}, 0), here.measure("hashnet", {"epochs": 1}, 1)], abs=1e-3
    )
    assert again == found[0]


def test_a_process_that_is_ended_from_outside_is_told():
    end = os._exit
    with (
        pytest.raises(BitseekError, match=r"one of 2 processes .* ended from outside.*--resume and fewer jobs"),
        attempts(lambda *_: end(1), 2) as tried,
    ):
        tried("dpn", {}, 0).result()


def test_a_process_leaves_ctrl_c_to_its_parent():
    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGINT)
        return 1.0

    with attempts(interrupted, 2) as tried:
        assert tried("dpn", {}, 0).result() == 1.0


class Seen:
    """Where it is unpickled, a process says that it lives."""

    def __init__(self, folder):
        self.folder = folder

    def __setstate__(self, state):
        (state["folder"] / str(os.getpid())).touch()

    def __call__(self, method, recipe, fold):
        return 0.5


def test_ctrl_c_while_processes_begin_leaves_none(tmp_path, monkeypatch):
    """It comes between the processes and the thread that would end them."""

    def interrupted(_):
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessPoolExecutor, "_start_executor_manager_thread", interrupted)
    before = active_children()
    with pytest.raises(KeyboardInterrupt) as stopped, attempts(Seen(tmp_path), 2) as tried:
        tried("dpn", {}, 0)
    begun = [process for process in active_children() if process not in before]
    for process in begun:
        process.join(20)
    assert stopped.tb  # holds the pool, whose end would end them
    assert not any(process.is_alive() for process in begun)


def test_there_is_one_job_for_each_processor_at_most(features, monkeypatch):
    """And what is tried is the same."""
    asked = []

    @contextmanager
    def counted(measure, count):
        asked.append(count)
        yield partial(made, measure)

    monkeypatch.setattr("bitseek.training._auto.attempts", counted)
    monkeypatch.setattr("bitseek.training._auto.thread_count", lambda: 3)
    found = [auto(features, bits=8, trials=12, device="cpu", jobs=jobs) for jobs in (1, 1000)]
    assert asked == [1, 3]
    tried = [[trial._replace(seconds=0) for trial in each.trials] for each in found]
    assert tried[0] == tried[1]


def test_a_process_that_may_begin_no_others_is_told(features, monkeypatch):
    monkeypatch.setattr("bitseek.training._auto.thread_count", lambda: 3)
    monkeypatch.setitem(current_process()._config, "daemon", True)
    with pytest.raises(BitseekError, match="may begin no others: take jobs=1 here, not 2"):
        auto(features, bits=8, trials=4, jobs=2)


# --- the recipe of a head


def test_a_head_on_features_has_a_recipe_of_its_own(toy, features):
    """RelaHash's batch of 16 is for a network; what is given wins over both."""
    head = train("relahash", features, bits=8, device="cpu", epochs=1).config.recipe
    network = train("relahash", toy, bits=8, device="cpu", epochs=1, backbone="small-cnn", size=8).config.recipe
    assert (head["batch_size"], network["batch_size"]) == (256, 16) and head["epochs"] == 1
    given = train("relahash", features, bits=8, device="cpu", epochs=1, batch_size=60, lr=0.5).config.recipe
    assert (given["batch_size"], given["lr"]) == (60, 0.5)
    frozen = train("relahash", toy, bits=8, device="cpu", epochs=1, backbone="small-cnn", size=8, frozen=True)
    assert frozen.config.recipe == head


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if cls.by_gradient])
def test_every_method_trains_a_head_by_its_recipe(name, features):
    labelled = METHODS[name].card.labels != "none"
    computed = EncodedFeatures(features.train, features.pool.images.rows(features.train), {})
    score = Bench(features, computed, 8, 0, "cpu", labelled).measure(name, {"epochs": 2}, 0)
    assert 0 < score <= 1
