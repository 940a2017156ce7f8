"""A hundred million codes on one machine: opening, scanning, the pruned plan, and memory.

    python benchmarks/search_large.py [--items 100000000] [--folder DIR] [--rounds 5]

Makes clustered codes (1,000 centres, p = 0.1), saves an index with clusters to the folder (about 20 bytes a code), then
opens it in a fresh process, where everything is measured, so that nothing of the building is left in its memory.
Reading the codes once is timed with a compiled loop that does nothing else, a bitwise or of all words on vectors, on as
many threads. All times are wall-clock, the median of several queries; the files are in the system's cache, having just
been written.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from search_data import clustered_words  # isort: skip
import numpy as np

from bitseek.codes import Codes
from bitseek.index import HammingIndex
from bitseek.kernels.jit import njit
from bitseek.kernels.threads import spread, thread_count
from record import record

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--items", type=int, default=100_000_000)
parser.add_argument("--bits", type=int, default=64)
parser.add_argument("--folder")
parser.add_argument("--keep", action="store_true", help="leave the folder, and use it if it is there")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--name", default="search_large")
parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
options = parser.parse_args()


@njit
def _read(words: np.ndarray, start: int, stop: int) -> int:
    every = np.uint64(0)
    for j in range(np.uint64(start), np.uint64(stop)):
        every |= words[j, 0]
    return every


def resident() -> dict[str, int]:
    """Bytes of this process that are in memory: its own, and pages of files."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return {name: 1024 * int(fields[field].split()[0]) for name, field in (("own", "RssAnon"), ("files", "RssFile"))}


def wall(run) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def measure(folder: str) -> dict:
    """Everything that is measured on an index that was opened."""
    warm = HammingIndex(Codes(clustered_words(300_000, options.bits), options.bits))
    some = Codes(clustered_words(8, options.bits, 3), options.bits)
    for plan in ("scan", "pruned"):
        warm.nearest(some[0], 10, plan=plan)
    del warm
    before = resident()
    found: dict = {"open_s": wall(lambda: HammingIndex.open(folder))}
    index = HammingIndex.open(folder, threads=1, plan="pruned")
    queries = Codes(clustered_words(100, options.bits, 2), options.bits)

    def each() -> list[float]:
        return [wall(lambda i=i: index.nearest(queries[i], 10)) for i in range(len(queries))]

    first, *others = each()
    again = each()
    found |= {
        "pruned_first_ms": 1e3 * first,
        "pruned_median_ms": 1e3 * median(others),
        "pruned_median_again_ms": 1e3 * median(again),
        "pruned_batch_ms_per_query": 1e3 * wall(lambda: index.nearest(queries, 10)) / len(queries),
        "pruned_resident_bytes_per_code": (sum(resident().values()) - sum(before.values())) / options.items,
    }
    words = index.codes().words
    for threads in sorted({1, thread_count()}):
        step = -(-len(words) // threads)
        scan = HammingIndex.open(folder, threads=threads, plan="scan")

        def read(step=step, threads=threads) -> None:
            spread(lambda a, b: _read(words, a, b), len(words), threads=threads, grain=step)

        def search(i: int, scan=scan) -> None:
            scan.nearest(queries[i], 10)

        read()
        search(0)
        reading, scanning = [], []
        for i in range(options.rounds):
            reading.append(wall(read))
            scanning.append(wall(lambda i=i: search(i)))
        found[f"threads_{threads}"] = {
            "read_ms": 1e3 * median(reading),
            "scan_ms": 1e3 * median(scanning),
            "scan_over_read": median(scanning) / median(reading),
        }
    ids = [index.nearest(queries[:5], 10, plan=plan).ids for plan in ("scan", "pruned")]
    np.testing.assert_array_equal(*ids)
    explanation = index.explain()
    found |= {
        "bytes_per_code_scan": explanation.bytes_per_code[0],
        "bytes_per_code_pruned": explanation.bytes_per_code[1],
        "resident_bytes_per_code_after_scan_too": (sum(resident().values()) - sum(before.values())) / options.items,
        "centres": explanation.centres,
    }
    return found


if options.measure:
    print(json.dumps(measure(options.folder)))
    raise SystemExit

folder = Path(options.folder or tempfile.mkdtemp(prefix="bitseek-large-"))
built: dict = {}
try:
    if not (options.keep and (folder / "index.json").is_file()):
        index = HammingIndex(Codes(clustered_words(options.items, options.bits, 1), options.bits))
        built["build_s"] = wall(index.build)
        built["save_s"] = wall(lambda: index.save(folder))
        built["folder_bytes_per_code"] = sum(file.stat().st_size for file in folder.iterdir()) / options.items
        del index
        print(built, flush=True)
    command = [sys.executable, __file__, "--measure", "--folder", str(folder), "--items", str(options.items)]
    command += ["--bits", str(options.bits), "--rounds", str(options.rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    found = built | json.loads(done.stdout.splitlines()[-1])
finally:
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
print(json.dumps(found, indent=1))
record(options.name, {"items": options.items, "bits": options.bits, "threads": thread_count(), **found})
