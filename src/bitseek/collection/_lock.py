"""The one writer of a collection: a lock that ends with its process, who holds it, and how far it is."""

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat

from bitseek.collection._sentences import sentences
from bitseek.errors import BitseekError, RunError
from bitseek.images import printable

LOCK, HOLDER = "writer.lock", "writer.json"

_EVERY = 0.5
"""Seconds between two notes of the progress."""

_SILENT = 120
"""A writer on another machine that has noted nothing for so many seconds is taken for dead."""


class Progress(NamedTuple):
    """How far a writer is.

    Attributes:
        done: files that are dealt with, for good: a kill does not lose them.
        total: of how many.
        rate: files a second, lately.
        seconds_left: at that rate; None if nothing is known yet.
        what: `finding`, `encoding`, `importing`, or `sorting` (into the clusters of the search).
    """

    done: int
    total: int
    rate: float
    seconds_left: float | None
    what: str


class WriterLock:
    """The lock of one writer; made for one use.

    Args:
        folder: of the collection.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._note: dict[str, Any] = {}
        self._noted = 0.0

    @contextmanager
    def held(self, wait: float) -> Iterator["WriterLock"]:
        """Hold the lock in a block.

        Args:
            wait: seconds to wait for it.

        Raises:
            BitseekError: it is no number; another writer has the lock, or there can be none.
        """
        if not isinstance(wait, SupportsFloat):
            raise BitseekError(f"wait is a number of seconds, got {wait!r:.80}")
        from filelock import FileLock, Timeout  # takes a tenth of a second

        lock = FileLock(self.folder / LOCK, thread_local=False, fallback_to_soft=False)
        with sentences(self.folder / LOCK):
            try:
                lock.acquire(timeout=max(0.0, float(wait)), poll_interval=0.02)
            except Timeout as error:
                raise RunError(
                    f"{self._holder_in_words()}; try again when it has finished, or wait for it: --wait SECONDS, in "
                    "Python wait=SECONDS"
                ) from error
        try:
            self._note = {
                "pid": os.getpid(),
                "began": _began(os.getpid()),
                "host": socket.gethostname(),
                "program": " ".join([Path(sys.argv[0] or sys.executable).name, *sys.argv[1:2]]),
                "since": time.time(),
            }
            self._write()
            yield self
        finally:
            with suppress(OSError):
                (self.folder / HOLDER).unlink()
            lock.release()

    def tell(self, progress: Progress) -> None:
        """Note the progress, for `progress_of`; not more often than is good."""
        if time.monotonic() - self._noted > _EVERY:
            self._note["progress"] = progress._asdict()
            self._write()

    def _write(self) -> None:
        self._noted = time.monotonic()
        part = self.folder / f".{HOLDER}.part"
        with suppress(OSError):  # a note that cannot be written stops nobody
            part.write_text(json.dumps(self._note), encoding="utf-8")
            part.replace(self.folder / HOLDER)

    def _holder_in_words(self) -> str:
        name, note = printable(self.folder), holder(self.folder)
        if note is None:
            return f"another program is writing to {name}"
        since = datetime.fromtimestamp(note["since"]).strftime("%Y-%m-%d %H:%M:%S")
        program = printable(str(note["program"]))
        return f"{program} (process {note['pid']} on {note['host']}) has been writing to {name} since {since}"


def holder(folder: Path) -> dict[str, Any] | None:
    """The note of the writer, if there is one that lives."""
    file = folder / HOLDER
    try:
        note = json.loads(file.read_text(encoding="utf-8"))
        pid, host, _, _ = int(note["pid"]), str(note["host"]), float(note["since"]), note["program"]
        here, silence = host == socket.gethostname(), time.time() - file.stat().st_mtime
        alive = _lives(pid, note.get("began")) if here else silence < _SILENT
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if alive else None


def progress_of(folder: Path) -> Progress | None:
    """How far the writer of a collection is, in whatever process; None if nobody writes."""
    note = holder(folder)
    if note is None:
        return None
    try:
        return Progress(**note["progress"])
    except (KeyError, TypeError):
        return Progress(0, 0, 0.0, None, "writing")


def _lives(pid: int, began: object) -> bool:
    """Whether a process lives, and not another one that got its number, as the first of a container always does."""
    if sys.platform == "win32":  # where asking would kill it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        pass
    now = _began(pid)
    return began is None or now is None or began == now


def _began(pid: int) -> str | None:
    """When a process began: the start of the system, and the ticks since then; None where the system does not say."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()  # after the name of the program
    except OSError:
        return None
    return f"{start} {int(fields[19])}"  # field 22 of proc_pid_stat(5)
