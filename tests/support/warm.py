"""A Python that starts in a moment: a fork of a process that has imported what bitseek stands on, torch above all.

    subprocess.run([warm.python(), "-c", "import bitseek; ..."], cwd=folder, env=environment)

`commands()` is a folder with that `python` and a `bitseek`, to be put first in PATH. What they run is a process of its
own: arguments, folder, environment, PYTHONPATH, streams, signals and exit status are its own, and bitseek is imported
anew. But what libraries read from the environment as they are imported is the server's (one thread), no option of
Python's is known but -c and -m, and limits, memory and times are not those of a fresh process: where a test is about
one of these, or about the start itself, it takes `sys.executable`.

This file is all of it: imported it starts the server; as a program it is the server, or asks it to fork.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from functools import cache
from pathlib import Path

LIBRARIES = (
    "torch._dynamo", "torch.distributed", "torchvision.transforms.v2", "timm", "safetensors.torch", "numba",
    "scipy.sparse", "scipy.optimize", "scipy.linalg", "scipy.special", "sklearn.datasets", "PIL.Image", "pydantic",
    "cyclopts", "rich.console", "huggingface_hub.hf_api", "jinja2", "jaxtyping", "onnxruntime", "fastapi",
    "starlette.testclient", "uvicorn.supervisors", "uvicorn.lifespan.on", "uvloop", "httptools",
)  # fmt: skip


ANEW = """import importlib
import huggingface_hub.constants
importlib.reload(huggingface_hub.constants)
"""
"""Before code whose environment has settings of the hub, which its client reads once, as it is imported."""


SHARED = "WARM_COMMANDS"
"""A variable of the environment: the folder of `commands()`, for the workers of one test run."""


def python() -> str:
    """The path of a program that is called as `sys.executable` is."""
    return f"{commands()}/python" if hasattr(os, "fork") else sys.executable


@cache
def commands() -> str:
    """The folder of `python` and `bitseek`: that of the process which has started this one, or else a new one.

    Their server ends with the process that has started it.
    """
    if SHARED in os.environ:
        return os.environ[SHARED]
    folder = tempfile.mkdtemp(prefix="warm-")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/socket")
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, __file__, "serve", str(listener.fileno())], stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()], start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    for name, module in {"python": [], "bitseek": ["-m", "bitseek"]}.items():
        command = shlex.join([sys.executable, "-IS", __file__, "ask", f"{folder}/socket", *module])
        script = Path(folder, name)
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)

    def close() -> None:
        server.communicate()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(close)
    return folder


def ask(place: str, arguments: list[str]) -> None:
    """Have the server run something, pass on what signals come meanwhile, and end as that has ended."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(place)
        what = json.dumps([arguments, str(Path.cwd()), dict(os.environ)]).encode()
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        for number in signals:
            signal.signal(number, lambda number, frame: server.send(bytes([number])))
        socket.send_fds(server, [len(what).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(what)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        code = int.from_bytes(receive(server, 2), "big", signed=True)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def receive(connection: socket.socket, count: int) -> bytes:
    """So many bytes."""
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        if not more:
            sys.exit("the other side has ended")
        received += more
    return received


def serve(listener: socket.socket) -> tuple[list[str], str, dict[str, str]]:
    """Wait for who asks, until who has started this ends. Returns in forks only: what to run."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # no fork goes through all of it again
    children = 0
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [], 1 if children else None)
        while children and os.waitpid(-1, os.WNOHANG)[0]:
            children -= 1
        if sys.stdin in ready:
            os._exit(0)
        if listener in ready:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                return keep(connection)
            connection.close()
            children += 1


def keep(connection: socket.socket) -> tuple[list[str], str, dict[str, str]]:
    """Fork once more, and look after it: tell who asked how it ends, and kill it if nobody waits for it any more."""
    first, streams, _, _ = socket.recv_fds(connection, 4, 3)
    what = json.loads(receive(connection, int.from_bytes(first, "big")))
    ended, ends = os.pipe()
    os.set_blocking(ends, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(ends)
    process = os.fork()
    if process == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for number in (*streams, ended, ends):
            os.close(number)
        return what
    for stream in streams:
        os.close(stream)
    asking = [connection]
    while True:
        ready, _, _ = select.select([*asking, ended], [], [])
        gone, status = os.waitpid(process, os.WNOHANG)
        if gone:
            if asking:
                connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(2, "big", signed=True))
            os._exit(0)
        if connection in ready:
            number = connection.recv(1)
            os.kill(process, number[0] if number else signal.SIGKILL)
            asking = [connection] if number else []


def run(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be the program that was asked for."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", 1 if os.isatty(1) else -1, "utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    what, *others = arguments
    given = environment.get("PYTHONPATH")
    sys.path[:1] = ["", *(given.split(os.pathsep) if given else [])]
    if what == "-c":
        code, *others = others
        sys.argv = ["-c", *others]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(main))
    elif what == "-m":
        sys.path[0] = folder
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(what).resolve().parent)
        sys.argv = arguments
        runpy.run_path(what, run_name="__main__")


def end(code: object) -> None:
    """End as the interpreter does, but leave the memory to the system: taking torch down takes a second.

    Args:
        code: as `sys.exit` takes it.
    """
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        code = 120
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(sys.argv[2], sys.argv[3:])
    request = serve(socket.socket(fileno=int(sys.argv[2])))
    try:
        run(*request)
    except SystemExit as asked:
        end(asked.code)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        end(1)
    end(0)
