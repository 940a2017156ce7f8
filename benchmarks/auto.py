"""`auto` against every single method, on files of features: mAP on the queries, over seeds, and the time it takes.

    bitseek features cifar10-1 --backbone mobilenetv2_100 --size 160 --out cifar160.npz
    python benchmarks/auto.py cifar160.npz cifar100.npz mnist.npz
    python benchmarks/auto.py cifar160.npz --unlabelled

Every method is trained with the recipe that heads have by default (with --ledger FILE, a JSON that `frozen_ledger.py`
wrote, the rows of the same split count too, with the recipes chosen there), once a seed; and `auto` chooses by held-out
training items alone. It passes where its mean is not below that of the best single method by more than the noise of the
seeds: twice the standard error of the difference. With --unlabelled no label is seen, and what is compared is what the
choice is made for, the share of the ten nearest neighbours of a query that its code keeps; the mAP by labels stands
beside it, for the two do not always agree. Trials are kept in a cache, so that what was stopped goes on.

Writes benchmarks/results/auto.json, or auto_unlabelled.json.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitseek.data import Pool, Protocol, load_protocol
from bitseek.errors import BitseekError
from bitseek.evaluation import evaluate
from bitseek.training import auto, train
from bitseek.training._auto import fitting
from bitseek.training._neighbours import neighbours_kept
from frozen_ledger import read_lines
from record import RESULTS, record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="+", help="files that `bitseek features` wrote")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10.0, help="budget of the search")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--unlabelled", action="store_true", help="choose and train without labels")
    parser.add_argument("--methods", nargs="*", help="compare with these only")
    parser.add_argument(
        "--ledger", type=Path, nargs="*", default=[], help="results of frozen_ledger.py to compare with"
    )
    parser.add_argument("--cache", type=Path, default=RESULTS / "auto.jsonl", help="trials already run")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    found = [compared(file, given) for file in given.features]
    record("auto_unlabelled" if given.unlabelled else "auto", {"bits": given.bits, "data": found})


def compared(file: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Both sides on one file of features."""
    data = load_protocol(f"features:{file}")
    cache = {row["key"]: row for row in read_lines(given.cache)}
    labelled = not given.unlabelled
    seen = data if labelled else without_labels(data)

    def kept(method: str, seed: int) -> dict[str, Any]:
        what = [data.checksum[:16], method, given.bits, seed, labelled, given.minutes if method == "auto" else None]
        key = json.dumps(what)
        if key not in cache:
            cache[key] = {"key": key, **(chosen if method == "auto" else single)(method, seed)}
            with given.cache.open("a") as lines:
                lines.write(json.dumps(cache[key]) + "\n")
            print(time.strftime("%H:%M:%S"), data.name, method, seed, cache[key], flush=True)
        return cache[key]

    def single(method: str, seed: int) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            hasher = train(method, seen, bits=given.bits, seed=seed, device="cpu", weights=None)
        except BitseekError as error:
            return {"mAP": 0.0, "kept": 0.0, "seconds": 0.0, "failed": str(error)}
        return {"seconds": round(time.perf_counter() - started, 2), **measured(hasher, data)}

    def chosen(_: str, seed: int) -> dict[str, Any]:
        started = time.perf_counter()
        best = auto(seen, bits=given.bits, seed=seed, minutes=given.minutes, device="cpu", weights=None)
        seconds = round(time.perf_counter() - started, 1)
        won = {"method": best.method, "recipe": best.recipe, "trials": len(best.trials)}
        return {"seconds": seconds, **won, **measured(best.hasher, data)}

    methods = given.methods or fitting(data, labelled)
    rows = {name: [kept(name, seed) for seed in range(given.seeds)] for name in [*methods, "auto"]}
    means = {name: [row["mAP" if labelled else "kept"] for row in found] for name, found in rows.items()}
    for path in given.ledger if labelled else ():
        stored = json.loads(path.read_text())["results"]
        same = stored["protocol"]["checksum"] == data.checksum
        means |= {
            f"{row['method']} as in {path.stem}": row["mAP"]
            for row in stored["rows"]
            if same and row["bits"] == given.bits and row["method"] in methods
        }
    return verdict(data, means) | {"chosen": rows["auto"], "compared": means, "rows": rows}


def measured(hasher: Any, data: Protocol) -> dict[str, float]:
    """mAP by labels, and the share of the nearest neighbours that is kept, of the queries."""
    features: Any = data.pool.images.rows(slice(None))
    codes = hasher.encode(features)
    kept = neighbours_kept(codes[data.query], codes[data.database], features[data.query], features[data.database])
    return {"mAP": round(evaluate(hasher, data, batch_size=4096).mAP, 5), "kept": round(kept, 5)}


def verdict(data: Protocol, means: dict[str, list[float]]) -> dict[str, Any]:
    """How far `auto` is from the best single method, and whether that is more than the noise of the seeds."""
    own = means["auto"]
    best = max((name for name in means if name != "auto"), key=lambda name: np.mean(means[name]))
    difference = float(np.mean(own) - np.mean(means[best]))
    noise = 2 * sum(np.var(values, ddof=1) / len(values) for values in (own, means[best]) if len(values) > 1) ** 0.5
    passes = difference >= -noise
    print(
        f"{data.name}: auto {np.mean(own):.4f}, best single method {best} {np.mean(means[best]):.4f}, difference "
        f"{difference:+.4f}, noise {noise:.4f}: {'passes' if passes else 'FAILS'}",
        flush=True,
    )
    return {
        "protocol": data.describe(),
        "best": best,
        "difference": round(difference, 4),
        "noise": round(float(noise), 4),
        "passes": bool(passes),
    }


def without_labels(data: Protocol) -> Protocol:
    """The same items and roles, and no item with a label."""
    pool = data.pool
    return replace(data, pool=Pool(pool.images, np.full(len(pool), -1), (), pool.keys, pool.mirror, pool.name))


if __name__ == "__main__":
    main()
