"""`ray://`: exact search by actors, one a shard, each with its codes memory-mapped.

    ray:///FOLDER             on a cluster that is started here
    ray://HOST:PORT/FOLDER    on the cluster whose head is there; this machine is one of it

FOLDER is one of shards, or a collection, of which each actor gets a slice; all machines must see it at the same path.
`?actors=4&threads=2&plan=scan` says how many actors share a collection, how many threads each has, and by which plan of
`HammingIndex` it searches.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
from jaxtyping import Int64

from bitseek._checks import whole_number
from bitseek._files import FilePath
from bitseek.codes import Codes, check_codes
from bitseek.collection import Collection, Encoder, codes_file
from bitseek.engines._cluster import Cluster
from bitseek.engines._sharded import Sharded
from bitseek.engines._shards import Shard, ShardFolder
from bitseek.engines._slice import Slice
from bitseek.errors import BitseekError
from bitseek.index import HammingIndex, Plan

_PATIENCE = 600.0
"""Seconds after which a search is given up."""

_COMPARED = 4096
"""Rows at the end of a collection's codes of which the file may lack some, after a kill or a power failure."""

Source = Callable[[], Codes]
"""Maps the codes of an actor into memory; called in its process."""


class RayAddress(NamedTuple):
    """What a `ray://` address says.

    Attributes:
        host: `HOST:PORT` of the cluster's head; empty to start one here.
        folder: of shards, or of a collection.
        actors: how many share a collection; by default one a machine, and at least two.
        threads: of each actor; by default the processors are shared out.
        plan: of each actor's `HammingIndex`.
    """

    host: str
    folder: Path
    actors: int | None = None
    threads: int | None = None
    plan: Plan = "auto"

    @classmethod
    def parse(cls, address: str) -> "RayAddress":
        """An address from its text.

        Raises:
            BitseekError: something else.
        """
        parts = urlsplit(address)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        plan: Any = options.pop("plan", "auto")
        known = set(options) <= {"actors", "threads"} and plan in ("auto", "scan", "pruned")
        if parts.scheme.lower() != "ray" or len(parts.path) < 2 or parts.fragment or not known:
            raise BitseekError(
                "an address is ray:///FOLDER or ray://HOST:PORT/FOLDER, with the folder's whole path and perhaps "
                f"?actors=2&threads=1&plan=auto|scan|pruned; got {address!r}"
            )
        numbers = {name: whole_number(int(text) if text.isdecimal() else text, name) for name, text in options.items()}
        return cls(parts.netloc, Path(unquote(parts.path)), **numbers, plan=plan)


class Searcher:
    """What runs in an actor: an index over its codes, opened by the first question, so that errors come as answers.

    Args:
        source: of the codes.
        gone: ids that cannot be found; those of the codes begin at 0.
        threads: for a search.
        plan: of the index.
    """

    def __init__(self, source: Source, gone: Int64[np.ndarray, " gone"], threads: int, plan: Plan) -> None:
        self._source, self._gone, self._threads, self._plan = source, gone, threads, plan
        self._index: HammingIndex | None = None
        self._lock = threading.Lock()

    def call(self, verb: str, *arguments: Any) -> Any:
        """What a method of the index gives."""
        with self._lock:
            if self._index is None:
                self._index = HammingIndex(self._source(), gone=self._gone, threads=self._threads, plan=self._plan)
        return getattr(self._index, verb)(*arguments)

    def process(self) -> int:
        """Number of the process."""
        return os.getpid()


class Remote:
    """A part of a database in an actor (see `Part`); what was removed is kept here, for the one that follows on it.

    Args:
        cluster: where it is started.
        source: of its codes.
        size: how many they are.
        what: it is, in words.
        threads: of the actor.
        plan: of its index.
    """

    def __init__(self, cluster: Cluster, source: Source, size: int, what: str, threads: int, plan: Plan) -> None:
        self.size = size
        self._gone = gone = [np.zeros(0, np.int64)]

        def start() -> Any:  # does not hold `self`, so that the actor ends with the last reference to it
            return cluster.start(Searcher, source, gone[0], threads, plan)

        self.actor = cluster.actor(what, start, patience=_PATIENCE)

    def __len__(self) -> int:
        return self.size - len(self._gone[0])

    def ask(self, verb: str, *arguments: Any) -> Callable[[], Any]:
        """A call of a method of the index, begun at once."""
        return self.actor.ask("call", verb, *arguments)

    def remove(self, ids: Int64[np.ndarray, " some"]) -> int:
        """Take items out; how many."""
        before = len(self)
        self._gone[0] = np.union1d(self._gone[0], ids)  # at first, so that no actor is started without them
        self.ask("remove", ids)()
        return before - len(self)

    def close(self) -> None:
        """End the actor."""
        self.actor.close()


