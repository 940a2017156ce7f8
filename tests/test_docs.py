"""What the documents say runs, and every link in them leads somewhere."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from bitseek.cli import main
from bitseek.cli._app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    """The first block as it is; the second on what the commands before it make, at toy size."""
    readme = (ROOT / "README.md").read_text()
    first, second = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    said = []
    names: dict[str, object] = {"print": lambda *values: said.append(values)}
    exec(compile(first, "README.md", "exec"), names)
    assert names["hits"].ids.shape == (3, 10) and (names["hits"].distances[:, 0] == 0).all()
    assert names["near"].offsets[-1] == len(names["near"].ids) and names["report"].mAP > 0.5

    (tmp_path / "my-pictures").mkdir()
    for i, pixels in enumerate(names["images"][:40]):
        place = tmp_path / "my-pictures" / "ab"[i % 2]
        place.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(place / f"{i}.png")
    shutil.copy(place / f"{i}.png", "query.jpg")
    (commands,) = [block for block in re.findall(r"```bash\n(.*?)```", readme, re.DOTALL) if "my-collection" in block]
    for command in commands.replace("resnet50", "small-cnn").replace("--epochs 20", "--epochs 1").splitlines():
        main(shlex.split(command)[1:])
    said.clear()
    exec(compile(second, "README.md", "exec"), names)
    assert len(said) == 10 and said[0] == (0, str(place / f"{i}.png"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_readme_names_only_commands_that_exist():
    prose = {"is", "reports", "stands", "image"}
    assert set(re.findall(r"\bbitseek ([a-z]+)", (ROOT / "README.md").read_text())) - set(app) <= prose


def test_the_changelog_is_there():
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
