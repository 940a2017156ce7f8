"""The fine-tuning ledger: whole networks, on a CPU, from the same weights, by the same schedule.

    python benchmarks/finetuned_ledger.py --weights mobilenetv2_100.safetensors --root DATA --choose
    python benchmarks/finetuned_ledger.py --weights mobilenetv2_100.safetensors --root DATA --part 1/2
    python benchmarks/finetuned_ledger.py --weights mobilenetv2_100.safetensors --root DATA --part 2/2
    python benchmarks/finetuned_ledger.py --weights mobilenetv2_100.safetensors --root DATA --write

The schedule (`SCHEDULE`: epochs, rates, batch, augmentation) is the same for all methods. The backbone's rate and the
augmentation are chosen first (`--choose`), by a short climb with one method, on a fifth of the training items, which
search each other and are not trained on; no query is looked at. What a method has of its own, its codebook or margin,
is what the frozen ledger chose for its head on this data set, likewise by held-out training items, less the hidden
layer that it may have there. `auto` is given the schedule and TRIALS trials, and chooses the rest itself. The split is
that of seed 0; the seeds are of the codebook, the head, the order and the augmentation.

A row (method, seed) is kept with the average precision of each query as soon as it is measured, and a training that was
stopped goes on from its checkpoint, so the same command goes on wherever it was. The first seed of all methods comes
first. `--part 1/2` runs every second row and writes no table. `--write` makes the tables of what is there.

Writes benchmarks/results/finetuned_ledger.json and its part of docs/ledger.md. Another `--protocol`, `--backbone` or
`--size` is another ledger, and needs a `--name`; docs/ledger.md stays as it is then.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bitseek.data import Protocol, load_protocol
from bitseek.evaluation import evaluate
from bitseek.methods import METHODS, make_recipe
from bitseek.runs import Hasher
from bitseek.training import auto, train
from bitseek.training._search import without_front
from frozen_ledger import GAIN, VALIDATION, Climb, validation_protocol
from ledger_page import between, places, value, words
from record import RESULTS, record
from trials import Found, NotRunError, Trials, digest, figures, over_seeds

NAME = "finetuned_ledger"
CACHE = RESULTS.parents[1] / "runs" / NAME
AUTO = "auto"
ROWS = ("orthohash", AUTO, "relahash", "csq", "dpn", "hashnet", "dhd")
SEEDS = (0, 1, 2)
BITS = 64
PRECISION = "fp32"
"""The same everywhere, so that rows of several machines belong together."""
TRIALS = 150
"""Budget of `auto`, in trials and not in minutes, so that it chooses the same on a busy machine."""

SCHEDULE: dict[str, Any] = {"epochs": 10, "batch_size": 128, "lr": 1e-3, "backbone_lr": 0.1, "augment": "flip"}
"""Where the climb starts. The backbone's rate is `backbone_lr` times that of the head."""
CHANGES: tuple[tuple[dict[str, Any], ...], ...] = (
    ({"augment": "crop"}, {"augment": "weak-views"}),
    ({"backbone_lr": 0.3},),
    ({"backbone_lr": 1.0},),
)
"""What is tried, of each step the best, which is taken if it gains more than `GAIN`."""
LONGER: dict[str, Any] = {"epochs": 20}
"""Measured beside what was chosen, and not taken: it takes twice the hours."""
CHOSEN_WITH = "orthohash"


@dataclass(frozen=True)
class Network:
    """The backbone that all rows start from.

    Attributes:
        backbone: its name.
        weights: their file; None for random ones.
        size: side of its input in pixels; None for its own.
    """

    backbone: str
    weights: Path | None
    size: int | None

    def arguments(self) -> dict[str, Any]:
        """As `train` and `auto` take it."""
        return {"backbone": self.backbone, "weights": self.weights, "size": self.size}

    def describe(self) -> dict[str, Any]:
        """Whose codes these are, wherever the file lies."""
        weights = self.weights and digest(self.weights.read_bytes())
        return {"backbone": self.backbone, "weights": weights, "size": self.size}


