"""The frozen ledger: every method on the same frozen features of three data sets, its recipe chosen for each of them.

    bitseek features cifar10-1 --backbone mobilenetv2_100 --size 160 --weights FILE --out cifar160.npz
    bitseek features cifar100 --backbone mobilenetv2_100 --size 160 --weights FILE --out cifar100.npz
    python benchmarks/mnist_features.py mnist.npz
    python benchmarks/frozen_ledger.py cifar160.npz cifar100.npz mnist.npz

Of a data set at most TRAIN training items and QUERIES queries are used, as many of each class; the database is that of
the protocol. For each of them a method starts from the recipe that its heads have by default and goes uphill on
held-out training items, see `Ledger.choose`; the queries are not looked at before that is settled. Then it is trained
for each length and seed. What is most informative comes first: 64 bits, then the shorter codes, and last the default
recipes on the queries where another one was chosen; of the methods those that are best by default on the first data
set, and the slow ones last.

One thread. A trial is kept with the average precision of each query, so that a run that was stopped goes on where it
was. `--part 1/2` runs every second method and writes no table: several processes share the work and the folder of
trials. `--write` makes the tables of what is there. `--only METHOD --add` puts a method into tables whose trials are
not there any more; it gets no places, which need the queries of all.

Writes benchmarks/results/frozen_ledger_DATA.json for each data set, and docs/ledger.md (its tables) with its plots.
"""

import argparse
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitseek.codes import Codes
from bitseek.data import Protocol, load_protocol
from bitseek.errors import BitseekError
from bitseek.evaluation import evaluate
from bitseek.methods import HEAD_RECIPE, METHODS, make_recipe
from bitseek.metrics import Relevance, retrieval
from bitseek.training import train
from bitseek.training._search import FRONT
from record import RESULTS, record, runs_of
from trials import Found, NotRunError, Trials, digest, digest_of_features, figures, over_seeds

TRIALS = RESULTS.parents[1] / "runs" / "frozen_ledger"
BITS = (64, 32, 16)
CHOSEN_AT = 64
SEEDS = (0, 1, 2)
TRAIN, QUERIES = 5000, 1000
"""Most training items and queries of a data set."""
VALIDATION = 0.2
"""Share of the training items by which recipes are chosen."""
GAIN = 0.005
"""What a change of the recipe must gain there to be taken: less is noise of one seed."""
LIMIT, CHOICE, SLOW = 60.0, 90.0, 9.5
"""Most processor seconds of a training; after how many of them no further recipe of a method is tried; and how many of
a training make a method slow."""

COMMON: dict[str, Any] = dict(HEAD_RECIPE)

