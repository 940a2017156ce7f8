"""Ray: joining a cluster, or starting one here, and actors that are started again when they die.

Nothing is sent to anybody: the statistics of Ray and its dashboard are off. An actor asks for none of the processors
that Ray shares out, since Ray would wait without a word until some are free; how many threads it uses is counted here.
Every wait has an end.
"""

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bitseek.errors import BitseekError, MissingExtra, RunError
from bitseek.kernels.threads import thread_count

_OFF = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a FutureWarning
}

_ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens to 127.0.0.1 alone, as it does on those two
    "RAY_worker_niceness": "0",  # 15 else, behind all other programs
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(16),  # that is in no file
}
"""For a cluster that is started here. Ray reads all of this when it is imported."""

_STORE_BYTES = 512 << 20
_CONNECT_SECONDS = 10
_POLL_SECONDS = 2.0
_TRIES = 4
"""How often an actor is asked, if it dies each time; its machine or what it reads is to blame then."""


class Cluster:
    """A cluster of Ray that this process is part of.

    Args:
        host: `HOST:PORT` of its head, as `ray start` prints it for machines that join; this machine must be one of
            them. Empty to start a cluster of this machine alone, or to use the one that this process has.

    Raises:
        MissingExtra: Ray is not installed.
        RunError: there is no such cluster, or this process is part of another one.
    """

    _joined = ""

    def __init__(self, host: str = "") -> None:
        for name, value in _OFF.items():
            os.environ.setdefault(name, value)
        if not host and "ray" not in sys.modules and not os.environ.keys() & _ALONE.keys():
            os.environ.update(_ALONE)
        try:
            import ray
        except ImportError as error:
            raise MissingExtra.for_import(error) or error from error
        self._ray: Any = ray
        if not ray.is_initialized():
            self._start(host)
            Cluster._joined = host
        self.address = str(ray.get_runtime_context().gcs_address)
        if host and host not in (self.address, self._joined):
            raise RunError(f"this process is part of the cluster {self.address} and cannot join {host} too")

    def _start(self, host: str) -> None:
        """Join the cluster, or start one."""
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if host:
            _reachable(host)
            options |= {"address": host}
        else:
            options |= {"address": "local", "num_cpus": thread_count(), "include_dashboard": False}
            options |= {"object_store_memory": _STORE_BYTES}
        handler = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(**options)
        except Exception as error:  # Ray raises whatever its parts raise
            what = f"the cluster of Ray at {host} cannot be joined" if host else "Ray cannot be started here"
            end = "; is this machine one of it (ray start --address)?" if host else ""
            reason = next(iter(str(error).strip().splitlines()), repr(error))
            raise RunError(f"{what}: {reason}{end}") from error
        finally:
            if handler and threading.current_thread() is threading.main_thread():  # Ray has put its own in its place
                signal.signal(signal.SIGTERM, handler)

    @property
    def machines(self) -> int:
        """Number of machines that live."""
        return sum(bool(node["Alive"]) for node in self._ray.nodes())

    @property
    def processors(self) -> int:
        """Number of processors of all machines."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    @property
    def gpus(self) -> int:
        """Number of GPUs of all machines."""
        return int(self._ray.cluster_resources().get("GPU", 0))

    def start(self, kind: type, *arguments: Any, gpus: int = 0) -> Any:
        """Start an actor; the handle of Ray.

        Args:
            kind: its class; what its methods raise is raised by who waits for their answer.
            arguments: of its constructor, which must not fail.
            gpus: how many it has for itself.
        """
        options = {"num_cpus": 0, "num_gpus": gpus, "max_concurrency": 2, "scheduling_strategy": "SPREAD"}
        return self._ray.remote(kind).options(**options).remote(*arguments)

    def actor(self, what: str, start: Callable[[], Any], *, patience: float) -> "Actor":
        """An actor that is started again when it dies; see `Actor`."""
        return Actor(self._ray, what, start, patience)


class Actor:
    """A process somewhere in the cluster, started again when it dies, and then asked again.

    So what it is asked must do no harm when it is done twice.

    Args:
        ray: the module.
        what: it is for, in words.
        start: gives the handle of a new one; called again for each that dies.
        patience: seconds without an answer, and without a step (see `ask`), after which it is given up.
    """

    def __init__(self, ray: Any, what: str, start: Callable[[], Any], patience: float) -> None:
        self._ray, self._what, self._start, self._patience = ray, what, start, patience
        self._lock = threading.Lock()
        self._closed = False
        self._handle = start()

    def ask(self, verb: str, *arguments: Any, watch: Callable[[int], None] | None = None) -> Callable[[], Any]:
        """Begin to call a method; what comes back waits for its answer.

        Args:
            verb: name of the method.
            arguments: of it.
            watch: called every two seconds while it is waited for, with what the actor's method `steps` says, and
                while that changes it is not given up.

        Raises:
            BitseekError: what the method raised.
            RunError: it died again and again, or gave no answer in time.
        """
        handle = self._handle
        began = getattr(handle, verb).remote(*arguments)
        errors = self._ray.exceptions

        def answer() -> Any:
            actor, call = handle, began
            for _ in range(_TRIES):
                try:
                    if watch is not None:
                        self._watch(actor, call, watch)
                    return self._get(call)
                except (errors.RayActorError, errors.ObjectLostError, errors.OutOfMemoryError):
                    actor = self._successor(actor)
                    call = getattr(actor, verb).remote(*arguments)
            raise RunError(f"the actor for {self._what} died {_TRIES} times; the logs of Ray on its machine say why")

        return answer

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            with suppress(Exception):  # Ray may have ended before
                self._ray.kill(self._handle)

    def _watch(self, handle: Any, call: Any, watch: Callable[[int], None]) -> None:
        """Wait until there is an answer."""
        before, since = -1, time.monotonic()
        while not self._ray.wait([call], timeout=_POLL_SECONDS)[0]:
            now = self._get(handle.steps.remote())
            watch(now)
            if now != before:
                before, since = now, time.monotonic()
            if time.monotonic() - since >= self._patience:
                raise self._late()

    def _get(self, call: Any) -> Any:
        """An answer, or what the method raised."""
        try:
            return self._ray.get(call, timeout=self._patience)
        except self._ray.exceptions.GetTimeoutError as error:
            raise self._late() from error
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, BitseekError):
                raise error.cause from None
            raise

    def _late(self) -> RunError:
        return RunError(
            f"the actor for {self._what} has not answered for {self._patience:.0f} s; is a machine of the cluster "
            "overloaded or cut off? `ray status` says what there is"
        )

    def _successor(self, dead: Any) -> Any:
        """The handle that has followed on one that is dead, started if it was not yet."""
        with self._lock:
            if self._closed:
                raise BitseekError(f"the actor for {self._what} was closed")
            if self._handle is dead:
                self._handle = self._start()
            return self._handle


def _reachable(host: str) -> None:
    """Refuse an address at which nobody answers, for which Ray would wait for a minute.

    Raises:
        RunError: nobody answers.
    """
    name, _, port = host.rpartition(":")
    if not name or not port.isdecimal():
        raise RunError(f"the address of a cluster of Ray is HOST:PORT, such as 10.0.0.1:6379, got {host!r}")
    try:
        socket.create_connection((name, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"nobody answers at {host} ({error}); start Ray there: ray start --head") from error
