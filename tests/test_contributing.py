"""The worked example in CONTRIBUTING does what is said of it: two files, at most 60 lines, and everything works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import warm

import bitseek

ROOT = Path(__file__).resolve().parents[1]
SECTION = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## Adding a method\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"`(src/bitseek/methods/\w+\.py)`[^`]*?(?:`METHODS`:)?\s*```python\n(.*?)```", SECTION, re.S)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the package to which the example is added as a reader would."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copytree(Path(bitseek.__file__).parent, folder / "bitseek", ignore=shutil.ignore_patterns("__pycache__"))
    (new, text), (registry, lines) = BLOCKS
    target = folder / Path(new).relative_to("src")
    assert not target.exists(), f"{target.name} is a method by now: CONTRIBUTING needs another example"
    target.write_text(text, encoding="utf-8")
    place = folder / Path(registry).relative_to("src")
    line_of_import, line_of_methods = lines.splitlines()
    listing = place.read_text(encoding="utf-8")
    opening = "METHODS: Mapping[str, type[Method]] = {\n"
    assert listing.count(opening) == 1
    listing = listing.replace(opening, f"{line_of_import}\n\n{opening}{line_of_methods}\n")
    place.write_text(listing, encoding="utf-8")
    return folder


def run(source, arguments, cwd, python=sys.executable):
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([python, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_is_two_files_and_at_most_60_lines():
    assert [path for path, _ in BLOCKS] == ["src/bitseek/methods/hhf.py", "src/bitseek/methods/__init__.py"]
    assert sum(len(text.splitlines()) for _, text in BLOCKS) <= 60


def test_the_example_keeps_the_rules_of_the_house(source):
    path = str(source / "bitseek" / "methods" / "hhf.py")
    config = str(ROOT / "pyproject.toml")
    run(source, ["-m", "ruff", "check", "--no-cache", "--config", config, path], source)
    run(source, ["-m", "ruff", "format", "--no-cache", "--check", "--config", config, path], source)


USE = """
import bitseek
from bitseek.cli import main
print(bitseek.__file__)
main(["methods", "hhf"])
main("train hhf digits --bits 32 --set relaxation=0.1 --epochs 3 --batch-size 64 --lr 1e-3 --device cpu".split())
report = bitseek.evaluate(bitseek.load("runs/digits-hhf-32-s0"))
print("mAP", report.mAP)
"""

SLOW_LOSS = """
import math, torch
from bitseek.methods import Batch, Task, make_recipe, method_class
torch.manual_seed(0)
cls = method_class("hhf")
task = Task(features=5, bits=6, classes=3, items=9, multi_label=True)
method = cls(task, make_recipe(cls, {"relaxation": 0.1, "floor": "0.05"}))
v, y = torch.randn(4, 6), torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1]], dtype=torch.float32)
got = method.loss(Batch(logits=v, features=torch.zeros(4, 5), labels=y, index=torch.arange(4)))
near, far = [], []
for i in range(4):
    for j in range(i):
        a, b = v[i].tolist(), v[j].tolist()
        cosine = sum(p * q for p, q in zip(a, b)) / math.sqrt(sum(p * p for p in a) * sum(q * q for q in b))
        if any(p and q for p, q in zip(y[i].tolist(), y[j].tolist())):
            near.append(max(1 - 0.1 - cosine, 0))
        else:
            far.append(max(cosine - 0.05 - 0.1, 0))
wanted = {"similar": sum(near) / len(near), "other": sum(far) / len(far)}
assert len(near) == 1 and min(wanted.values()) > 0
assert got.keys() == wanted.keys()
for name, value in wanted.items():
    assert abs(float(got[name]) - value) < 1e-5, name
"""


def test_the_example_is_a_method_like_any_other(source, tmp_path):
    """It is listed, trained from the command line as the text says, better than chance, and its loss is right."""
    out = run(source, ["-c", USE + SLOW_LOSS], tmp_path, warm.python())
    assert out.startswith(str(source))
    assert "Hashing-guided" in out and "relaxation" in out
    assert float(re.search(r"^mAP (0\.\d+)$", out, re.M)[1]) > 0.3  # 0.1 is chance
    lines = (tmp_path / "runs" / "digits-hhf-32-s0" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3 and all(f'"{term}"' in lines[0] for term in ("similar", "other"))


def test_the_contract_runs_over_the_example(source):
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "hhf", "tests/contracts/test_methods.py"]
    arguments += ["-W", "ignore:Module already imported"]  # the process is a fork of one that has what is a plugin
    out = run(source, arguments, ROOT, warm.python())
    assert int(re.search(r"(\d+) passed", out)[1]) >= 15, out


def test_the_files_that_contributing_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:src|tests|docs|scripts|benchmarks)/[\w./]+\.\w+|scripts/\w+)`", text))
    named |= set(re.findall(r"\]\((\w[\w./]+)\)", text))
    named -= {"src/bitseek/methods/hhf.py", "tests/methods/test_hhf.py", "benchmarks/results/NAME.json"}
    assert "scripts/test" in named and len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
