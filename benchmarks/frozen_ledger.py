"""The frozen ledger: every method on the same frozen features, with a recipe chosen in the same way.

    bitseek features cifar10-1 --backbone mobilenetv2_100 --size 160 --out cifar160.npz
    python benchmarks/frozen_ledger.py cifar160.npz
    python benchmarks/frozen_ledger.py cifar160.npz --check hashnet dsh    # against the figures that are kept

Each method gets the same budget on a validation split of the training items: four learning rates at 30 epochs, and one
more beyond an edge of the grid that is the best; at the best of them 15 and 60 epochs, and two settings of its own
(`KNOBS`). The queries are not looked at before that is settled.
Then it is trained on all training items for each length of the code and each seed. One thread; every trial is kept in
a cache, so that a run that was stopped goes on where it was.

Writes benchmarks/results/frozen_ledger.json, docs/ledger.md (its tables) and docs/ledger.svg.
"""

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitseek.codes import Codes
from bitseek.data import Protocol, load_protocol
from bitseek.errors import RunError
from bitseek.evaluation import evaluate
from bitseek.methods import METHODS
from bitseek.metrics import Relevance, retrieval
from bitseek.training import train
from record import RESULTS, record

Rows = list[dict[str, Any]]

BITS = (16, 32, 64)
CHOSEN_AT = 64
SEEDS = (0, 1, 2)
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
BEYOND = {RATES[0]: 3e-4, RATES[-1]: 1e-1}
"""Where the first or the last rate is the best, the next one beyond it is tried too."""
EPOCHS = (30, 15, 60)
"""The first for the learning rates, then the others at the best of them."""
GAIN = 0.003
"""What more epochs or another setting must gain on the validation split to be taken: less is noise there."""
VALIDATION = 0.2

COMMON: dict[str, Any] = {
    "optimiser": "adam",
    "batch_size": 256,
    "weight_decay": 5e-4,
    "drop_at": 0.8,
    "drop_by": 0.1,
    "augment": "none",
}

BASE: dict[str, dict[str, Any]] = {
    # One linear layer for all that allow it; and what a CPU can bear where the published size is large.
    "csq": {"hidden_layers": 0, "dropout": 0.0},
    "cibhash": {"hidden": 256},
    "dnnh": {"batch_size": 300, "slice_length": 10},
    "dnnh-resnet": {"batch_size": 80},
    "dtsh": {"batch_size": 64},
    # The bank of last codes is stale at the learning rates of a single layer.
    "dpsh": {"memory": False},
}

KNOBS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "orthohash": ({"margin": 0.4}, {"codebook": "max-distance"}),
    # At a batch of 256, beta=32 and margin=0.125 are the published 8 and 0.5 at a batch of 16.
    "relahash": ({"beta": 32.0, "margin": 0.125}, {"factor": "paper"}),
    "dpn": ({"codebook": "max-distance"}, {"regularisation": 0.1}),
    "ce": ({"weight_decay": 0.0}, {"weight_decay": 5e-3}),
    "dsh": ({"alpha": 0.1}, {"alpha": 0.001}),
    "dnnh": ({"epsilon": 0.5}, {"margin": 1.0}),
    "dnnh-resnet": ({"batch_size": 160}, {"classes": 5}),
    "hashnet": ({"alpha": 0.05}, {"pair_weights": "classes"}),
    "dpsh": ({"quantisation": 0.0}, {"quantisation": 0.1, "quantisation_over": "bits"}),
    "dhn": ({"scale": 0.5}, {"scale": 0.1}),
    "dtsh": ({"margin": 5.0, "scale": 1.0}, {"quantisation": 0.1}),
    "dch": ({"gamma": 5.0}, {"gamma": 50.0}),
    "greedyhash": ({"alpha": 0.0}, {"alpha": 1.0}),
    "greedyhash-unsupervised": ({"alpha": 0.0}, {"alpha": 1.0}),
    "csq": ({"hidden_layers": 2}, {"quantisation": 0.0}),
    "jmlh": ({"kl": 0.0}, {"kl": 0.01}),
    "sdhc": ({"quantisation": 0.1}, {"orthogonality": 0.1}),
    "bihalf": ({"gamma": 1.0}, {"gamma": 0.0}),
    "bihalf-unsupervised": ({"gamma": 1.0}, {"gamma": 0.0}),
    "cibhash": ({"kl": 0.0}, {"dropout": 0.2}),
}

