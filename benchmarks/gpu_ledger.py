"""The ledger of whole networks by the recipe of each paper, at 224 px and in full length: what takes an accelerator.

    python benchmarks/gpu_ledger.py --root DATA --weights FILE          # how many rows are there, what the others lack
    python benchmarks/gpu_ledger.py --root DATA --weights FILE --run --minutes 9
    python benchmarks/gpu_ledger.py --root DATA --weights FILE --write

The rows are three protocols, MobileNetV2 from ImageNet weights (FILE, or what was downloaded before) and ResNet-18 from
random ones, six methods and three lengths. The recipes are those of the methods (`bitseek methods NAME`), nothing is
chosen, and one seed is run. A row is kept as soon as it is measured, and a training that was stopped or killed goes on
from its checkpoint, so the same command goes on wherever it was; after `--minutes` no further row begins.

`--precision` and `--compile` are those of `train`; rows with others are other rows. What bf16, `compile` and the loop
around the bare step cost on the same device is told by four runs, with and without `--bf16`, with and without
`--compile`, each under a name of its own:

    python benchmarks/training_loop.py --device cuda --protocol cifar10-1 --backbone mobilenetv2_100 --size 224 \\
        --batches 60 --bf16 --compile --name training_loop_gpu

`--write` makes benchmarks/results/gpu_ledger.json and a part of docs/ledger.md, of the rows that are there and of what
the others lack on this machine.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby, product
from pathlib import Path
from typing import Any

from bitseek.data import Protocol, load_protocol
from bitseek.errors import BitseekError
from bitseek.evaluation import evaluate
from bitseek.methods import METHODS, make_recipe
from bitseek.models import build_backbone, pick_device
from bitseek.training import train
from ledger_page import between
from record import RESULTS, record
from trials import Found, Trials, digest, figures

NAME = "gpu_ledger"
CACHE = RESULTS.parents[1] / "runs" / NAME
PRETRAINED, FROM_SCRATCH = "mobilenetv2_100", "resnet18"
PROTOCOLS = ("cifar10-1", "cifar100", "cifar10-2")
"""With 5,000, 50,000 and 50,000 training items, so that a short loan of an accelerator has one whole table."""
BITS = (64, 32, 16)
ROWS = ("orthohash", "relahash", "dnnh-resnet", "csq", "hashnet", "dsh")
SIZE = 224
SEED = 0


@dataclass(frozen=True)
class Row:
    """One training: a network on a protocol, to codes of a length, by a method."""

    backbone: str
    protocol: str
    bits: int
    method: str

    @property
    def table(self) -> tuple[str, str]:
        """Of which table it is a cell: rows of one network and protocol are compared with each other."""
        return self.backbone, self.protocol

    def recipe(self) -> dict[str, Any]:
        """That of the method's paper."""
        return make_recipe(METHODS[self.method], {}).model_dump(mode="json")


TABLE = tuple(Row(*each) for each in product((PRETRAINED, FROM_SCRATCH), PROTOCOLS, BITS, ROWS))


@dataclass(frozen=True)
class Setting:
    """Where and how all rows are trained.

    Attributes:
        root: folder of the data.
        weights: of the network that is not trained from scratch; None for those that were downloaded.
        size: side of the networks' input in pixels.
        device, precision, compiled: as `train` takes them.
    """

    root: Path | None = None
    weights: Path | None = None
    size: int = SIZE
    device: str = "auto"
    precision: str = "auto"
    compiled: bool = False

    def weights_of(self, backbone: str) -> str | Path | None:
        """A file, `pretrained`, or None for random ones."""
        return None if backbone == FROM_SCRATCH else self.weights or "pretrained"

    @cache  # noqa: B019
    def start_of(self, backbone: str) -> str | None:
        """What tells its weights from others: of a file its digest, which is read once for all rows."""
        weights = self.weights_of(backbone)
        return digest(weights.read_bytes()) if isinstance(weights, Path) else weights

    def compute(self) -> dict[str, Any]:
        """Where and how, as `train` takes it."""
        return {"device": self.device, "precision": self.precision, "compiled": self.compiled}

    @cache  # noqa: B019  one setting a process
    def data(self, protocol: str) -> Protocol:
        """Loaded, never downloaded.

        Raises:
            BitseekError: files are absent; the message names them.
        """
        return load_protocol(protocol, root=self.root, seed=SEED, download=False)

    def accelerator(self) -> None:
        """See that there is one, where the processor was not asked for by name.

        Raises:
            BitseekError: there is none.
        """
        if pick_device(self.device).type == "cpu" and self.device != "cpu":
            raise BitseekError("an accelerator: torch sees none (`--device cpu` trains on the processor, for days)")

    @cache  # noqa: B019
    def lacks(self, backbone: str, protocol: str) -> tuple[str, ...]:
        """All that the rows of a table lack on this machine; nothing if they can be run."""
        found = []
        for needed in (
            self.accelerator,
            lambda: self.data(protocol),
            lambda: build_backbone(backbone, weights=self.weights_of(backbone), size=self.size),
        ):
            try:
                needed()
            except BitseekError as error:
                found.append(str(error))
        return tuple(found)


