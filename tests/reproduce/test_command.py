"""The command `bitseek reproduce`: its list, and what it says about rows that are absent, changed or unknown."""

import json

import numpy as np
import pytest

from bitseek.cli import main
from bitseek.data import Pool, Protocol
from bitseek.images import Features
from bitseek.reproduce import Row, _run, find, published, read_results, write_result


def test_the_list(tmp_path, capsys):
    name = "relahash-readme/cifar10-1-relahash-64"
    done = {"row": name, "seed": 0, "published_recipe": True, "status": "measured", "measured": 0.8431}
    write_result(tmp_path, find(name)[0], done)
    main(["reproduce", "--out", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith(name)]
    assert "0.852" in line and "0.843" in line
    assert lines[-1].startswith(f"{len(published())} rows.")
    main(["reproduce", "--out", str(tmp_path), "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(published())
    assert {"row", "source", "published", "read_in", "recipe"} <= rows[0].keys()


def test_absent_rows_are_passed_over(tmp_path, capsys):
    main(["reproduce", "csq-readme", "--root", str(tmp_path / "no"), "--out", str(tmp_path), "--json"])
    shown = capsys.readouterr()
    results = json.loads(shown.out)
    assert len(results) == 15
    assert {result["status"] for result in results} == {"absent"}
    assert "as above" in shown.err
    assert not list(tmp_path.iterdir())


def test_a_short_run_says_that_it_is_one_and_is_kept(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    pool = Pool(Features((rng.standard_normal((200, 8), dtype=np.float32),)), labels, tuple("abcd"))
    order = rng.permutation(200)
    data = Protocol("digits", pool, order[:100], order[100:140], order[140:])
    row = Row(
        table="t",
        source="s",
        read_in="readme",
        method="ce",
        protocol="digits",
        bits=8,
        backbone="small-cnn",
        figure=0.5,
        recipe={"epochs": 2, "lr": 1e-2, "augment": "none"},
    )
    monkeypatch.setattr(_run, "load_protocol", lambda *_, **__: data)
    monkeypatch.setattr("bitseek.reproduce.find", lambda _: [row])
    main(["reproduce", "t", "--quick", "--set", "batch_size=32", "--out", str(tmp_path), "--device", "cpu"])
    assert "not the published recipe" in capsys.readouterr().out
    ((result,),) = read_results(tmp_path).values()
    assert result["changes"]["recipe"] == {"batch_size": "32"}
    assert not result["published_recipe"]


def test_an_unknown_row_is_an_error(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "nonsense"])
    assert stop.value.code == 1
    assert "the tables are csq-readme" in capsys.readouterr().err
