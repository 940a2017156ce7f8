"""An index as a folder of NumPy arrays, opened memory-mapped.

    index.json            what there is, with a checksum of every block of every file, and of itself
    codes-STAMP.npy       (n, words) uint64, in the order of the ids
    gone-STAMP.npy        the mask of removed items
    planes-, ids-, starts-, first-, inner-, centres-STAMP.npy   the clusters
    index.files.json      the files that bitseek wrote or is about to write here; no others are deleted or replaced

A file's stamp is the checksum of its content: what has not changed is not written again, and a file that is named in an
index.json never changes. That one is replaced last, so a kill at any moment leaves the index as it was, and the next
`save` removes what the killed one left.

Checking a checksum means reading, and a gigabyte cannot be read in the second that opening may take. So `read` checks
sizes and headers of all files, and the checksums of all blocks of small files (those whose content the kernels use as
addresses among them), of the first and last block of large ones, and of some between, others each time. That finds
files that are cut off, mixed up or partly zeroed; every single flipped bit is found with `verify=True`.
"""

import hashlib
import json
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitseek._files import OwnedFiles, atomic, read_json, write_json
from bitseek.codes import words_per_code
from bitseek.errors import BitseekError, RunError
from bitseek.kernels.layout import Shells

logger = logging.getLogger("bitseek.index")

_VERSION = 1
_BLOCK = 1 << 20
_READ_WHOLE = 64 << 20
_BLOCKS_BETWEEN = 16
_MANIFEST, _OWNED = "index.json", "index.files.json"
_SHELLS = ("centres", "first", "inner", "starts", "planes", "ids")


@dataclass(frozen=True)
class Stored:
    """What is in a folder: codes, mask of removed items, and the clusters of the first `covered` ids, if any."""

    bits: int
    words: np.ndarray
    gone: np.ndarray
    shells: Shells | None
    covered: int


def save(folder: Path, index: Stored) -> None:
    """Write an index; what the folder held before stays readable until the last moment.

    Raises:
        BitseekError: the folder cannot be written, or holds files by the same names that bitseek did not write.
    """
    arrays = {"codes": index.words, "gone": index.gone}
    if index.shells is not None:
        arrays |= {name: getattr(index.shells, name) for name in _SHELLS}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    files = {name: _described(name, array) for name, array in arrays.items()}
    needed = {_MANIFEST, *(entry["name"] for entry in files.values())}
    owned = OwnedFiles(folder, _OWNED)
    owned.add(needed)
    for name, entry in files.items():
        _write(folder, entry, arrays[name])
    manifest: dict[str, Any] = {
        "format": "bitseek index",
        "version": _VERSION,
        "bits": index.bits,
        "size": len(index.words),
        "covered": index.covered,
        "files": files,
    }
    write_json(folder / _MANIFEST, manifest | {"sum": _sum(json.dumps(manifest, sort_keys=True).encode())})
    owned.remove(owned.names - needed)


def read(folder: Path, verify: bool) -> Stored:
    """Read what `save` wrote.

    Args:
        folder: where it is.
        verify: whether to read everything and compare all checksums, rather than a part.

    Raises:
        RunError: there is no index, or its codes are damaged. Damage to the pruned plan is only logged.
    """
    manifest = _manifest(folder)
    bits, size, files = manifest["bits"], manifest["size"], manifest["files"]
    try:
        words = _read(folder, files["codes"], verify)
        gone = np.array(_read(folder, files["gone"], verify))
        if words.shape != (size, words_per_code(bits)) or words.dtype != np.uint64 or gone.dtype != np.uint64:
            raise ValueError(f"codes are {words.shape} {words.dtype}")
    except (OSError, ValueError, KeyError) as error:
        advice = f"restore {folder} from a copy, or make the index again from the codes"
        raise RunError(f"the index in {folder} is damaged ({error}); {advice}") from error
    shells = None
    if "planes" in files:
        try:
            shells = Shells(bits, *(_read(folder, files[name], verify) for name in _SHELLS)).frozen()
        except (OSError, ValueError, KeyError) as error:
            logger.warning("the clusters of the index in %s are damaged (%s) and will be made again", folder, error)
    return Stored(bits, words, gone, shells, manifest["covered"] if shells else 0)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    if not path.exists():
        raise RunError(f"there is no index in {folder}: no {_MANIFEST}")
    try:
        manifest: dict[str, Any] = read_json(path)
        checksum = manifest.pop("sum")
        if manifest.get("format") != "bitseek index" or checksum != _sum(json.dumps(manifest, sort_keys=True).encode()):
            raise BitseekError(f"{path} is not an index.json of bitseek, or its content was changed")
        version = manifest["version"]
    except (BitseekError, KeyError, AttributeError, TypeError) as error:
        raise RunError(
            f"there is no readable index in {folder}: {error}; restore it or make the index again"
        ) from error
    if version != _VERSION:
        raise RunError(
            f"the index in {folder} has format {version}, this bitseek reads format {_VERSION}; "
            "make it again from the codes, or use the bitseek that wrote it"
        )
    return manifest


def _described(name: str, array: np.ndarray) -> dict[str, Any]:
    """Name, type, shape and checksums of an array's file."""
    sums = [_sum(block) for block in _blocks(array)]
    described = f"{array.dtype.str} {array.shape}"
    return {"name": f"{name}-{_sum((described + ''.join(sums)).encode())}.npy", "array": described, "sums": sums}


def _write(folder: Path, entry: dict[str, Any], array: np.ndarray) -> None:
    """Write an array unless it is there already, undamaged."""
    try:
        _read(folder, entry, verify=True)
    except (OSError, ValueError):
        with atomic(folder / entry["name"]) as part, part.open("wb") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)


def _read(folder: Path, entry: dict[str, Any], verify: bool) -> np.ndarray:
    """Memory-map an array and check it.

    Raises:
        ValueError: it is not what was written.
    """
    path = folder / Path(entry["name"]).name
    empty = " (0," in entry["array"] or ", 0)" in entry["array"]
    array: np.ndarray = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    if f"{array.dtype.str} {array.shape}" != entry["array"]:
        raise ValueError(f"{path.name} holds {array.dtype.str} {array.shape} instead of {entry['array']}")
    array = array.view(np.ndarray)
    sums, last = entry["sums"], len(entry["sums"]) - 1
    chosen = set(range(last + 1))
    if not verify and array.nbytes > _READ_WHOLE:
        chosen = {0, last, *random.sample(range(1, last), min(_BLOCKS_BETWEEN, last - 1))}
    for i, block in enumerate(_blocks(array)):
        if i in chosen and _sum(block) != sums[i]:
            raise ValueError(f"the content of {path.name} is not what was written")
    return array


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    flat = array.reshape(-1)
    step = _BLOCK // array.itemsize
    return (flat[start : start + step] for start in range(0, flat.size, step))


def _sum(block: bytes | np.ndarray) -> str:
    return hashlib.blake2b(block.data if isinstance(block, np.ndarray) else block, digest_size=8).hexdigest()
