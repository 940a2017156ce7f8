"""What commands show: tables that keep names whole, JSON for every reader, progress in a terminal and elsewhere."""

import json
import math
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from bitseek.cli import _console
from bitseek.cli._console import counting, show_json, show_table, training

LONG = "/a/very/long/path/" + "sub-folder/" * 40 + "image.png"


def test_a_row_is_one_line_with_the_whole_name(capsys):
    names = [
        LONG,
        "two\nlines.png",
        "tab\there\r.png",
        os.fsdecode(b"caf\xe9.png"),
        "[bold]no markup[/bold]",
        "日本語.png",
    ]
    show_table([{"distance": i, "image": name, "bits": 8} for i, name in enumerate(names)], "query\n.png")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == r"query\n.png" and lines[1].split() == ["distance", "image", "bits"]
    shown = [LONG, r"two\nlines.png", r"tab\there\r.png", r"caf\xe9.png", "[bold]no markup[/bold]", "日本語.png"]
    assert [line.split(maxsplit=1)[1].rsplit(maxsplit=1)[0].strip() for line in lines[2:]] == shown
    assert {line.rsplit(maxsplit=1)[1] for line in lines[2:]} == {"8"} and all(line == line.rstrip() for line in lines)


def test_columns_are_aligned_also_for_wide_letters(capsys):
    show_table([{"name": "日本", "value": 1}, {"name": "abcd", "value": None}])
    assert capsys.readouterr().out == "name  value\n日本  1\nabcd\n"
    show_table([])
    assert capsys.readouterr().out == ""


def in_a_terminal(code: str) -> str:
    """What a program writes to a terminal of 60 columns."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    chunks = []
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the program has ended
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(leader)
    assert process.wait(60) == 0, chunks
    return b"".join(chunks).decode()


def test_a_terminal_wraps_text_at_words_and_names_not_at_all():
    row = {"name": "x" * 70, "idea": "similar pairs together and others apart by a margin"}
    shown = in_a_terminal(f"from bitseek.cli._console import show_table\nshow_table([{row!r}], prose=True)")
    assert "x" * 70 + "  " + row["idea"] in shown  # no room beside the name: the terminal itself wraps the line
    row["name"] = "short"
    shown = in_a_terminal(f"from bitseek.cli._console import show_table\nshow_table([{row!r}], prose=True)")
    plain = [line.strip() for line in shown.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()]
    assert plain[0].split() == ["name", "idea"] and all(len(line) <= 60 for line in plain)
    assert " ".join(plain[1:]) == f"short  {row['idea']}"


def test_json_is_valid_whatever_the_values(capsys):
    value = {
        "nan": math.nan,
        "inf": [math.inf],
        "name": os.fsdecode(b"caf\xe9\n"),
        "path": Path("a"),
    }
    show_json(value)
    out = capsys.readouterr().out
    back = json.loads(out, parse_constant=pytest.fail)
    assert back == {"nan": None, "inf": [None], "name": os.fsdecode(b"caf\xe9\n"), "path": "a"}
    assert os.fsencode(back["name"]) == b"caf\xe9\n" and out.isascii()


def test_without_a_terminal_progress_is_a_line_at_each_tenth(capsys):
    with counting("encoding") as progress:
        for done in range(1, 1001):
            progress(done, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines] == [["encoding", f"{100 * i}/1000"] for i in range(1, 11)]
    assert all("/s" in line and "left" in line for line in lines)
    with training() as progress:
        for step in range(1, 21):
            now = {"step": step, "steps": 20, "epoch": 1, "epochs": 1, "terms": {"loss": 0.5}}
            progress({**now, "images_per_second": 100.0, "seconds_left": 61.0})
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["epoch 1/1  loss 0.5000  100 images/s  1:01 left"] * 10


def test_slow_work_prints_a_line_every_half_minute(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(_console.time, "monotonic", lambda: clock[0])
    with counting("encoding") as progress:
        for done in range(1, 10):
            clock[0] += 10
            progress(done, 1_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["3/1000000", "6/1000000", "9/1000000"]


def test_a_terminal_has_a_bar():
    shown = in_a_terminal(
        "from bitseek.cli._console import counting\nwith counting('encoding') as progress: progress(3, 4)"
    )
    assert "encoding" in shown and "3/4" in shown and "━" in shown
