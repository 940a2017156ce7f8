"""Exact search on a GPU, beside what its memory and its tensor cores can do, and beside all cores of the same machine.

    python benchmarks/search_gpu.py                     # 100M codes of 64 bits, 1,000 queries, k = 10
    python benchmarks/search_gpu.py --device cpu --items 200000 --queries 40 --rounds 1 --name search_gpu_toy

All figures of a GPU, from a checkout, with torch for CUDA and Triton installed, in some minutes:

    export PYTHONPATH=src && python -m pytest tests/device/test_triton.py && python benchmarks/search_gpu.py
    python benchmarks/training_loop.py --device cuda --backbone resnet50 --size 224 --bf16 --name training_loop_gpu
    python benchmarks/training_loop.py --device cuda --backbone resnet50 --size 224 --name training_loop_gpu_fp32

The first line of the output must say `kernels of Triton`; the log says why, if it does not. What is measured where
products become quicker (`measured_products_from`) then goes into `bitseek.device._distances.PRODUCTS_FROM`.

In one process, in turns: the index on the device and the embedded index (scan, all cores) on the same codes; their ids
and distances must be equal. What the device can do at most is measured too: bytes a second of copying a tensor to
another one, read and written, and operations a second of a bare product of 8-bit matrices. Then

- how long word-by-word comparison and products take for 1, 2, 4 … queries, which says where `PRODUCTS_FROM` should be,
- one query beside the time of reading the codes once,
- all codes passing by, with memory for a quarter of them,
- histograms of distance and relevance, beside the kernels.
"""

import argparse
import statistics
import time
from contextlib import nullcontext

import numpy as np
import torch

from bitseek.codes import Codes, words_per_code
from bitseek.device import DeviceScan
from bitseek.device._distances import PRODUCTS_FROM
from bitseek.index import HammingIndex
from bitseek.metrics import Relevance, histograms
from record import record

COPIED = 4 << 30
EDGE = 8192
NEVER = 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--items", type=int, default=100_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--counted", type=int, default=1_200_000, help="items of the histograms")
    parser.add_argument("--name", default="search_gpu")
    options = parser.parse_args()

    device = torch.device(options.device)
    rng = np.random.default_rng(0)
    database, queries = (drawn(rng, n, options.bits) for n in (options.items, options.queries))
    width = words_per_code(options.bits)
    limits = {"copy": copied(device, options.rounds), "product": multiplied(device, options.rounds)}
    on_gpu = HammingIndex(database, device=options.device)
    here = HammingIndex(database, plan="scan")
    compared = options.items * options.queries

    started = time.perf_counter()
    hits = on_gpu.nearest(queries, options.k)
    first = time.perf_counter() - started
    expected = here.nearest(queries, options.k)
    np.testing.assert_array_equal(hits.ids, expected.ids)
    np.testing.assert_array_equal(hits.distances, expected.distances)
    seconds = in_turns(
        {
            "device": lambda: on_gpu.nearest(queries, options.k),
            "cores": lambda: here.nearest(queries, options.k),
            "device_one_query": lambda: on_gpu.nearest(queries[:1], options.k),
            "cores_one_query": lambda: here.nearest(queries[:1], options.k),
        },
        options.rounds,
    )
    bits = 64 * width
    batch = {
        "seconds": seconds["device"],
        "seconds_of_the_first_search": first,
        "codes_per_second": compared / seconds["device"],
        "by_cores_codes_per_second": compared / seconds["cores"],
        "ratio_to_all_cores": seconds["cores"] / seconds["device"],
        "share_of_the_tensor_core_limit": compared * 2 * bits / seconds["device"] / limits["product"],
        "ratio_to_reading_the_codes_once": seconds["device"] / (8 * width * options.items / limits["copy"]),
    }
    one = {
        "ms": 1e3 * seconds["device_one_query"],
        "by_cores_ms": 1e3 * seconds["cores_one_query"],
        "ratio_to_all_cores": seconds["cores_one_query"] / seconds["device_one_query"],
        "share_of_the_memory_limit": 8 * width * options.items / seconds["device_one_query"] / limits["copy"],
    }
    print(f"{on_gpu.explain().device}\nbatch: {batch}\none query: {one}\nlimits: {limits}", flush=True)

    result = {
        "device": on_gpu.explain().device,
        "items": options.items,
        "bits": options.bits,
        "queries": options.queries,
        "k": options.k,
        "threads": here.explain().threads,
        "limits": {"copied_bytes_per_second": limits["copy"], "operations_per_second": limits["product"]},
        "batch": batch,
        "one_query": one,
        "crossover": crossover(on_gpu, queries, options),
        "streamed": streamed(database, queries, expected, options),
        "histograms": counted(rng, options),
    }
    record(options.name, result)


