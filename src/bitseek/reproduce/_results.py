"""Where results are kept: one file of JSON for each row and seed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bitseek
from bitseek._files import read_json, write_json
from bitseek.errors import BitseekError
from bitseek.reproduce._rows import Row

FOLDER = "reproduce"


def results_folder() -> Path:
    """`benchmarks/results` of the checkout that bitseek runs from; elsewhere `results` in the current folder."""
    checkout = Path(bitseek.__file__).resolve().parents[2]
    return checkout / "benchmarks" / "results" if (checkout / "benchmarks").is_dir() else Path("results")


def result_path(out: Path, row: Row, seed: int) -> Path:
    """The file of a row's result."""
    return out / FOLDER / f"{row.name.replace('/', '_')}-s{seed}.json"


def write_result(out: Path, row: Row, result: Mapping[str, Any]) -> Path:
    """Keep a result, atomically; one of a changed recipe, or a failed one, never replaces a better one.

    Raises:
        BitseekError: the file cannot be written, or holds a better result.
    """
    path = result_path(out, row, result["seed"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BitseekError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    if path.exists():
        before = _read(path)
        if _worth(result) < _worth(before):
            what = "of the published recipe" if before["published_recipe"] else "that was measured"
            raise BitseekError(f"{path} holds a result {what}, which this one is not; give another --out for it")
    write_json(path, result)
    return path


def read_results(out: Path) -> dict[str, list[dict[str, Any]]]:
    """All results in a folder, by the name of their row.

    Raises:
        BitseekError: a file there is damaged.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((out / FOLDER).glob("*.json")):
        result = _read(path)
        found.setdefault(result["row"], []).append(result)
    return found


def _worth(result: Mapping[str, Any]) -> tuple[bool, bool]:
    return bool(result["published_recipe"]), result["status"] == "measured"


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = read_json(path)
        if not {"row", "status", "published_recipe"} <= result.keys():
            raise BitseekError("it has no row, status or recipe")
    except (BitseekError, AttributeError) as error:
        raise BitseekError(f"{path} is not a result of bitseek reproduce ({error}); remove it") from error
    return result
