"""What the documents say runs, and every link in them leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"print": lambda *values: None}
    exec(compile(code, "README.md", "exec"), names)
    assert names["hits"].ids.shape == (3, 10) and (names["hits"].distances[:, 0] == 0).all()
    assert names["near"].offsets[-1] == len(names["near"].ids) and names["report"].mAP > 0.5


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_names_only_commands_that_exist():
    from bitseek.cli.app import app

    assert set(re.findall(r"\bbitseek ([a-z]+)", (ROOT / "README.md").read_text())) - set(app) <= {
        "is", "reports", "stands", "image"
    }  # fmt: skip


def test_the_changelog_is_there():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
