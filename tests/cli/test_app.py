"""All commands: help, one sentence for what is wrong, exit codes, and nothing imported that is not needed."""

import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import warm

from bitseek.cli import main
from bitseek.cli._app import app

ROOT = Path(__file__).parents[2]
COMMANDS = [name for name in app if not name.startswith("-")]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_is_in_the_readme(name, bitseek):
    shown = bitseek.text(name, "--help")
    assert "Example" in shown and f"bitseek {name}" in shown
    assert f"bitseek {name}" in (ROOT / "README.md").read_text()
    boxes = re.findall(r"│ (?:\* )? *(-\S+(?: --?\S+)*|[A-Z_]+)(?: [A-Z|.]+)* {2,}(.*?) *│", shown)
    assert len(boxes) >= len(inspect.signature(app[name].default_command).parameters) - 4
    for parameter, text in boxes:
        assert text and not text.startswith("["), f"{name} does not explain {parameter}"


def test_every_command_has_json():
    for name in COMMANDS:
        assert "json" in inspect.signature(app[name].default_command).parameters, name


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "orthohash", "digits", "--bits", "none"], 'unable to convert "none" into int'),
        (["train", "orthohash", "digits", "--bits", "8.7"], "--bits: a whole number is expected, got 8.7."),
        (["train", "orthohash", "digits", "--bits", "0"], "bits is a whole number"),
        (["train", "orthohash"], "PROTOCOL"),
        (["train", "orthohash", "digits", "--set", "margin"], "NAME=VALUE"),
        (["train", "orthohash", "digits", "--set", "margn=1"], "margn"),
        (["train", "orthohash", "digits", "--lr", "-1"], "lr"),
        (["train", "nohash", "digits"], "nohash"),
        (["train", "orthohash", "digits", "--weights", "absent.safetensors"], "absent.safetensors"),
        (["train", "dsh", "folder:/absent"], "/absent"),
        (["train", "dsh", "digits", "--device", "abacus"], "abacus"),
        (["evaluate", "."], "is not a run folder"),
        (["evaluate", ".", "-k", "few"], 'unable to convert "few"'),
        (["report", ".", "--sample", "0"], "at least 1 item"),
        (["encode", ".", "absent", "--out", "c.npz"], "no file or folder absent"),
        (["index", "c", "."], "--model RUN"),
        (["index", "c", ".", "--model", "absent"], "absent"),
        (["search", "c", "x.png"], "is not a collection"),
        (["search"], "COLLECTION"),
        (["search", "c", "x.png", "--rerank", "luck"], "luck"),
        (["remove", "c", "1"], "is not a collection"),
        (["remove", "c"], "ITEMS"),
        (["dedup", "c"], "is not a collection"),
        (["dedup", "c", "--linkage", "average"], "average"),
        (["verify", "c"], "is not a collection"),
        (["serve", "c"], "is not a collection"),
        (["open", "c"], "no folder c"),
        (["open"], "FOLDER"),
        (["export", "c", "model.onnx"], "c"),
        (["export", "c", "codes.npz"], "FILE.onnx"),
        (["doctor", "me"], "me"),
        (["convert", "a", "b.npz", "--from", "tape"], "tape"),
        (["serch"], "serch"),
    ],
)
def test_bad_input_is_answered_in_one_sentence_and_leaves_nothing(arguments, message, bitseek, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in bitseek.refusal(*arguments)
    assert not any(tmp_path.iterdir())


def test_a_name_with_a_newline_does_not_break_the_sentence(bitseek):
    assert bitseek.refusal("evaluate", "no\nrun\x1b[2J").startswith("no run\\x1b[2J is not a run folder")


def test_shells_complete_the_commands():
    """cyclopts' own scripts, which name every command."""
    for shell in ("bash", "zsh", "fish"):
        script = app.generate_completion(shell=shell)
        assert all(name in script for name in COMMANDS), shell
    assert "--install-completion" in list(app)


def run_program(code: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, encoding="utf-8", **options
    )


def test_help_imports_nothing_heavy():
    done = run_program(
        "import sys\nfrom bitseek.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as stop: assert not stop.code\n"
        "heavy = {'numpy', 'torch', 'numba', 'PIL', 'jaxtyping', 'pydantic', 'sqlite3', 'jinja2', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    assert done.returncode == 0 and done.stderr.strip() == "[]", done.stderr


def test_a_reader_that_has_seen_enough_is_no_error():
    code = "from bitseek.cli import main\nfor _ in range(40): main(['protocols', '--json'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "[\n"
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(300) == 0
    process.stderr.close()


def test_a_terminal_without_unicode_shows_escapes():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run_program("from bitseek.cli import main\nmain(['protocols'])", env=environment)
    assert done.returncode == 0 and "\\xd7" in done.stdout, done.stderr


def test_ctrl_c_is_130_and_an_unfinished_run_can_be_resumed(tmp_path):
    code = f"""
from bitseek.cli import _console, main
_console.LINE_EVERY = 0  # seconds: the first step is told, not that after half a minute
main(["train", "dsh", "digits", "--epochs", "500", "--bits", "8", "--size", "8", "--out", {str(tmp_path / "run")!r}])
"""
    process = subprocess.Popen([warm.python(), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("digits: 1200 to train on")
    assert "epoch" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130 and out == "", err
    assert "go on with it by the same command and --resume" in err and err.endswith("bitseek: stopped\n")


def test_ctrl_c_while_it_starts_is_130_and_one_line():
    code = """
import sys

class Stop:
    def find_spec(self, name, *_):
        if name == "cyclopts":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Stop())
from bitseek.cli import main
main(["methods"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "bitseek: stopped\n")


def test_an_error_of_ours_keeps_its_traceback(monkeypatch):
    import bitseek.data

    monkeypatch.setattr(bitseek.data, "PROTOCOLS", None)
    with pytest.raises((TypeError, AttributeError)):
        main(["protocols"])
