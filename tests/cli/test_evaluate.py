"""evaluate and report: a run is measured as it was trained, and only that figure becomes the run's own."""

import json
import shutil
import sys

import numpy as np
import pytest

from bitseek.cli._evaluate import show_report
from bitseek.data import Protocol, RelevanceLists, load_protocol
from bitseek.evaluation import evaluate
from bitseek.runs import load


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run that a test may change."""
    return shutil.copytree(trained, tmp_path / "run")


def kept(run):
    return [(run / name).read_text() for name in ("report.json", "README.md")]


def test_train_leaves_a_report_and_a_card(trained):
    report, config = (json.loads((trained / name).read_text()) for name in ("report.json", "config.json"))
    assert report["bits"] == 24 and 0.2 < report["mAP"] <= 1 and report["fingerprint"] == config["fingerprint"]
    assert config["recipe"]["margin"] == 0.3 and config["recipe"]["codebook"] == "spread"
    assert f"| {report['figure']} | {report['mAP']:.4f} |" in (trained / "README.md").read_text()


def test_evaluate_measures_the_runs_own_split(run, bitseek):
    before = json.loads((run / "report.json").read_text())
    (run / "report.json").unlink()
    value = bitseek.answer("evaluate", run, "--out", run / "other.json")
    assert value == {"run": str(run), **before} == {"run": str(run), **json.loads((run / "other.json").read_text())}
    assert json.loads((run / "report.json").read_text()) == before
    shown = bitseek.text("evaluate", run)
    assert f"{before['figure']}  {before['mAP']:.4f}" in shown and "bounds over ties" in shown
    assert f"{before['mAP_worst']:.4f} … {before['mAP_best']:.4f}" in shown


@pytest.mark.parametrize(
    "arguments, figure",
    [
        (["--ties", "best"], "best ties"),
        (["--ranking", "asymmetric"], "asymmetric ranking"),
        (["--ranking", "reranked", "--candidates", "20"], "re-ranked"),
        (["--ternary", "0.1"], "ternary ranking"),
        (["-k", "100"], "mAP@100"),
        (["--denominator", "min"], "denominator min"),
        (["--no-hit", "skip"], "queries without a hit left out"),
    ],
)
def test_another_figure_never_takes_the_place_of_the_runs_own(arguments, figure, run, bitseek, tmp_path):
    """Bug 4: it stood in report.json and on the card, without its name."""
    before = kept(run)
    shown = bitseek.text("evaluate", run, *arguments, "--out", tmp_path / "other.json")
    value = json.loads((tmp_path / "other.json").read_text())
    assert figure in value["figure"] and value["figure"] in shown and kept(run) == before


def test_queries_that_were_training_items_are_refused(run, bitseek):
    """Bug 3, on the command line."""
    before = kept(run)
    message = bitseek.refusal("evaluate", run, "--seed", "1")
    assert "items that this hasher was trained on" in message and "--allow-trained-queries" in message
    value = bitseek.answer("evaluate", run, "--seed", "1", "--allow-trained-queries")
    assert 0.5 < value["trained_queries"] < 1 and value["protocol"]["seed"] == 1
    shown = bitseek.text("evaluate", run, "--seed", "1", "--allow-trained-queries")
    assert "queries that were training items" in shown and kept(run) == before


@pytest.mark.parametrize("kind", ["folder", "lists", "features"])
def test_a_run_on_data_of_ones_own_is_measured_from_any_folder(kind, pictures, bitseek, tmp_path, monkeypatch):
    """Bug 12: the command had to be told again what the training was told, from the same folder."""
    arguments, more = [f"folder:{pictures}", "--protocol-set", "query=3"], ["--backbone", "small-cnn"]
    if kind == "lists":
        (tmp_path / "lists").mkdir()
        split = {"train": range(2, 12), "test": range(2), "database": range(2, 12)}
        for role, numbers in split.items():
            lines = [f"{name}/{i}.png {c}" for c, name in enumerate(("red", "green", "blue")) for i in numbers]
            (tmp_path / "lists" / f"{role}.txt").write_text("\n".join(lines))
        arguments = ["lists:lists", "--root", pictures]
    if kind == "features":
        bitseek.answer("features", *arguments, *more, "--weights", "none", "--out", "f.npz")
        arguments, more = ["features:f.npz"], []
    trained = bitseek.answer("train", "lsh", *arguments, *more, "--bits", "8", "--out", "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = bitseek.answer("evaluate", tmp_path / "run")
    assert {**again, "run": "run"} == trained and 0 < again["mAP"] <= 1 and again["own_split"]


def test_data_that_have_changed_are_noticed(pictures, bitseek, tmp_path):
    bitseek.answer("train", "lsh", f"folder:{pictures}", "--backbone", "small-cnn", "--bits", "8", "--out", "run")
    before = kept(tmp_path / "run")
    for file in (pictures / "red").glob("1*.png"):
        file.unlink()
    status, _, err = bitseek.run("evaluate", "run", "--allow-trained-queries")
    assert status == 0 and "its checksum differs, so the data have changed" in err
    assert kept(tmp_path / "run") == before


def test_images_without_labels_are_looked_at_without_a_figure(pictures, bitseek, tmp_path):
    for i, file in enumerate(sorted(pictures.rglob("*.png"))):
        file.rename(pictures / f"{i}.png")
    arguments = ("train", "itq", f"folder:{pictures}", "--backbone", "small-cnn", "--bits", "8", "--out", "run")
    status, out, err = bitseek.run(*arguments)
    assert status == 0 and "nothing is known to be relevant" in err and "bit imbalance" in out and "mAP" not in out
    assert bitseek.answer("evaluate", "run")["mAP"] is None


def test_levels_are_columns_of_one_table(trained, capsys):
    digits = load_protocol("digits")
    classes = digits.pool.labels.numbers
    same = [digits.database[classes[digits.database] == classes[query]] for query in digits.query]
    none = [np.zeros(0, np.int64)] * len(same)
    lists = RelevanceLists(
        {"easy": tuple(ids[:50] for ids in same), "medium": tuple(same), "hard": tuple(ids[50:] for ids in same)},
        {"easy": tuple(ids[50:] for ids in same), "medium": tuple(none), "hard": tuple(ids[:50] for ids in same)},
        ap="trapezoid",
    )
    protocol = Protocol("levels", digits.pool, np.zeros(0, np.int64), digits.query, digits.database, lists=lists)
    report = evaluate(load(trained), protocol, allow_trained_queries=True)
    show_report(report, False, run="r")
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    rows = {cells[0]: [cell.strip() for cell in cells[1:] if cell] for cells in lines}
    assert rows["measure"] == ["easy", "medium", "hard"]
    assert rows["mAP@all (expected ties, trapezoidal AP, Hamming ranking)"] == [
        f"{report.levels[level].mAP:.4f}" for level in ("easy", "medium", "hard")
    ]
    assert rows["precision@10"] == [f"{report.levels[level].precision_at[10].mean():.4f}" for level in report.levels]
    show_report(report, True)
    value = json.loads(capsys.readouterr().out)
    assert value["level"] == "medium" and set(value["levels"]) == {"easy", "medium", "hard"}


def test_report_writes_a_page(run, bitseek, tmp_path):
    before = kept(run)
    value = bitseek.answer("report", run, "--sample", "60")
    page = (run / "report.html").read_text(encoding="utf-8")
    assert value["page"] == str(run / "report.html") and page.startswith("<!doctype html>")
    assert "24-bit codes by orthohash on digits" in page and f"{value['mAP']:.4f}"[1:] in page
    other = bitseek.answer("report", run, "--sample", "60", "--ties", "worst", "--out", tmp_path / "page.html")
    assert "worst ties" in other["figure"] and "worst ties" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert kept(run) == before


def test_evaluate_says_what_is_wrong(run, bitseek):
    assert "there is no protocol 'digts'" in bitseek.refusal("evaluate", run, "--protocol", "digts")
    assert "k" in bitseek.refusal("evaluate", run, "-k", "-3")
    assert "denominator" in bitseek.refusal("evaluate", run, "--denominator", "all")
    assert "ternary 0 or more" in bitseek.refusal("evaluate", run, "--ternary", "-1")
    assert "NAME=VALUE" in bitseek.refusal("evaluate", run, "--protocol-set", "k")
    assert "has no option nope" in bitseek.refusal("evaluate", run, "--protocol-set", "nope=1")


ROOMS = {
    "cli": 8, "evaluation": 7, "runs": 6, "methods": 5, "models": 4, "data": 3, "metrics": 2, "images": 2, "kernels": 1,
}  # fmt: skip
"""Packages that a figure passes through, and the layer of each; codes and labels are values, not rooms."""


def test_the_walk_from_a_run_to_its_figure_enters_nine_rooms_and_calls_downwards(run, bitseek):
    """As docs/architecture.md tells it; calls upwards are of what was handed down: the network, and the progress."""
    calls = set()

    def room(frame):
        package, _, rest = frame.f_globals.get("__name__", "").partition(".")
        return rest.partition(".")[0] if package == "bitseek" else ""

    def note(frame, event, _):
        called = room(frame) if event == "call" and frame.f_code.co_name != "<module>" else ""
        if called in ROOMS:
            caller = frame.f_back
            while caller is not None and room(caller) not in ROOMS:
                caller = caller.f_back
            calls.add((room(caller) if caller is not None else called, called))

    sys.setprofile(note)
    try:
        bitseek.answer("evaluate", run)
    finally:
        sys.setprofile(None)
    assert {called for _, called in calls} == set(ROOMS)
    between = {(caller, called) for caller, called in calls if caller != called}
    upwards = {(caller, called) for caller, called in between if ROOMS[caller] <= ROOMS[called]}
    assert upwards == {("images", "cli"), ("images", "runs")}
    assert {caller for caller, called in between if called == "evaluation"} == {"cli"}