def crossover(index: HammingIndex, queries: Codes, options: argparse.Namespace) -> dict:
    """Milliseconds of both ways for more and more queries."""
    database = index._database
    ways = {
        "words": DeviceScan(options.device, options.bits, products_from=NEVER),
        "products": DeviceScan(options.device, options.bits, products_from=1),
    }
    rows = []
    for number in [2**power for power in range(11) if 2**power <= len(queries)]:
        some = queries.words[:number]
        found = {}
        for name, scan in ways.items():
            share_memory(index, scan)
            found[name] = scan.nearest(database, some, options.k)
        np.testing.assert_array_equal(found["words"], found["products"])
        seconds = in_turns(
            {name: lambda scan=scan, some=some: scan.nearest(database, some, options.k) for name, scan in ways.items()},
            options.rounds,
        )
        rows.append({"queries": number} | {f"{name}_ms": 1e3 * seconds[name] for name in ways})
        print(rows[-1], flush=True)
    quicker = [row["queries"] for row in rows if row["products_ms"] < row["words_ms"]]
    return {"rows": rows, "products_from": PRODUCTS_FROM, "measured_products_from": min(quicker, default=None)}


def share_memory(index: HammingIndex, scan: DeviceScan) -> None:
    """Let a scan use the codes that the index has on the device, instead of bringing them again."""
    own = index._device
    scan._chunks, scan._work, scan._find = own._chunks, own._work, own._find


def streamed(database: Codes, queries: Codes, expected, options: argparse.Namespace) -> dict:
    """A search for whose codes there is no room: bytes a second over the bus, with the comparing hidden behind."""
    memory = max(1 << 16, 8 * words_per_code(options.bits) * options.items // 4)
    index = HammingIndex(database, device=options.device, memory=2 * memory)
    np.testing.assert_array_equal(index.nearest(queries, options.k).ids, expected.ids)
    seconds = in_turns({"device": lambda: index.nearest(queries, options.k)}, options.rounds)["device"]
    resident = index._device.resident(options.items)
    passing = 8 * words_per_code(options.bits) * (options.items - resident)
    found = {"resident": resident, "seconds": seconds, "passing_bytes_per_second": passing / seconds}
    print("streamed:", found, flush=True)
    return found


def counted(rng: np.random.Generator, options: argparse.Namespace) -> dict:
    """Histograms of distance and relevance, of single labels and of sets of 80 classes."""
    n, q = min(options.counted, options.items), options.queries
    database, queries = (drawn(rng, size, options.bits) for size in (n, q))
    labels = {
        "single": [rng.integers(0, 100, size) for size in (q, n)],
        "multi": [rng.random((size, 80)) < 0.03 for size in (q, n)],
    }
    found = {}
    for name, pair in labels.items():
        relevance = Relevance.from_labels(*pair)
        sides = {
            "device": lambda relevance=relevance: histograms(queries, database, relevance, device=options.device),
            "cores": lambda relevance=relevance: histograms(queries, database, relevance),
        }
        first = {side: work() for side, work in sides.items()}
        np.testing.assert_array_equal(first["device"].total, first["cores"].total)
        np.testing.assert_array_equal(first["device"].relevant, first["cores"].relevant)
        seconds = in_turns(sides, options.rounds)
        found[name] = {
            "items": n,
            "pairs_per_second": n * q / seconds["device"],
            "by_cores_pairs_per_second": n * q / seconds["cores"],
            "ratio_to_all_cores": seconds["cores"] / seconds["device"],
        }
        print("histograms:", name, found[name], flush=True)
    return found


def drawn(rng: np.random.Generator, n: int, bits: int) -> Codes:
    """Uniformly random codes: the device looks at all of them, whatever they are."""
    words = rng.integers(0, 1 << 64, (n, words_per_code(bits)), np.uint64, endpoint=False)
    if bits % 64:
        words[:, -1] &= np.uint64((1 << bits % 64) - 1)
    return Codes(words, bits)


def in_turns(sides: dict, rounds: int) -> dict:
    """Median seconds of each of several calls that take turns; every one of them waits for its answer."""
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            started = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def copied(device: torch.device, rounds: int) -> float:
    """Bytes a second, read and written, of copying a tensor on the device."""
    size = COPIED if device.type == "cuda" else COPIED >> 6
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / on_device(device, rounds, lambda: target.copy_(source))


def multiplied(device: torch.device, rounds: int) -> float:
    """Operations a second, additions and multiplications, of a bare product of square 8-bit matrices."""
    edge = EDGE if device.type == "cuda" else EDGE >> 4
    left, right = (torch.ones((edge, edge), dtype=torch.int8, device=device) for _ in range(2))
    return 2 * edge**3 / on_device(device, rounds, lambda: torch._int_mm(left, right.T))


def on_device(device: torch.device, rounds: int, work) -> float:
    """Seconds of one call, out of ten that follow on each other, after one; the best of some rounds."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    best = np.inf
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        work()
        for _ in range(rounds):
            wait()
            started = time.perf_counter()
            for _ in range(10):
                work()
            wait()
            best = min(best, (time.perf_counter() - started) / 10)
    return best


if __name__ == "__main__":
    main()
