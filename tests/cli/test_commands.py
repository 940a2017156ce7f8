"""Every command as its user meets it: what it prints, what it leaves, and one sentence where something is wrong."""

import inspect
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitseek.cli import main
from bitseek.cli.app import app
from bitseek.codes import Codes
from bitseek.metrics import retrieval

ROOT = Path(__file__).parents[2]
COMMANDS = [name for name in app if not name.startswith("-")]


def run(capsys, *arguments):
    """Status, standard output and standard error of a command."""
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code or 0
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def answer(capsys, *arguments):
    status, out, err = run(capsys, *arguments, "--json")
    assert status == 0, err
    return json.loads(out)


def refusal(capsys, *arguments):
    """The one sentence that a command says about bad input."""
    status, out, err = run(capsys, *arguments)
    assert status in (1, 2) and out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith("bitseek: ") and "Traceback" not in err
    return last.removeprefix("bitseek: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_is_in_the_readme(name, capsys):
    status, out, _ = run(capsys, name, "--help")
    assert status == 0 and "Example" in out and f"bitseek {name}" in out
    assert f"bitseek {name}" in (ROOT / "README.md").read_text()
    command = app[name].default_command
    documented = inspect.getdoc(command)
    for parameter in inspect.signature(command).parameters:
        assert re.search(rf"^    {parameter}: ", documented, re.MULTILINE), f"{name} does not explain {parameter}"


def test_commands_that_print_a_result_have_json():
    silent = {"encode", "features"}
    for name in set(COMMANDS) - silent - {"report"}:
        assert "json" in inspect.signature(app[name].default_command).parameters, name


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on digits, and 30 of its query images in a folder."""
    from bitseek.cli.quickstart import _write_images
    from bitseek.data import protocol

    folder = tmp_path_factory.mktemp("trained")
    main([
        "train", "orthohash", "digits", "--bits", "24", "--epochs", "2", "--lr", "1e-3", "--batch-size", "64",
        "--out", str(folder / "run"), "--set", "margin=0.3", "codebook=spread", "--precision", "fp32", "--json",
    ])  # fmt: skip
    data = protocol("digits")
    _write_images(data, data.query[:30], folder / "images")
    return folder


def test_train_leaves_a_report(trained):
    report = json.loads((trained / "run" / "report.json").read_text())
    config = json.loads((trained / "run" / "config.json").read_text())
    assert report["bits"] == 24 and 0.2 < report["mAP"] <= 1 and report["fingerprint"] == config["fingerprint"]
    assert config["recipe"]["margin"] == 0.3 and config["recipe"]["codebook"] == "spread"
    assert "| digits | all | retrieved |" in (trained / "run" / "README.md").read_text()


def test_evaluate(trained, capsys):
    value = answer(capsys, "evaluate", trained / "run", "--at", "100", "--denominator", "min")
    assert value["at"] == 100 and value["denominator"] == "min" and value["mAP_worst"] <= value["mAP"]
    status, out, _ = run(capsys, "evaluate", trained / "run")
    assert status == 0 and "mAP" in out and "bounds over ties" in out
    asymmetric = answer(capsys, "evaluate", trained / "run", "--ranking", "asymmetric")
    assert asymmetric["ranking"] == "asymmetric" and asymmetric["bits"] is None


def test_evaluate_says_what_is_wrong(trained, capsys, tmp_path):
    assert "is not a run folder" in refusal(capsys, "evaluate", tmp_path)
    assert "there is no protocol 'digts'" in refusal(capsys, "evaluate", trained / "run", "--protocol", "digts")
    assert "--at is a number of ranks" in refusal(capsys, "evaluate", trained / "run", "--at", "-3")
    assert "denominator" in refusal(capsys, "evaluate", trained / "run", "--denominator", "all")


def test_encode(trained, capsys, tmp_path):
    images = sorted((trained / "images").rglob("*.png"))
    shutil.copytree(trained / "images", tmp_path / "images")
    (tmp_path / "images" / "broken.png").write_bytes(images[0].read_bytes()[:40])
    status, _out, err = run(capsys, "encode", trained / "run", tmp_path / "images", "--out", tmp_path / "c.npz")
    assert status == 0 and "1 images could not be read" in err and "broken.png" in err
    codes = Codes.load(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as file:
        assert len(file["paths"]) == len(codes) == 30
    import bitseek

    assert codes == bitseek.load(trained / "run").encode(images)


def test_encode_says_what_is_wrong(trained, capsys, tmp_path):
    assert "there are no images" in refusal(capsys, "encode", trained / "run", tmp_path, "--out", tmp_path / "c.npz")
    assert "no file or folder" in refusal(
        capsys, "encode", trained / "run", tmp_path / "absent", "--out", tmp_path / "c.npz"
    )
    assert not (tmp_path / "c.npz").exists()


def test_index_and_search(trained, capsys, tmp_path):
    photos, collection = tmp_path / "photos", tmp_path / "collection"
    shutil.copytree(trained / "images", photos)
    first = answer(capsys, "index", collection, photos, "--model", trained / "run")
    assert (first["items"], first["added"], first["removed"]) == (30, 30, 0)
    query = sorted(photos.rglob("*.png"))[4]
    (found,) = answer(capsys, "search", collection, query, "-k", "3")
    assert len(found["hits"]) == 3 and found["hits"][0]["distance"] == 0
    distances = [hit["distance"] for hit in found["hits"]]
    assert distances == sorted(distances)

    sorted(photos.rglob("*.png"))[0].unlink()
    changed = sorted(photos.rglob("*.png"))[1]
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(changed)
    (photos / "bad.jpg").write_bytes(b"no image")
    again = answer(capsys, "index", collection, photos)
    assert (again["items"], again["added"], again["unchanged"], again["removed"]) == (29, 1, 28, 1)
    assert len(again["unreadable"]) == 1 and "bad.jpg" in again["unreadable"][0]
    status, out, _ = run(capsys, "search", collection, query)
    assert status == 0 and str(query.resolve()) in out.replace("\n", "")


def test_index_and_search_say_what_is_wrong(trained, capsys, tmp_path):
    photos = trained / "images"
    assert "--model RUN" in refusal(capsys, "index", tmp_path / "c", photos)
    run(capsys, "index", tmp_path / "c", photos, "--model", trained / "run")
    assert "there is no image" in refusal(capsys, "search", tmp_path / "c", tmp_path / "x.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no")
    assert "bad.png" in refusal(capsys, "search", tmp_path / "c", bad)
    good = next(photos.rglob("*.png"))
    assert "-k is 1 or more" in refusal(capsys, "search", tmp_path / "c", good, "-k", "0")
    other = tmp_path / "other"
    run(capsys, "train", "lsh", "digits", "--bits", "24", "--out", other, "--precision", "fp32")
    message = refusal(capsys, "search", tmp_path / "c", good, "--model", other)
    assert "were made by model" in message and "make a new collection" in message


def scored(tmp_path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "query_codes": rng.random((7, 12)) < 0.5,
        "database_codes": rng.random((90, 12)) < 0.5,
        "query_labels": rng.integers(0, 3, 7),
        "database_labels": rng.integers(0, 3, 90),
    } | changes
    np.savez(tmp_path / "codes.npz", **{name: a for name, a in arrays.items() if a is not None})
    return tmp_path / "codes.npz", arrays


def test_score_reads_every_form_of_codes(capsys, tmp_path):
    path, arrays = scored(tmp_path)
    expected = retrieval(
        Codes.from_bits(arrays["query_codes"]), Codes.from_bits(arrays["database_codes"]),
        arrays["query_labels"], arrays["database_labels"], at=20,
    )  # fmt: skip
    plain = answer(capsys, "score", path, "--at", "20")
    assert {"mAP", "mAP_best", "mAP_worst", "at", "denominator", "queries", "database", "bits"} <= set(plain)
    assert plain["mAP"] == pytest.approx(expected.mAP) and plain["bits"] == 12

    def in_form(change):
        forms = {name: change(arrays[name]) for name in ("query_codes", "database_codes")}
        return scored(tmp_path, **forms)[0], forms

    for change in (
        lambda bits: bits.astype(np.uint8),
        lambda bits: np.where(bits, 1, -1).astype(np.int8),
        lambda bits: np.where(bits, 1.0, -1.0).astype(np.float32),
    ):
        path, _ = in_form(change)
        assert answer(capsys, "score", path, "--at", "20") == plain
    for order in ("little", "big"):
        _, forms = in_form(lambda bits, order=order: np.packbits(bits, axis=1, bitorder=order))
        path, _ = scored(tmp_path, **forms, bits=12)
        assert answer(capsys, "score", path, "--at", "20") == plain
    _, forms = in_form(lambda bits: np.array(Codes.from_bits(bits).words))
    assert answer(capsys, "score", scored(tmp_path, **forms, bits=12)[0], "--at", "20") == plain


def test_score_multi_hot_ids_and_ties(capsys, tmp_path):
    rng = np.random.default_rng(1)
    hot = {"query_labels": rng.random((7, 5)) < 0.3, "database_labels": (rng.random((90, 5)) < 0.3).astype(np.int64)}
    path, _ = scored(tmp_path, **hot)
    values = {
        ties: answer(capsys, "score", path, "--ties", ties)["mAP"] for ties in ("expected", "best", "worst", "stable")
    }
    assert values["worst"] <= min(values["expected"], values["stable"]) <= values["best"]
    path, _ = scored(tmp_path, query_ids=np.arange(7), database_ids=np.arange(90))
    assert answer(capsys, "score", path)["excluded"] == 7


def test_score_says_what_is_wrong(capsys, tmp_path):
    assert "there is no file" in refusal(capsys, "score", tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("nothing")
    assert "is not an .npz file" in refusal(capsys, "score", tmp_path / "text.npz")
    assert "no array 'database_labels'" in refusal(capsys, "score", scored(tmp_path, database_labels=None)[0])
    assert "got values like" in refusal(capsys, "score", scored(tmp_path, query_codes=np.full((7, 12), 3))[0])
    assert refusal(capsys, "score", scored(tmp_path, query_labels=np.arange(6))[0])
    assert refusal(capsys, "score", scored(tmp_path, query_codes=np.ones((7, 13), bool))[0])
    np.savez(tmp_path / "object.npz", query_codes=np.array([{}], dtype=object))
    assert "is not an .npz file" in refusal(capsys, "score", tmp_path / "object.npz")
    assert "--at is a number of ranks" in refusal(capsys, "score", scored(tmp_path)[0], "--at", "some")


@pytest.mark.parametrize("name", ["methods", "protocols", "backbones"])
def test_lists(name, capsys):
    rows = answer(capsys, name)
    assert len(rows) > 5
    status, out, _ = run(capsys, name)
    assert status == 0 and next(iter(rows[0].values())) in out
    assert refusal(capsys, name, "no-such-thing")


def test_one_method_and_one_protocol(capsys):
    (row,) = answer(capsys, "methods", "orthohash")
    assert row["recipe"]["margin"] == 0.2 and row["year"] == 2021
    assert "hyper-parameter" in run(capsys, "methods", "dsh")[1]
    (row,) = answer(capsys, "protocols", "cifar10-1")
    assert (row["train"], row["query"], row["database"]) == (5000, 1000, 59000)
    assert any(row["backbone"] == "mobilenetv2_100" for row in answer(capsys, "backbones", "mobilenetv2"))


def test_codebooks(capsys):
    rows = {row["codebook"]: row for row in answer(capsys, "codebooks", "--classes", "21", "--bits", "16")}
    assert rows["spread"]["minimum_distance"] == 8 == rows["spread"]["upper_bound"]
    assert rows["max-distance"]["minimum_distance"] in (6, 7)
    assert "5 bits or more" in refusal(capsys, "codebooks", "--classes", "21", "--bits", "4")


def test_features(capsys, tmp_path):
    out = tmp_path / "f.npz"
    status, said, err = run(capsys, "features", "digits", "--backbone", "small-cnn", "--weights", "none", "--out", out)
    assert status == 0, err
    assert "1797 × 256" in said
    value = answer(
        capsys, "train", "itq", f"features:{out}", "--bits", "16", "--out", tmp_path / "run", "--device", "cpu"
    )
    assert value["bits"] == 16 and value["protocol"]["name"] == "digits"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "orthohash", "digits", "--bits", "none"], "bits"),
        (["train", "orthohash"], "PROTOCOL"),
        (["train", "orthohash", "digits", "--set", "margin"], "NAME=VALUE"),
        (
            ["train", "orthohash", "digits", "--backbone", "alexnet", "--weights", "absent.safetensors"],
            "no weights file",
        ),
        (["train", "dsh", "folder:/absent"], "absent"),
        (["serch"], "serch"),
        (["search"], "COLLECTION"),
    ],
)
def test_called_wrongly(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message.lower() in refusal(capsys, *arguments).lower()
    assert not any(tmp_path.iterdir())


def test_quickstart_at_toy_size(capsys, tmp_path, monkeypatch):
    from bitseek.cli import quickstart

    monkeypatch.setitem(quickstart.RECIPE, "epochs", 2)
    for _ in range(2):  # the second makes it anew
        value = answer(capsys, "quickstart", tmp_path / "q")
        assert value["mAP_worst"] <= value["mAP"] <= value["mAP_best"] and value["database"] == 1497
        with Image.open(value["picture"]) as picture:
            assert picture.width > picture.height > 300
    assert len(
        answer(capsys, "search", tmp_path / "q" / "collection", next((tmp_path / "q").rglob("*.png")))[0]["hits"]
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert "holds something that is no quickstart" in refusal(capsys, "quickstart", tmp_path / "mine")
