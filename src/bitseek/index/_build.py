"""Clusters of more codes than the memory holds, built in the folder of their index; one that is killed goes on.

1. Centres are chosen, from a sample of the codes.
2. The codes are sorted around them, a part at a time, and each part is written to the folder.
3. The parts, and the segments that were there before, are merged into mapped files, some clusters at a time.

`build.json`, written anew with each part, says what is sorted, `merge.json` what is merged. Memory is needed for one
part (`PART_BYTES`).
"""

import hashlib
import itertools
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bitseek.codes import words_per_code
from bitseek.errors import BitseekError, RunError
from bitseek.index import _segments
from bitseek.index._arrays import ArrayFolder
from bitseek.index._database import Database
from bitseek.index._segments import Built, Segment
from bitseek.index._store import DAMAGED, Stored, arrays_of, numbered, read_segment
from bitseek.kernels.layout import MOST_CLUSTERED, Words

PART_BYTES = 1 << 30
"""Memory for a part: its codes, their ids, clusters, and distances to the centres."""

_BYTES_BESIDE_CODES = 24
_STATE = "sorted-"


class _Range(NamedTuple):
    """A part of the codes: its ids, and the file that they lie in, which never changes."""

    start: int
    stop: int
    file: str


class Work:
    """What is done of a build.

    Attributes:
        centres: those that were chosen, as rows, if they were.
        items: for how many items.
        parts: segments that were sorted.

    Args:
        folder: of the index.
        bits: length of its codes.
    """

    def __init__(self, folder: Path, bits: int) -> None:
        self._arrays, self._bits = ArrayFolder(folder, "build"), bits
        self._merged = ArrayFolder(folder, "merge")
        self.centres = np.zeros((0, words_per_code(bits)), np.uint64)
        self.items = 0
        self.parts: list[Segment] = []
        self._ranges: list[_Range] = []
        self._beside = ""
        try:
            facts = self._arrays.facts()
            if facts["bits"] != bits:
                return
            self.items, self._beside = facts["items"], facts["beside"]
            self.centres = np.array(self._arrays.read(facts["files"]["chosen"], verify=True))
            for number, (start, stop, file) in enumerate(facts["parts"]):
                self.parts.append(self._read(facts, number, start, stop))
                self._ranges.append(_Range(start, stop, file))
        except (RunError, *DAMAGED):  # nothing was done, or what is damaged is done again
            pass

    def begin(self, centres: Words, items: int, beside: str) -> None:
        """Forget what was done, and take these centres, for parts that will be merged with what `beside` tells."""
        self.centres, self.items, self._beside = centres, items, beside
        self.parts, self._ranges = [], []
        self._write()

    def keep_only(self, wanted: list[_Range], beside: str) -> None:
        """Forget the parts that are not the first of those that are wanted, or all if they have other neighbours."""
        pairs = zip(wanted, self._ranges, strict=False) if beside == self._beside else ()
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        if same < len(self.parts):
            self.parts, self._ranges = self.parts[:same], self._ranges[:same]

    def add(self, part: Segment, range_: _Range) -> None:
        """Write a part; from then on it is mapped."""
        self.parts, self._ranges = [*self.parts, part], [*self._ranges, range_]
        self._write()
        self.parts[-1] = self._read(self._arrays.facts(), len(self.parts) - 1, part.start, part.stop)

    @property
    def files(self) -> list[str]:
        """Names of the files of the parts, which tell their content."""
        return [entry["name"] for entry in self._arrays.facts()["files"].values()]

    def merged(self, name: str) -> int:
        """How many clusters of what is being merged by this name are done."""
        try:
            facts = self._merged.facts()
        except RunError:
            return 0
        return int(facts["done"]) if facts["name"] == name else 0

    def note(self, name: str, done: int) -> None:
        """Write down how many clusters are merged."""
        self._merged.write({}, name=name, done=done)

    def remove(self) -> None:
        """Delete all of it."""
        self._arrays.remove()
        self._merged.remove()

    def _read(self, facts: dict[str, Any], number: int, start: int, stop: int) -> Segment:
        return read_segment(self._arrays, facts, number, (start, stop), verify=False, state=_STATE)

    def _write(self) -> None:
        parts = [arrays_of(part, number, _STATE) for number, part in enumerate(self.parts)]
        arrays = {name: array for part in parts for name, array in part.items()} | {"chosen": self.centres}
        facts = {"bits": self._bits, "items": self.items, "beside": self._beside}
        self._arrays.write(arrays, **facts, parts=self._ranges)


