"""The run folder: what one training leaves behind.

```
config.json         RunConfig: everything needed to repeat the run and to measure it
model.safetensors   hasher.* (backbone and head), method.* (codebook, classifier, memory), run.* (training items)
metrics.jsonl       one line an epoch
report.json         the last evaluation on the run's own split
README.md           a model card
auto.json           what was tried before, where method and recipe were chosen by a search
checkpoint/         from which a killed run resumes; removed when the run is complete
```
Every file is written whole or not at all, and no file is unpickled.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bitseek._files import atomic, read_json, user_path, write_json
from bitseek.errors import BitseekError, RunError
from bitseek.models import digest_of, rank
from bitseek.runs._card import CARD, MARK, model_card
from bitseek.runs._config import FILE, RunConfig

MODEL, METRICS, REPORT, CHECKPOINT = "model.safetensors", "metrics.jsonl", "report.json", "checkpoint"
SEARCH = "auto.json"


def make_run_folder(folder: Path, config: RunConfig | None = None, fingerprint: str | None = None) -> None:
    """Make a folder for a run, unless it is one already.

    Args:
        folder: of the run.
        config: of the run, which must be the one that the folder holds if it holds one; any if None.
        fingerprint: of the hasher that will be written, which must be that of a finished run; any if None.

    Raises:
        RunError: it holds another run or something else, or cannot be made.
    """
    if (folder / FILE).is_file():
        there = RunConfig.read(folder)
        differing = there.differing(config) if config is not None else []
        if differing:
            raise RunError(f"{folder} holds another run (its {differing[0]} is another); give another folder")
        if there.complete and fingerprint not in (None, there.fingerprint):
            raise RunError(f"{folder} holds the hasher of this run as it was trained; give another folder")
    elif folder.exists() and (not folder.is_dir() or any(entry.name != SEARCH for entry in folder.iterdir())):
        raise RunError(f"{folder} exists and is not a run; give another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror}") from error


def write_model(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the tensors of a run with a digest of all of them, atomically."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic(folder / MODEL) as part:
        part.write_bytes(save(plain, metadata={"digest": digest_of(plain)}))  # save_file makes it private to its owner


def read_model(folder: Path) -> dict[str, Tensor]:
    """The tensors of a run, after their digest was checked.

    Raises:
        RunError: there are none yet, or the file is damaged.
    """
    path = folder / MODEL
    if not path.is_file():
        raise RunError(
            f"the run {folder} has no {MODEL}: its training was not finished; go on with: bitseek train --resume"
        )
    try:
        content = path.read_bytes()  # safetensors itself opens no path that is not UTF-8
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        digest = header.get("__metadata__", {}).get("digest")
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}; restore it from a copy, or train again") from error
    if digest != digest_of(tensors):
        raise RunError(
            f"{path} is damaged: its content is not what was written; restore it from a copy, or train again"
        )
    return tensors


def read_history(folder: str | Path) -> list[dict[str, Any]]:
    """What a training logged after each epoch; a line that a kill has cut is left out."""
    path = user_path(folder) / METRICS
    history = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "epoch" in record:
            history.append(record)
    return history


def read_report(folder: str | Path) -> dict[str, Any] | None:
    """The last evaluation on the run's own split; None if there is none.

    Raises:
        RunError: something else is in the file.
    """
    path = user_path(folder) / REPORT
    if not path.is_file():
        return None
    report = read_json(path)
    if not isinstance(report, dict) or not isinstance(report.get("levels"), dict):
        raise RunError(f"{path} is not the report of an evaluation; remove it, and measure the run again")
    return report


def keep_report(folder: str | Path, report: Mapping[str, Any]) -> None:
    """Keep an evaluation on the run's own split, as `Report.to_json` gives it, and write the card anew.

    Of several ranks only the first one writes.
    """
    if not isinstance(report.get("levels"), dict):
        raise RunError("a run keeps the report of an evaluation (Report.to_json()), which has levels")
    if rank() == 0:
        write_json(user_path(folder) / REPORT, report)
        write_card(user_path(folder))


def write_card(folder: Path) -> None:
    """Write the model card, unless somebody has written one of their own (without our first line)."""
    path = folder / CARD
    if path.is_file() and not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        return
    config, report = RunConfig.read(folder), None
    with suppress(BitseekError):  # a damaged report is none
        report = read_report(folder)
    if report is not None and report.get("fingerprint") != config.fingerprint:
        report = None  # of other weights
    with atomic(path) as part:
        part.write_bytes(model_card(config, report, folder.name).encode("utf-8", "backslashreplace"))
