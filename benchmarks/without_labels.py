"""By what to choose a head where nothing has a label: how many of the nearest by walks are kept, and the mAP by labels.

    python benchmarks/without_labels.py cifar160.npz cifar100.npz mnist.npz

`auto` chooses without labels by the mean of what is kept of the nearest eighth and of the nearest quarter, see
`bitseek.training._bench.Bench`. Here each setting of `SETTINGS` is trained on four fifths of the training items of the
frozen ledger, and the held-out fifth searches them: what is kept of the nearest, of each of `DEPTHS` of them, stands
beside the mAP by labels, which no search sees. No query is looked at. One seed, one thread; a row is kept in a cache.

Writes benchmarks/results/without_labels.json, and prints a table, of which docs/auto.md has a part.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitseek.data import Protocol
from bitseek.metrics import retrieval
from bitseek.training import train
from bitseek.training._auto import _features, _sample
from bitseek.training._bench import DEPTHS as MEASURED
from bitseek.training._bench import Bench
from frozen_ledger import load
from record import RESULTS, record
from trials import Rows, split_of

BITS = 64
DEPTHS = [1 / 16, 1 / 8, 1 / 4, 1 / 2]
"""Shares of what is searched."""
OURS = "neighbour-contrast"
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    (OURS, {}),
    (OURS, {"temperature": 0.5}),
    (OURS, {"temperature": 0.18}),
    (OURS, {"lr": 9e-3}),
    (OURS, {"lr": 2.7e-2}),
    (OURS, {"hidden": 0}),
    (OURS, {"epochs": 60}),
    ("itq", {}),
    ("bihalf-unsupervised", {}),
    ("cibhash", {}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="+", help="files that `bitseek features` wrote")
    parser.add_argument("--cache", type=Path, default=RESULTS / "without_labels.jsonl", help="rows already measured")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cache = Rows(given.cache)
    found = [row for file in given.features for row in measured(load(file), cache)]
    record("without_labels", {"bits": BITS, "rows": [{k: v for k, v in row.items() if k != "key"} for row in found]})
    print("\n".join(table(found)))


def measured(data: Protocol, cache: Rows) -> Iterator[dict[str, Any]]:
    """The rows of a data set."""
    sample = _sample(data, 0)
    bench = Bench(data, _features(data, sample, None, "cpu", None, None), BITS, 0, "cpu", labelled=False)
    fold = bench.fold(0)
    relevance = fold.relevance(fold.query, fold.database)

    def measure(method: str, change: dict[str, Any]) -> dict[str, Any]:
        hasher = train(method, fold, bits=BITS, device="cpu", **change)
        codes = hasher.encode(bench.features)
        kept = dict(zip(DEPTHS, bench.kept(codes, 0, DEPTHS), strict=True))
        return {
            "kept": {str(depth): round(share, 4) for depth, share in kept.items()},
            "measure": round(float(np.mean([kept[depth] for depth in MEASURED])), 4),
            "mAP": round(retrieval(codes[fold.query], codes[fold.database], relevance).mAP, 4),
        }

    for method, change in SETTINGS:
        what = {**split_of(data), "depths": DEPTHS, "method": method, "change": change}
        yield cache.find(what, lambda method=method, change=change: measure(method, change))


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line a setting; for each data set what is kept at each depth, the measure, and the mAP."""
    names = list(dict.fromkeys(row["data"] for row in rows))
    yield "| | " + " | ".join(f"{name}: {', '.join(map(str, DEPTHS))}, measure, mAP" for name in names) + " |"
    yield "|---|" + "---:|" * len(names)
    for method, change in SETTINGS:
        cells = []
        for name in names:
            row = next(r for r in rows if (r["data"], r["method"], r["change"]) == (name, method, change))
            cells.append(", ".join(f"{value:.3f}" for value in [*row["kept"].values(), row["measure"], row["mAP"]]))
        yield f"| `{method}` {change or ''} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
