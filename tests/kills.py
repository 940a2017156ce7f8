"""Programs that are killed at a step of the test's choice, so that no test waits for the right moment.

A step is a call that changes what is below a folder, as Python's audit events tell (a file is opened to be written,
renamed, removed or cut; a folder is made), or a statement by which SQLite writes. A killed program has done what lies
before a step, and nothing of what comes after it. With `room`, no file gets longer than that from the step on: the
system itself ends the program amid the first write beyond it.

    with Program("from bitseek._files import write_json", "write_json(f'{folder}/a', [1])") as program:
        for step in range(program.steps(folder)):
            program.kill(folder, step)

A process imports what the program needs, once; a fork of it is killed each time.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parents[1]

_ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BITSEEK_THREADS"), "1") | {"PYTHONHASHSEED": "0"}
"""No threads before a fork, and the same steps each time."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"}
_STATEMENTS = ("BEGIN", "COMMIT", "CREATE", "DELETE", "INSERT", "REPLACE", "UPDATE")

_END = "\x1e"


class Ended(NamedTuple):
    """Whether a fork was killed, how many steps it took if it was not, and the lines that it printed."""

    killed: bool
    steps: int
    said: list[str]


class Program:
    """A program to be killed.

    Args:
        imports: code that is run once; it may define what the program uses, and starts no thread.
        code: what is run in each fork, where the variable `folder` is the folder as text.
    """

    def __init__(self, imports, code):
        if not hasattr(os, "fork"):
            import pytest

            pytest.skip("processes cannot be forked here")
        path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills"],
            env={**os.environ, **_ALONE, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._order(imports=imports, code=code)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def steps(self, folder):
        """Run it to its end; how many steps that took."""
        return self.run(folder).steps

    def kill(self, folder, step):
        """Run it and kill it before a step, counted from 0; the lines that it had printed."""
        ended = self.run(folder, step)
        assert ended.killed, f"it was to be killed before step {step}, and has {ended.steps}"
        return ended.said

    def run(self, folder, step=None, room=None):
        """Run it, up to a step if one is given; with `room`, it may come to its end all the same."""
        self._order(folder=str(folder), step=step, room=room)
        said = []
        for line in self._process.stdout:
            if not line.startswith(_END):
                said.append(line.rstrip("\n"))
                continue
            status, steps = json.loads(line.removeprefix(_END))
            assert status in (0, -signal.SIGKILL, -signal.SIGXFSZ), f"the program ended with {status}"
            return Ended(status != 0, steps, said)
        raise AssertionError("the imports of the program failed")

    def _order(self, **what):
        print(json.dumps(what), file=self._process.stdin, flush=True)


def some_of(steps, most):
    """The steps of a program, or so many of them, at equal distances, with the first and the last."""
    few = min(steps, most)
    return [number * (steps - 1) // max(1, few - 1) for number in range(few)]


# --- what the process does


class _Steps:
    """Counts the steps below a folder, and ends this process at one of them."""

    def __init__(self, folder, last, room):
        self.folder, self.last, self.room, self.done = folder, last, room, 0
        self._lock = threading.RLock()

    def watch(self):
        """Begin to count, for the rest of this process."""
        connect, places = sqlite3.connect, (self.folder, Path(self.folder).as_uri())

        def connect_and_watch(database, *arguments, **options):
            connection = connect(database, *arguments, **options)
            if any(place in os.fsdecode(database) for place in places):
                connection.set_trace_callback(self.execute)
            return connection

        sqlite3.connect = connect_and_watch
        sys.addaudithook(self.audit)

    def audit(self, event, given):
        changes = event in _CHANGES or (event == "open" and isinstance(given[2], int) and given[2] & _WRITES)
        if changes and (isinstance(given[0], int) or os.fsdecode(given[0]).startswith(self.folder)):
            self.step()

    def execute(self, statement):
        if statement.lstrip().upper().startswith(_STATEMENTS):
            self.step()

    def step(self):
        with self._lock:
            if self.done == self.last:
                _die(self.room)
            self.done += 1


def _die(room):
    """End this process: now, or as soon as it writes beyond so many bytes."""
    if room is None:
        os.kill(os.getpid(), signal.SIGKILL)
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores, so that the write fails instead
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))


def _act(code, names, order):
    """Run the program in this process; how many steps it took."""
    steps = _Steps(order["folder"], order["step"], order["room"])
    steps.watch()
    exec(code, {**names, "folder": order["folder"]})
    return steps.done


def _serve():
    """Fork for each order that comes, and say how the fork ended."""
    given = json.loads(sys.stdin.readline())
    names = {"__name__": "program"}
    exec(compile(given["imports"], "imports", "exec"), names)
    code = compile(given["code"], "program", "exec")
    for line in sys.stdin:
        reader, end = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(end, str(_act(code, names, json.loads(line))).encode())
                sys.stdout.flush()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        os.close(end)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        steps = int(os.read(reader, 100) or 0)
        os.close(reader)
        print(_END + json.dumps([status, steps]), flush=True)


if __name__ == "__main__":
    _serve()
