"""An index, and the clusters of an index, as folders of arrays (see `_arrays`).

`index.json` names the codes, (n, words) uint64 in the order of the ids, the mask of removed items (`gone`), and the
clusters; `clusters.json` the clusters alone, and the checksums of the codes that they were made of.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bitseek.codes import words_per_code
from bitseek.errors import RunError
from bitseek.index._arrays import ArrayFolder, has_sums, sums
from bitseek.index._clusters import Built
from bitseek.index._database import Database
from bitseek.kernels.layout import Shells

logger = logging.getLogger("bitseek.index")

_SHELLS = ("centres", "first", "inner", "starts", "planes", "ids")
_DAMAGED = (OSError, ValueError, KeyError)


@dataclass(frozen=True)
class Stored:
    """What is in the folder of an index: codes, mask of removed items, and the clusters, if any."""

    bits: int
    words: np.ndarray
    gone: np.ndarray
    built: Built | None


def save(folder: Path, index: Stored) -> None:
    """Write an index; what the folder held before stays readable until the last moment.

    Raises:
        BitseekError: the folder cannot be written, or holds files by the same names that bitseek did not write.
    """
    arrays = {"codes": index.words, "gone": index.gone} | _shells(index.built)
    covered = 0 if index.built is None else index.built.covered
    ArrayFolder(folder, "index").write(arrays, bits=index.bits, size=len(index.words), covered=covered)


def read(folder: Path, verify: bool) -> Stored:
    """Read what `save` wrote.

    Args:
        folder: where it is.
        verify: whether to read everything and compare all checksums, rather than a part.

    Raises:
        RunError: there is no index, or its codes are damaged. Damage to the pruned plan is only logged.
    """
    stored = ArrayFolder(folder, "index")
    facts = stored.facts()
    bits, size, files = facts["bits"], facts["size"], facts["files"]
    try:
        words = stored.read(files["codes"], verify=verify)
        gone = np.array(stored.read(files["gone"], verify=verify))
        if words.shape != (size, words_per_code(bits)) or words.dtype != np.uint64 or gone.dtype != np.uint64:
            raise ValueError(f"codes are {words.shape} {words.dtype}")
    except _DAMAGED as error:
        advice = f"restore {folder} from a copy, or make the index again from the codes"
        raise RunError(f"the index in {folder} is damaged ({error}); {advice}") from error
    built = None
    if "planes" in files:
        try:
            built = Built(_read_shells(stored, facts, verify), facts["covered"], gone)
        except _DAMAGED as error:
            logger.warning("the clusters of the index in %s are damaged (%s) and will be made again", folder, error)
    return Stored(bits, words, gone, built)


def save_clusters(folder: Path, built: Built, database: Database) -> None:
    """Write clusters, so that `read_clusters` knows the codes again that they were made of."""
    arrays = {"left_out": built.gone} | _shells(built)
    codes = sums(database.first(built.covered))
    ArrayFolder(folder, "clusters").write(arrays, bits=database.bits, covered=built.covered, codes=codes)


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
            return Built(_read_shells(stored, facts, verify), facts["covered"], left_out)
        except _DAMAGED as error:
            if facts == before:  # else they may just have been replaced, so once more
                logger.warning("the clusters in %s are not used (%s) and will be made again", folder, error)
                return None


def _shells(built: Built | None) -> dict[str, np.ndarray]:
    return {} if built is None else {name: getattr(built.shells, name) for name in _SHELLS}


def _read_shells(stored: ArrayFolder, facts: Mapping[str, Any], verify: bool) -> Shells:
    arrays = (stored.read(facts["files"][name], verify=verify) for name in _SHELLS)
    return Shells(facts["bits"], *arrays).frozen()
