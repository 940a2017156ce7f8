"""Arrays in a folder, opened memory-mapped: what `HammingIndex.save` and `save_clusters` write.

    KIND.json             facts and, of every array, its file, type, shape and a checksum of every block; and of itself
    NAME-STAMP.npy        the arrays
    KIND.files.json       the files that bitseek wrote or is about to write here; no others are deleted or replaced

A file's stamp is the checksum of its content: what has not changed is not written again, and a file that is named in a
KIND.json never changes. That one is replaced last, so a kill at any moment leaves the arrays as they were, and the next
`write` removes what the killed one left. An array that is mapped from a file of the folder is not copied: it stays
where it is, or its file is renamed. So what is larger than the memory is written to a file first (`scratch`).

Checking a checksum means reading, and a gigabyte cannot be read in the second that opening may take. So `read` checks
sizes and headers of all files, and the checksums of all blocks of small files (those whose content the kernels use as
addresses among them), of the first and last block of large ones, and of some between, others each time. That finds
files that are cut off, mixed up or partly zeroed; every single flipped bit is found with `verify=True`.
"""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bitseek._files import OwnedFiles, read_json, write_json, write_npy
from bitseek.errors import BitseekError, RunError
from bitseek.kernels.threads import spread

_VERSION = 2
"""Version 2 has codes in several blocks, and clusters in several segments."""

_BLOCK = 1 << 20
_READ_WHOLE = 64 << 20
_BLOCKS_BETWEEN = 16


class ArrayFolder:
    """Arrays of one kind in a folder, where those of another kind and other files may be, too.

    Args:
        folder: where they are; need not exist.
        kind: `index` or another word; also the name of the manifest.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.manifest = folder / f"{kind}.json"
        self._owned = OwnedFiles(folder, f"{kind}.files.json")

    def write(self, arrays: Mapping[str, np.ndarray], **facts: Any) -> None:
        """Write arrays and facts; what the folder held before stays readable until the last moment.

        Raises:
            BitseekError: the folder cannot be written, or holds files by the same names that bitseek did not write.
        """
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        known, own = self._known(), self._owned.names
        lies_in = {name: self._file_of(array, own) for name, array in contiguous.items()}
        files = {name: known.get(lies_in[name]) or _described(name, array) for name, array in contiguous.items()}
        needed = {self.manifest.name, *(entry["name"] for entry in files.values())}
        self._owned.add(needed)
        for name, entry in files.items():
            if lies_in[name] not in known:
                self._write(entry, contiguous[name], lies_in[name])
        manifest = {"format": f"bitseek {self.kind}", "version": _VERSION, **facts, "files": files}
        write_json(self.manifest, manifest | {"sum": _sum(json.dumps(manifest, sort_keys=True).encode())})
        self._owned.remove(self._owned.names - needed)

    def scratch(self, name: str) -> Path:
        """A file of this name to write an array to, piece by piece; it is deleted by the next `write` of others.

        Raises:
            BitseekError: it is there, and bitseek did not write it.
        """
        self._owned.add({name})
        return self.folder / name

    def remove(self) -> None:
        """Delete all arrays, the manifest, and the record of the files."""
        self._owned.remove()

    def facts(self) -> dict[str, Any]:
        """The manifest: the facts that were written, and as `files` what `read` takes.

        Raises:
            RunError: there is none, or it is damaged, or of another version of bitseek.
        """
        if not self.manifest.exists():
            raise RunError(f"there is no {self.kind} in {self.folder}: no {self.manifest.name}")
        try:
            manifest: dict[str, Any] = read_json(self.manifest)
            checksum = manifest.pop("sum")
            right = checksum == _sum(json.dumps(manifest, sort_keys=True).encode())
            if manifest.get("format") != f"bitseek {self.kind}" or not right:
                raise BitseekError(f"{self.manifest} is not one that bitseek wrote, or its content was changed")
            version = manifest["version"]
        except (BitseekError, KeyError, AttributeError, TypeError) as error:
            raise RunError(
                f"there is no readable {self.kind} in {self.folder}: {error}; restore it or make it again"
            ) from error
        if version not in range(1, _VERSION + 1):
            raise RunError(
                f"the {self.kind} in {self.folder} has format {version}, this bitseek reads formats 1 to {_VERSION}; "
                "make it again from the codes, or use the bitseek that wrote it"
            )
        return manifest

    def read(self, entry: Mapping[str, Any], *, verify: bool, among: int = 1) -> np.ndarray:
        """Memory-map an array and check it.

        Args:
            entry: of the manifest's `files`.
            verify: whether to compare all checksums, rather than some.
            among: how many arrays share the work of checking blocks that are neither first nor last.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not what was written.
        """
        path = self.folder / Path(entry["name"]).name
        empty = " (0," in entry["array"] or ", 0)" in entry["array"]
        array: np.ndarray
        if empty:
            with path.open("rb") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        else:
            array = np.lib.format.open_memmap(path, mode="r")
        if f"{array.dtype.str} {array.shape}" != entry["array"]:
            raise ValueError(f"{path.name} holds {array.dtype.str} {array.shape} instead of {entry['array']}")
        array = array.view(np.ndarray)
        if not has_sums(array, entry["sums"], verify=verify, among=among):
            raise ValueError(f"the content of {path.name} is not what was written")
        return array

    def _known(self) -> dict[str | None, dict[str, Any]]:
        """The entries of the manifest's `files`, by the name of the file; none if there is no manifest to read."""
        try:
            return {entry["name"]: entry for entry in self.facts()["files"].values()}
        except (RunError, KeyError, TypeError, AttributeError):
            return {}

    def _file_of(self, array: np.ndarray, own: set[str]) -> str | None:
        """Name of our own file that an array is mapped from, as a whole; None if there is none."""
        mapped: Any = array
        while mapped is not None and not isinstance(mapped, np.memmap):
            mapped = getattr(mapped, "base", None)
        source = None if mapped is None else mapped.filename
        path = self.folder / Path(source or "").name
        if source is None or path.name not in own:
            return None
        try:
            if not path.samefile(source):
                return None
            there = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError):
            return None
        return path.name if there.shape == array.shape and there.dtype == array.dtype else None

    def _write(self, entry: Mapping[str, Any], array: np.ndarray, lies_in: str | None) -> None:
        """Write an array unless it is there already, undamaged; or rename the file that it lies in."""
        target = self.folder / entry["name"]
        if lies_in is not None:
            with suppress(OSError):  # it is copied instead
                (self.folder / lies_in).replace(target)
                return
        try:
            self.read(entry, verify=True)
        except (OSError, ValueError):
            write_npy(target, array)