KNOBS: dict[str, tuple[dict[str, Any], ...]] = {
    "orthohash": ({"scale": 4.0}, {"codebook": "spread"}),
    "relahash": ({"margin": 0.125, "beta": 32.0}, {"codebook": "spread"}),
    "dpn": ({"codebook": "max-distance"}, {"margin": 0.5}),
    "ce": ({"weight_decay": 0.0}, {"weight_decay": 5e-3}),
    "dsh": ({"alpha": 0.1}, {"alpha": 0.001}),
    "dnnh": ({"epsilon": 0.5}, {"margin": 1.0}),
    "dnnh-resnet": ({"batch_size": 160}, {"classes": 5}),
    "hashnet": ({"beta_growth": 0.0}, {"pair_weights": "classes"}),
    "dpsh": ({"memory": True}, {"quantisation": 0.1}),
    "dhn": ({"scale": 0.3}, {"scale": 0.03}),
    "dtsh": ({"margin": 5.0, "scale": 1.0}, {"quantisation": 0.1}),
    "dch": ({"gamma": 5.0}, {"gamma": 50.0}),
    "dbdh": ({"codes": "signs"}, {"alpha": 0.0}),
    "lcdsh": ({"locality": 0.0}, {"locality": 30.0}),
    "idhn": ({"quantisation": 0.0}, {"scale": 0.5}),
    "isdh": ({"gamma": 1.0}, {"scale": 0.5}),
    "dshsd": ({"alpha": 0.005}, {"alpha": 0.5}),
    "qsmih": ({"quantisation": 0.0}, {"quantisation": 0.1}),
    "mihash": ({"scale": 0.3}, {"bins": 16}),
    "greedyhash": ({"alpha": 0.0}, {"alpha": 1.0}),
    "greedyhash-unsupervised": ({"alpha": 0.0}, {"alpha": 1.0}),
    "csq": ({"codebook": "max-distance"}, {"quantisation": 0.0}),
    "jmlh": ({"kl": 0.01}, {"noise": "none"}),
    "sdhc": ({"quantisation": 0.1}, {"orthogonality": 0.1}),
    "sdh": ({"variance": 0.1}, {"orthogonality": 1.0}),
    "ssdh": ({"binary": 0.0}, {"balance": 0.0}),
    "pcdh": ({"alpha": 0.0}, {"beta": 100.0}),
    "angular-dsh": ({"margin": 0.0}, {"beta": 0.0}),
    "dsdh": ({"memory": True}, {"quantisation": 1.0}),
    "dfh": ({"mu": 0.1}, {"margin": 1.0}),
    "daph": ({"independence": 0.0, "balance": 0.0}, {"gamma": 5.0}),
    "cnnh": ({"sweeps": 3},),
    "asymmetric-dsh": ({"gamma": 20.0}, {"passes": 1}),
    "hyp2": ({"beta": 0.0}, {"zeta": 0.0}),
    "mds": ({"pairs": 0.0}, {"centres": 10.0}),
    "shc": ({"quantisation": 0.0},),
    "dhd": ({"temperature": 0.1}, {"quantisation": 0.0}),
    "bihalf": ({"gamma": 1.0}, {"gamma": 0.0}),
    "bihalf-unsupervised": ({"gamma": 1.0}, {"gamma": 0.0}),
    "cibhash": ({"kl": 0.0}, {"dropout": 0.2}),
    "neighbour-contrast": ({"neighbours": 10}, {"dropout": 0.2}),
    "ssdh-unsupervised": ({"near": 1.0, "far": 1.0}, {"near": 3.0, "far": 1.0}),
    "tbh": ({"adversarial": 0.0}, {"bottleneck": 128}),
}
"""At most two settings of a method's own that are worth a trial."""


class TookTooLong(BaseException):
    """A training has had all the processor time that it may have; it comes at any point, so nothing may catch it."""


class Climb:
    """From the default recipe uphill.

    Args:
        score: of a change of the default recipe.
    """

    def __init__(self, score: Callable[[dict[str, Any]], float]) -> None:
        self.score = score
        self.best: dict[str, Any] = {}
        self.reached = score({})

    def take(self, *changes: dict[str, Any]) -> float:
        """What the best of some changes gains, which is made if that is enough."""
        if not changes:
            return 0.0
        scores = [(self.score(self.best | change), change) for change in changes]
        score, change = max(scores, key=lambda each: each[0])
        gain = score - self.reached
        if gain > GAIN:
            self.best, self.reached = self.best | change, score
        return gain

    def rate(self, rate: float) -> None:
        """The learning rate by steps of 3, up as long as that helps; if it never does, down likewise."""
        for factor in (3.0, 1 / 3):
            step = 1
            while self.take({"lr": float(f"{rate * factor**step:.3g}")}) > GAIN:
                step += 1
            if step > 1:
                return