class RayEngine(Sharded):
    """Codes that the actors of a cluster search, merged by (distance, id).

    Args:
        cluster: where the actors run.
        sources: of the parts, each with its number of codes and with what it is, in words.
        bits: of the codes.
        threads: of each actor; by default the processors are shared out.
        plan: of each actor's `HammingIndex`.
    """

    def __init__(
        self,
        cluster: Cluster,
        sources: Sequence[tuple[Source, int, str]],
        bits: int,
        *,
        threads: int | None = None,
        plan: Plan = "auto",
    ) -> None:
        self._cluster, self._plan = cluster, plan
        self._threads = threads or max(1, cluster.processors // max(1, len(sources)))
        super().__init__(self._remotes(sources), bits)

    def add_shards(self, folder: FilePath) -> Int64[np.ndarray, " n"]:
        """Put the shards of another folder behind those that are there, an actor each, while searches go on.

        Returns:
            their ids, which follow on those given so far.

        Raises:
            CodeWidthError: codes of another length.
            BitseekError: there are no shards, or not all.
        """
        shards = ShardFolder(folder).open()
        for shard in shards:
            check_codes(shard.codes, bits=self.bits, of="this engine")
        return self.extend(self._remotes(map(_source, shards)))

    def _remotes(self, sources: Iterable[tuple[Source, int, str]]) -> list[Remote]:
        """An actor for each part that has codes."""
        return [Remote(self._cluster, *source, self._threads, self._plan) for source in sources if source[1]]


def connect(address: str) -> RayEngine:
    """An engine over the folder of an address; see `bitseek.engines.connect`."""
    place = RayAddress.parse(address)
    if Collection.exists(place.folder):
        with Collection.open(place.folder) as opened:
            all_there = len(opened) == len(opened.codes)
            gone = None if all_there else np.delete(np.arange(len(opened.codes)), opened.alive)
            return _slices(place, opened.folder, opened.codes, gone)
    shards = ShardFolder(place.folder).open()
    sources = list(map(_source, shards))
    return RayEngine(Cluster(place.host), sources, shards[0].codes.bits, threads=place.threads, plan=place.plan)


def open_collection(address: str) -> Collection:
    """The collection in the folder of an address, searched by actors, which are started by its first search."""
    place = RayAddress.parse(address)
    return Collection.open(place.folder, index=partial(_slices, place))


def create_collection(address: str, *, hasher: Encoder, features: bool = False) -> Collection:
    """A new collection in the folder of an address."""
    return Collection.create(RayAddress.parse(address).folder, hasher=hasher, features=features)


def collection_exists(address: str) -> bool:
    """Whether there is a collection in the folder of an address."""
    return Collection.exists(RayAddress.parse(address).folder)


def _slices(place: RayAddress, folder: Path, codes: Codes, gone: np.ndarray | None) -> RayEngine:
    """An engine over the codes of a collection, of which each actor maps a slice."""
    cluster = Cluster(place.host)
    file = codes_file(folder.absolute(), codes.bits)
    there = min(len(file), len(codes))
    first = max(0, there - _COMPARED)
    wrong = (file.map(there)[first:] != codes.words[first:there]).any(axis=1)
    sound = first + int(wrong.argmax()) if wrong.any() else there
    sources = []
    for each in Slice.all(place.actors or max(2, cluster.machines)):
        start, stop = each.bounds(sound)
        sources.append((partial(_rows, file, codes.bits, start, stop), stop - start, f"slice {each} of {folder}"))
    engine = RayEngine(cluster, sources, codes.bits, threads=place.threads, plan=place.plan)
    engine.add(codes[sound:])
    if gone is not None:
        engine.remove(gone)
    return engine


def _source(shard: Shard) -> tuple[Source, int, str]:
    folder = shard.folder.absolute()
    return partial(_codes, folder, shard.slice), len(shard.codes), f"shard {shard.slice} of {folder}"


def _codes(folder: Path, slice: Slice) -> Codes:
    """The codes of a shard, in the process of an actor."""
    return ShardFolder(folder).read(slice).codes


def _rows(file: Any, bits: int, start: int, stop: int) -> Codes:
    """The codes of a slice of a collection, in the process of an actor."""
    return Codes(file.map(stop)[start:], bits)
