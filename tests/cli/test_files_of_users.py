"""A command writes where nothing is, or over an earlier result of its own; never over another file."""

import numpy as np
import pytest
from PIL import Image

from bitseek.cli import main
from bitseek.codes import Codes


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 1
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    main(["train", "lsh", "digits", "--bits", "8", "--size", "8", "--out", str(folder), "--device", "cpu"])
    return folder


def test_no_command_writes_over_a_file_of_the_users(run, tmp_path, capsys):
    mine = tmp_path / "mine.png"
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(mine)
    before = mine.read_bytes()
    (run / "report.html").write_text("mine")
    assert "report.html exists and is not a page" in refusal(capsys, "report", run)
    assert "is not a page" in refusal(capsys, "report", run, "--out", mine)
    assert "is not a report" in refusal(capsys, "evaluate", run, "--out", mine)
    assert "is not a report" in refusal(capsys, "evaluate", run, "--out", run / "config.json")
    assert "is not a file of codes" in refusal(capsys, "encode", run, mine, "--out", mine)
    assert "is not a file of features" in refusal(
        capsys, "features", "digits", "--backbone", "small-cnn", "--out", mine
    )
    codes = tmp_path / "codes.npz"
    main(["encode", str(run), str(mine), "--out", str(codes)])
    whole = codes.read_bytes()
    assert "exists and is not to be replaced" in refusal(capsys, "convert", codes, codes)
    assert "exists and is not" in refusal(capsys, "convert", codes, mine, "--to", "hex")
    assert mine.read_bytes() == before and codes.read_bytes() == whole
    assert (run / "report.html").read_text() == "mine"


def test_an_earlier_result_is_replaced(run, tmp_path):
    image, codes, page, report = (tmp_path / name for name in ("a.png", "codes.npz", "page.html", "report.json"))
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(image)
    for _ in range(2):
        main(["encode", str(run), str(image), "--out", str(codes)])
        main(["report", str(run), "--out", str(page), "--sample", "50"])
        main(["evaluate", str(run), "--out", str(report)])
    assert len(Codes.load(codes)) == 1 and page.stat().st_size > 10_000
    assert (run / "model.safetensors").stat().st_mode & 0o777 == (run / "config.json").stat().st_mode & 0o777


def test_a_place_where_nothing_can_be_written_is_refused_first(run, tmp_path, capsys):
    image = tmp_path / "a.png"
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(image)
    message = refusal(capsys, "encode", run, image, "--out", tmp_path / "absent" / "codes.npz")
    assert "there is no folder" in message and not (tmp_path / "absent").exists()


def test_score_says_none_where_there_is_no_mean(tmp_path, capsys):
    arrays = {"query_codes": np.eye(3, dtype=bool), "database_codes": np.eye(3, dtype=bool)}
    np.savez(tmp_path / "c.npz", **arrays, query_labels=[0, 0, 0], database_labels=[1, 1, 1])
    main(["score", str(tmp_path / "c.npz"), "--no-hit", "skip"])
    lines = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines() if len(line.split()) > 1}
    assert lines["mAP"] == "none" and lines["k"] == "all"


@pytest.mark.parametrize("arguments", [["--threads", "0"], ["--validation", "2"], ["--bits", "0"]])
def test_a_training_that_cannot_end_well_is_not_begun(arguments, tmp_path, capsys):
    refusal(capsys, "train", "orthohash", "digits", "--out", tmp_path / "run", *arguments)
    assert not (tmp_path / "run").exists()