MEASURED = (*KNOBS, "lsh", "pcah", "itq", "spectral")
"""The methods of this ledger; those that came later have no settings to try yet."""

ORTHOHASH: dict[str, tuple[Any, ...]] = {
    "margin": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    "scale": (8.0, "sqrt", 4.0, 16.0),
    "codebook": ("bernoulli", "max-distance", "hadamard", "spread"),
}
ORTHOHASH_RECIPE = COMMON | {"lr": 1e-3, "epochs": 30}

ABLATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("hashnet", {"beta_growth": 0.0}),
    ("hashnet", {"pair_weights": 1.0}),
    ("dpn", {"margin": 0.1}),
    ("dpn", {"margin": 10.0}),
    ("dpn", {"codebook": "bernoulli"}),
    ("csq", {"codebook": "bernoulli"}),
    ("csq", {"codebook": "max-distance"}),
    ("relahash", {"factor": "paper"}),
    ("relahash", {"codebook": "bernoulli"}),
    ("orthohash", {"codebook": "bernoulli"}),
    ("orthohash", {"lr": 1e-3}),
    ("greedyhash", {"alpha": 0.0}),
    ("sdhc", {"quantisation": 0.0, "variance": 0.0, "orthogonality": 0.0}),
)
"""One setting away from a chosen recipe, to see what it is that helps; nothing is chosen by these."""


class Ledger:
    """Trials on one file of features, each run once and kept.

    Args:
        data: protocol whose images are features.
        cache: file of JSON lines, one a trial.
    """

    def __init__(self, data: Protocol, cache: Path) -> None:
        self.data, self.cache = data, cache
        self.inner = validation_protocol(data, VALIDATION)
        self.rows: dict[str, dict[str, Any]] = {row["key"]: row for row in read_lines(cache)}

    def trial(self, method: str, recipe: dict[str, Any], bits: int, seed: int, *, choosing: bool) -> dict[str, Any]:
        """Train and measure: on the validation split, or on the protocol."""
        data = self.inner if choosing else self.data
        what = {"split": data.checksum[:16], "method": method, "bits": bits, "seed": seed, "recipe": recipe}
        key = json.dumps(what, sort_keys=True)
        if key not in self.rows:
            self.rows[key] = {"key": key, "choosing": choosing, **what, **run(method, recipe, data, bits, seed)}
            with self.cache.open("a") as file:
                file.write(json.dumps(self.rows[key]) + "\n")
            print(time.strftime("%H:%M:%S"), "val " if choosing else "test", method, bits, seed, recipe_of(recipe),
                  self.rows[key]["mAP"], f"{self.rows[key]['seconds']} s", flush=True)  # fmt: skip
        return self.rows[key]

    def choose(self, method: str) -> dict[str, Any]:
        """The recipe that is best on the validation split, and all that was tried for it."""
        tried: list[dict[str, Any]] = []

        def score(recipe: dict[str, Any]) -> float:
            mAP: float = self.trial(method, recipe, CHOSEN_AT, SEEDS[0], choosing=True)["mAP"]
            tried.append({"recipe": recipe_of(recipe), "validation_mAP": mAP})
            return mAP

        if not METHODS[method].by_gradient:
            return {"recipe": {}, "validation_mAP": score({}), "tried": tried}
        base = COMMON | BASE.get(method, {})
        scores = {lr: score(base | {"lr": lr, "epochs": EPOCHS[0]}) for lr in RATES}
        lr = max(scores, key=lambda rate: scores[rate])
        if lr in BEYOND:
            scores[BEYOND[lr]] = score(base | {"lr": BEYOND[lr], "epochs": EPOCHS[0]})
            lr = max(scores, key=lambda rate: scores[rate])
        best, reached = base | {"lr": lr, "epochs": EPOCHS[0]}, scores[lr]
        options = [*({"epochs": epochs} for epochs in EPOCHS[1:]), *KNOBS[method]]
        gains = [(score(best | option), option) for option in options]
        more, option = max(gains, key=lambda gain: gain[0])
        if more > reached + GAIN:
            best, reached = best | option, more
        return {"recipe": best, "validation_mAP": reached, "tried": tried}


