"""A service from a folder: one process or several on one socket, until it is told to stop."""

import atexit
import errno
import gc
import importlib.util
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from bitseek._files import FilePath, user_path
from bitseek.collection import Collection
from bitseek.engines import is_address, open_collection
from bitseek.errors import BitseekError
from bitseek.server import _metrics
from bitseek.server._app import create_app
from bitseek.server._logging import log, start_logging
from bitseek.server._settings import Settings

_BACKLOG = 1024
_MOST_CONNECTIONS = 2000
_FINISH_SECONDS = 20
_FAST: dict[str, Any] = (
    {"http": "bitseek.server._protocol:PatientProtocol", "loop": "uvloop"}
    if importlib.util.find_spec("httptools") and importlib.util.find_spec("uvloop")
    else {}  # on Windows: uvicorn's own choice
)


def serve(folder: FilePath, settings: Settings | None = None, *, announce: Callable[[str], object] = print) -> None:
    """Serve a collection until SIGTERM or Ctrl-C; requests that are being answered are finished first.

    Args:
        folder: of the collection; or the address of one, see `bitseek.engines`.
        settings: what the owner allows; `Settings()` if None.
        announce: told the address of the page, as soon as it can be opened.

    Raises:
        BitseekError: no collection is there, the port is taken, or the address is not one of this machine.
    """
    chosen = settings or Settings()
    place = folder if is_address(folder) else os.fspath(user_path(folder, resolve=True))
    _opened(place, chosen).close()  # what is wrong with it is told here, before anything is started
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(chosen.host, chosen.port))
        host, port = listening.getsockname()[:2]
        if chosen.workers > 1:
            numbers = stack.enter_context(tempfile.TemporaryDirectory(prefix="bitseek-metrics-"))
            stack.enter_context(_environment(_metrics.FOLDER, numbers))
        app = partial(_worker, place, chosen)
        config = uvicorn.Config(
            app,
            factory=True,
            workers=chosen.workers,
            backlog=_BACKLOG,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=max(1, round(chosen.timeout)),
            timeout_graceful_shutdown=_FINISH_SECONDS,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody may say for another client where it comes from
            timeout_worker_healthcheck=60,  # one that compiles or loads a network answers late
            ws="none",
            **_FAST,
        )
        start_logging()
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{port}")
        log("start", host=host, port=port, workers=chosen.workers)
        stack.enter_context(_no_signals())
        if chosen.workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            uvicorn.Server(config).run(sockets=[listening])
        log("stop")


def _worker(place: FilePath, settings: Settings) -> FastAPI:
    """The application of one process, which keeps its collection open to its end.

    What is there when its model is loaded stays there: frozen, or the garbage collector would look through it every
    second, and all requests would wait for a tenth of one.
    """
    start_logging()
    log("worker", pid=os.getpid())
    app = create_app(_opened(place, settings), settings)
    app.state.service.model.then = gc.freeze
    atexit.register(gc.unfreeze)  # or libraries tell at the end of what they take for leaks
    return app


def _opened(place: FilePath, settings: Settings) -> Collection:
    """The collection; codes that are here are compared on the device."""
    is_here = settings.device != "cpu" and not is_address(place)
    return open_collection(place, device=settings.device if is_here else None)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens, so that who is told of it can connect at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BitseekError(f"there is no address {host!r} to listen to: {error.strerror or error}") from error
    with listening:
        try:
            if os.name == "posix":  # elsewhere it would let two programs have one port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError as error:
            raise BitseekError(_not_bound(host, port, error)) from error
        yield listening


def _not_bound(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken by another program; choose another one, or 0 for any that is free"
    if error.errno == errno.EACCES:
        return f"port {port} may only be used by an administrator; choose one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; use 127.0.0.1 for this machine alone, or 0.0.0.0 for all"
    return f"cannot listen to {host}, port {port}: {error.strerror or error}"


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable, which worker processes inherit, while the block runs."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def _no_signals() -> Iterator[None]:
    """Ignore the signal that has stopped the server, which it sends to the process once more."""
    here = threading.current_thread() is threading.main_thread()
    before = {kind: signal.signal(kind, lambda *_: None) for kind in (signal.SIGINT, signal.SIGTERM) if here}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
