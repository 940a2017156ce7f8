"""Keeping results, and what is written down about where they were made."""

import json
import os
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest

import bitseek
from bitseek import BitseekError
from bitseek.reproduce import (
    commit,
    find,
    hardware,
    read_results,
    result_path,
    results_folder,
    versions,
    write_result,
)

CHECKOUT = Path(__file__).resolve().parents[2]
ROW = find("relahash-readme/cifar10-1-relahash-64")[0]
FULL = {"row": ROW.name, "seed": 0, "published_recipe": True, "status": "measured", "measured": 0.4}


def test_results_are_kept_by_row_and_seed(tmp_path):
    path = write_result(tmp_path, ROW, FULL)
    assert path == result_path(tmp_path, ROW, 0) == tmp_path / "reproduce" / f"{ROW.name.replace('/', '_')}-s0.json"
    assert read_results(tmp_path) == {ROW.name: [FULL]}
    write_result(tmp_path, ROW, FULL | {"seed": 1})
    assert [result["seed"] for result in read_results(tmp_path)[ROW.name]] == [0, 1]
    assert read_results(tmp_path / "none") == {}


@pytest.mark.parametrize("worse", [{"published_recipe": False}, {"status": "failed"}])
def test_a_worse_result_never_replaces_a_better_one(tmp_path, worse):
    path = write_result(tmp_path, ROW, FULL)
    before = path.read_bytes()
    with pytest.raises(BitseekError, match="--out"):
        write_result(tmp_path, ROW, FULL | worse)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    path.unlink()
    write_result(tmp_path, ROW, FULL | worse)
    write_result(tmp_path, ROW, FULL | worse | {"measured": 0.1})  # one as good as it does
    write_result(tmp_path, ROW, FULL)  # and a better one
    assert read_results(tmp_path)[ROW.name] == [FULL]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"row": "a", "seed": 0}'])
def test_damaged_results_are_named_and_never_overwritten(tmp_path, text):
    path = write_result(tmp_path, ROW, FULL)
    path.write_text(text)
    with pytest.raises(BitseekError, match=f"{path.name} is not a result of bitseek reproduce"):
        read_results(tmp_path)
    with pytest.raises(BitseekError, match="not a result"):
        write_result(tmp_path, ROW, FULL)
    assert path.read_text() == text


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BitseekError, match="cannot make the folder"):
        write_result(tmp_path / "file", ROW, FULL)


def test_results_lie_in_the_checkout_or_here(monkeypatch, tmp_path):
    assert results_folder() == CHECKOUT / "benchmarks" / "results"
    monkeypatch.setattr(bitseek, "__file__", str(tmp_path / "lib" / "bitseek" / "__init__.py"))
    assert results_folder() == Path("results")


# --- where ----------------------------------------------------------------------------------------------------------


def git(folder, *words):
    name = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    done = subprocess.run(
        ["git", *words], cwd=folder, env=os.environ | name, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_commit_and_whether_files_differ_from_it(monkeypatch, tmp_path):
    file = tmp_path / "src" / "bitseek" / "__init__.py"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(bitseek, "__file__", str(file))
    assert commit() == f"bitseek {bitseek.__version__}"  # no checkout
    git(tmp_path, "init", "-q")
    assert commit() == f"bitseek {bitseek.__version__}"  # no commit yet
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit() == head[:12]
    (tmp_path / "notes").touch()
    assert commit() == head[:12]  # a new file changes nothing
    file.write_text("x = 1")
    assert commit() == f"{head[:12]}+"


def test_without_git_the_version_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit() == f"bitseek {bitseek.__version__}"


def test_hardware_and_versions():
    found = json.loads(json.dumps(hardware()))
    assert found["processor"]
    assert 1 <= found["cores"] <= os.cpu_count()
    assert found["system"] == platform.platform()
    assert versions()["python"] == platform.python_version()
    assert versions()["numpy"] == np.__version__
    assert "bitseek" in versions()
