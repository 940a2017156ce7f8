"""A billion codes on one machine: building as a stream, opening, the pruned plan and the scan, against the size.

    python benchmarks/billion.py --sizes 1000000 10000000 100000000 1000000000 [--bits 64] [--folder DIR]
    python benchmarks/billion.py --sizes 1000000000 --steps append build --keep       # piece by piece: first this,
    python benchmarks/billion.py --sizes 1000000000 --steps search --keep             # later that

Codes lie around 1,000 centres, each bit flipped with p = 0.1, and are made a million at a time. Each step runs in a
process of its own, and what it finds is written to benchmarks/results/billion.json at once, beside what is there of
other sizes and lengths of codes.

append  `IndexWriter.append` of all codes; the time to make them is left out.
build   `IndexWriter.build`; of 10 million codes or fewer also `HammingIndex.build`, by one thread and by all.
search  `HammingIndex.open`; single queries for the 10 nearest by each plan, after one that loads the kernels; and
        reading the codes once, a bitwise or of all words on vectors, by as many threads as the scan.

Times are by the wall clock: the median of several, and for `pruned` also the first time that a query is asked, which
maps the pages that it touches. Memory is that of the process beyond mapped files (RssAnon), at its greatest, looked at
every 20 ms; `idle` is that of a process that has only loaded the kernels. The curves are least squares of logarithms.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from search_data import clustered_words  # isort: skip
import numpy as np

from bitseek.codes import Codes
from bitseek.index import HammingIndex, IndexWriter
from bitseek.kernels.jit import njit
from bitseek.kernels.threads import spread, thread_count
from record import RESULTS, record

STEPS = ("append", "build", "search")
PORTION, IN_MEMORY = 1_000_000, 10_000_000
TARGETS = {"open_s": 1.0, "pruned_median_ms": 1.0, "scan_over_read": 1.5, "build_memory_gib": 4.0}
"""What the issue wants at a billion codes of 64 bits; each at most."""

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
parser.add_argument("--bits", type=int, default=64)
parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
parser.add_argument("--folder", help="where to put the indexes, one folder for each; a temporary one if not given")
parser.add_argument("--keep", action="store_true", help="leave the indexes where they are")
parser.add_argument("--queries", type=int, default=100)
parser.add_argument("--scans", type=int, default=5)
parser.add_argument("--name", default="billion")
parser.add_argument("--measure", choices=STEPS, help=argparse.SUPPRESS)
options = parser.parse_args()


@njit
def _read(words: np.ndarray, start: int, stop: int) -> int:
    every = np.uint64(0)
    for j in range(np.uint64(start), np.uint64(stop)):
        every |= words[j]
    return every


def own_memory() -> int:
    """Bytes of this process beyond mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@contextmanager