def build(folder: Path, index: Stored, threads: int | None) -> tuple[Built, Work]:
    """Sort all codes of an index in a folder into clusters.

    Args:
        folder: where it is.
        index: what `_store.read` found there.
        threads: at most so many.

    Returns:
        The clusters, mapped from files in the folder, and what to remove once they have been saved.

    Raises:
        BitseekError: the folder cannot be written.
    """
    database, built, work = index.database, index.built, Work(folder, index.bits)
    target = ArrayFolder(folder, "index")
    files = {name: entry["name"] for name, entry in target.facts()["files"].items()}
    kept = [] if built is None or built.is_outgrown(database) else list(built.segments)
    wanted = _ranges(files, database, kept[-1].stop if kept else 0)
    if built is not None and len(kept) == 1 and not wanted:
        return built, work
    beside = " ".join(files[numbered("centres", number)] for number in range(len(kept)))
    work.keep_only(wanted, beside)
    if not work.parts or database.alive >= 2 * work.items:
        if built is None or not kept:
            work.begin(_segments.choose_centres(database, threads), database.alive, beside)
        else:
            work.begin(built.centre_words(), built.items, beside)
    for range_ in wanted[len(work.parts) :]:
        work.add(_segments.sort(database, range_.start, range_.stop, work.centres, threads), range_)
    stamp = hashlib.blake2b(" ".join([*files.values(), *work.files]).encode(), digest_size=8).hexdigest()
    segments = [
        group[0] if len(group) == 1 else _merge(target, work, group, f"{stamp}-{number}", threads)
        for number, group in enumerate(_groups([*kept, *work.parts]))
    ]
    return Built(tuple(segments), index.gone, work.items), work


def _ranges(files: dict[str, str], database: Database, covered: int) -> list[_Range]:
    """The parts in which the codes from the id `covered` on are sorted; each lies in one of the files."""
    most = max(1, PART_BYTES // (8 * database.width + _BYTES_BESIDE_CODES))
    ranges = []
    for number, (first, block) in enumerate(zip(database.starts.tolist(), database.blocks, strict=False)):
        start, stop = max(first, covered), first + len(block)
        if start < stop:
            ends = np.linspace(start, stop, -(-(stop - start) // most) + 1).astype(np.int64).tolist()
            file = files[numbered("codes", number)]
            ranges += [_Range(a, b, file) for a, b in itertools.pairwise(ends)]
    return ranges


def _groups(segments: list[Segment]) -> list[list[Segment]]:
    """Segments that can be one: `Shells` have no more than `MOST_CLUSTERED` ids."""
    groups: list[list[Segment]] = []
    for segment in segments:
        if groups and segment.stop - groups[-1][0].start <= MOST_CLUSTERED:
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _merge(index: ArrayFolder, work: Work, segments: list[Segment], name: str, threads: int | None) -> Segment:
    """Segments as one, in files that are mapped; goes on where an earlier process was killed."""
    start, stop = segments[0].start, segments[-1].stop
    merger = _segments.merger(segments)
    if not merger.size:
        return Segment(start, stop, merger.merged())
    words = len(segments[0].shells.planes)
    shapes = {"planes": ("uint64", (words, merger.size)), "ids": ("uint32", (merger.size,))}
    files = {kind: index.scratch(f"{kind}-merging-{name}.npy") for kind in shapes}
    done = work.merged(name)
    if not all(_holds(files[kind], *shapes[kind]) for kind in shapes):
        done = 0
        work.note(name, done)
        for kind, file in files.items():
            _allocate(file, *shapes[kind])
    planes, ids = (np.lib.format.open_memmap(file, mode="r+") for file in files.values())
    for a, b in merger.portions(PART_BYTES // (8 * words + _BYTES_BESIDE_CODES), done):
        merger.copy(a, b, planes, ids, threads)
        planes.flush()
        ids.flush()
        work.note(name, b)
    mapped = (np.lib.format.open_memmap(file, mode="r") for file in files.values())
    return Segment(start, stop, merger.shells(*mapped))


def _holds(file: Path, kind: str, shape: tuple[int, ...]) -> bool:
    """Whether a file has room for such an array."""
    try:
        there = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError):
        return False
    return there.shape == shape and there.dtype == kind


def _allocate(file: Path, kind: str, shape: tuple[int, ...]) -> None:
    """A file with room for an array on the disk, so that writing to its memory map cannot fail."""
    try:
        np.lib.format.open_memmap(file, mode="w+", dtype=kind, shape=shape)
        with file.open("r+b") as raw:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(raw.fileno(), 0, file.stat().st_size)
    except OSError as error:
        raise BitseekError(f"cannot write {file}: {error.strerror or error}") from error
