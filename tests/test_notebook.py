"""The notebook runs from top to bottom in an empty folder, at toy size."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import warm

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.ipynb"))


def cells(path, kind="code"):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_there_is_one():
    assert [path.name for path in NOTEBOOKS] == ["quickstart.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(path):
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(path))
    ids = [cell["id"] for kind in ("code", "markdown") for cell in cells(path, kind)]
    assert len(set(ids)) == len(ids)
    assert "pip install" in "".join(cells(path, "markdown")[0]["source"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_in_an_empty_folder(path, tmp_path):
    source, shortened = re.subn(r"EPOCHS = \d+", "EPOCHS = 2", "\n\n".join("".join(c["source"]) for c in cells(path)))
    assert shortened == 1
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [warm.python(), "-c", source], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    mean, split, same = re.search(r"mAP (0\.\d+), .* split (\w{16})\n\['[0-9a-f]{8}'\] (True)", done.stdout).groups()
    assert float(mean) > 0.2 and same == "True" and len(split) == 16
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["complete"]