def watched(found: dict, name: str) -> Iterator[None]:
    """Notes the seconds that a block takes, and the memory at its greatest."""
    most, done = [own_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most.append(max(most[-1], own_memory()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.perf_counter()
    try:
        yield
    finally:
        found[f"{name}_s"] = time.perf_counter() - begin
        done.set()
        watcher.join()
        found[f"{name}_memory_gib"] = most[-1] / 2**30


def wall(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def load_kernels() -> None:
    """Compiles or loads all that will be measured."""
    with tempfile.TemporaryDirectory() as folder:
        with IndexWriter(folder, options.bits) as writer:
            writer.append(Codes(clustered_words(5000, options.bits), options.bits))
            writer.build()
        index = HammingIndex.open(folder)
        for plan in ("scan", "pruned"):
            index.nearest(index.codes([0]), 10, plan=plan)


def append(folder: Path, size: int) -> dict:
    found: dict = {}
    seconds = 0.0
    with watched(found, "append"), IndexWriter(folder, options.bits) as writer:
        for start in range(writer.size, size, PORTION):
            codes = Codes(
                clustered_words(min(PORTION, size - start), options.bits, 10 + start // PORTION), options.bits
            )
            seconds += wall(lambda codes=codes: writer.append(codes))
        seconds += wall(writer.commit)
    return found | {"append_s": seconds}


def build(folder: Path, size: int) -> dict:
    load_kernels()
    found: dict = {"idle_memory_gib": own_memory() / 2**30}
    with IndexWriter(folder) as writer, watched(found, "build"):
        writer.build()
    if size <= IN_MEMORY:
        codes = HammingIndex.open(folder).codes()
        for name, threads in (("one_thread", 1), ("all_threads", None)) * 2:
            index = HammingIndex(codes, threads=threads)
            taken = wall(index.build)
            found[f"build_{name}_s"] = min(taken, found.get(f"build_{name}_s", taken))
    bytes_there = sum(file.stat().st_size for file in folder.iterdir())
    return found | {"folder_bytes_per_code": bytes_there / size, "load_after_build": os.getloadavg()[0]}


def search(folder: Path, size: int) -> dict:
    load_kernels()
    found: dict = {"load_before_search": os.getloadavg()[0]}
    found["open_first_s"] = wall(lambda: HammingIndex.open(folder))
    found["open_s"] = median(wall(lambda: HammingIndex.open(folder)) for _ in range(5))
    queries = Codes(clustered_words(options.queries, options.bits, 2), options.bits)
    index = HammingIndex.open(folder, threads=1, plan="pruned")

    def each() -> list[float]:
        return [1e3 * wall(lambda i=i: index.nearest(queries[i], 10)) for i in range(len(queries))]

    first, again = each(), each()
    explanation = index.explain()
    found |= {
        "pruned_first_ms": first[0],
        "pruned_new_median_ms": median(first[1:]),
        "pruned_median_ms": median(again),
        "pruned_slowest_ms": max(again),
        "pruned_batch_ms_per_query": 1e3 * wall(lambda: index.nearest(queries, 10)) / len(queries),
        "centres": explanation.centres,
        "covered": explanation.covered,
        "bytes_per_code_scan": explanation.bytes_per_code[0],
        "bytes_per_code_pruned": explanation.bytes_per_code[1],
    }
    blocks = [words.reshape(-1) for _, words in index._database.pieces()]
    for threads in sorted({1, thread_count()}):
        scan = HammingIndex.open(folder, threads=threads, plan="scan")

        def read(threads=threads) -> None:
            for words in blocks:
                spread(lambda a, b, words=words: _read(words, a, b), len(words), threads=threads)

        read()
        scan.nearest(queries[0], 10)
        reading, scanning = [], []
        for i in range(options.scans):
            reading.append(wall(read))
            scanning.append(wall(lambda i=i, scan=scan: scan.nearest(queries[i], 10)))
        of_one = "" if threads == thread_count() else "_one_thread"
        found[f"read{of_one}_ms"], found[f"scan{of_one}_ms"] = 1e3 * median(reading), 1e3 * median(scanning)
        found[f"scan_over_read{of_one}"] = median(scanning) / median(reading)
    ids = [index.nearest(queries[:5], 10, plan=plan).ids for plan in ("scan", "pruned")]
    np.testing.assert_array_equal(*ids)
    return found | {"search_memory_gib": own_memory() / 2**30, "threads": thread_count()}


def curves(rows: list[dict]) -> dict:
    """For each length of codes and each figure, exponent and factor of figure = factor * size ** exponent."""
    fitted: dict = {}
    for bits in sorted({row["bits"] for row in rows}):
        for name in ("append_s", "build_s", "build_memory_gib", "pruned_median_ms", "scan_ms", "open_s"):
            points = [(row["items"], row[name]) for row in rows if row["bits"] == bits and row.get(name)]
            if len(points) > 1:
                sizes, values = np.log(np.array(points, float)).T
                exponent, intercept = np.polyfit(sizes, values, 1)
                off = float(np.exp(np.abs(values - (exponent * sizes + intercept)).max()))
                fitted.setdefault(str(bits), {})[name] = {
                    "exponent": float(exponent),
                    "factor": float(np.exp(intercept)),
                    "largest_ratio_to_the_curve": off,
                    "from": min(points)[0],
                    "to": max(points)[0],
                }
    return fitted


def note(size: int, found: dict) -> None:
    """Write what was found beside what is there."""
    file = RESULTS / f"{options.name}.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["results"]["rows"] if file.is_file() else []
    key = {"items": size, "bits": options.bits}
    row = next((row for row in rows if {name: row[name] for name in key} == key), None)
    if row is None:
        row = dict(key)
        rows.append(row)
    row |= found | {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    rows.sort(key=lambda row: (row["bits"], row["items"]))
    record(options.name, {"rows": rows, "curves": curves(rows), "targets_at_a_billion": TARGETS})


if options.measure:
    step = {"append": append, "build": build, "search": search}[options.measure]
    print(json.dumps(step(Path(options.folder), options.sizes[0])))
    raise SystemExit

place = Path(options.folder or tempfile.mkdtemp(prefix="bitseek-billion-"))
try:
    for size in options.sizes:
        folder = place / f"{size}-{options.bits}"
        for name in options.steps:
            command = [sys.executable, __file__, "--measure", name, "--folder", str(folder), "--sizes", str(size)]
            command += ["--bits", str(options.bits), "--queries", str(options.queries), "--scans", str(options.scans)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(size, name, json.dumps({key: round(value, 4) for key, value in found.items()}), flush=True)
            note(size, found)
        if not options.keep:
            shutil.rmtree(folder)
finally:
    if not options.folder and not options.keep:
        shutil.rmtree(place, ignore_errors=True)