class Ledger(Trials):
    """The rows, each trained once.

    Args:
        setting: of all of them.
        folder: of what was measured, and of trainings under way.
        runs: see `Trials`.
    """

    def __init__(self, setting: Setting, folder: Path, *, runs: bool = True) -> None:
        super().__init__(folder, NAME, runs=runs)
        self.setting = setting

    def key(self, row: Row) -> str:
        """Of all that decides what a row gives."""
        setting = self.setting
        split, start = setting.data(row.protocol).checksum, setting.start_of(row.backbone)
        about = [split, asdict(row), row.recipe(), start, setting.size, SEED, setting.precision, setting.compiled]
        return digest(json.dumps(about, sort_keys=True).encode())

    def trial(self, row: Row) -> dict[str, Any]:
        """Train and measure, if that was not done before."""
        return self.training_of(self.key(row), asdict(row), lambda folder: self.run(row, folder))

    def run(self, row: Row, folder: Path) -> Found:
        """One training, or the rest of it, and its evaluation."""
        data, setting, begun = self.setting.data(row.protocol), self.setting, folder.exists()
        network = {"backbone": row.backbone, "weights": setting.weights_of(row.backbone), "size": setting.size}
        how = {"bits": row.bits, "seed": SEED, "out": folder, "resume": True, **setting.compute()}
        started = time.perf_counter()
        hasher = train(row.method, data, **network, **how, **row.recipe())
        trained = time.perf_counter()
        report = evaluate(hasher, data)
        assert report.main is not None and hasher.config is not None
        seconds, passes = trained - started, row.recipe()["epochs"] * len(data.train)
        found = {
            **figures(report),
            "seconds": round(seconds, 1),
            "seconds_evaluation": round(time.perf_counter() - trained, 1),
            "images_per_second": None if begun else round(passes / seconds, 1),
            "environment": hasher.config.environment,
        }
        return found, report.main.per_query

    def found(self, row: Row) -> dict[str, Any] | None:
        """The row, if it is there. Without the data and the weights nobody can say whether it is of them."""
        try:
            return self.rows.get(self.key(row))
        except (BitseekError, OSError):
            return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder of the data; by default that of BITSEEK_DATA")
    parser.add_argument("--weights", type=Path, help=f"of {PRETRAINED}, on ImageNet")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the rows and of trainings under way")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--compile", action="store_true", help="run the backbone through torch.compile")
    parser.add_argument("--run", action="store_true", help="train what can be trained here, in the order of the tables")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no further row begins")
    parser.add_argument("--write", action="store_true", help="write JSON and page of what is there")
    given = parser.parse_args()
    setting = Setting(given.root, given.weights, SIZE, given.device, given.precision, given.compile)
    ledger = Ledger(setting, given.cache)
    if given.run:
        run(ledger, 60 * given.minutes)
    found = tables(ledger)
    print("\n".join(lacking(found)))
    if given.write:
        write(setting, found)


def run(ledger: Ledger, seconds: float) -> None:
    """All rows that lack nothing, until the time is over."""
    end = time.monotonic() + seconds
    for row in TABLE:
        if not ledger.setting.lacks(*row.table) and time.monotonic() < end:
            ledger.trial(row)


def tables(ledger: Ledger) -> list[dict[str, Any]]:
    """Of each network and protocol the rows that are there, how many are not, and what these lack."""
    found = []
    for (backbone, protocol), rows in groupby(TABLE, lambda row: row.table):
        wanted = list(rows)
        there = [each for row in wanted if (each := ledger.found(row)) is not None]
        missing = ledger.setting.lacks(backbone, protocol) if len(there) < len(wanted) else ()
        found.append({"backbone": backbone, "protocol": protocol, "rows": there, "wanted": len(wanted),
                      "missing": list(missing)})  # fmt: skip
    return found


def lacking(found: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each table with rows that are not there."""
    for table in found:
        left = table["wanted"] - len(table["rows"])
        why = "; ".join(table["missing"]) or "nothing: `--run` trains them"
        if left:
            yield f"- `{table['backbone']}` on `{table['protocol']}`: {left} of {table['wanted']} rows are not run."
            yield f"  Missing: {why}."


def write(setting: Setting, found: list[dict[str, Any]]) -> None:
    """The JSON and the page, of what is there: nothing is trained."""
    file = record(NAME, {"size": setting.size, "seed": SEED, **setting.compute(), "tables": found})
    between("gpu_ledger.py", list(page(json.loads(file.read_text(encoding="utf-8")))))


def page(whole: dict[str, Any]) -> Iterator[str]:
    """The lines of docs/ledger.md."""
    found = whole["results"]["tables"]
    for table in found:
        if table["rows"]:
            yield from cells(table)
    yield from lacking(found)
    yield f"- Commit {whole['commit']}, {whole['date'][:10]}."
    yield ""


def cells(table: dict[str, Any]) -> Iterator[str]:
    """One table: mAP by method and length."""
    by_cell = {(row["method"], row["bits"]): row for row in table["rows"]}
    lengths = sorted(BITS)
    yield f"`{table['protocol']}`, `{table['backbone']}`, on {table['rows'][0]['environment']['device']}:"
    yield ""
    yield f"| method | {' | '.join(f'{bits} bits' for bits in lengths)} | images/s in training |"
    yield f"|---|{'---:|' * (len(lengths) + 1)}"
    for method in ROWS:
        rows = [by_cell.get((method, bits)) for bits in lengths]
        speeds = [row["images_per_second"] for row in rows if row and row["images_per_second"]]
        values = [f"{row['mAP']:.3f}" if row else "" for row in rows]
        yield f"| `{method}` | {' | '.join(values)} | {f'{max(speeds):,.0f}' if speeds else ''} |"
    yield ""


if __name__ == "__main__":
    main()
