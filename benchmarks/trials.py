"""What a benchmark has measured, kept so that one that was stopped goes on where it was; and the trials of a ledger."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bitseek.data import Protocol
from bitseek.evaluation import Report
from paired import ranks

Found = tuple[dict[str, Any], np.ndarray | None]
"""What is told of a trial, `mAP` and `seconds` among it; and the average precision of each query if it was measured."""


SILENT = ("key", "split", "features", "diagnostics", "compared")
"""What is not told of a row."""


class NotRunError(Exception):
    """A trial is asked for that is not in the cache of a ledger that runs none."""


class Rows:
    """Rows that were measured, each once, in a file of JSON lines.

    Args:
        file: to which a row is added when it was measured.
        others: files of other processes, which are read as well.

    Raises:
        SystemExit: a file has rows without a key.
    """

    def __init__(self, file: Path, others: Iterable[Path] = ()) -> None:
        self.file = file
        self.rows: dict[str, dict[str, Any]] = {}
        for each in [*others, file]:
            rows = read_lines(each, mend=each == file)
            if any("key" not in row for row in rows):
                raise SystemExit(f"{each} is of another format: move it away, and all is measured anew")
            self.rows |= {row["key"]: row for row in rows}

    def find(self, what: Mapping[str, Any], measure: Callable[[], dict[str, Any]], key: str = "") -> dict[str, Any]:
        """The row of this key; measured now if it was not before, and told.

        Args:
            what: it is of, which stands in it.
            measure: gives the rest of it.
            key: by default all of `what`.
        """
        key = key or json.dumps(what, sort_keys=True)
        if key not in self.rows:
            self.rows[key] = {"key": key, **what, **measure()}
            with self.file.open("a") as lines:
                lines.write(json.dumps(self.rows[key]) + "\n")
            told = (str(value) for name, value in self.rows[key].items() if name not in SILENT)
            print(time.strftime("%H:%M:%S"), *told, flush=True)
        return self.rows[key]


class Trials(Rows):
    """Trials with the average precision of each query, in a folder that several processes share.

    Args:
        folder: of JSON lines, and of a file of average precisions for each trial.
        name: which trials these are.
        part: name of the process; it writes its own lines and reads those of all.
        runs: whether a trial that is not there is run; else it is a `NotRunError`.
    """

    def __init__(self, folder: Path, name: str, part: str = "1of1", *, runs: bool = True) -> None:
        (folder / "ap").mkdir(parents=True, exist_ok=True)
        super().__init__(folder / f"{name}-{part}.jsonl", sorted(folder.glob(f"{name}-*.jsonl")))
        self.folder, self.name, self.runs = folder, name, runs

    def trial_of(self, key: str, what: Mapping[str, Any], run: Callable[[], Found]) -> dict[str, Any]:
        """The trial of this key; run now if it was not before, and kept with what it is of."""

        def measure() -> dict[str, Any]:
            if not self.runs:
                raise NotRunError
            found, precisions = run()
            if precisions is not None:
                np.save(self.folder / "ap" / f"{key}.npy", precisions.astype(np.float32))
            return found

        return self.find({"data": self.name, **what}, measure, key)

    def training_of(self, key: str, what: Mapping[str, Any], run: Callable[[Path], Found]) -> dict[str, Any]:
        """The trial of this key, whose training goes on where it was stopped.

        Args:
            key, what: see `trial_of`.
            run: trains in a run folder, or goes on in it; the folder is removed once the row is kept.
        """
        folder = self.folder / "runs" / key
        found = self.trial_of(key, what, lambda: run(folder))
        shutil.rmtree(folder, ignore_errors=True)
        return found

    def precisions(self, row: Mapping[str, Any]) -> np.ndarray:
        """Average precision of each query in a trial, (Q,)."""
        precisions: np.ndarray = np.load(self.folder / "ap" / f"{row['key']}.npy")
        return precisions

    def ranks(self, methods: Sequence[Sequence[dict[str, Any]]]) -> list[list[int]]:
        """Of each of N methods, given by the trials of its seeds: the first and the last place that it can have."""
        return [
            list(places) for places in ranks([np.stack([self.precisions(row) for row in rows]) for rows in methods])
        ]


def split_of(data: Protocol) -> dict[str, str]:
    """What tells the rows of a protocol on features from those of another one, or of other features."""
    return {"data": data.name, "split": data.checksum[:16], "features": digest_of_features(data)[:16]}


def digest_of_features(data: Protocol) -> str:
    """Of those of the queries."""
    return digest(np.ascontiguousarray(data.pool.images.rows(data.query)).tobytes())


def figures(report: Report) -> dict[str, Any]:
    """What is kept of a report, rounded."""
    diagnostics = {name: value if value is None else round(value, 4) for name, value in report.diagnostics.items()}
    return {"mAP": round(report.mAP, 5), "diagnostics": diagnostics}


def over_seeds(trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One method with one recipe: mAP of each seed, its mean and spread, and the mean of the diagnostics."""
    values = [trial["mAP"] for trial in trials]
    names = [name for name, value in trials[0]["diagnostics"].items() if value is not None]
    return {
        "mAP": values,
        "mean": round(float(np.mean(values)), 5),
        "spread": round(float(np.max(values) - np.min(values)), 5),
        "seconds": round(sum(trial["seconds"] for trial in trials) / len(trials), 2),
        "diagnostics": {n: round(float(np.mean([trial["diagnostics"][n] for trial in trials])), 4) for n in names},
    }


def read_lines(cache: Path, *, mend: bool = True) -> list[dict[str, Any]]:
    """What a cache holds; a last line that was cut by a kill is dropped, and with `mend` taken out of the file."""
    if not cache.is_file():
        return []
    whole, _, cut = cache.read_text().rpartition("\n")
    if cut and mend:
        cache.write_text(whole + "\n" if whole else "")
    return [json.loads(line) for line in whole.splitlines()]


def digest(content: bytes) -> str:
    """24 hexadecimal digits of a sha256."""
    return hashlib.sha256(content).hexdigest()[:24]
