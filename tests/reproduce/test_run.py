"""Running rows: reduced trainings, and everything that can be absent or go wrong."""

import json

import numpy as np
import pytest

import bitseek
from bitseek import BitseekError
from bitseek.data import Pool, Protocol, RelevanceLists, load_protocol
from bitseek.images import Features, Paths
from bitseek.reproduce import STATUS, Changes, Row, _run, find, reproduce

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

    monkeypatch.setattr(_run, "load_protocol", load)
    return load


# --- measured -------------------------------------------------------------------------------------------------------


def test_a_measured_row_is_what_train_and_evaluate_give(tiny):
    result = reproduce(row(), seed=3, device="cpu")
    data = tiny("digits", seed=3)
    hasher = bitseek.train("ce", data, bits=16, seed=3, device="cpu", **SHORT)
    expected = bitseek.evaluate(hasher, data)
    assert result["status"] == "measured"
    assert result["published_recipe"] and not result["changes"]
    assert result["measured"] == round(expected.mAP, 4)
    assert result["difference"] == round(expected.mAP - 0.5, 4)
    assert result["seed"] == 3
    assert result["seconds"] > 0
    assert result["hardware"]["cores"] >= 1
    assert result["environment"] == hasher.config.environment
    assert result["report"]["protocol"]["checksum"] == data.checksum
    assert "precision_recall" not in result["report"]
    json.dumps(result)


def test_images_are_trained_end_to_end_on_the_digits():
    steps = []
    recipe = {"epochs": "4", "batch_size": "32"}  # as the command line gives them
    result = reproduce(row(), changes=Changes(quick=True, recipe=recipe), device="cpu", progress=steps.append)
    assert result["status"] == "measured"
    assert result["measured"] > 0.3  # chance is 0.1
    assert result["report"]["protocol"]["name"] == "digits-quick"
    assert result["report"]["queries"] == 100
    assert result["changes"]["recipe"] == recipe
    assert steps


def test_separability_is_measured_where_that_is_the_figure(tiny):
    result = reproduce(row(measure="separability", figure=3.0), device="cpu")
    assert result["measured"] == round(result["report"]["diagnostics"]["separability"], 4) > 0
    assert result["difference"] == pytest.approx(result["measured"] - 3.0)


def test_a_method_without_gradients(tiny):
    result = reproduce(row(method="pcah", bits=4, recipe={}), device="cpu")
    assert result["status"] == "measured"
    assert result["measured"] > 0.25


