"""An index as a folder of NumPy arrays, opened memory-mapped.

    index.json            what there is, with a checksum of every block of every file, and of itself
    codes-STAMP.npy       (n, words) uint64, in the order of the ids
    gone-STAMP.npy        the mask of removed items
    planes-, ids-, starts-, first-, inner-, centres-STAMP.npy   the pruned plan

A file's stamp is the checksum of its content: what has not changed is not written again, and a file that is named in an
index.json never changes. That one is replaced last, so a kill at any moment leaves the folder as it was.

Checking a checksum means reading, and a gigabyte cannot be read in the second that opening may take. So `open` checks
sizes and headers of all files, and the checksums of all blocks of small files (those whose content the kernels use as
addresses among them), of the first and last block of large ones, and of some between, others each time. That finds
files that are cut off, mixed up or partly zeroed; every single flipped bit is found with `verify=True`.
"""

import hashlib
import json
import logging
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitseek import kernels
from bitseek.atomic import atomic
from bitseek.codes import words_per_code
from bitseek.errors import RunError

logger = logging.getLogger("bitseek.index")

_VERSION = 1
_BLOCK = 1 << 20
_READ_WHOLE = 64 << 20
_BLOCKS_BETWEEN = 16
_MANIFEST = "index.json"
_SHELLS = ("centres", "first", "inner", "starts", "planes", "ids")


@dataclass(frozen=True)
class Stored:
    """What was in a folder: codes, mask of removed items, and the pruned plan if there was an undamaged one."""

    bits: int
    words: np.ndarray
    gone: np.ndarray
    shells: "kernels.pruned.Shells | None"
    covered: int


def save(
    folder: Path, bits: int, words: np.ndarray, gone: np.ndarray, shells: "kernels.pruned.Shells | None", covered: int
) -> None:
    """Write an index; what the folder held before stays readable until the last moment.

    Raises:
        BitseekError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    arrays = {"codes": words, "gone": gone}
    if shells is not None:
        arrays |= {name: getattr(shells, name) for name in _SHELLS}
    files = {name: _write(folder, name, array) for name, array in arrays.items()}
    manifest: dict[str, Any] = {
        "format": "bitseek index",
        "version": _VERSION,
        "bits": bits,
        "size": len(words),
        "covered": covered,
        "files": files,
    }
    manifest["sum"] = _sum(json.dumps(manifest, sort_keys=True).encode())
    with atomic(folder / _MANIFEST) as part:
        part.write_text(json.dumps(manifest, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    _sync(folder)
    needed = {entry["name"] for entry in files.values()}
    for path in folder.iterdir():
        ours = path.name.split("-")[0].removeprefix(".") in (*_SHELLS, "codes", "gone")
        if ours and path.name not in needed and path.suffix in (".npy", ".part"):
            path.unlink(missing_ok=True)


def open_folder(folder: Path, verify: bool) -> Stored:
    """Read what `save` wrote.

    Args:
        folder: where it is.
        verify: whether to read everything and compare all checksums, rather than a part.

    Raises:
        RunError: there is no index, or its codes are damaged. Damage to the pruned plan is only logged.
    """
    manifest = _manifest(folder)
    bits, size, files = manifest["bits"], manifest["size"], manifest["files"]
    again = f"restore {folder} from a copy, or make the index again from the codes"
    try:
        words = _read(folder, files["codes"], verify)
        gone = np.array(_read(folder, files["gone"], verify))
        if words.shape != (size, words_per_code(bits)) or words.dtype != np.uint64 or gone.dtype != np.uint64:
            raise ValueError(f"codes are {words.shape} {words.dtype}")
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"the index in {folder} is damaged ({error}); {again}") from error
    shells = None
    if "planes" in files:
        try:
            shells = kernels.pruned.Shells(bits, *(_read(folder, files[name], verify) for name in _SHELLS))
        except (OSError, ValueError, KeyError) as error:
            logger.warning("the clusters of the index in %s are damaged (%s) and will be made again", folder, error)
    return Stored(bits, words, gone, shells, manifest["covered"] if shells else 0)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        checksum = manifest.pop("sum")
        if manifest.get("format") != "bitseek index" or checksum != _sum(json.dumps(manifest, sort_keys=True).encode()):
            raise ValueError("its checksum is wrong")
    except FileNotFoundError as error:
        raise RunError(f"there is no index in {folder}: no {_MANIFEST}") from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RunError(f"{folder / _MANIFEST} is damaged ({error}); restore it or make the index again") from error
    if manifest["version"] != _VERSION:
        raise RunError(
            f"the index in {folder} has format {manifest['version']}, this bitseek reads format {_VERSION}; "
            "make it again from the codes, or use the bitseek that wrote it"
        )
    return manifest


def _write(folder: Path, name: str, array: np.ndarray) -> dict[str, Any]:
    """Write an array unless it is there already, undamaged; its name, size and checksums."""
    array = np.ascontiguousarray(array)
    sums = [_sum(block) for block in _blocks(array)]
    described = f"{array.dtype.str} {array.shape}"
    file = f"{name}-{_sum((described + ''.join(sums)).encode())}.npy"
    entry: dict[str, Any] = {"name": file, "array": described, "sums": sums}
    target = folder / file
    try:
        entry["bytes"] = target.stat().st_size
        _read(folder, entry, verify=True)
    except (OSError, ValueError):
        with atomic(target) as part, part.open("wb") as out:
            np.lib.format.write_array(out, array, allow_pickle=False)
        entry["bytes"] = target.stat().st_size
    return entry


def _read(folder: Path, entry: dict[str, Any], verify: bool) -> np.ndarray:
    """Memory-map an array and check it.

    Raises:
        ValueError: it is not what was written.
    """
    path = folder / entry["name"]
    if path.stat().st_size != entry["bytes"]:
        raise ValueError(f"{entry['name']} has {path.stat().st_size} bytes instead of {entry['bytes']}")
    empty = " (0," in entry["array"] or ", 0)" in entry["array"]
    array: np.ndarray = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    if f"{array.dtype.str} {array.shape}" != entry["array"]:
        raise ValueError(f"{entry['name']} holds {array.dtype.str} {array.shape} instead of {entry['array']}")
    array = array.view(np.ndarray)
    last = len(entry["sums"]) - 1
    chosen = set(range(last + 1))
    if not verify and array.nbytes > _READ_WHOLE:
        chosen = {0, last, *random.sample(range(1, last), min(_BLOCKS_BETWEEN, last - 1))}
    flat = array.reshape(-1)
    step = _BLOCK // array.itemsize
    for i in sorted(chosen):
        if _sum(flat[i * step : (i + 1) * step]) != entry["sums"][i]:
            raise ValueError(f"the content of {entry['name']} is not what was written")
    return array


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    flat = array.reshape(-1)
    step = _BLOCK // array.itemsize
    return (flat[start : start + step] for start in range(0, flat.size, step))


def _sum(block: bytes | np.ndarray) -> str:
    return hashlib.blake2b(block.data if isinstance(block, np.ndarray) else block, digest_size=8).hexdigest()


def _sync(folder: Path) -> None:
    """Make the names in a folder last, where a system lets folders be synchronised."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