def read_lines(cache: Path) -> list[dict[str, Any]]:
    """What a cache holds; a last line that was cut by a kill is dropped."""
    if not cache.is_file():
        return []
    whole, _, cut = cache.read_text().rpartition("\n")
    if cut:
        cache.write_text(whole + "\n" if whole else "")
    return [json.loads(line) for line in whole.splitlines()]


def run(method: str, recipe: dict[str, Any], data: Protocol, bits: int, seed: int) -> dict[str, Any]:
    """One training and its evaluation."""
    started = time.perf_counter()
    try:
        hasher = train(method, data, bits=bits, seed=seed, weights=None, device="cpu", **recipe)
    except RunError as error:
        return {"mAP": 0.0, "failed": str(error), "seconds": round(time.perf_counter() - started, 2)}
    trained = time.perf_counter()
    report = evaluate(hasher, data, batch_size=4096).to_json()
    diagnostics = {name: value if value is None else round(value, 4) for name, value in report["diagnostics"].items()}
    return {
        "mAP": round(report["mAP"], 5),
        "mAP_worst": round(report["mAP_worst"], 5),
        "mAP_best": round(report["mAP_best"], 5),
        "diagnostics": diagnostics,
        "seconds": round(trained - started, 2),
        "seconds_evaluation": round(time.perf_counter() - trained, 2),
    }


def validation_protocol(data: Protocol, share: float) -> Protocol:
    """A share of the training items, which search each other (each without itself); the rest of them trains.

    The items that are searched are not trained on, as most of the database is not in the protocol itself.
    """
    order = np.random.default_rng(0).permutation(len(data.train))
    held = np.sort(data.train[order[: round(share * len(order))]])
    return Protocol(f"{data.name}-validation", data.pool, np.setdiff1d(data.train, held), held, held)


