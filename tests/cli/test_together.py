"""Commands in several processes, as torchrun starts them."""

import json
import os
import socket
import subprocess

import pytest
import warm


def together(folder, *arguments, processes=2):
    """Statuses, outputs and errors of `python -m bitseek` in each process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    started = [
        subprocess.Popen(
            [warm.python(), "-m", "bitseek", *map(str, arguments)],
            cwd=folder,
            env=os.environ | common | {"RANK": str(number), "LOCAL_RANK": str(number), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    said = [process.communicate(timeout=300) for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


def test_two_processes_measure_a_run_as_one_does(trained, bitseek, tmp_path):
    """Each encodes its share; the first one speaks, and writes."""
    alone = bitseek.answer("evaluate", trained)
    first, second = together(tmp_path, "evaluate", trained, "--out", "report.json", "--json")
    assert first[0] == second[0] == 0, first[2] + second[2]
    assert not second[1] and json.loads(first[1])["mAP"] == pytest.approx(alone["mAP"], abs=1e-6)
    assert json.loads((tmp_path / "report.json").read_text())["queries"] == alone["queries"]


def test_what_each_process_would_do_wholly_is_refused(tmp_path):
    for status, out, err in together(tmp_path, "index", "collection", "photos"):
        assert status == 2 and not out and err.startswith("bitseek: torchrun starts several processes")
    assert not list(tmp_path.iterdir())
