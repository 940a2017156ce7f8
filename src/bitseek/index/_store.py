"""An index, and the clusters of an index, as folders of arrays (see `_arrays`).

`index.json` names the codes, (n, words) uint64 in the order of the ids, in one or more blocks, the mask of removed
items (`gone`), and the clusters, in one or more segments; `clusters.json` the clusters alone, and the checksums of the
codes that they were made of. The arrays of the first block and segment have plain names (`codes`, `planes`), those of
others end in their number (`codes.1`).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitseek.codes import words_per_code
from bitseek.errors import RunError
from bitseek.index._arrays import ArrayFolder, has_sums, sums
from bitseek.index._database import Database
from bitseek.index._segments import Built, Segment
from bitseek.kernels.layout import Shells

logger = logging.getLogger("bitseek.index")

DAMAGED = (OSError, ValueError, KeyError, TypeError, IndexError)
"""What reading damaged arrays raises."""

_SHELLS = ("centres", "first", "inner", "starts", "planes", "ids")

_SMALL = 128 << 20
"""Neighbouring blocks of codes that have no more bytes than this together are written as one."""


@dataclass(frozen=True)
class Stored:
    """What is in the folder of an index: codes, mask of removed items, and the clusters, if any."""

    bits: int
    blocks: Sequence[np.ndarray]
    gone: np.ndarray
    built: Built | None

    @property
    def database(self) -> Database:
        """The codes, and what is gone of them."""
        return Database.of(self.blocks[0], self.bits, self.gone, more=self.blocks[1:])


def save(folder: Path, index: Stored) -> None:
    """Write an index; what the folder held before stays readable until the last moment.

    Raises:
        BitseekError: the folder cannot be written, or holds files by the same names that bitseek did not write.
    """
    blocks = _combined(index.blocks)
    codes = {numbered("codes", number): block for number, block in enumerate(blocks)}
    facts = {"bits": index.bits, "size": sum(map(len, blocks)), "blocks": len(blocks)} | _facts(index.built)
    ArrayFolder(folder, "index").write(codes | {"gone": index.gone} | _arrays_of(index.built), **facts)


def read(folder: Path, verify: bool) -> Stored:
    """Read what `save` wrote.

    Args:
        folder: where it is.
        verify: whether to read everything and compare all checksums, rather than a part.

    Raises:
        RunError: there is no index, or its codes are damaged. Damage to the pruned plan is only logged.
    """
    stored = ArrayFolder(folder, "index")
    while True:
        facts, built = stored.facts(), None
        try:
            blocks, gone = _read_codes(stored, facts, verify)
        except DAMAGED as error:
            if stored.facts() != facts:  # a writer has replaced it while it was read
                continue
            advice = f"restore {folder} from a copy, or make the index again from the codes"
            raise RunError(f"the index in {folder} is damaged ({error}); {advice}") from error
        try:
            built = _read_built(stored, facts, gone, verify)
        except DAMAGED as error:
            if stored.facts() != facts:
                continue
            logger.warning("the clusters of the index in %s are damaged (%s) and will be made again", folder, error)
        return Stored(facts["bits"], blocks, gone, built)


def save_clusters(folder: Path, built: Built, database: Database) -> None:
    """Write clusters, so that `read_clusters` knows the codes again that they were made of."""
    arrays = {"left_out": built.gone} | _arrays_of(built)
    codes = sums(database.first(built.covered))
    ArrayFolder(folder, "clusters").write(arrays, bits=database.bits, codes=codes, **_facts(built))


def read_clusters(folder: Path, database: Database, verify: bool) -> Built | None:
    """Read what `save_clusters` wrote; None, and a line in the log, if they are absent, damaged, or do not fit."""
    stored = ArrayFolder(folder, "clusters")
    if not stored.manifest.exists():
        logger.info("there are no clusters in %s", folder)
        return None
    facts: dict[str, Any] = {}
    while True:
        before = facts
        try:
            facts = stored.facts()
            if facts["bits"] != database.bits or facts["covered"] > database.size:
                raise ValueError(f"they are of {facts['covered']} codes of {facts['bits']} bits")
            left_out = np.array(stored.read(facts["files"]["left_out"], verify=verify))
            if database.has_any(left_out):
                raise ValueError("they lack items that can be found now")
            if not has_sums(database.first(facts["covered"]), facts["codes"], verify=verify):
                raise ValueError("they are of other codes")
            return _read_built(stored, facts, left_out, verify)
        except DAMAGED as error:
            if facts == before:  # else they may just have been replaced, so once more
                logger.warning("the clusters in %s are not used (%s) and will be made again", folder, error)
                return None


def numbered(name: str, number: int) -> str:
    """The name of an array of a block or a segment."""
    return f"{name}.{number}" if number else name


def arrays_of(segment: Segment, number: int, state: str = "") -> dict[str, np.ndarray]:
    """The arrays of a segment, by name, which begins with a word for what they are a state of."""
    return {numbered(state + name, number): getattr(segment.shells, name) for name in _SHELLS}


def read_segment(
    stored: ArrayFolder, facts: Mapping[str, Any], number: int, ends: tuple[int, int], verify: bool, state: str = ""
) -> Segment:
    """A segment, memory-mapped, by the names of `arrays_of`; `ends` are its first id and where its ids end.

    Raises:
        DAMAGED: it is not what was written.
    """
    arrays = (stored.read(facts["files"][numbered(state + name, number)], verify=verify) for name in _SHELLS)
    start, stop = ends
    return Segment(start, stop, Shells(facts["bits"], *arrays).frozen())


def _read_codes(stored: ArrayFolder, facts: Mapping[str, Any], verify: bool) -> tuple[list[np.ndarray], np.ndarray]:
    """The blocks of codes, mapped, and the mask of what is gone."""
    number, files = facts.get("blocks", 1), facts["files"]
    names = [numbered("codes", block) for block in range(number)]
    blocks = [stored.read(files[name], verify=verify, among=number) for name in names]
    gone = np.array(stored.read(files["gone"], verify=verify))
    widths, types = {block.shape[1] for block in blocks}, {block.dtype for block in [*blocks, gone]}
    size = sum(map(len, blocks))
    if size != facts["size"] or widths != {words_per_code(facts["bits"])} or types != {np.dtype(np.uint64)}:
        raise ValueError(f"there are {size} codes of {widths} words, as {types}")
    return blocks, gone


def _arrays_of(built: Built | None) -> dict[str, np.ndarray]:
    segments = () if built is None else built.segments
    return {name: array for at, segment in enumerate(segments) for name, array in arrays_of(segment, at).items()}


def _facts(built: Built | None) -> dict[str, Any]:
    """What the manifest says of clusters."""
    if built is None:
        return {"covered": 0, "segments": None}
    segments = [[segment.start, segment.stop] for segment in built.segments]
    return {"covered": built.covered, "segments": segments, "items": built.items}


def _read_built(stored: ArrayFolder, facts: Mapping[str, Any], gone: np.ndarray, verify: bool) -> Built | None:
    """The clusters in a folder; None if there are none."""
    covered = facts["covered"]
    in_version_1 = [[0, covered]] if "planes" in facts["files"] else None
    ranges = facts.get("segments", in_version_1)
    if ranges is None:
        return None
    segments = [
        read_segment(stored, facts, number, (start, stop), verify) for number, (start, stop) in enumerate(ranges)
    ]
    return Built(tuple(segments), gone, facts.get("items", covered))


def _combined(blocks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Blocks of codes of which neighbours that are small are put together; at least one."""
    few: list[np.ndarray] = []
    for block in filter(len, blocks):
        if few and few[-1].nbytes + block.nbytes <= _SMALL:
            few[-1] = np.concatenate([few[-1], block])
        else:
            few.append(block)
    return few or [blocks[0]]