def recipe_of(recipe: dict[str, Any]) -> dict[str, Any]:
    """What of a recipe is not common to all."""
    return {name: value for name, value in recipe.items() if name not in COMMON or COMMON[name] != value}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, help="file that `bitseek features cifar10-1` wrote")
    parser.add_argument("--cache", type=Path, default=RESULTS / "frozen_ledger.jsonl", help="trials already run")
    parser.add_argument("--only", nargs="*", help="run these methods, and write no table")
    parser.add_argument(
        "--check", nargs="*", help="train these with the recipes of the table, and compare; write nothing"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    ledger = Ledger(load_protocol(f"features:{given.features}"), given.cache)
    if given.check:
        check(ledger, given.check)
        return
    methods = given.only or list(MEASURED)
    chosen = {method: ledger.choose(method) for method in methods}
    rows = list(measure(ledger, chosen, CHOSEN_AT))
    if given.only:
        return
    orthohash = orthohash_table(ledger)
    rows += [measured for bits in BITS if bits != CHOSEN_AT for measured in measure(ledger, chosen, bits)]
    write(ledger, chosen, rows, orthohash, ablations(ledger, chosen))


def check(ledger: Ledger, methods: Iterable[str]) -> None:
    """Train methods with the recipes that were chosen, and print their mAP beside the one that is kept."""
    kept = json.loads((RESULTS / "frozen_ledger.json").read_text())["results"]["rows"]
    for before in (row for row in kept if row["method"] in methods and row["bits"] == CHOSEN_AT):
        now = [
            run(before["method"], before["recipe"], ledger.data, CHOSEN_AT, seed)["mAP"]
            for seed in range(len(before["mAP"]))
        ]
        print(
            f"{before['method']}: {np.mean(now):.4f} {now}, kept {np.mean(before['mAP']):.4f} {before['mAP']}",
            flush=True,
        )


def measure(ledger: Ledger, chosen: dict[str, Any], bits: int) -> Iterable[dict[str, Any]]:
    """Every method at one length of the code, on the queries."""
    for method, choice in chosen.items():
        seeds = SEEDS if METHODS[method].by_gradient or method in ("lsh", "itq") else SEEDS[:1]
        yield row(ledger, method, choice["recipe"], bits, seeds)


def row(
    ledger: Ledger, method: str, recipe: dict[str, Any], bits: int, seeds: tuple[int, ...] = SEEDS
) -> dict[str, Any]:
    """One method with one recipe, over the seeds: mAP, its mean and spread, and the mean of the diagnostics."""
    trials = [ledger.trial(method, recipe, bits, seed, choosing=False) for seed in seeds]
    values = [trial["mAP"] for trial in trials]
    names = [name for name, value in trials[0].get("diagnostics", {}).items() if value is not None]
    return {
        "method": method,
        "bits": bits,
        "recipe": recipe,
        "mAP": values,
        "mean": round(float(np.mean(values)), 4),
        "spread": round(float(np.max(values) - np.min(values)), 4),
        "seconds": round(sum(trial["seconds"] for trial in trials) / len(trials), 2),
        "diagnostics": {n: round(float(np.mean([trial["diagnostics"][n] for trial in trials])), 4) for n in names},
    }


def ablations(ledger: Ledger, chosen: dict[str, Any]) -> list[dict[str, Any]]:
    """Chosen recipes with one setting changed, on the queries."""
    return [
        {"changed": change} | row(ledger, method, chosen[method]["recipe"] | change, CHOSEN_AT)
        for method, change in ABLATIONS
    ]


def class_codes(data: Protocol) -> dict[str, float]:
    """What a classifier does that gives each item the codeword of its predicted class: ten codes, nothing between."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features, labels = data.pool.images.rows(slice(None)), data.pool.labels.numbers
    scaler = StandardScaler().fit(features[data.train])
    model = LogisticRegression(C=1e-3, max_iter=300).fit(scaler.transform(features[data.train]), labels[data.train])
    predicted = model.predict(scaler.transform(features))
    codes = Codes.from_bits(np.eye(len(data.pool.classes), dtype=bool)[predicted])
    relevance = Relevance.from_labels(labels[data.query], labels[data.database])
    found = retrieval(codes[data.query], codes[data.database], relevance)
    right = predicted == labels
    return {
        "mAP": round(found.mAP, 4),
        "accuracy_queries": round(float(right[data.query].mean()), 4),
        "accuracy_database": round(float(right[data.database].mean()), 4),
    }


def orthohash_table(ledger: Ledger) -> list[dict[str, Any]]:
    """OrthoHash at 64 bits: one setting at a time away from the default, for both margins."""
    rows = []
    for kind in ("cos", "arc"):
        for name, values in ORTHOHASH.items():
            for value in values:
                recipe = ORTHOHASH_RECIPE | {"margin_type": kind} | setting(name, value)
                rows.append(
                    {"margin_type": kind, "setting": name, "value": value} | row(ledger, "orthohash", recipe, 64)
                )
    return rows


def setting(name: str, value: Any) -> dict[str, Any]:
    """Nothing for a default, so that its trial is run once."""
    defaults = {"margin": 0.2, "scale": 8.0, "codebook": "bernoulli"}
    return {} if value == defaults[name] else {name: value}


def write(ledger: Ledger, chosen: dict[str, Any], rows: Rows, orthohash: Rows, changed: Rows) -> None:
    """The JSON, and from it the page and the plot."""
    from ledger_page import page

    data = ledger.data
    record(
        "frozen_ledger",
        {
            "protocol": data.describe(),
            "features": data.pool.images.dimensions,
            "validation": {"share": VALIDATION, "items": len(ledger.inner.query), "gain": GAIN},
            "common": COMMON,
            "chosen": chosen,
            "rows": rows,
            "orthohash": orthohash,
            "ablations": changed,
            "class_codes": class_codes(data),
            "trials": len(ledger.rows),
            "seconds": round(sum(t["seconds"] + t.get("seconds_evaluation", 0) for t in ledger.rows.values())),
        },
    )
    page()


if __name__ == "__main__":
    main()