class Ledger(Trials):
    """Rows of whole networks on one protocol.

    Args:
        data: protocol of images.
        network: to start from.
        heads: what was chosen for the head of each method, where something was.
        name, folder, part, runs: see `Trials`.
    """

    def __init__(
        self,
        data: Protocol,
        network: Network,
        heads: dict[str, dict[str, Any]],
        name: str,
        folder: Path,
        part: str = "1of1",
        *,
        runs: bool = True,
    ) -> None:
        super().__init__(folder, name, part, runs=runs)
        self.data, self.inner = data, validation_protocol(data, VALIDATION)
        self.network, self.heads = network, heads

    def recipe(self, method: str, schedule: dict[str, Any]) -> dict[str, Any]:
        """All that a method is trained by; of `auto`, what it is given."""
        if method == AUTO:
            return {"trials": TRIALS, **schedule}
        given = {**self.heads.get(method, {}), **schedule}
        return make_recipe(METHODS[method], given, frozen=True).model_dump(mode="json")

    def key(self, method: str, schedule: dict[str, Any], seed: int, choosing: bool) -> str:
        """Of all that decides what a row gives."""
        split = (self.inner if choosing else self.data).checksum
        about = [split, self.network.describe(), BITS, PRECISION, method, seed, self.recipe(method, schedule)]
        return digest(json.dumps(about, sort_keys=True).encode())

    def trial(self, method: str, schedule: dict[str, Any], seed: int, *, choosing: bool) -> dict[str, Any]:
        """Train and measure: on the validation split, or on the queries."""
        key = self.key(method, schedule, seed, choosing)
        what = {"method": method, "bits": BITS, "seed": seed, "choosing": choosing, "change": schedule}
        return self.training_of(key, what, lambda folder: self.run(method, schedule, seed, choosing, folder))

    def run(self, method: str, schedule: dict[str, Any], seed: int, choosing: bool, folder: Path) -> Found:
        """One training, or the rest of it, and its evaluation."""
        data, begun = self.inner if choosing else self.data, folder.exists()
        given = {"bits": BITS, "seed": seed, "device": "cpu", "precision": PRECISION, "out": folder, "resume": True}
        started = time.process_time()
        found: dict[str, Any] = {}
        if method == AUTO:
            best = auto(data, trials=TRIALS, recipe=schedule, **self.network.arguments(), **given)
            hasher: Hasher = best.hasher
            found = {"chosen": best.method, "chosen_recipe": best.recipe}
        else:
            hasher = train(method, data, **self.network.arguments(), **given, **self.recipe(method, schedule))
        trained = time.process_time()
        report = evaluate(hasher, data)
        assert report.main is not None
        found |= {
            **figures(report),
            "seconds": round(trained - started, 1),
            "seconds_evaluation": round(time.process_time() - trained, 1),
            "in_one_go": not begun,
        }
        return found, report.main.per_query

    def choose(self) -> dict[str, Any]:
        """The schedule that is best on the validation split, and all that was tried for it."""
        tried: list[dict[str, Any]] = []

        def score(change: dict[str, Any]) -> float:
            row = self.trial(CHOSEN_WITH, SCHEDULE | change, SEEDS[0], choosing=True)
            tried.append({"change": change, "mAP": row["mAP"], "seconds": row["seconds"]})
            return float(row["mAP"])

        climb = Climb(score)
        for changes in CHANGES:
            climb.take(*changes)
        score(climb.best | LONGER)
        return {"schedule": SCHEDULE | climb.best, "validation_mAP": climb.reached, "tried": tried}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="of the backbone; random ones if not given")
    parser.add_argument("--root", type=Path, help="folder of the data; by default that of BITSEEK_DATA")
    parser.add_argument("--protocol", default="cifar10-1")
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=96, help="side of its input in pixels; 0 for its own")
    parser.add_argument("--name", default=NAME, help="of the JSON file")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the rows and of trainings under way")
    parser.add_argument("--only", nargs="*", choices=ROWS, default=ROWS, help="run these methods, and write no table")
    parser.add_argument("--seeds", nargs="*", type=int, default=SEEDS, help="run these seeds only; the tables have all")
    parser.add_argument("--part", default="1/1", help="run every n-th row from the i-th on, as i/n; write no table")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--choose", action="store_true", help="only choose the schedule")
    parser.add_argument("--write", action="store_true", help="run nothing; write the tables of what is in the cache")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    part, parts = map(int, given.part.split("/"))
    data = load_protocol(given.protocol, root=given.root, seed=0)
    network = Network(given.backbone, given.weights, given.size or None)
    heads = chosen_heads(given.protocol)
    ledger = Ledger(data, network, heads, given.name, given.cache, f"{part}of{parts}", runs=not given.write)
    if parts > 1 and not given.write:
        ledger.runs = False  # two processes would both run what one of them has to choose
    try:
        choice = ledger.choose()
    except NotRunError:
        raise SystemExit("the schedule is not chosen yet: run it with --choose first") from None
    ledger.runs = not given.write
    if not given.write and not given.choose:
        wanted = [(seed, method) for seed in given.seeds for method in ROWS if method in given.only]
        for seed, method in wanted[part - 1 :: parts]:
            ledger.trial(method, choice["schedule"], seed, choosing=False)
    if given.write or (parts == 1 and not given.choose and tuple(given.only) == ROWS):
        write(ledger, choice)


