"""A folder of shards: the codes of one list of files, each slice of it written by a process of its own.

    shard-0003-of-0016.json        manifest: model, list of files, what could not be read, and checksums of the arrays
    codes-0003-of-0016-STAMP.npy   (n, words) uint64: the codes of the files that could be read, in their order
    paths-0003-of-0016-STAMP.npy   the bytes of their paths, one after the other
    ends-0003-of-0016-STAMP.npy    (n,) int64, where each path ends
    shard-0003-of-0016.files.json  the files that bitseek wrote for this shard

Every shard owns its files, so that processes that write different shards do not meet. The manifest is written last: a
shard without one, or with arrays that do not fit it, is not complete.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from bitseek._files import FilePath, user_path
from bitseek.codes import Codes
from bitseek.engines._slice import Slice
from bitseek.errors import BitseekError, CodeWidthError, RunError
from bitseek.images import printable
from bitseek.index import ArrayFolder
from bitseek.portable import same_codes

_MANIFEST = re.compile(r"shard-(\d{4})-of-(\d{4})\.json")
_ARRAYS = ("codes", "paths", "ends")


@dataclass(frozen=True)
class Origin:
    """What all shards of a folder are of.

    Attributes:
        fingerprint: of the model.
        bits: of its codes.
        inputs: `digest` of the whole list of files.
        listed: how many files that is.
    """

    fingerprint: str
    bits: int
    inputs: str
    listed: int


@dataclass(frozen=True, eq=False)
class Shard:
    """One shard as it lies on the disk.

    Attributes:
        folder: where it lies.
        slice: which one it is.
        origin: what it is of.
        codes: of the files that could be read; memory-mapped.
        unreadable: message of each file that could not be read, by its path.
    """

    folder: Path
    slice: Slice
    origin: Origin
    codes: Codes
    unreadable: Mapping[str, str]
    _paths: UInt8[np.ndarray, " bytes"] = field(repr=False)
    _ends: Int64[np.ndarray, " n"] = field(repr=False)

    def path(self, number: int) -> str:
        """Path of the file that a code is of, as it was given."""
        start = int(self._ends[number - 1]) if number else 0
        return os.fsdecode(self._paths[start : int(self._ends[number])].tobytes())


class ShardFolder:
    """A folder of shards, of which some may be missing.

    Args:
        folder: which need not exist.
    """

    def __init__(self, folder: FilePath) -> None:
        self.folder = user_path(folder)

    @property
    def slices(self) -> list[Slice]:
        """The shards that have a manifest."""
        try:
            names = [entry.name for entry in self.folder.iterdir()] if self.folder.is_dir() else []
        except OSError as error:
            raise RunError(f"cannot read the folder {printable(self.folder)}: {error.strerror or error}") from error
        found = filter(None, map(_MANIFEST.fullmatch, names))
        return sorted(Slice(int(match[1]), int(match[2])) for match in found)

    def check(self, origin: Origin, total: int) -> None:
        """Refuse what cannot be put beside the shards that are there. Those that cannot be read refuse nothing.

        Raises:
            CodeWidthError: they are of another model.
            BitseekError: they are of another list of files, or cut otherwise.
        """
        name = printable(self.folder)
        for there in self.slices:
            try:
                other = _origin(self._arrays(there).facts())
            except RunError:
                continue
            if there.total != total:
                raise BitseekError(f"{name} holds shards of {there.total}, got shards of {total}; cut it the same way")
            if not same_codes(other.fingerprint, origin.fingerprint) or other.bits != origin.bits:
                raise CodeWidthError(
                    f"the shards in {name} were made by model {other.fingerprint} ({other.bits} bits), not by "
                    f"{origin.fingerprint} ({origin.bits} bits); use that model, or another folder"
                )
            if (other.inputs, other.listed) != (origin.inputs, origin.listed):
                raise BitseekError(
                    f"the shards in {name} are of another list of {other.listed} files, got {origin.listed}; give the "
                    "same paths, from the same folder, or write to another folder"
                )

    def is_complete(self, slice: Slice) -> bool:
        """Whether a shard is there, with all its checksums right."""
        try:
            self.read(slice, verify=True)
        except RunError:
            return False
        return True

    def write(
        self, slice: Slice, origin: Origin, codes: Codes, paths: Sequence[str], unreadable: Mapping[str, str]
    ) -> None:
        """Write a shard; what of it was there is replaced.

        Args:
            slice: which one.
            origin: what it is of.
            codes: of the files that could be read.
            paths: of them, in the same order.
            unreadable: message of each file that could not be read, by its path.

        Raises:
            BitseekError: nothing can be written, or a file of that name is not bitseek's.
        """
        names = [os.fsencode(path) for path in paths]
        arrays = {
            "codes": codes.words,
            "paths": np.frombuffer(b"".join(names), np.uint8),
            "ends": np.cumsum([len(name) for name in names], dtype=np.int64),
        }
        self._arrays(slice).write(
            {_array(name, slice): array for name, array in arrays.items()},
            **asdict(origin),
            unreadable=dict(unreadable),
        )

    def read(self, slice: Slice, *, verify: bool = False) -> Shard:
        """A shard, memory-mapped.

        Args:
            slice: which one.
            verify: whether to compare all checksums; otherwise a part of them (see `bitseek.index`).

        Raises:
            RunError: it is not there, not complete, or damaged.
        """
        stored = self._arrays(slice)
        facts = stored.facts()
        try:
            origin, unreadable = _origin(facts), dict(facts["unreadable"])
            arrays = [stored.read(facts["files"][_array(name, slice)], verify=verify) for name in _ARRAYS]
            codes = Codes(arrays[0], origin.bits)
            if len(arrays[2]) != len(codes) or (len(codes) and arrays[2][-1] != len(arrays[1])):
                raise ValueError(f"it has {len(codes)} codes and {len(arrays[2])} paths")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"shard {slice} in {printable(self.folder)} is damaged ({error}); the bitseek encode that wrote it "
                "writes it again"
            ) from error
        return Shard(self.folder, slice, origin, codes, unreadable, arrays[1], arrays[2])

    def open(self, *, verify: bool = False) -> list[Shard]:
        """All shards of the folder, in order.

        Raises:
            RunError: there are none, one is missing or damaged, or they do not belong together.
        """
        name, slices = printable(self.folder), self.slices
        if not slices:
            raise RunError(
                f"there are no shards in {name}; write them: bitseek encode RUN FOLDER --shards 4 --out {name}"
            )
        total = slices[0].total
        missing = [str(each) for each in Slice.all(total) if each not in slices]
        if missing:
            raise RunError(
                f"{len(missing)} of {total} shards in {name} are missing: {', '.join(missing[:8])}"
                f"{' …' if len(missing) > 8 else ''}; write them with bitseek encode --shard"
            )
        shards = [self.read(each, verify=verify) for each in slices]
        self.check(shards[0].origin, total)
        return shards

    def _arrays(self, slice: Slice) -> ArrayFolder:
        return ArrayFolder(self.folder, f"shard-{_place(slice)}")


def _origin(facts: Mapping[str, Any]) -> Origin:
    """What a manifest says that its shard is of.

    Raises:
        RunError: it does not say it.
    """
    try:
        return Origin(str(facts["fingerprint"]), int(facts["bits"]), str(facts["inputs"]), int(facts["listed"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the manifest of a shard does not say what it is of ({error}); write it again") from error


def _place(slice: Slice) -> str:
    return f"{slice.number:04}-of-{slice.total:04}"


def _array(name: str, slice: Slice) -> str:
    return f"{name}-{_place(slice)}"
