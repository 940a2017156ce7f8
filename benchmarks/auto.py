"""`auto` against every single method, on files of features: mAP on the queries, over seeds, and the time it takes.

    python benchmarks/auto.py cifar160.npz cifar100.npz mnist.npz --ledger results/frozen_ledger_*.json --minutes 2
    python benchmarks/auto.py cifar160.npz --unlabelled

The data are those of the frozen ledger, see `frozen_ledger.load`, and its JSON gives the figures of the single methods,
each with the recipe that was chosen for it there: nothing is trained but what `auto` trains. With `--again 4` the four
best of the ledger are trained once more by these recipes, for the features of MNIST are of a network that another kind
of processor trains a little otherwise. Without `--ledger` every method is trained, with the recipe that heads have by
default, once a seed. `auto` chooses by held-out training items alone. It passes where its mean is not below that of the
best single method by more than the noise of the seeds: twice the standard error of the difference. With `--unlabelled`
no label is seen before what is chosen is measured by them, and beside the mAP stands the share of the ten nearest
neighbours of a query that its code keeps.

Writes benchmarks/results/auto.json, or auto_unlabelled.json, or auto_2_jobs.json with `--jobs 2`; with `--add` what is
there of other data sets stays. Trials are kept in a cache, so that what was stopped goes on.
"""

import argparse
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitseek.data import Pool, Protocol
from bitseek.errors import BitseekError
from bitseek.evaluation import evaluate
from bitseek.methods import METHODS
from bitseek.training import auto, train
from bitseek.training._auto import AUTO, fitting
from bitseek.training._neighbours import neighbours, neighbours_kept
from frozen_ledger import load
from paired import noise_of_seeds
from record import RESULTS, record, runs_of
from trials import Rows, split_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="+", help="files that `bitseek features` wrote")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, help="budget of a search; 10 if no budget is given")
    parser.add_argument("--trials", type=int, help="budget of a search")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="heads that a search trains at a time")
    parser.add_argument("--unlabelled", action="store_true", help="choose and train without labels")
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), help="train and compare with these")
    parser.add_argument(
        "--ledger", type=Path, nargs="*", default=[], help="results of frozen_ledger.py to compare with"
    )
    parser.add_argument(
        "--again", type=int, default=0, help="train so many of a ledger's best again, and compare with them"
    )
    parser.add_argument("--add", action="store_true", help="keep what the JSON has of other data sets")
    parser.add_argument("--cache", type=Path, default=RESULTS / "auto.jsonl", help="trials already run")
    given = parser.parse_args()
    if given.again and not given.ledger:
        parser.error("--again takes the best methods of a --ledger")
    torch.set_num_threads(given.threads)
    found = [compared(file, given) for file in given.features]
    seen = "_unlabelled" if given.unlabelled else ""
    several = f"_{given.jobs}_jobs" if given.jobs > 1 else ""
    name = f"auto{seen}{several}"
    results = {"bits": given.bits, **budget(given), "data": found}
    record(name, beside(json.loads((RESULTS / f"{name}.json").read_text("utf-8")), results) if given.add else results)


