"""One training with nested lengths against a training for each length: mAP at 16, 32 and 64 bits on frozen features.

    python benchmarks/nested_training.py cifar160.npz [cifar100.npz …] [--methods orthohash csq] [--set NAME=VALUE]

Heads by the recipe that they have by default, on the data sets and queries of the frozen ledger, with its seeds. No
choice is made here, so no item is held out. One thread. A row is a method on a data set, with what `--set` changed in
both sides and `--nested` in the nested one alone. Rows that are in the file stay there and are not run again.

Writes benchmarks/results/nested_training.json: for each length the mAP of the nested training less that of the separate
one, each a mean over the seeds, and the spread of either.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitseek.data import Protocol
from bitseek.evaluation import evaluate
from bitseek.methods import METHODS
from bitseek.training import train
from frozen_ledger import SEEDS, load
from record import RESULTS, record

LENGTHS = (16, 32, 64)
TARGET = 0.01
METHODS_FIRST = ("orthohash", "csq", "hashnet", "shc", "dpn", "relahash", "jmlh", "dhd", "mds", "hyp2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="+", help="files that `bitseek features` wrote, one a data set")
    parser.add_argument("--methods", nargs="*", default=METHODS_FIRST, choices=list(METHODS))
    parser.add_argument("--set", nargs="*", default=[], help="hyper-parameters of both sides, NAME=VALUE")
    parser.add_argument("--nested", nargs="*", default=[], help="hyper-parameters of the nested training, NAME=VALUE")
    given = parser.parse_args()
    torch.set_num_threads(1)
    both, nested = (dict(pair.split("=", 1) for pair in pairs) for pairs in (given.set, given.nested))
    file = RESULTS / "nested_training.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["results"]["rows"] if file.exists() else []
    for data in map(load, given.features):
        for method in given.methods:
            what = {"data": data.name, "method": method, "set": both, "nested": nested}
            if any(what == {name: row[name] for name in what} for row in rows):
                continue
            rows.append(what | compare(data, method, both, nested))
            show(rows[-1])
            record("nested_training", {"lengths": LENGTHS, "seeds": SEEDS, "target": TARGET, "rows": rows})


def compare(data: Protocol, method: str, both: dict[str, str], nested: dict[str, str]) -> dict[str, Any]:
    """A nested training and one for each length, with every seed: mAP of both by length, and processor seconds."""
    found: dict[str, list[dict[int, float]]] = {"nested": [], "separate": []}
    seconds = dict.fromkeys(found, 0.0)
    for seed in SEEDS:
        started = time.process_time()
        whole = train(method, data, bits=LENGTHS[-1], seed=seed, device="cpu", lengths=LENGTHS[:-1], **both, **nested)
        seconds["nested"] += time.process_time() - started
        reports = evaluate(whole, data, batch_size=4096).by_length
        found["nested"].append({bits: reports[bits].mAP for bits in LENGTHS})
        separate = {}
        for bits in LENGTHS:
            started = time.process_time()
            alone = train(method, data, bits=bits, seed=seed, device="cpu", **both)
            seconds["separate"] += time.process_time() - started
            separate[bits] = evaluate(alone, data, batch_size=4096).mAP
        found["separate"].append(separate)
    values = {side: {bits: [run[bits] for run in runs] for bits in LENGTHS} for side, runs in found.items()}
    difference = {bits: float(np.mean(values["nested"][bits]) - np.mean(values["separate"][bits])) for bits in LENGTHS}
    return {
        "mAP": {side: {str(n): [round(v, 5) for v in own] for n, own in each.items()} for side, each in values.items()},
        "difference": {str(bits): round(value, 4) for bits, value in difference.items()},
        "spread": {side: {str(n): round(max(own) - min(own), 4) for n, own in v.items()} for side, v in values.items()},
        "within": {str(bits): value >= -TARGET for bits, value in difference.items()},
        "seconds": {side: round(taken / len(SEEDS), 2) for side, taken in seconds.items()},
    }


def show(row: dict[str, Any]) -> None:
    lengths = ", ".join(
        f"{bits}: {np.mean(row['mAP']['nested'][bits]):.3f} against {np.mean(row['mAP']['separate'][bits]):.3f} "
        f"({row['difference'][bits]:+.4f})"
        for bits in map(str, LENGTHS)
    )
    taken = f"{row['seconds']['nested']} s and {row['seconds']['separate']} s a seed"
    print(f"{row['data']} {row['method']} {row['set']} {row['nested']}: {lengths}; {taken}", flush=True)


if __name__ == "__main__":
    main()
