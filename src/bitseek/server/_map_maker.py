"""The map of the items, made beside the service: a fit takes minutes of a processor, which searches need more."""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import NamedTuple

import numpy as np
import orjson
from filelock import FileLock, Timeout

from bitseek._files import FilePath
from bitseek.collection import Collection
from bitseek.errors import BitseekError
from bitseek.server._logging import log, start_logging

_PAGE = 10_000
_LOCK = "map.lock"


class Points(NamedTuple):
    """What the page draws.

    Attributes:
        generation: of the collection for which they were made.
        version: names the records and the labels together; others have another one.
        records: x, y as float32, then id and number of the label as int32, little-endian, one after the other.
        labels: by their number.
    """

    generation: int
    version: str
    records: bytes
    labels: list[str | None]


class MapMaker:
    """Makes the map when it is asked for, in a process of low priority, and keeps what is read from it.

    Args:
        collection: of the items.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._tried = -1
        self._points: Points | None = None

    def points(self) -> Points | None:
        """The points of the newest map there is; None if there is none yet. A newer one is begun if it is due."""
        collection = self._collection
        with self._lock:
            generation = collection.generation
            if self._points is None or self._points.generation != generation:
                self._points = self._read() or self._points
            if (self._points is None or self._points.generation != generation) and self._tried != generation:
                self._make(generation)
            return self._points

    def stop(self) -> None:
        """End the process, if one runs; the map stays as it was."""
        with self._lock:
            if self._process is not None:
                self._process.terminate()
                self._process.join()

    def _make(self, generation: int) -> None:
        if self._process is not None and self._process.is_alive():
            return
        if self._process is not None:
            self._process.join()
        self._tried = generation
        spawn = multiprocessing.get_context("spawn")
        self._process = spawn.Process(target=_make, args=(os.fspath(self._collection.folder),), daemon=True)
        with _no_interrupt():
            self._process.start()

    def _read(self) -> Points | None:
        made = self._collection.map()
        if made is None or (self._points is not None and made.generation == self._points.generation):
            return None
        wanted = set(made.ids.tolist())
        numbers: dict[str | None, int] = defaultdict(lambda: len(numbers))
        label_of = {
            item.id: numbers[item.label]
            for start in range(0, len(self._collection), _PAGE)
            for item in self._collection.items(start=start, limit=_PAGE)
            if item.id in wanted
        }
        there = np.array([number in label_of for number in made.ids.tolist()], np.bool_)
        ids = made.ids[there]
        records = np.zeros(len(ids), np.dtype([("xy", "<f4", 2), ("id", "<i4"), ("label", "<i4")]))
        records["xy"], records["id"] = made.xy[there], ids
        records["label"] = [label_of[number] for number in ids.tolist()]
        labels = list(numbers)
        version = hashlib.blake2b(records.tobytes() + orjson.dumps(labels), digest_size=16).hexdigest()
        return Points(made.generation, version, records.tobytes(), labels)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C, sent to all processes of a terminal, reaches none that is started here, not even while it imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started by the first process, it would end the blocking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of this thread; a new process inherits it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _make(folder: FilePath) -> None:
    """What the process does; another one that does it already is left to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service ends it, with a signal of its own
    start_logging()
    if hasattr(os, "nice"):
        os.nice(19)
    with suppress(Timeout), Collection.open(folder) as collection:
        try:
            with FileLock(collection.folder / _LOCK, timeout=0):
                collection.make_map()
        except (BitseekError, OSError) as error:
            log("map not made", error=error)
