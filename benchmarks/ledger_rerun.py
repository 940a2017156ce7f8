"""Rows of an earlier frozen ledger trained again by today's code: the same recipes, seeds and features.

    git show 44b353a:benchmarks/results/frozen_ledger.json > before.json
    python benchmarks/ledger_rerun.py before.json cifar160.npz

All that heads have by defaults of their own today stands in the rows of these methods, so the recipe is that of then.
The features are computed anew by today's code. Writes benchmarks/results/ledger_rerun.json.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from bitseek.evaluation import evaluate
from bitseek.training import train
from frozen_ledger import SEEDS, load
from paired import noise_of_seeds
from record import record

METHODS = ("orthohash", "relahash", "hashnet", "csq")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="JSON of the earlier ledger")
    parser.add_argument("features", type=Path, help="file that `bitseek features` wrote")
    parser.add_argument("--methods", nargs="*", default=METHODS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    before, data = json.loads(given.before.read_text(encoding="utf-8")), load(given.features)
    roles = ("train", "query", "database")
    then = [before["results"]["protocol"][role] for role in roles]
    if (now := [len(getattr(data, role)) for role in roles]) != then:
        raise SystemExit(f"the split has {now} items of {', '.join(roles)}, the earlier ledger {then}")
    rows = []
    for row in before["results"]["rows"]:
        if row["method"] in given.methods:
            again = [again_with(row, data, seed) for seed in SEEDS]
            rows.append(
                {
                    "method": row["method"],
                    "bits": row["bits"],
                    "before": row["mAP"],
                    "now": [round(value, 5) for value in again],
                    "difference": round(float(np.mean(again) - np.mean(row["mAP"])), 4),
                    "noise": round(noise_of_seeds(row["mAP"], again), 4),
                }
            )
            print(rows[-1], flush=True)
    record("ledger_rerun", {"ledger": {"commit": before["commit"], "date": before["date"]}, "rows": rows})


def again_with(row: dict, data, seed: int) -> float:
    """mAP of a row's recipe with one seed."""
    recipe = row["recipe"] | {"drop_at": (row["recipe"]["drop_at"],)}
    hasher = train(row["method"], data, bits=row["bits"], seed=seed, weights=None, device="cpu", **recipe)
    return evaluate(hasher, data, batch_size=4096).mAP


if __name__ == "__main__":
    main()