class Ledger(Trials):
    """Trials on the features of one data set.

    Args:
        data: protocol whose images are features.
        folder, part, runs: see `Trials`.
    """

    def __init__(self, data: Protocol, folder: Path, part: str = "1of1", *, runs: bool = True) -> None:
        super().__init__(folder, data.name, part, runs=runs)
        self.data, self.inner = data, validation_protocol(data, VALIDATION)
        self.features = digest_of_features(data)

    def key(self, method: str, change: dict[str, Any], bits: int, seed: int, choosing: bool) -> str:
        """Of all that decides what a trial gives, the whole recipe among it: another default is another trial."""
        split = (self.inner if choosing else self.data).checksum
        recipe = make_recipe(METHODS[method], change, frozen=True).model_dump(mode="json")
        return digest(json.dumps([self.features, split, method, bits, seed, recipe], sort_keys=True).encode())

    def trial(self, method: str, change: dict[str, Any], bits: int, seed: int, *, choosing: bool) -> dict[str, Any]:
        """Train and measure: on the validation split, or on the queries."""
        data = self.inner if choosing else self.data
        what = {"method": method, "bits": bits, "seed": seed, "choosing": choosing, "change": change}
        key = self.key(method, change, bits, seed, choosing)
        return self.trial_of(key, what, lambda: run(method, change, data, bits, seed))

    def promise(self, method: str) -> tuple[bool, float]:
        """Ascending from what shall be run first: whether it is slow by default, and how good it is then."""
        row = self.trial(method, {}, CHOSEN_AT, SEEDS[0], choosing=True)
        return row["seconds"] > SLOW, -row["mAP"]

    def choose(self, method: str) -> dict[str, Any]:
        """The best recipe on the validation split by a short climb, and all that was tried for it.

        It begins with what heads have by default. First a hidden layer is tried in front, see `fronts`. The rate goes
        up by 3 as long as that helps; if it never does, down likewise. The epochs are halved, and doubled where half of
        them are too few. Then the method's own `KNOBS`, of which the best is taken. A step is taken if it gains more
        than `GAIN`; nothing more is tried once the trials have had `CHOICE` seconds of the processor.
        """
        tried: dict[str, dict[str, Any]] = {}

        def score(change: dict[str, Any]) -> float:
            key = self.key(method, change, CHOSEN_AT, SEEDS[0], choosing=True)
            if key not in tried:
                if sum(trial["seconds"] for trial in tried.values()) > CHOICE:
                    return -1.0
                row = self.trial(method, change, CHOSEN_AT, SEEDS[0], choosing=True)
                tried[key] = {name: row.get(name) for name in ("change", "mAP", "seconds", "failed")}
            return float(tried[key]["mAP"])

        climb = Climb(score)
        if METHODS[method].by_gradient and climb.reached > 0:
            recipe: Any = make_recipe(METHODS[method], {}, frozen=True)
            climb.take(*fronts(method))
            climb.rate(climb.best.get("lr", recipe.lr))
            if climb.take({"epochs": max(1, recipe.epochs // 2)}) < -GAIN:
                climb.take({"epochs": 2 * recipe.epochs})
            climb.take(*KNOBS.get(method, ()))
        return {"change": climb.best, "validation_mAP": climb.reached, "tried": [*tried.values()]}


def fronts(method: str) -> list[dict[str, Any]]:
    """The hidden layer that `auto` tries in front of a head, with the rate of the method's heads and with the common
    one: some heads have a rate that is too high for two layers. Nothing where a method takes none."""
    if not METHODS[method].takes_front:
        return []
    rate = make_recipe(METHODS[method], {}, frozen=True).lr
    return [dict(FRONT), *([] if rate == COMMON["lr"] else [{**FRONT, "lr": COMMON["lr"]}])]


def run(method: str, change: dict[str, Any], data: Protocol, bits: int, seed: int) -> Found:
    """One training and its evaluation: what is told of it, and the average precision of each query.

    A training that is refused, or has had `LIMIT` seconds, has mAP 0 and the reason.
    """
    started = time.process_time()
    try:
        with processor_seconds(LIMIT):
            hasher = train(method, data, bits=bits, seed=seed, weights=None, device="cpu", **change)
    except (BitseekError, TookTooLong) as error:
        return {"mAP": 0.0, "failed": str(error), "seconds": round(time.process_time() - started, 2)}, None
    trained = time.process_time()
    report = evaluate(hasher, data, batch_size=4096)
    assert report.main is not None
    found = {
        **figures(report),
        "seconds": round(trained - started, 2),
        "seconds_evaluation": round(time.process_time() - trained, 2),
    }
    return found, report.main.per_query


@contextmanager
def processor_seconds(most: float) -> Iterator[None]:
    """Stop what runs within by a `TookTooLong` after so many seconds of the processor."""

    def stop(*_: Any) -> None:
        raise TookTooLong(f"took longer than {most:.0f} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, most)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def load(file: Path) -> Protocol:
    """The protocol of a file of features, with at most `TRAIN` training items and `QUERIES` queries."""
    data = load_protocol(f"features:{file}")
    classes = len(data.pool.classes)
    return replace(
        data,
        train=a_class(data, TRAIN // classes),
        query=a_class(data, QUERIES // classes, "query"),
        origin=None,
    )


def a_class(data: Protocol, items: int, role: str = "train") -> np.ndarray:
    """At most so many items of each class of a role, drawn from seed 0, ascending."""
    ids = getattr(data, role)
    numbers = data.pool.labels.numbers[ids]
    generator = np.random.default_rng(0)
    drawn = [generator.permutation(ids[numbers == number])[:items] for number in range(len(data.pool.classes))]
    return np.sort(np.concatenate(drawn))


def validation_protocol(data: Protocol, share: float) -> Protocol:
    """A share of the training items, which search each other (each without itself); the rest of them trains.

    The items that are searched are not trained on, as most of the database is not in the protocol itself.
    """
    order = np.random.default_rng(0).permutation(len(data.train))
    held = np.sort(data.train[order[: round(share * len(order))]])
    return Protocol(f"{data.name}-validation", data.pool, np.setdiff1d(data.train, held), held, held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="+", help="files that `bitseek features` wrote, one a data set")
    parser.add_argument("--cache", type=Path, default=TRIALS, help="folder of the trials")
    parser.add_argument("--only", nargs="*", choices=list(METHODS), help="run these methods, and write no table")
    parser.add_argument("--bits", nargs="*", type=int, default=BITS, help="run these lengths only; the tables have all")
    parser.add_argument("--part", default="1/1", help="run every n-th method from the i-th on, as i/n; write no table")
    parser.add_argument("--write", action="store_true", help="run nothing; write the tables of what is in the cache")
    parser.add_argument("--add", action="store_true", help="put the methods of --only into the tables that are there")
    given = parser.parse_args()
    if given.add and not given.only:
        parser.error("--add needs --only: which methods shall be put into the tables")
    torch.set_num_threads(1)
    part, parts = map(int, given.part.split("/"))
    name = f"{part}of{parts}"
    ledgers = [Ledger(load(file), given.cache, name, runs=not given.write) for file in given.features]
    if not given.write:
        train("ce", ledgers[0].inner, epochs=1, device="cpu")  # what torch does at its first step is in no figure
        methods = (given.only or list(METHODS))[part - 1 :: parts]
        methods.sort(key=ledgers[0].promise)
        for bits in given.bits:
            for method in methods:
                for ledger in ledgers:
                    measure(ledger, method, bits)
        for method in methods:
            for ledger in ledgers:
                measure(ledger, method, CHOSEN_AT, default=True)
    if given.write or given.add or not (given.only or parts > 1):
        for ledger in ledgers:
            write(ledger, given.only if given.add else None)
        from ledger_page import page

        page()


def measure(ledger: Ledger, method: str, bits: int, *, default: bool = False) -> None:
    """A method on the queries with each seed, its recipe chosen if it is not; none where it could not be trained."""
    choice = ledger.choose(method)
    if choice["validation_mAP"] > 0:
        for seed in SEEDS:
            ledger.trial(method, {} if default else choice["change"], bits, seed, choosing=False)


def write(ledger: Ledger, added: list[str] | None = None) -> None:
    """The JSON of a data set, of what is in its cache: nothing is trained.

    Args:
        ledger: of the data set.
        added: no more than these methods, put into the JSON that is there, see `merged`.
    """
    methods = METHODS if added is None else added
    target = RESULTS / f"frozen_ledger_{ledger.data.name}.json"
    chosen = {method: choice for method in methods if (choice := known_choice(ledger, method)) is not None}
    rows = [row for bits in sorted(BITS) for row in rows_of(ledger, {m: c["change"] for m, c in chosen.items()}, bits)]
    if added is not None and not (target.is_file() and set(chosen) == set(added)):
        raise SystemExit(f"--add needs {target.name} and the trials of {', '.join(added)}; run them with --only first")
    if not rows:
        return
    data = ledger.data
    results = {
        "protocol": data.describe(),
        "features": data.pool.images.dimensions,
        "backbone": data.pool.images.backbone,
        "validation": {"share": VALIDATION, "items": len(ledger.inner.query), "gain": GAIN},
        "limits": {"training": LIMIT, "choice": CHOICE},
        "common": COMMON,
        "chosen": chosen,
        "rows": rows,
        "defaults": rows_of(ledger, {method: {} for method in chosen}, CHOSEN_AT),
        "trials": len(ledger.rows),
        "seconds": round(sum(t["seconds"] + t.get("seconds_evaluation", 0) for t in ledger.rows.values())),
    }
    if added is None:
        results["class_codes"] = class_codes(data)
    else:
        results = merged(json.loads(target.read_text(encoding="utf-8")), results, added)
    record(target.stem, results)


def merged(whole: dict[str, Any], later: dict[str, Any], added: list[str]) -> dict[str, Any]:
    """The results of a JSON with some methods of a later run beside the others, or in place of what they had.

    They have no places: those need the queries of all methods. `before` says of which runs all the rest is.
    """
    stored = whole["results"]
    if stored["protocol"] != later["protocol"]:
        raise SystemExit(f"the table that is there is of another split: {stored['protocol']}, not {later['protocol']}")
    tables = {}
    for table in ("rows", "defaults"):
        others = [row for row in stored[table] if row["method"] not in added]
        own = [row for row in later[table] if row["method"] in added]
        tables[table] = others + [{key: value for key, value in row.items() if key != "rank"} for row in own]
    return {
        **stored,
        **tables,
        "chosen": stored["chosen"] | {method: later["chosen"][method] for method in added},
        "added": stored.get("added", {}) | dict.fromkeys(added, datetime.now(UTC).date().isoformat()),
        "before": runs_of(whole),
    }


def known_choice(ledger: Ledger, method: str) -> dict[str, Any] | None:
    """What `choose` has given, with the whole recipe; None where a trial that it asks for was not run yet."""
    try:
        choice = ledger.choose(method)
    except NotRunError:
        return None
    full = make_recipe(METHODS[method], choice["change"], frozen=True).model_dump(mode="json")
    return choice | {"recipe": full if METHODS[method].by_gradient else {}}


def rows_of(ledger: Ledger, changes: dict[str, dict[str, Any]], bits: int) -> list[dict[str, Any]]:
    """A row for each method of which all seeds were run, with its rank among these."""
    found: dict[str, list[dict[str, Any]]] = {}
    for method, change in changes.items():
        keys = [ledger.key(method, change, bits, seed, choosing=False) for seed in SEEDS]
        if all(key in ledger.rows and "failed" not in ledger.rows[key] for key in keys):
            found[method] = [ledger.rows[key] for key in keys]
    if not found:
        return []
    return [
        {"method": method, "bits": bits, "change": changes[method], **over_seeds(trials), "rank": places}
        for (method, trials), places in zip(found.items(), ledger.ranks(list(found.values())), strict=True)
    ]


def class_codes(data: Protocol) -> dict[str, float]:
    """What a classifier does that gives each item the codeword of its predicted class: as many codes as classes."""
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


if __name__ == "__main__":
    main()
