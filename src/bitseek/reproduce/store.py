"""Where results are kept: one file of JSON a row and seed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bitseek
from bitseek.atomic import atomic
from bitseek.errors import BitseekError
from bitseek.reproduce.row import Row

FOLDER = "reproduce"


def results_folder() -> Path:
    """`benchmarks/results` of the checkout that bitseek runs from; elsewhere `results` in the current folder."""
    checkout = Path(bitseek.__file__).resolve().parents[2]
    return checkout / "benchmarks" / "results" if (checkout / "benchmarks").is_dir() else Path("results")


def result_path(out: Path, row: Row, seed: int) -> Path:
    """The file of a row's result."""
    return out / FOLDER / f"{row.name.replace('/', '_')}-s{seed}.json"


def write_result(out: Path, row: Row, result: Mapping[str, Any]) -> Path:
    """Keep a result, atomically; a shortened run never takes the place of one with the published recipe.

    Raises:
        BitseekError: the file cannot be written, or is a better one.
    """
    path = result_path(out, row, result["seed"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BitseekError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if before.get("published_recipe") and not result["published_recipe"]:
        raise BitseekError(f"{path} holds a result of the published recipe; give another --out for one that is not")
    with atomic(path) as part:
        part.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_results(out: Path) -> dict[str, list[dict[str, Any]]]:
    """All results in a folder, by the name of their row.

    Raises:
        BitseekError: a file there is damaged.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((out / FOLDER).glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            found.setdefault(result["row"], []).append(result)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BitseekError(f"{path} is not a result of bitseek reproduce ({error}); remove it") from error
    return found
