"""Encoding all shards of a folder by the actors of a cluster of Ray.

Plain actors, not Ray Data: a shard is already what Ray Data would have to be taught, a piece of work that is written
whole or not at all, checked, skipped when it is complete, and the same whoever does it. So an actor that dies costs the
shard that it was at, results need no order, and neither pandas nor pyarrow is needed. An actor loads the model once.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bitseek._files import user_path
from bitseek.collection import Encoder
from bitseek.engines._cluster import Actor, Cluster
from bitseek.engines._encode import Done, Work, complete, encode_shard
from bitseek.engines._slice import Slice
from bitseek.kernels.threads import thread_count

_PATIENCE = 900.0
"""Seconds without a file encoded after which an actor is given up; it may have to load the model first."""


class Model(NamedTuple):
    """How the model is loaded in the process of each actor.

    Attributes:
        name: what `bitseek.load` takes; a path must be that of every machine.
        device: where it computes.
        threads: how many an actor has, to decode and to compute; one a processor of its machine if None.
        bits: of nested codes, how many first bits; all if None.
    """

    name: str
    device: str = "auto"
    threads: int | None = None
    bits: int | None = None


class Worker:
    """What runs in an actor: a model, and the shard that it is at."""

    def __init__(self, model: Model) -> None:
        self._model, self._threads = model, model.threads or thread_count()
        os.environ["OMP_NUM_THREADS"] = str(self._threads)  # Ray has set 1; read when torch is imported
        self._loaded: Encoder | None = None
        self._done = 0

    def describe(self) -> tuple[str, int]:
        """Fingerprint and bits of the model."""
        hasher = self._hasher()
        return hasher.fingerprint, hasher.bits

    def encode(self, work: Work, slice: Slice, files: Sequence[str]) -> Done:
        """Encode a shard, unless it is complete."""
        before = complete(work, slice)
        if before is not None:
            return before
        self._done = 0

        def count(done: int, _: int) -> None:
            self._done = done

        return encode_shard(work, slice, files, self._hasher(), threads=self._threads, progress=count)

    def steps(self) -> int:
        """Files of the shard that are done."""
        return self._done

    def process(self) -> int:
        """Number of the process."""
        return os.getpid()

    def _hasher(self) -> Encoder:
        if self._loaded is None:
            from bitseek.portable import load

            name, device, _, bits = self._model
            loaded = load(name, device=device, threads=self._threads)
            self._loaded = loaded if bits is None else loaded.prefix(bits)
        return self._loaded


def encode_on_ray(
    host: str,
    model: Model,
    files: Sequence[str],
    folder: Path,
    total: int,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Done]:
    """Encode the shards of a folder that are not complete, by one actor a GPU or, without any, one a machine.

    Args:
        host: `HOST:PORT` of the cluster's head; empty to start one here.
        model: what encodes.
        files: all of them, as `listed` gives them.
        folder: of shards, the same on every machine.
        total: number of shards.
        progress: called with the number of files that are done, and of all.

    Returns:
        what there is of every shard, in order.

    Raises:
        BitseekError: the cluster or the model cannot be used, the folder holds shards of something else, or an actor
            died again and again at the same shard.
    """
    cluster = Cluster(host)
    gpus = cluster.gpus if model.device == "auto" or model.device.startswith("cuda") else 0
    place = user_path(model.name)
    everywhere = model._replace(name=str(place.absolute())) if place.exists() else model

    def actor(number: int) -> Actor:
        def start() -> object:
            return cluster.start(Worker, everywhere, gpus=min(1, gpus))

        return cluster.actor(f"encoding (worker {number})", start, patience=_PATIENCE)

    actors = [actor(number) for number in range(1, min(gpus or cluster.machines, total) + 1)]
    try:
        fingerprint, bits = actors[0].ask("describe")()
        work = Work.of(folder, fingerprint, bits, files, total)
        return _share_out(actors, work, files, progress)
    finally:
        for each in actors:
            each.close()


def _share_out(
    actors: Sequence[Actor], work: Work, files: Sequence[str], progress: Callable[[int, int], None] | None
) -> list[Done]:
    """Give each actor a shard whenever it has none, until all are done."""
    waiting = deque(Slice.all(work.total))
    counted: dict[Slice, int] = {}
    lock = threading.Lock()

    def count(slice: Slice, done: int) -> None:
        with lock:
            counted[slice] = done
            if progress is not None:
                progress(sum(counted.values()), len(files))

    def attend(actor: Actor) -> list[Done]:
        finished: list[Done] = []
        try:
            while True:
                try:
                    slice = waiting.popleft()
                except IndexError:
                    return finished
                some = slice.of(files)
                finished.append(actor.ask("encode", work, slice, some, watch=partial(count, slice))())
                count(slice, len(some))
        except BaseException:
            waiting.clear()  # the others finish what they are at
            raise

    with ThreadPoolExecutor(len(actors)) as pool:
        try:
            runs = [pool.submit(attend, actor) for actor in actors]
            return sorted((done for run in runs for done in run.result()), key=lambda done: done.slice)
        except BaseException:
            waiting.clear()
            for actor in actors:
                actor.close()
            raise