def beside(whole: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Later results with those that a JSON has of other data sets; `before` says of which runs these are.

    Raises:
        SystemExit: they are of another length or budget.
    """
    stored = whole["results"]
    for setting in later.keys() - {"data"}:
        if stored[setting] != later[setting]:
            raise SystemExit(f"--add: the JSON that is there is of {setting}={stored[setting]}, not {later[setting]}")
    names = [each["protocol"]["name"] for each in later["data"]]
    others = [each for each in stored["data"] if each["protocol"]["name"] not in names]
    return {**later, "data": others + later["data"], "before": runs_of(whole)}


def compared(file: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Both sides on one file of features."""
    data, labelled = load(file), not given.unlabelled
    seen = data if labelled else without_labels(data)
    cache = Rows(given.cache)

    def kept(method: str, seed: int, recipe: dict[str, Any]) -> dict[str, Any]:
        what = {**split_of(data), "trained": method, "bits": given.bits, "seed": seed, "labelled": labelled}
        measure = partial(chosen if method == AUTO else partial(single, method, recipe), seed)
        return cache.find(what | (budget(given) if method == AUTO else {"recipe": recipe}), measure)

    def single(method: str, recipe: dict[str, Any], seed: int) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            hasher = train(method, seen, bits=given.bits, seed=seed, device="cpu", weights=None, **recipe)
        except BitseekError as error:
            return {"mAP": 0.0, "seconds": 0.0, "failed": str(error)}
        return {"seconds": round(time.perf_counter() - started, 2), **measured(hasher, data, labelled)}

    def chosen(seed: int) -> dict[str, Any]:
        started = time.perf_counter()
        best = auto(seen, bits=given.bits, seed=seed, device="cpu", weights=None, **budget(given))
        seconds = round(time.perf_counter() - started, 1)
        won = {"method": best.method, "recipe": best.recipe, "trials": len(best.trials)}
        return {"seconds": seconds, **won, **measured(best.hasher, data, labelled)}

    fit = fitting(data, labelled)
    singles, again = from_ledger(given.ledger, data, given.bits, fit, given.again)
    trained = (fit if given.methods is None else given.methods) if given.methods or not singles else []
    recipes: dict[str, dict[str, Any]] = {method: {} for method in trained} | again | {AUTO: {}}
    rows = {name: [kept(name, seed, recipe) for seed in range(given.seeds)] for name, recipe in recipes.items()}
    means = singles | {name: [row["mAP"] for row in found] for name, found in rows.items()}
    return verdict(data, means) | {"chosen": rows["auto"], "compared": means, "rows": rows}


def budget(given: argparse.Namespace) -> dict[str, Any]:
    """What a search may use."""
    return {"minutes": given.minutes, "trials": given.trials, "jobs": given.jobs}


def from_ledger(
    ledgers: list[Path], data: Protocol, bits: int, methods: list[str], again: int
) -> tuple[dict[str, list[float]], dict[str, dict[str, Any]]]:
    """Of the ledger of this split: the recipes of so many of its best methods, and the mAP over seeds of the others.

    Both are {} where no ledger was given.

    Raises:
        SystemExit: ledgers were given, and none of them has this split and length.
    """
    for path in ledgers:
        stored = json.loads(path.read_text(encoding="utf-8"))["results"]
        rows = [row for row in stored["rows"] if row["bits"] == bits and row["method"] in methods]
        if stored["protocol"]["checksum"] == data.checksum and rows:
            rows.sort(key=lambda row: -row["mean"])
            recipes = {row["method"]: stored["chosen"][row["method"]]["recipe"] for row in rows[:again]}
            return {f"{row['method']} as in {path.stem}": row["mAP"] for row in rows[again:]}, recipes
    if ledgers:
        raise SystemExit(f"none of the ledgers has {data.name} (split {data.checksum[:12]}) at {bits} bits")
    return {}, {}


def measured(hasher: Any, data: Protocol, labelled: bool) -> dict[str, float]:
    """mAP of the queries by labels; and without labels, the share of their nearest neighbours that is kept."""
    found = {"mAP": round(evaluate(hasher, data, batch_size=4096).mAP, 5)}
    if not labelled:
        features: Any = data.pool.images.rows(slice(None))
        codes = hasher.encode(features)
        near = neighbours(features[data.query], features[data.database])
        kept = neighbours_kept(codes[data.query], codes[data.database], near)
        found["kept"] = round(kept, 5)
    return found


def verdict(data: Protocol, means: dict[str, list[float]]) -> dict[str, Any]:
    """How far `auto` is from the best single method, and whether that is more than the noise of the seeds."""
    own = means["auto"]
    best = max((name for name in means if name != "auto"), key=lambda name: np.mean(means[name]))
    difference = float(np.mean(own) - np.mean(means[best]))
    noise = noise_of_seeds(own, means[best])
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
        "noise": round(noise, 4),
        "passes": bool(passes),
    }


def without_labels(data: Protocol) -> Protocol:
    """The same items and roles, and no item with a label."""
    pool = data.pool
    return replace(data, pool=Pool(pool.images, np.full(len(pool), -1), (), pool.keys, pool.mirror, pool.name))


if __name__ == "__main__":
    main()
