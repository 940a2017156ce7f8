"""What the documents say runs, and every link in them leads somewhere."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import warm
from PIL import Image
from sklearn.datasets import load_digits

from bitseek.cli import main
from bitseek.cli._app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    """The first block with fewer epochs; the second on what the commands before it make, at toy size."""
    readme = (ROOT / "README.md").read_text()
    first, second = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    first = first.replace("epochs=10", "epochs=2")
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


class Block(NamedTuple):
    """A block of code of a page; `not_run` says why the tests cannot run it."""

    not_run: str | None
    language: str
    text: str


USERS = ("owners", "engineers", "researchers")
FENCE = re.compile(r"^(?:<!-- not run: ([^\n]*?) -->\n)?```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OFFLINE = ["--backbone", "small-cnn", "--weights", "none", "--no-browser"]
"""What `bitseek open` gets besides: the tests have neither the default weights nor a browser."""

LESS = [("--epochs 3", "--epochs 1"), ("--trials 6", "--trials 2"), ("--supervised\n", "--supervised orthohash\n")]
"""What takes minutes on a page, and what is done here in its place."""


def blocks(name, port=8765) -> list[Block]:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    found = [Block(*groups) for groups in FENCE.findall(text)]
    assert len(found) == text.count("\n```") / 2, "a block is not fenced as the tests understand it"
    return [
        block._replace(
            not_run=block.not_run or None,
            text=reduce(lambda text, less: text.replace(*less), LESS, block.text.replace("8765", str(port))),
        )
        for block in found
    ]


@pytest.fixture
def place(tmp_path):
    """200 pictures of digits in a sub-folder for each, and one that is not among them."""
    digits = load_digits()
    for i in (*range(200), 300):
        pixels = Image.fromarray((digits.images[i] * 15.9).astype(np.uint8)).resize((32, 32))
        file = tmp_path / ("query.png" if i == 300 else f"Pictures/{digits.target[i]}/{i:05d}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels.save(file)
    return tmp_path


class Reader:
    """Somebody who does what a page says, block after block, in a folder of their own; everything starts warm."""

    def __init__(self, place: Path, port: int) -> None:
        self.place, self.port = place, port
        self.services: list[subprocess.Popen[bytes]] = []
        paths = os.pathsep.join([warm.commands(), str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {**os.environ, "PATH": paths, "HOME": str(place), "OMP_NUM_THREADS": "1"}

    def do(self, block: Block) -> None:
        if block.language == "python":
            self.run([warm.python(), "-c", block.text])
            return
        *lines, last = block.text.strip().splitlines()
        if last.startswith("bitseek open"):
            service = self.serve([*shlex.split(last), *OFFLINE, "--port", str(self.port)])
            self.stop(service)
        elif last.startswith("bitseek serve"):
            self.bash("\n".join(lines))
            self.services.append(self.serve(shlex.split(last)))
        else:
            self.bash(block.text)

    def bash(self, text: str) -> None:
        self.run(["bash", "-euo", "pipefail", "-c", text])

    def run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, cwd=self.place, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"

    def serve(self, command: list[str]) -> "subprocess.Popen[bytes]":
        """Start what serves until Ctrl-C, and wait until it shows all pictures and is at rest."""
        process = subprocess.Popen(command, cwd=self.place, env=self.environment)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.2)
            try:
                items, running = self.get("health")["items"], self.get("progress")["running"]
            except OSError:
                continue
            if items >= 199 and not running:
                return process
        process.kill()
        raise AssertionError(f"{command} serves nothing; it ended with {process.wait()}")

    def get(self, what: str):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/{what}", timeout=300) as answer:
            return json.load(answer)

    def stop(self, service: "subprocess.Popen[bytes]") -> None:
        service.send_signal(signal.SIGINT)
        assert service.wait(300) == 0


@pytest.mark.parametrize("name", USERS)
def test_every_block_of_the_users_pages_runs(name, place):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reader = Reader(place, port)
    done = [block for block in blocks(name, port) if block.not_run is None]
    assert len(done) >= 6
    try:
        for block in done:
            reader.do(block)
    finally:
        for service in reader.services:
            reader.stop(service)


@pytest.mark.parametrize("name", USERS)
def test_what_is_not_run_says_why_and_names_what_exists(name):
    for reason, language, text in blocks(name):
        assert language in ("bash", "python") and (reason is None or len(reason) > 10)
        for command in re.findall(r"^bitseek .*?(?=\s+#|$)", text, re.MULTILINE) if language == "bash" else ():
            app.parse_args(shlex.split(command)[1:], exit_on_error=False, print_error=False)


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