def sums(array: np.ndarray) -> list[str]:
    """Checksum of every block of a C-contiguous array."""
    blocks = list(_blocks(array))
    found = [""] * len(blocks)

    def work(start: int, stop: int) -> None:
        found[start:stop] = map(_sum, blocks[start:stop])

    spread(work, len(blocks), grain=16)
    return found


def has_sums(array: np.ndarray, expected: list[str], *, verify: bool, among: int = 1) -> bool:
    """Whether these are the checksums of an array's blocks; of a large array some are compared, unless `verify`."""
    last = len(expected) - 1
    blocks = list(_blocks(array))
    if len(blocks) != last + 1:
        return False
    chosen: Iterable[int] = range(last + 1)
    if not verify and array.nbytes > _READ_WHOLE:
        chosen = {0, last, *random.sample(range(1, last), min(-(-_BLOCKS_BETWEEN // among), last - 1))}
    return all(_sum(blocks[i]) == expected[i] for i in chosen)


def _described(name: str, array: np.ndarray) -> dict[str, Any]:
    """Name, type, shape and checksums of an array's file."""
    described, blocks = f"{array.dtype.str} {array.shape}", sums(array)
    stamp = _sum((described + "".join(blocks)).encode())
    return {"name": f"{name}-{stamp}.npy", "array": described, "sums": blocks}


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    flat = array.reshape(-1)
    step = _BLOCK // array.itemsize
    return (flat[start : start + step] for start in range(0, flat.size, step))


def _sum(block: bytes | np.ndarray) -> str:
    return hashlib.blake2b(block.data if isinstance(block, np.ndarray) else block, digest_size=8).hexdigest()