def chosen_heads(protocol: str, methods: Iterable[str] = ROWS) -> dict[str, dict[str, Any]]:
    """What the frozen ledger has chosen for the heads of these methods, without the hidden layer in front of them: the
    backbone learns here. Nothing where it has no such protocol."""
    file = RESULTS / f"frozen_ledger_{protocol}.json"
    if not file.is_file():
        return {}
    chosen = json.loads(file.read_text(encoding="utf-8"))["results"]["chosen"]
    return {method: without_front(chosen[method]["change"]) for method in methods if method in chosen}


def write(ledger: Ledger, choice: dict[str, Any]) -> None:
    """The JSON and the page, of what is in the cache: nothing is trained."""
    rows = rows_of(ledger, choice["schedule"])
    results = {
        "protocol": ledger.data.describe(),
        "network": ledger.network.describe(),
        "bits": BITS,
        "precision": PRECISION,
        "validation": {"share": VALIDATION, "items": len(ledger.inner.query), "gain": GAIN, "method": CHOSEN_WITH},
        "choice": choice,
        "auto": {"trials": TRIALS},
        "rows": rows,
    }
    file = record(ledger.name, results)
    if ledger.name == NAME:
        between("finetuned_ledger.py", list(page(json.loads(file.read_text(encoding="utf-8")))))


def rows_of(ledger: Ledger, schedule: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each method with a seed that was run, the best first; with its rank where all of them were."""
    trials = {
        method: [
            ledger.rows[key] for seed in SEEDS if (key := ledger.key(method, schedule, seed, False)) in ledger.rows
        ]
        for method in ROWS
    }
    whole = [method for method in ROWS if len(trials[method]) == len(SEEDS)]
    places = dict(zip(whole, ledger.ranks([trials[method] for method in whole]), strict=True)) if whole else {}
    rows = [
        {
            "method": method,
            "seeds": [trial["seed"] for trial in found],
            "recipe": ledger.recipe(method, schedule),
            **over_seeds(found),
            "seconds": mean_seconds(found),
            **({"chosen": [[t["chosen"], t["chosen_recipe"]] for t in found]} if method == AUTO else {}),
            **({"rank": places[method]} if method in places else {}),
        }
        for method, found in trials.items()
        if found
    ]
    return sorted(rows, key=lambda row: -float(row["mean"]))


def mean_seconds(trials: list[dict[str, Any]]) -> float | None:
    """Of the trainings that were not stopped on the way; None if there is none."""
    seconds = [trial["seconds"] for trial in trials if trial["in_one_go"]]
    return round(sum(seconds) / len(seconds), 1) if seconds else None


def page(whole: dict[str, Any]) -> Iterator[str]:
    """The lines of docs/ledger.md."""
    results, hardware = whole["results"], whole["hardware"]
    protocol, network, choice = results["protocol"], results["network"], results["choice"]
    yield f"`{protocol['name']}` at {network['size']} px, `{network['backbone']}`, {results['bits']} bits:"
    yield f"{protocol['train']:,} training items, {protocol['query']:,} queries, {protocol['database']:,} items in the"
    yield f"database (split {protocol['checksum'][:12]}). mAP@all in expectation over ties."
    yield ""
    yield "| places | method | mAP, mean ± half the range | of the seeds | minutes to train |"
    yield "|---:|---|---:|---|---:|"
    for row in results["rows"]:
        each = ", ".join(f"{found:.3f}" for found in row["mAP"])
        ranked = places(row) if "rank" in row else ""
        minutes = "" if row["seconds"] is None else f"{row['seconds'] / 60:.0f}"
        yield f"| {ranked} | `{row['method']}` | {value(row)} | {each} | {minutes} |"
    yield ""
    left = [
        f"`{method}` (seed {', '.join(map(str, missing))})"
        for method in ROWS
        if (missing := set(SEEDS) - {s for row in results["rows"] if row["method"] == method for s in row["seeds"]})
    ]
    if left:
        yield f"Not run yet: {', '.join(left)}. Places are those among the methods with all seeds."
        yield ""
    for row in results["rows"]:
        for seed, (method, recipe) in zip(row["seeds"], row.get("chosen", []), strict=False):
            yield f"- `auto`, seed {seed}, took `{method}`, whose head won with {words(recipe) or 'its defaults'}."
    yield f"- {hardware['processor']}, one thread a row; minutes are of the processor, without the evaluation."
    yield f"  Commit {whole['commit']}, {whole['date'][:10]}."
    yield ""
    yield f"How the schedule was chosen, with `{results['validation']['method']}` and one seed:"
    yield ""
    yield f"| schedule | mAP of {results['validation']['items']:,} held-out training items |"
    yield "|---|---:|"
    for each in choice["tried"]:
        chosen = "**" if SCHEDULE | each["change"] == choice["schedule"] else ""
        yield f"| {chosen}{words(SCHEDULE | each['change'])}{chosen} | {each['mAP']:.3f} |"
    yield ""


if __name__ == "__main__":
    main()