@pytest.fixture
def landmarks(monkeypatch):
    """A set of landmarks to train on, and another one whose relevant items are listed."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 15)
    features = rng.standard_normal((60, 8), dtype=np.float32) + 4 * np.eye(8, dtype=np.float32)[labels]
    pool = Pool(Features((features,)), labels, tuple("abcd"), name="gldv2")
    tested = Pool(Features((features,)), labels, tuple("abcd"), name="roxford5k")
    train = Protocol("gldv2", pool, np.arange(0, 60, 2), np.array([1]), np.arange(0, 60, 2))
    query = np.array([0, 15, 30])
    near = tuple(np.flatnonzero(labels == labels[i])[2:] for i in query)
    far = tuple(np.flatnonzero(labels == (labels[i] + 1) % 4) for i in query)
    none = tuple(np.zeros(0, np.int64) for _ in query)
    lists = RelevanceLists({"medium": far, "hard": near}, {"medium": none, "hard": none}, ap="trapezoid")
    database = np.setdiff1d(np.arange(60), query)
    oxford = Protocol("roxford5k", tested, none[0], query, database, lists=lists)
    monkeypatch.setattr(_run, "load_protocol", lambda name, **_: {"gldv2": train, "roxford5k": oxford}[name])


def test_a_row_that_is_measured_at_a_level_of_another_set(landmarks):
    taught = row(method="orthohash", protocol="gldv2", tested_on="roxford5k:hard", backbone="features", adapt=True)
    result = reproduce(taught, device="cpu")
    assert (result["status"], result["tested_on"]) == ("measured", "roxford5k:hard")
    levels = result["report"]["levels"]
    assert result["measured"] == round(levels["hard"]["mAP"], 4) > 0.5 > levels["medium"]["mAP"]
    assert result["report"]["adapted_batch_norm"]
    assert levels["hard"]["ap"] == "trapezoid"


def test_batch_norm_is_only_estimated_anew_where_the_row_says_so(landmarks):
    settings = {"method": "orthohash", "protocol": "gldv2", "tested_on": "roxford5k:hard", "backbone": "features"}
    assert not reproduce(row(**settings), device="cpu")["report"]["adapted_batch_norm"]


# --- departures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (Changes(quick=True), {"quick": {"epochs": 2, "train": 500, "query": 100, "database": 2000}}),
        (Changes(recipe={"epochs": 1}), {"recipe": {"epochs": 1}}),
        (Changes(frozen=True, size=32), {"frozen": True, "size": 32}),
        (Changes(backbone_options={"crop": 1.0}), {"backbone_options": {"crop": 1.0}}),
    ],
)
def test_a_departure_from_the_recipe_is_said(changes, said, tiny):
    result = reproduce(row(), changes=changes, device="cpu")
    assert result["status"] == "measured"
    assert not result["published_recipe"]
    assert result["changes"] == said


def test_a_change_that_does_not_fit_is_the_users_error(tiny):
    with pytest.raises(BitseekError, match="margin"):
        reproduce(row(), changes=Changes(recipe={"margin": 1}), device="cpu")


def test_the_small_part_of_a_protocol():
    data = load_protocol("digits")
    part = _run.small(data)
    assert (len(part.train), len(part.query), len(part.database)) == (500, 100, len(data.database))
    assert np.isin(part.train, data.train).all()
    assert np.isin(part.query, data.query).all()
    assert np.unique(part.pool.labels[part.query].numbers).tolist() == list(range(10))
    assert part.origin is None  # no name loads it again


def test_listed_relevance_has_no_small_part(landmarks):
    result = reproduce(
        row(protocol="roxford5k", backbone="features", method="orthohash"), changes=Changes(quick=True), device="cpu"
    )
    assert result["status"] == "absent"
    assert "leave out --quick" in result["reason"]


@pytest.mark.parametrize("weights", ["none", None])
def test_random_weights_are_no_published_recipe(monkeypatch, weights):
    monkeypatch.setattr(_run, "QUICK", {"train": 80, "query": 20, "database": 100})
    changes = Changes(size=16, quick=True, recipe={"epochs": 1})
    result = reproduce(row(backbone="resnet18"), weights=weights, device="cpu", changes=changes)
    assert result["status"] == "measured"
    assert result["changes"]["weights"] == "none"
    assert not result["published_recipe"]


@pytest.mark.parametrize("weights", ["auto", "pretrained", "none"])
def test_a_network_from_scratch_has_no_weights_to_miss(monkeypatch, weights):
    monkeypatch.setattr(_run, "QUICK", {"train": 40, "query": 10, "database": 50})
    result = reproduce(row(), weights=weights, device="cpu", changes=Changes(quick=True))
    assert result["status"] == "measured"
    assert "weights" not in result["changes"]


# --- absent and failed ----------------------------------------------------------------------------------------------


def test_absent_data_say_what_to_do(tmp_path):
    result = reproduce(find("relahash-readme/imagenet100-relahash-64")[0], root=tmp_path, device="cpu")
    assert result["status"] == "absent"
    assert str(tmp_path) in result["reason"] and "ILSVRC-2012" in result["reason"]
    assert "measured" not in result


def test_nothing_is_downloaded_for_a_ledger(tmp_path):
    result = reproduce(find("relahash-readme/cifar10-1-relahash-64")[0], root=tmp_path, device="cpu")
    assert result["status"] == "absent"
    assert "cifar-10" in result["reason"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("table", sorted({each.table for each in find("all")}))
def test_every_table_is_absent_without_data_and_says_so(table, tmp_path):
    for each in {one.protocol: one for one in find(table)}.values():
        result = reproduce(each, root=tmp_path, device="cpu")
        assert result["status"] == "absent", each.name
        assert len(result["reason"]) > 20
        assert STATUS.index(result["status"]) == 1


def test_absent_weights_say_what_to_do(tmp_path):
    result = reproduce(row(backbone="resnet18"), weights=tmp_path / "w.safetensors", device="cpu")
    assert result["status"] == "absent"
    assert "w.safetensors" in result["reason"]


def test_lists_without_their_images_are_absent(tmp_path, monkeypatch):
    (tmp_path / "0.jpg").touch()
    pool = Pool(Paths(tmp_path, tuple(f"{i}.jpg" for i in range(6))), np.zeros(6, np.int64), ("a", "b"))
    data = Protocol("digits", pool, np.arange(2), np.arange(2, 4), np.arange(4, 6))
    monkeypatch.setattr(_run, "load_protocol", lambda *_, **__: data)
    result = reproduce(row(), device="cpu")
    assert result["status"] == "absent"
    assert result["reason"].startswith("5 of 6 images of digits are absent")


def test_a_training_that_diverges_has_failed(tiny):
    result = reproduce(row(recipe=SHORT | {"lr": 1e30, "epochs": 6}), device="cpu")
    assert result["status"] == "failed"
    assert "diverged" in result["reason"]
    assert result["seconds"] > 0
    assert result["published_recipe"]
    assert "measured" not in result
    json.dumps(result)
