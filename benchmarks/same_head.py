"""Is it the loss or the head? Methods with the hidden layer of class contrast, and class contrast without it.

    python benchmarks/same_head.py cifar160.npz cifar100.npz [--methods shc mihash …] [--bits 64]

Each method of `METHODS` is trained on four fifths of the training items of the frozen ledger with the recipe that its
heads have by default, once with its own head and, with each of `RATES`, with `FRONT` in front of it, which class
contrast has by default and is trained without. The last fifth searches itself. No query is looked at. One seed, one
thread; a trial that was run is kept in a cache.

Writes benchmarks/results/same_head.json, and prints the table of docs/ledger.md.
"""

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bitseek.data import Protocol
from bitseek.evaluation import evaluate
from bitseek.methods import METHODS
from bitseek.training import train
from bitseek.training._search import FRONT
from frozen_ledger import VALIDATION, load, validation_protocol
from record import RESULTS, record
from trials import Rows, split_of

OURS = "class-contrast"
NONE = {"standardise": False, "hidden": 0}
TRIED = (OURS, "asymmetric-dsh", "shc", "dhn", "hashnet", "jmlh", "mihash", "ce", "orthohash")
RATES = (1e-3, 3e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="+", help="files that `bitseek features` wrote")
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=TRIED)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--cache", type=Path, default=RESULTS / "same_head.jsonl", help="trials already run")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cache = Rows(given.cache)
    found = []
    for data in [validation_protocol(load(file), VALIDATION) for file in given.features]:
        for method in given.methods:
            other = NONE if method == OURS else FRONT
            for change in [{}, *({**other, "lr": rate} for rate in RATES)]:
                what = {**split_of(data), "method": method, "bits": given.bits, "change": change}
                found.append(cache.find(what, partial(trial, method, data, given.bits, change)))
    record("same_head", {"bits": given.bits, "rows": found})
    print("\n".join(table(found)))


def trial(method: str, data: Protocol, bits: int, change: dict[str, Any]) -> dict[str, Any]:
    """One training and its mAP."""
    started = time.process_time()
    hasher = train(method, data, bits=bits, device="cpu", weights=None, **change)
    mAP = evaluate(hasher, data, batch_size=4096).mAP
    return {"mAP": round(mAP, 4), "seconds": round(time.process_time() - started, 1)}


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A row for each method, for each data set its own head beside the better rate of the other head."""
    names = list(dict.fromkeys(row["data"] for row in rows))
    yield "| method | " + " | ".join(f"{name}: own head, other head" for name in names) + " |"
    yield "|---|" + "---:|" * len(names)
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = []
        for name in names:
            of = [row for row in rows if (row["method"], row["data"]) == (method, name)]
            own = [row["mAP"] for row in of if not row["change"]]
            cells.append(f"{own[0]:.3f}, {max(row['mAP'] for row in of if row['change']):.3f}")
        yield f"| `{method}` | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
